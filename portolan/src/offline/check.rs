//! `portolan check`: validates the objects in files before they reach a cluster.

use super::Files;
use super::model::Model;
use super::severity::{Severity, severity};
use crate::files::{Diagnostic, Key, Kind};
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use portolan_core::{Diagnostic as ObjectDiagnostic, ObjectRef, Subject};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _, Write};
use std::process::ExitCode;

/// End of `portolan check --help`.
pub(crate) const CHECK_EXAMPLE: &str = "\
Examples:
  portolan check -f deploy/                      a folder of a repository
  kustomize build . | portolan check -f -        output of a tool
  portolan check -f deploy/ --strict -o json     for scripts

Every line has file, line, severity, object and message:
  deploy/shop.yaml:9: error: ExposedPort team-a/shop: spec.hostnames[0]: …

An error is wrong in any cluster. A warning is about an object that is
referenced but not among the files, such as a Service of a Helm chart, or about
something valid that is rarely intended; with --strict it is an error. Anything
that depends on the cluster (certificates, pods, proxies) is not checked.
Ingresses are checked if their class is among the files, or public. Without an
ExposeClass among the files, referenced classes are assumed to have an issuer
and a domain.
Exit codes: 0 no error, 1 errors, 2 usage.";

/// Options of `check`.
#[derive(Debug, Args)]
pub(crate) struct Check {
    #[command(flatten)]
    files: Files,
    /// Treat warnings as errors
    #[arg(long)]
    strict: bool,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// Output format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    /// One line per finding.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

/// Problem of an object or file.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Finding {
    file: String,
    /// 0 for the whole file.
    line: usize,
    severity: Severity,
    /// Such as `ExposedPort team-a/shop`; empty if unknown.
    object: String,
    /// Reason as in status; empty for what cannot be parsed.
    reason: &'static str,
    message: String,
}

/// All findings.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct CheckReport {
    files: usize,
    exposed_ports: usize,
    /// Number of Ingresses of a class of Portolan.
    ingresses: usize,
    /// Number of objects that were not checked, by kind.
    skipped: BTreeMap<String, usize>,
    assumed_classes: Vec<String>,
    errors: usize,
    warnings: usize,
    findings: Vec<Finding>,
}

impl Check {
    /// Prints the findings.
    ///
    /// # Errors
    /// Writing failed.
    pub(crate) fn run(&self) -> io::Result<ExitCode> {
        let model = Model::read(&self.files.paths, Timestamp::now());
        let report = CheckReport::of(&model, self.strict);
        let mut out = io::stdout().lock();
        match self.output {
            Output::Text => report.lines(&mut out, io::stdout().is_terminal())?,
            Output::Json => writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?,
        }
        out.flush()?;
        eprintln!("{}", report.summary());
        Ok(match report.errors {
            0 => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        })
    }
}

impl CheckReport {
    fn of(model: &Model, strict: bool) -> Self {
        let objects: Vec<_> = model.store.objects().cloned().collect();
        let mut findings: Vec<_> = model.diagnostics.iter().map(parse_error).collect();
        findings.extend(
            objects
                .iter()
                .flat_map(|object| check_object(model, object)),
        );
        findings.extend(
            model
                .store
                .classes()
                .flat_map(|class| check_class(model, class)),
        );
        let (served, others): (Vec<_>, Vec<_>) = model
            .store
            .ingresses()
            .partition(|ingress| model.store.index.is_ours(ingress));
        findings.extend(
            served
                .iter()
                .flat_map(|ingress| check_ingress(model, ingress)),
        );
        let mut skipped = model.skipped.clone();
        if !others.is_empty() {
            skipped.insert(Kind::Ingress.as_str().to_owned(), others.len());
        }
        if strict {
            for finding in &mut findings {
                finding.severity = Severity::Error;
            }
        }
        findings.sort();
        let count = |severity| {
            let found = findings.iter();
            found.filter(|finding| finding.severity == severity).count()
        };
        Self {
            files: model.files,
            exposed_ports: objects.len(),
            ingresses: served.len(),
            skipped,
            assumed_classes: model.assumed.iter().cloned().collect(),
            errors: count(Severity::Error),
            warnings: count(Severity::Warning),
            findings,
        }
    }

