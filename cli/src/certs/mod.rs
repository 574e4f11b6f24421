//! `kubectl portolan certs`: the certificate of each hostname, stored and served.
//!
//! [`gather`] reads the cluster; [`exposure`], [`source`], [`stored`], [`state`] and [`row`] make rows of what was
//! read, without I/O; [`table`] and [`report`] show them.

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
use report::Report;
use row::Row;
use std::env;
use std::io::{self, IsTerminal as _, Write};
use std::process::ExitCode;
use table::Look;

/// What `kubectl portolan certs --help` ends with.
pub(crate) const EXAMPLE: &str = r#"Examples:
  kubectl portolan certs                     this namespace, soonest to expire first
  kubectl portolan certs -A                  the whole cluster
  kubectl portolan certs shop -n team-a      one ExposedPort
  kubectl portolan certs -A --check          for a script: 3 when something is wrong
  kubectl portolan certs -A -o json | jq '.hostnames[] | select(.state != "Ok")'

STORED is the certificate in the Secret, SERVED the one that every proxy presents:
the beginning of its SHA-256 fingerprint, `same` when it is the stored one, `none`,
or `-` where nothing is known or needed. LEFT and RENEWS count from now. Rows without a
certificate come first. The states are explained in docs/reference/cli.md.

Only tls.crt of a Secret is looked at. Who may not read Secrets sees all the rest.
Exit codes: 0 ok, 1 failed or not found, 2 usage, 3 --check found something."#;

/// The code of a check that found something.
const FOUND: u8 = 3;

/// Which hostnames, and how they are shown.
#[derive(Debug, Args)]
pub(crate) struct Certs {
    /// Names of ExposedPorts; all when none is given
    #[arg(value_name = "NAME", value_parser = object_name, conflicts_with_all = ["all_namespaces", "selector"])]
    names: Vec<String>,
    /// The namespace; else that of the context
    #[arg(short, long, value_parser = object_name)]
    namespace: Option<String>,
    /// All namespaces, whatever --namespace says
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Those with these labels, such as app=shop,tier!=test
    #[arg(short = 'l', long)]
    selector: Option<String>,
    /// How they are shown
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    /// The table without its first line
    #[arg(long)]
    no_headers: bool,
    /// End with code 3, and say why on standard error, when a certificate is missing, expired, or not the
    /// one that is served
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    connection: Connection,
}

/// How rows are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A line for each hostname
    #[default]
    Table,
    /// One JSON object
    Json,
    /// The same as YAML
    Yaml,
}

impl Certs {
    /// Shows them.
    ///
    /// # Errors
    /// When the ExposedPorts cannot be read, or nobody reads the answer.
    pub(crate) async fn run(&self) -> anyhow::Result<ExitCode> {
        let (cluster, namespace) = self.connection.open().await?;
        let selection = self.selection(namespace);
        let found = Found::gather(&cluster, &selection).await?;
        let now = Timestamp::now();
        let rows = found.world.rows(now);
        self.show(&rows, &selection, now)?;
        Ok(self.conclude(&found, &rows))
    }

    fn selection(&self, of_context: String) -> Selection {
        let namespace = match self.all_namespaces {
            true => String::new(),
            false => self.namespace.clone().unwrap_or(of_context),
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
                (rows, _) => table::write(rows, self.look(), now, &mut out)?,
            },
            Output::Json => {
                let text = serde_json::to_string_pretty(&Report::new(rows, now))?;
                writeln!(out, "{text}")?;
            }
            Output::Yaml => write!(out, "{}", serde_yaml::to_string(&Report::new(rows, now))?)?,
        }
        Ok(out.flush()?)
    }

    fn look(&self) -> Look {
        // no-color.org: set to anything but nothing.
        let refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Look {
            namespaces: self.all_namespaces,
            headers: !self.no_headers,
            colours: io::stdout().is_terminal() && !refused,
        }
    }

    /// Says on standard error what a person should know beside the rows.
    fn conclude(&self, found: &Found, rows: &[Row]) -> ExitCode {
        if let Some(note) = found.note() {
            eprintln!("note: {note}");
        }
        let failing: Vec<_> = rows.iter().filter(|row| row.state.is_failing()).collect();
        if self.check {
            for row in &failing {
                eprintln!("{}: {}", row.state.as_str(), row.complaint());
            }
        }
        for trouble in &found.troubles {
            eprintln!("error: {trouble}");
        }
        match (found.troubles.as_slice(), self.check && !failing.is_empty()) {
            ([], false) => ExitCode::SUCCESS,
            ([], true) => FOUND.into(),
            _ => ExitCode::FAILURE,
        }
    }
}
