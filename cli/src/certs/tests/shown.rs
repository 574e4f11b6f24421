//! What a person and a program get to see.

use super::*;
use crate::certs::report::Report;
use crate::certs::table::{Look, write};

const PLAIN: Look = Look {
    namespaces: true,
    headers: true,
    colours: false,
};

fn table(look: Look) -> String {
    let mut out = Vec::new();
    write(&everything().rows(now()), look, now(), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn the_table_begins_with_what_is_most_urgent() {
    insta::assert_snapshot!(table(PLAIN));
}

#[test]
fn a_namespace_of_ones_own_and_headers_can_be_left_out() {
    let text = table(Look {
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
fn colours_change_nothing_but_the_state() {
    let coloured = table(Look {
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
fn programs_get_every_field() {
    let rows = everything().rows(now());
    let report = serde_json::to_value(Report::new(&rows, now())).unwrap();
    let of = |hostname: &str| {
        let all = report["hostnames"].as_array().unwrap();
        let found = all.iter().find(|it| it["hostname"] == hostname);
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
fn yaml_says_what_json_says() {
    let rows = everything().rows(now());
    let report = Report::new(&rows, now());
    let yaml = serde_yaml::to_string(&report).unwrap();
    let back: Value = serde_yaml::from_str(&yaml).unwrap();
    assert_eq!(back, serde_json::to_value(&report).unwrap());
}
