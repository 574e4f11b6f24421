//! What is written to standard output when the status of an object changes.

use super::options::Output;
use crate::files::Trouble;
use portolan_core::ObjectRef;
use portolan_crds::ExposedPortStatus;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// How many rows a table has at most; a folder may have thousands of objects.
const ROWS: usize = 100;

/// How things are written: ports that differ from the usual ones are part of an address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    pub(super) output: Output,
    pub(super) colour: bool,
    pub(super) http: u16,
    pub(super) https: u16,
}

/// What changed since the last report.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// `None` for an object that is gone.
    pub(super) objects: BTreeMap<ObjectRef, Option<Row>>,
    pub(super) new_troubles: BTreeSet<Trouble>,
    pub(super) solved: BTreeSet<Trouble>,
}

/// An object as it is told.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    /// `file:line` of the object, or of the field that its description names.
    pub(super) place: String,
    pub(super) status: ExposedPortStatus,
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.new_troubles.is_empty() && self.solved.is_empty()
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
        let shown = changes.objects.iter().take(ROWS);
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
        let more = changes.objects.len().saturating_sub(ROWS);
        if more > 0 {
            let _ = writeln!(text, "and {more} more");
        }
        for trouble in &changes.new_troubles {
            let _ = writeln!(text, "{} {trouble}", self.paint("31", "not in force:"));
        }
        for trouble in &changes.solved {
            let Trouble { file, object, .. } = trouble;
            let whose = if object.is_empty() { file } else { object };
            let _ = writeln!(
                text,
                "{} {whose}: {}",
                self.paint("32", "put right:"),
                trouble.problem
            );
        }
        text
    }

    fn row(self, object: &ObjectRef, row: Option<&Row>) -> [String; 8] {
        let ObjectRef { namespace, name } = object.clone();
        let Some(Row { place, status }) = row else {
            let none = String::new;
            return [
                namespace,
                name,
                none(),
                "Gone".to_owned(),
                none(),
                none(),
                none(),
                none(),
            ];
        };
        let summary = status.summary.clone().unwrap_or_default();
        let ready = status.conditions.iter().find(|it| it.type_ == "Ready");
        let url = status
            .hostnames
            .first()
            .map(|host| self.with_port(&host.url))
            .unwrap_or_default();
        let description = match status.description.as_str() {
            "valid" => String::new(),
            told => format!("{place}: {told}"),
        };
        [
            namespace,
            name,
            summary.hosts,
            summary.status,
            ready.map(|it| it.status.clone()).unwrap_or_default(),
            url,
            summary.certificate_expires,
            description,
        ]
    }

    fn with_port(self, url: &str) -> String {
        let (scheme, usual, port) = match url.split_once("://") {
            Some((scheme @ "https", _)) => (scheme, 443, self.https),
            Some((scheme, _)) => (scheme, 80, self.http),
            None => return String::new(),
        };
        let host = url.strip_prefix(scheme).unwrap_or(url);
        if port == usual {
            format!("{scheme}{host}")
        } else {
            format!("{scheme}{host}:{port}")
        }
    }

    fn coloured(self, status: &str) -> String {
        match status {
            "Ready" => self.paint("32", status),
            "Pending" | "Degraded" => self.paint("33", status),
            "Gone" => self.paint("2", status),
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
        place: &'a str,
        status: &'a ExposedPortStatus,
    },
    Gone {
        namespace: &'a str,
        name: &'a str,
    },
    Trouble(Told<'a>),
    Solved(Told<'a>),
}

#[derive(Serialize)]
struct Told<'a> {
    file: &'a str,
    line: usize,
    object: &'a str,
    field: &'a str,
    problem: &'a str,
}

impl<'a> From<&'a Trouble> for Told<'a> {
    fn from(trouble: &'a Trouble) -> Self {
        Self {
            file: &trouble.file,
            line: trouble.line,
            object: &trouble.object,
            field: &trouble.field,
            problem: &trouble.problem,
        }
    }
}

fn lines(changes: &Changes) -> String {
    let objects = changes.objects.iter().map(|(object, row)| match row {
        Some(row) => Line::Status {
            namespace: &object.namespace,
            name: &object.name,
            place: &row.place,
            status: &row.status,
        },
        None => Line::Gone {
            namespace: &object.namespace,
            name: &object.name,
        },
    });
    let troubles = changes
        .new_troubles
        .iter()
        .map(|it| Line::Trouble(it.into()));
    let solved = changes.solved.iter().map(|it| Line::Solved(it.into()));
    let mut text = String::new();
    for line in objects.chain(troubles).chain(solved) {
        // Text, numbers and lists of them: nothing that JSON could not hold.
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
            place: "shop.yaml:3".to_owned(),
            status: serde_json::from_value(status).unwrap(),
        };
        let bad = json!({"summary": {"status": "Invalid"}, "description": "spec.port: Invalid value: 0"});
        let trouble = Trouble {
            file: "x.yaml".into(),
            line: 7,
            object: "Service default/a".into(),
            field: "spec.prots".into(),
            problem: "there is no such field".into(),
        };
        Changes {
            objects: [
                (ObjectRef::new("default", "shop"), Some(row(status))),
                (ObjectRef::new("default", "bad"), Some(row(bad))),
                (ObjectRef::new("default", "old"), None),
            ]
            .into(),
            new_troubles: [trouble.clone()].into(),
            solved: BTreeSet::new(),
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
        assert!(lines[2].contains("Gone"), "{text}");
        assert!(lines[3].contains("https://shop.test:8443"), "{text}");
        assert_eq!(
            lines[4],
            "not in force: x.yaml:7: Service default/a: spec.prots: there is no such field"
        );
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn every_line_of_json_says_what_it_is() {
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
        assert_eq!(types, ["status", "gone", "status", "trouble"]);
    }

    #[test]
    fn the_usual_port_is_no_part_of_an_address() {
        let style = style(Output::Table);
        assert_eq!(style.with_port("http://a.test"), "http://a.test");
        assert_eq!(style.with_port("https://a.test"), "https://a.test:8443");
        assert_eq!(style.with_port(""), "");
    }
}
