//! `portolan check`: what stands against the objects in files, for repositories whose changes are judged
//! before they reach a cluster.

use super::Files;
use super::model::Model;
use super::weight::{Weight, weight};
use crate::files::{Key, Kind, Trouble};
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use portolan_core::{Diagnostic, ObjectRef, Subject};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _, Write};
use std::process::ExitCode;

/// What `portolan check --help` ends with.
pub(crate) const CHECK_EXAMPLE: &str = "\
Examples:
  portolan check -f deploy/                      a folder of a repository
  kustomize build . | portolan check -f -        what a tool makes
  portolan check -f deploy/ --strict -o json     for a script

Every line says file, line, weight, object, and what would be right:
  deploy/shop.yaml:9: error: ExposedPort team-a/shop: spec.hostnames[0]: …

An error is wrong in any cluster. A warning is about something that the files
refer to and do not have, such as a Service that a Helm chart brings, or about
something lawful that is rarely meant; with --strict it is an error. What only a cluster can tell
(certificates, pods, proxies) is not judged. Of Ingresses those are judged that
name a class of the files, or public. Without an ExposeClass among the files, the classes that objects name are assumed to have an issuer and a domain.
Exit codes: 0 no error, 1 errors, 2 usage.";

/// What is judged, and how that is told.
#[derive(Debug, Args)]
pub(crate) struct Check {
    #[command(flatten)]
    files: Files,
    /// Take warnings for errors
    #[arg(long)]
    strict: bool,
    /// How findings are written
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// How findings are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A line for each.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

/// Something that stands against an object, or a file.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Finding {
    file: String,
    /// 0 when the whole file is meant.
    line: usize,
    weight: Weight,
    /// Such as `ExposedPort team-a/shop`; empty when that is unknown.
    object: String,
    /// The word of a status; empty for what is no object at all.
    reason: &'static str,
    message: String,
}

/// All of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    files: usize,
    exposed_ports: usize,
    /// Those that Portolan would serve.
    ingresses: usize,
    /// Objects of kinds that were not judged.
    passed_over: BTreeMap<String, usize>,
    assumed_classes: Vec<String>,
    errors: usize,
    warnings: usize,
    findings: Vec<Finding>,
}

impl Check {
    /// Writes what was found.
    ///
    /// # Errors
    /// When nobody reads it.
    pub(crate) fn run(&self) -> io::Result<ExitCode> {
        let model = Model::read(&self.files.paths, Timestamp::now());
        let report = Report::of(&model, self.strict);
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

impl Report {
    fn of(model: &Model, strict: bool) -> Self {
        let objects: Vec<_> = model.store.objects().cloned().collect();
        let mut findings: Vec<_> = model.troubles.iter().map(unreadable).collect();
        findings.extend(objects.iter().flat_map(|object| judge(model, object)));
        findings.extend(model.store.classes().flat_map(|it| judge_class(model, it)));
        let (ours, others): (Vec<_>, Vec<_>) = model
            .store
            .ingresses()
            .partition(|it| model.store.index.is_ours(it));
        findings.extend(ours.iter().flat_map(|it| judge_ingress(model, it)));
        let mut passed_over = model.passed_over.clone();
        if !others.is_empty() {
            passed_over.insert(Kind::Ingress.as_str().to_owned(), others.len());
        }
        if strict {
            for finding in &mut findings {
                finding.weight = Weight::Error;
            }
        }
        findings.sort();
        let count = |weight| findings.iter().filter(|it| it.weight == weight).count();
        Self {
            files: model.files,
            exposed_ports: objects.len(),
            ingresses: ours.len(),
            passed_over,
            assumed_classes: model.assumed.iter().cloned().collect(),
            errors: count(Weight::Error),
            warnings: count(Weight::Warning),
            findings,
        }
    }

    fn lines(&self, out: &mut impl Write, colour: bool) -> io::Result<()> {
        for it in &self.findings {
            let (word, paint) = match it.weight {
                Weight::Error => ("error", "31"),
                Weight::Warning | Weight::Nothing => ("warning", "33"),
            };
            let word = match colour {
                true => format!("\u{1b}[{paint}m{word}\u{1b}[0m"),
                false => word.to_owned(),
            };
            let line = match it.line {
                0 => String::new(),
                line => format!("{line}:"),
            };
            let object = match it.object.as_str() {
                "" => String::new(),
                object => format!(" {object}:"),
            };
            writeln!(out, "{}:{line} {word}:{object} {}", it.file, it.message)?;
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
        if !self.passed_over.is_empty() {
            let kinds: Vec<_> = self
                .passed_over
                .iter()
                .map(|(kind, count)| format!("{count} {kind}"))
                .collect();
            text.push_str(&format!("; not judged: {}", kinds.join(", ")));
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

fn unreadable(trouble: &Trouble) -> Finding {
    let Trouble {
        file,
        line,
        object,
        field,
        problem,
    } = trouble;
    Finding {
        file: file.clone(),
        line: *line,
        weight: Weight::Error,
        object: object.clone(),
        reason: "",
        message: match field.as_str() {
            "" => problem.clone(),
            field => format!("{field}: {problem}"),
        },
    }
}

fn judge(model: &Model, object: &Subject) -> Vec<Finding> {
    let seen = model.seen(object);
    let diagnostics = model.store.index.diagnostics(object, &seen, model.now());
    told(model, &Key::exposed_port(object.object()), diagnostics)
}

/// Each hostname by itself, in the fields of the Ingress.
fn judge_ingress(model: &Model, ingress: &ObjectRef) -> Vec<Finding> {
    let index = &model.store.index;
    let hosts = index.hosts_of_ingress(ingress);
    let of_hosts = hosts.iter().flat_map(|host| {
        let diagnostics = index.diagnostics(host, &model.seen(host), model.now());
        diagnostics.into_iter().map(|it| Diagnostic {
            message: index.in_terms_of_ingress(host, &it.message),
            reason: it.reason,
        })
    });
    let all = index.ingress_diagnostics(ingress).into_iter();
    told(model, &Key::ingress(ingress), all.chain(of_hosts).collect())
}

fn judge_class(model: &Model, class: &ObjectRef) -> Vec<Finding> {
    let diagnostics = model.store.complaints_of_class(class);
    told(model, &Key::expose_class(class), diagnostics)
}

fn told(model: &Model, key: &Key, diagnostics: Vec<Diagnostic>) -> Vec<Finding> {
    let findings = diagnostics.into_iter().map(|it| {
        let (file, line) = model.place(key, &it.message);
        Finding {
            file: file.to_owned(),
            line,
            weight: weight(it.reason),
            object: key.to_string(),
            reason: it.reason.as_str(),
            message: it.message,
        }
    });
    findings
        .filter(|finding| finding.weight != Weight::Nothing)
        .collect()
}

#[cfg(test)]
mod tests;
