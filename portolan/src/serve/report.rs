//! Output of status changes and errors on stdout.

use super::options::Output;
use crate::files::Diagnostic;
use portolan_core::{ObjectRef, Subject};
use portolan_crds::ExposedPortStatus;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Maximum number of rows of a table; a folder may have thousands of objects.
const MAX_ROWS: usize = 100;

/// Style of the output: ports that differ from the default ones are part of a URL.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    pub(super) output: Output,
    pub(super) colour: bool,
    pub(super) http: u16,
    pub(super) https: u16,
}

/// Changes since the last report.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// `None` for a deleted object.
    pub(super) objects: BTreeMap<Subject, Option<Row>>,
    pub(super) errors: BTreeSet<Diagnostic>,
    pub(super) resolved: BTreeSet<Diagnostic>,
}

/// Status of an object with its location.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    /// `file:line` of the object, or of the field that its description names.
    pub(super) location: String,
    pub(super) status: ExposedPortStatus,
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.errors.is_empty() && self.resolved.is_empty()
    }
}

impl Style {
    pub(super) fn render(self, changes: &Changes) -> String {
        match self.output {
            Output::Table => self.table(changes),
            Output::Json => lines(changes),
        }
    }

    fn table(self, changes: &Changes) -> String {
        let mut rows = vec![
            [
                "NAMESPACE",
                "NAME",
                "HOSTS",
                "STATUS",
                "READY",
                "URL",
                "EXPIRES",
                "DESCRIPTION",
            ]
            .map(str::to_owned),
        ];
        let shown = changes.objects.iter().take(MAX_ROWS);
        rows.extend(shown.map(|(object, row)| self.row(object, row.as_ref())));
        let mut text = String::new();
        if !changes.objects.is_empty() {
            let widths: Vec<usize> = (0..rows.first().map_or(0, |row| row.len()))
                .map(|column| {
                    rows.iter()
                        .filter_map(|row| row.get(column))
                        .map(|cell| cell.chars().count())
                        .max()
                        .unwrap_or(0)
                })
                .collect();
            for (index, row) in rows.iter().enumerate() {
                let mut line = String::new();
                for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                    let padding = " ".repeat(width - cell.chars().count() + 2);
                    let cell = if index > 0 && column == 3 {
                        self.coloured(cell)
                    } else {
                        cell.clone()
                    };
                    let _ = write!(line, "{cell}{padding}");
                }
                let _ = writeln!(text, "{}", line.trim_end());
            }
        }
        let more = changes.objects.len().saturating_sub(MAX_ROWS);
        if more > 0 {
            let _ = writeln!(text, "and {more} more");
        }
        for diagnostic in &changes.errors {
            let _ = writeln!(text, "{} {diagnostic}", self.paint("31", "error:"));
        }
        for diagnostic in &changes.resolved {
            let Diagnostic { file, object, .. } = diagnostic;
            let subject = if object.is_empty() { file } else { object };
            let _ = writeln!(
                text,
                "{} {subject}: {}",
                self.paint("32", "resolved:"),
                diagnostic.problem
            );
        }
        text
    }

    fn row(self, object: &Subject, row: Option<&Row>) -> [String; 8] {
        let ObjectRef { namespace, name } = object.object().clone();
        let Some(Row { location, status }) = row else {
            let none = String::new;
            return [
                namespace,
                name,
                none(),
                "Deleted".to_owned(),
                none(),
                none(),
                none(),
                none(),
            ];
        };
        let summary = status.summary.clone().unwrap_or_default();
        let ready = status
            .conditions
            .iter()
            .find(|condition| condition.type_ == "Ready");
        let url = status
            .hostnames
            .first()
            .map(|host| self.with_port(&host.url))
            .unwrap_or_default();
        let description = match status.description.as_str() {
            "valid" => String::new(),
            description => format!("{location}: {description}"),
        };
        [
            namespace,
            name,
            summary.hosts,
            summary.status,
            ready
                .map(|condition| condition.status.clone())
                .unwrap_or_default(),
            url,
            summary.certificate_expires,
            description,
        ]
    }

    fn with_port(self, url: &str) -> String {
        let (scheme, default, port) = match url.split_once("://") {
            Some((scheme @ "https", _)) => (scheme, 443, self.https),
            Some((scheme, _)) => (scheme, 80, self.http),
            None => return String::new(),
        };
        let host = url.strip_prefix(scheme).unwrap_or(url);
        if port == default {
            format!("{scheme}{host}")
        } else {
            format!("{scheme}{host}:{port}")
        }
    }

    fn coloured(self, status: &str) -> String {
        match status {
            "Ready" => self.paint("32", status),
            "Pending" | "Degraded" => self.paint("33", status),
            "Deleted" => self.paint("2", status),
            _ => self.paint("31", status),
        }
    }

    fn paint(self, colour: &str, text: &str) -> String {
        if self.colour {
            format!("\u{1b}[{colour}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

/// A line of `-o json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase", tag = "type")]
enum Line<'a> {
    Status {
        namespace: &'a str,
        name: &'a str,
        location: &'a str,
        status: &'a ExposedPortStatus,
    },
    Deleted {
        namespace: &'a str,
        name: &'a str,
    },
    Error(DiagnosticLine<'a>),
    Resolved(DiagnosticLine<'a>),
}

#[derive(Serialize)]
struct DiagnosticLine<'a> {
    file: &'a str,
    line: usize,
    object: &'a str,
    field: &'a str,
    message: &'a str,
}

impl<'a> From<&'a Diagnostic> for DiagnosticLine<'a> {
    fn from(diagnostic: &'a Diagnostic) -> Self {
        Self {
            file: &diagnostic.file,
            line: diagnostic.line,
            object: &diagnostic.object,
            field: &diagnostic.field,
            message: &diagnostic.problem,
        }
    }
}

fn lines(changes: &Changes) -> String {
    let objects = changes.objects.iter().map(|(object, row)| match row {
        Some(row) => Line::Status {
            namespace: object.namespace(),
            name: object.name(),
            location: &row.location,
            status: &row.status,
        },
        None => Line::Deleted {
            namespace: object.namespace(),
            name: object.name(),
        },
    });
    let errors = changes.errors.iter();
    let errors = errors.map(|diagnostic| Line::Error(diagnostic.into()));
    let resolved = changes.resolved.iter();
    let resolved = resolved.map(|diagnostic| Line::Resolved(diagnostic.into()));
    let mut text = String::new();
    for line in objects.chain(errors).chain(resolved) {
        // Strings, numbers and lists: always representable in JSON.
        if let Ok(json) = serde_json::to_string(&line) {
            let _ = writeln!(text, "{json}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn changes() -> Changes {
        let status = json!({
            "summary": {"status": "Ready", "hosts": "shop.test"}, "description": "valid",
            "conditions": [{"type": "Ready", "status": "True", "reason": "Serving", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
            "hostnames": [{"name": "shop.test", "url": "https://shop.test", "ready": true}],
        });
        let row = |status: Value| Row {
            location: "shop.yaml:3".to_owned(),
            status: serde_json::from_value(status).unwrap(),
        };
        let bad =
            json!({"summary": {"status": "Invalid"}, "description": "spec.port: Invalid value: 0"});
        let diagnostic = Diagnostic {
            file: "x.yaml".into(),
            line: 7,
            object: "Service default/a".into(),
            field: "spec.prots".into(),
            problem: "unknown field".into(),
        };
        Changes {
            objects: [
                (Subject::exposed_port("default", "shop"), Some(row(status))),
                (Subject::exposed_port("default", "bad"), Some(row(bad))),
                (Subject::exposed_port("default", "old"), None),
            ]
            .into(),
            errors: [diagnostic.clone()].into(),
            resolved: BTreeSet::new(),
        }
    }

    fn style(output: Output) -> Style {
        Style {
            output,
            colour: false,
            http: 80,
            https: 8443,
        }
    }

    #[test]
    fn a_table_has_the_columns_of_kubectl() {
        let text = style(Output::Table).render(&changes());
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("NAMESPACE  NAME"), "{text}");
        assert!(
            lines[1].contains("Invalid")
                && lines[1].ends_with("shop.yaml:3: spec.port: Invalid value: 0"),
            "{text}"
        );
        assert!(lines[2].contains("Deleted"), "{text}");
        assert!(lines[3].contains("https://shop.test:8443"), "{text}");
        assert_eq!(
            lines[4],
            "error: x.yaml:7: Service default/a: spec.prots: unknown field"
        );
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn every_line_of_json_has_a_type() {
        let text = style(Output::Json).render(&changes());
        let types: Vec<String> = text
            .lines()
            .map(|line| {
                serde_json::from_str::<Value>(line).unwrap()["type"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect();
        assert_eq!(types, ["status", "deleted", "status", "error"]);
    }

    #[test]
    fn default_ports_are_not_part_of_urls() {
        let style = style(Output::Table);
        assert_eq!(style.with_port("http://a.test"), "http://a.test");
        assert_eq!(style.with_port("https://a.test"), "https://a.test:8443");
        assert_eq!(style.with_port(""), "");
    }
}
