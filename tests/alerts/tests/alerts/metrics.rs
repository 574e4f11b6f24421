//! Every metric that a rule asks for is one that the operator exports, and every one of objects is documented.

use super::chart::{alerts, prometheus_rule};
use super::read;
use portolan_core::{CertificateMetrics, HostnameMetrics, ObjectMetrics, Subject};
use portolan_operator::discovery;
use portolan_operator::exposures::{ExposureCollector, Exposures};
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
    exposures.set(&Subject::exposed_port("team-a", "shop"), Some(shop));
    let leads = Leadership {
        leader: true,
        epoch: 1,
    };
    let (_leading, leadership) = watch::channel(leads);
    let (_syncing, synced) = watch::channel(true);
    registry.register_collector(Box::new(ExposureCollector::new(
        exposures, leadership, synced,
    )));
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
fn every_metric_that_a_rule_asks_for_is_exported() {
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
fn every_metric_of_the_operator_is_on_the_page_of_metrics() {
    let page = page();
    let documented = read("docs/reference/metrics.md");
    for line in page.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        let name = match kind {
            "counter" => format!("{name}_total"),
            _ => name.to_owned(),
        };
        assert!(
            documented.contains(&format!("| `{name}")),
            "docs/reference/metrics.md lacks {name}"
        );
    }
}
