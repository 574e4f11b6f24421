//! Output as table, JSON and YAML.

use super::*;
use crate::certs::report::CertificateReport;
use crate::certs::table::{TableStyle, write};

const PLAIN: TableStyle = TableStyle {
    namespaces: true,
    headers: true,
    colours: false,
};

fn table(style: TableStyle) -> String {
    let mut out = Vec::new();
    write(&everything().rows(now()), style, now(), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn table_begins_with_the_most_urgent() {
    insta::assert_snapshot!(table(PLAIN));
}

#[test]
fn namespaces_and_headers_can_be_omitted() {
    let text = table(TableStyle {
        namespaces: false,
        headers: false,
        ..PLAIN
    });
    let first = text.lines().next().unwrap();
    let cells: Vec<_> = first.split_whitespace().collect();
    let expected = [
        "shop",
        "new.example.com",
        "Missing",
        "none",
        "none",
        "-",
        "-",
        "-",
    ];
    assert_eq!(cells[..8], expected);
    assert!(!text.contains("HOSTNAME"), "{text}");
}

#[test]
fn colours_change_only_the_state() {
    let coloured = table(TableStyle {
        colours: true,
        ..PLAIN
    });
    assert!(
        coloured.contains("\u{1b}[31mMissing\u{1b}[0m"),
        "{coloured}"
    );
    let mut plain = coloured;
    for code in ["31", "32", "33", "0"] {
        plain = plain.replace(&format!("\u{1b}[{code}m"), "");
    }
    assert_eq!(plain, table(PLAIN));
}

#[test]
fn json_has_every_field() {
    let rows = everything().rows(now());
    let report = serde_json::to_value(CertificateReport::new(&rows, now())).unwrap();
    let of = |hostname: &str| {
        let all = report["hostnames"].as_array().unwrap();
        let found = all.iter().find(|row| row["hostname"] == hostname);
        found.unwrap().clone()
    };
    assert_eq!(report["checkedAt"], NOW);
    insta::assert_json_snapshot!([of(SHOP), of("hidden.example.com"), of("plain.example.com")]);
    let keys = |value: Value| {
        value
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert!(
        rows.iter()
            .all(|row| keys(of(&row.hostname)) == keys(of(SHOP)))
    );
}

#[test]
fn yaml_equals_json() {
    let rows = everything().rows(now());
    let report = CertificateReport::new(&rows, now());
    let yaml = serde_yaml::to_string(&report).unwrap();
    let back: Value = serde_yaml::from_str(&yaml).unwrap();
    assert_eq!(back, serde_json::to_value(&report).unwrap());
}
