//! What the rules do, judged by Prometheus' own tool.

use super::file;
use std::path::Path;
use std::process::Command;

fn promtool(arguments: &[&str], path: &Path) -> (bool, String) {
    let output = Command::new("promtool").args(arguments).arg(path).output();
    let output =
        output.unwrap_or_else(|error| panic!("promtool: {error}; tests/alerts/setup installs it"));
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

#[track_caller]
fn passes(tests: &str) {
    let path = file("tests/alerts/promtool").join(tests);
    let (passed, said) = promtool(&["test", "rules"], &path);
    assert!(passed, "{said}");
}

#[test]
fn the_plain_file_is_one_that_prometheus_loads() {
    let (good, said) = promtool(
        &["check", "rules"],
        &file("docs/operations/alerts.rules.yaml"),
    );
    assert!(good && said.contains("9 rules found"), "{said}");
}

#[test]
fn renewal_and_expiry_go_by_the_lifetime() {
    passes("lifetimes.yaml");
}

#[test]
fn each_alert_fires_in_its_time_with_its_labels_and_clears() {
    passes("states.yaml");
}

#[test]
fn a_change_of_leader_neither_fires_nor_clears_anything() {
    passes("leaders.yaml");
}

#[test]
fn each_alert_is_seen_to_fire_with_its_words() {
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
