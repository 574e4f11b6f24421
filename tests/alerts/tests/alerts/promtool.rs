//! Unit tests of the rules with promtool.

use super::file;
use std::path::Path;
use std::process::Command;

fn promtool(arguments: &[&str], path: &Path) -> (bool, String) {
    let output = Command::new("promtool").args(arguments).arg(path).output();
    let output =
        output.unwrap_or_else(|error| panic!("promtool: {error}; tests/alerts/setup installs it"));
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

#[track_caller]
fn passes(tests: &str) {
    let path = file("tests/alerts/promtool").join(tests);
    let (passed, output) = promtool(&["test", "rules"], &path);
    assert!(passed, "{output}");
}

#[test]
fn prometheus_loads_the_rules_file() {
    let (valid, output) = promtool(
        &["check", "rules"],
        &file("docs/operations/alerts.rules.yaml"),
    );
    assert!(valid && output.contains("9 rules found"), "{output}");
}

#[test]
fn renewal_and_expiry_alerts_scale_with_the_lifetime() {
    passes("lifetimes.yaml");
}

#[test]
fn each_alert_fires_and_clears_with_its_labels() {
    passes("states.yaml");
}

#[test]
fn leader_change_neither_fires_nor_clears_alerts() {
    passes("leaders.yaml");
}

#[test]
fn each_alert_is_tested_with_its_annotations() {
    let rules = super::read("docs/operations/alerts.rules.yaml");
    let rules: serde_json::Value = serde_yaml::from_str(&rules).unwrap();
    let tests: String = ["lifetimes", "states", "leaders"]
        .map(|name| super::read(&format!("tests/alerts/promtool/{name}.yaml")))
        .concat();
    for (alert, _) in super::chart::alerts(&rules) {
        let page = format!("runbook_url: docs/operations/runbooks/{alert}.md");
        assert!(tests.contains(&page), "{alert} has no test that it fires");
        let cleared = tests.lines().any(|line| {
            line.contains(&format!("alertname: {alert},")) && line.contains("exp_alerts: []")
        });
        assert!(cleared, "{alert} has no test that it does not");
    }
}
