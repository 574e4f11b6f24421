//! `kubectl portolan certs`: the certificate of each hostname, stored and served.
//!
//! [`gather`] reads the cluster; [`exposure`], [`source`], [`stored`], [`state`] and [`row`] turn the data into
//! rows, without I/O; [`table`] and [`report`] print them.

mod exposure;
mod gather;
mod report;
mod row;
mod source;
mod state;
mod stored;
mod table;
#[cfg(test)]
mod tests;

use crate::cluster::{Connection, object_name};
use clap::{Args, ValueEnum};
use gather::{Found, Selection};
use jiff::Timestamp;
use report::CertificateReport;
use row::Row;
use std::env;
use std::io::{self, IsTerminal as _, Write};
use std::process::ExitCode;
use table::TableStyle;

/// End of `kubectl portolan certs --help`.
pub(crate) const EXAMPLE: &str = r#"Examples:
  kubectl portolan certs                     this namespace, soonest to expire first
  kubectl portolan certs -A                  the whole cluster
  kubectl portolan certs shop -n team-a      one ExposedPort
  kubectl portolan certs -A --check          for scripts: exit code 3 if there are problems
  kubectl portolan certs -A -o json | jq '.hostnames[] | select(.state != "Ok")'

STORED is the certificate in the Secret, SERVED the one that every proxy presents:
the start of its SHA-256 fingerprint, `same` if it is the stored one, `none`, or `-` if
unknown or not needed. LEFT and RENEWS are relative to now. Rows without a certificate
come first. docs/reference/cli.md explains the states.

Only tls.crt of a Secret is read. Without access to Secrets, everything else is shown.
Exit codes: 0 ok, 1 failed or not found, 2 usage, 3 --check found problems."#;

/// Exit code of a check that found problems.
const CHECK_FAILED: u8 = 3;

/// Options of `certs`.
#[derive(Debug, Args)]
pub(crate) struct Certs {
    /// Names of ExposedPorts. If omitted, all are shown
    #[arg(value_name = "NAME", value_parser = object_name, conflicts_with_all = ["all_namespaces", "selector"])]
    names: Vec<String>,
    /// Namespace. Defaults to that of the context
    #[arg(short, long, value_parser = object_name)]
    namespace: Option<String>,
    /// Show all namespaces; overrides --namespace
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Label selector, such as app=shop,tier!=test
    #[arg(short = 'l', long)]
    selector: Option<String>,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    /// Omit the header of the table
    #[arg(long)]
    no_headers: bool,
    /// Exit with code 3 if a certificate is missing, expired, or not the one that is served, and print
    /// the problems to standard error
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Output format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    /// One line per hostname
    #[default]
    Table,
    /// One JSON object
    Json,
    /// The same in YAML
    Yaml,
}

impl Certs {
    /// Prints the certificates.
    ///
    /// # Errors
    /// The ExposedPorts cannot be read, or writing failed.
    pub(crate) async fn run(&self) -> anyhow::Result<ExitCode> {
        let (cluster, namespace) = self.connection.open().await?;
        let selection = self.selection(namespace);
        let found = Found::gather(&cluster, &selection).await?;
        let now = Timestamp::now();
        let rows = found.data.rows(now);
        self.show(&rows, &selection, now)?;
        Ok(self.conclude(&found, &rows))
    }

    fn selection(&self, of_context: String) -> Selection {
        let namespace = if self.all_namespaces {
            String::new()
        } else {
            self.namespace.clone().unwrap_or(of_context)
        };
        match self.names.as_slice() {
            [] => Selection::All {
                namespace,
                labels: self.selector.clone(),
            },
            names => Selection::Named {
                namespace,
                names: names.to_vec(),
            },
        }
    }

    fn show(&self, rows: &[Row], selection: &Selection, now: Timestamp) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        match self.output {
            Output::Table => match (rows, selection) {
                ([], Selection::All { namespace, .. }) if namespace.is_empty() => {
                    eprintln!("No hostnames found");
                }
                ([], Selection::All { namespace, .. }) => {
                    eprintln!("No hostnames found in namespace {namespace}");
                }
                ([], Selection::Named { .. }) => {}
                (rows, _) => table::write(rows, self.style(), now, &mut out)?,
            },
            Output::Json => {
                let text = serde_json::to_string_pretty(&CertificateReport::new(rows, now))?;
                writeln!(out, "{text}")?;
            }
            Output::Yaml => write!(
                out,
                "{}",
                serde_yaml::to_string(&CertificateReport::new(rows, now))?
            )?,
        }
        Ok(out.flush()?)
    }

    fn style(&self) -> TableStyle {
        // no-color.org: set and not empty.
        let no_color = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        TableStyle {
            namespaces: self.all_namespaces,
            headers: !self.no_headers,
            colours: io::stdout().is_terminal() && !no_color,
        }
    }

    /// Prints notes, problems and errors to standard error.
    fn conclude(&self, found: &Found, rows: &[Row]) -> ExitCode {
        if let Some(note) = found.note() {
            eprintln!("note: {note}");
        }
        let failing: Vec<_> = rows.iter().filter(|row| row.state.is_failing()).collect();
        if self.check {
            for row in &failing {
                eprintln!("{}: {}", row.state.as_str(), row.message());
            }
        }
        for error in &found.errors {
            eprintln!("error: {error}");
        }
        match (found.errors.as_slice(), self.check && !failing.is_empty()) {
            ([], false) => ExitCode::SUCCESS,
            ([], true) => CHECK_FAILED.into(),
            _ => ExitCode::FAILURE,
        }
    }
}