    fn lines(&self, out: &mut impl Write, colour: bool) -> io::Result<()> {
        for finding in &self.findings {
            let (word, paint) = match finding.severity {
                Severity::Error => ("error", "31"),
                Severity::Warning | Severity::None => ("warning", "33"),
            };
            let word = if colour {
                format!("\u{1b}[{paint}m{word}\u{1b}[0m")
            } else {
                word.to_owned()
            };
            let line = match finding.line {
                0 => String::new(),
                line => format!("{line}:"),
            };
            let object = match finding.object.as_str() {
                "" => String::new(),
                object => format!(" {object}:"),
            };
            let (file, message) = (&finding.file, &finding.message);
            writeln!(out, "{file}:{line} {word}:{object} {message}")?;
        }
        Ok(())
    }

    fn summary(&self) -> String {
        let ingresses = match self.ingresses {
            0 => String::new(),
            1 => " and 1 Ingress".to_owned(),
            count => format!(" and {count} Ingresses"),
        };
        let mut text = format!(
            "{}{ingresses} in {}: {}, {}",
            counted(self.exposed_ports, "ExposedPort"),
            counted(self.files, "file"),
            counted(self.errors, "error"),
            counted(self.warnings, "warning")
        );
        if !self.skipped.is_empty() {
            let kinds: Vec<_> = self
                .skipped
                .iter()
                .map(|(kind, count)| format!("{count} {kind}"))
                .collect();
            text.push_str(&format!("; skipped: {}", kinds.join(", ")));
        }
        if !self.assumed_classes.is_empty() {
            let classes = self.assumed_classes.join(", ");
            text.push_str(&format!("; assumed to exist: ExposeClass {classes}"));
        }
        text
    }
}

fn counted(count: usize, what: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {what}{s}")
}

fn parse_error(diagnostic: &Diagnostic) -> Finding {
    let Diagnostic {
        file,
        line,
        object,
        field,
        problem,
    } = diagnostic;
    Finding {
        file: file.clone(),
        line: *line,
        severity: Severity::Error,
        object: object.clone(),
        reason: "",
        message: match field.as_str() {
            "" => problem.clone(),
            field => format!("{field}: {problem}"),
        },
    }
}

fn check_object(model: &Model, object: &Subject) -> Vec<Finding> {
    let observed = model.observed(object);
    let diagnostics = model
        .store
        .index
        .diagnostics(object, &observed, model.now());
    findings(model, &Key::exposed_port(object.object()), diagnostics)
}

/// Checks each hostname, and reports fields of the Ingress.
fn check_ingress(model: &Model, ingress: &ObjectRef) -> Vec<Finding> {
    let index = &model.store.index;
    let hosts = index.hosts_of_ingress(ingress);
    let of_hosts = hosts.iter().flat_map(|host| {
        let diagnostics = index.diagnostics(host, &model.observed(host), model.now());
        diagnostics.into_iter().map(|diagnostic| ObjectDiagnostic {
            message: index.in_terms_of_ingress(host, &diagnostic.message),
            reason: diagnostic.reason,
        })
    });
    let all = index.ingress_diagnostics(ingress).into_iter();
    findings(model, &Key::ingress(ingress), all.chain(of_hosts).collect())
}

fn check_class(model: &Model, class: &ObjectRef) -> Vec<Finding> {
    let diagnostics = model.store.class_diagnostics(class);
    findings(model, &Key::expose_class(class), diagnostics)
}

fn findings(model: &Model, key: &Key, diagnostics: Vec<ObjectDiagnostic>) -> Vec<Finding> {
    let findings = diagnostics.into_iter().map(|diagnostic| {
        let (file, line) = model.location(key, &diagnostic.message);
        Finding {
            file: file.to_owned(),
            line,
            severity: severity(diagnostic.reason),
            object: key.to_string(),
            reason: diagnostic.reason.as_str(),
            message: diagnostic.message,
        }
    });
    findings
        .filter(|finding| finding.severity != Severity::None)
        .collect()
}

#[cfg(test)]
mod tests;
