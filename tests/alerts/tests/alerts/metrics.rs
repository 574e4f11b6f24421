//! Every metric that a rule asks for is one that the operator exports, and every one of objects is documented.

use super::chart::{alerts, prometheus_rule};
use super::read;
use portolan_core::{CertificateMetrics, HostnameMetrics, ObjectMetrics, ObjectRef};
use portolan_operator::discovery;
use portolan_operator::exposures::{Exposures, Page};
use portolan_operator::lease::Leadership;
use portolan_operator::metrics::{Metrics, encode};
use regex::Regex;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::watch;

/// A page of an operator that leads and knows one object.
fn page() -> String {
    let (_, mut registry) = Metrics::registered();
    discovery::Metrics::default().register(&mut registry);
    let exposures: Arc<Exposures> = Arc::default();
    let now = "2026-01-01T00:00:00Z".parse().ok();
    let certificate = CertificateMetrics {
        stored: true,
        not_before: now,
        not_after: now,
        renewal: now,
        failures: Some(0),
        served: Some(true),
        served_not_after: now,
    };
    let shop = ObjectMetrics {
        class: "public".into(),
        ready: Some(true),
        endpoints_ready: Some(true),
        hostnames: vec![HostnameMetrics {
            name: "shop.test".into(),
            ready: true,
            certificate: Some(certificate),
        }],
        ..ObjectMetrics::default()
    };
    exposures.set(&ObjectRef::new("team-a", "shop"), Some(shop));
    let leads = Leadership {
        leader: true,
        epoch: 1,
    };
    let (_leading, leadership) = watch::channel(leads);
    let (_syncing, synced) = watch::channel(true);
    registry.register_collector(Box::new(Page::new(exposures, leadership, synced)));
    encode(&registry).unwrap()
}

/// The names of the series on a page.
fn exported(page: &str) -> BTreeSet<&str> {
    let series = page.lines().filter(|line| !line.starts_with('#'));
    series
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect()
}

#[test]
fn every_metric_of_a_rule_is_exported() {
    let page = page();
    let exported = exported(&page);
    let name = Regex::new(r"portolan_[a-z_]+").unwrap();
    let mut asked = 0;
    for (alert, rule) in alerts(&prometheus_rule(&[])) {
        for found in name.find_iter(rule["expr"].as_str().unwrap()) {
            let found = found.as_str();
            assert!(
                exported.contains(found),
                "{alert} asks for {found}; there are {exported:#?}"
            );
            asked += 1;
        }
    }
    assert!(asked >= 9, "{asked}");
}

#[test]
fn the_metrics_page_has_the_metrics_of_the_operator() {
    let page = page();
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let exported: BTreeSet<_> = types
        .map(|line| {
            let (name, kind) = line.split_once(' ').unwrap();
            let suffix = if kind == "counter" { "_total" } else { "" };
            format!("`{name}{suffix}` | {kind}")
        })
        .collect();
    let documented = read("docs/reference/metrics.md");
    let documented: BTreeSet<_> = documented
        .lines()
        .filter_map(|line| line.strip_prefix("| `portolan_"))
        .filter(|row| !row.starts_with("proxy_"))
        .map(|row| {
            let cells: Vec<_> = row.split(" | ").collect();
            format!("`portolan_{} | {}", cells[0], cells[1])
        })
        .collect();
    assert_eq!(documented, exported, "docs/reference/metrics.md");
}
