//! A page for each alert, and an alert for each page.

use super::chart::{alerts, prometheus_rule};
use super::{file, read};
use std::collections::BTreeSet;

/// Headings of each page.
const PARTS: [&str; 4] = [
    "## What it means",
    "## What it costs",
    "## Where to look",
    "## Causes and mending",
];

fn names() -> BTreeSet<String> {
    let alerts = alerts(&prometheus_rule(&[]));
    alerts.into_iter().map(|(name, _)| name).collect()
}

#[test]
fn each_alert_has_a_page_and_each_page_an_alert() {
    let pages = std::fs::read_dir(file("docs/operations/runbooks")).unwrap();
    let pages: BTreeSet<_> = pages
        .map(|page| page.unwrap().file_name().into_string().unwrap())
        .collect();
    let wanted = names().iter().map(|name| format!("{name}.md")).collect();
    assert_eq!(pages, wanted);
}

#[test]
fn all_runbooks_have_the_same_headings() {
    for name in names() {
        let page = read(&format!("docs/operations/runbooks/{name}.md"));
        assert!(page.starts_with(&format!("# {name}\n")), "{name}");
        for part in PARTS {
            assert!(page.contains(part), "{name} lacks {part}");
        }
    }
}

#[test]
fn the_book_lists_every_alert() {
    let book = read("docs/operations/alerts.md");
    for name in names() {
        let link = format!("[`{name}`](runbooks/{name}.md)");
        assert!(
            book.contains(&link),
            "docs/operations/alerts.md lacks {link}"
        );
    }
}
