//! One source of the rules, whatever they are put into; and what values do to them.

use super::chart::{alerts, config_map, objects, of_kind, prometheus_rule};
use super::{file, read};
use serde_json::Value;

const PLAIN: &str = "docs/operations/alerts.rules.yaml";

fn parsed(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap()
}

fn of(name: &str, values: &[&str]) -> Value {
    let found = alerts(&prometheus_rule(values))
        .into_iter()
        .find(|(alert, _)| alert == name);
    found.unwrap_or_else(|| panic!("{name} is not there")).1
}

#[test]
fn rules_file_equals_the_output_of_the_chart() {
    let wanted = format!(
        "# Made from charts/portolan/templates/_rules.tpl by `make generate`; docs/operations/alerts.md explains it.\n{}\n",
        config_map(&[]).trim()
    );
    if std::env::var_os("PORTOLAN_REGENERATE").is_some() {
        std::fs::write(file(PLAIN), &wanted).unwrap();
    }
    assert_eq!(
        std::fs::read_to_string(file(PLAIN)).unwrap_or_default(),
        wanted,
        "`make generate` writes it again"
    );
}

#[test]
fn all_forms_of_the_rules_are_equal() {
    let rule = prometheus_rule(&[]);
    assert_eq!(rule, parsed(&read(PLAIN)));
    // Each value does the same to both.
    let values = [
        "alerts.handover=20s",
        "alerts.labels.team=edge",
        "alerts.renewalOverdue.lifetimeFraction=0.01",
        "alerts.certificateExpiring.withinSeconds=60",
        "alerts.operatorDown.for=5s",
        "alerts.proxiesBehind.enabled=false",
    ];
    let rule = prometheus_rule(&values);
    assert_eq!(rule, parsed(&config_map(&values)));
}

#[test]
fn nothing_of_it_is_made_unasked() {
    let objects = objects(&[]).unwrap();
    let foreign = |object: &&Value| object["apiVersion"] == "monitoring.coreos.com/v1";
    assert_eq!(
        objects.iter().find(foreign),
        None,
        "its CRDs may not be there"
    );
    assert!(of_kind(&objects, "v1", "ConfigMap").is_empty());
}

#[test]
fn values_set_durations_thresholds_and_names() {
    let overdue = "PortolanCertificateRenewalOverdue";
    let rule = of(
        overdue,
        &[
            "alerts.renewalOverdue.for=7s",
            "alerts.renewalOverdue.severity=page",
            "alerts.renewalOverdue.lifetimeFraction=0.002",
            "alerts.handover=45s",
            "alerts.labels.team=edge",
            "alerts.runbooks=https://runbooks.example.com/",
        ],
    );
    assert_eq!(rule["for"], "7s");
    assert_eq!(
        rule["labels"],
        serde_json::json!({"severity": "page", "team": "edge"})
    );
    let expression = rule["expr"].as_str().unwrap();
    assert!(expression.contains("> 0.002 *"), "{expression}");
    assert!(
        expression.contains("[45s]") && !expression.contains("[3m]"),
        "{expression}"
    );
    assert_eq!(
        rule["annotations"]["runbook_url"],
        format!("https://runbooks.example.com/{overdue}.md")
    );
    let expiring = of(
        "PortolanCertificateExpiring",
        &[
            "alerts.certificateExpiring.withinSeconds=120",
            "alerts.certificateExpiring.lifetimeFraction=0.5",
        ],
    );
    let expression = expiring["expr"].as_str().unwrap();
    assert!(expression.contains("clamp_max(0.5 * "), "{expression}");
    assert!(expression.ends_with(", 120)"), "{expression}");
}

#[test]
fn each_alert_can_be_disabled_alone() {
    let all = alerts(&prometheus_rule(&[]));
    let mut left_out = Vec::new();
    for value in [
        "renewalOverdue",
        "certificateExpiring",
        "certificateNotServed",
        "certificateIssuingFails",
        "hostnameWithoutCertificate",
        "exposureNotReady",
        "noReadyEndpoints",
        "proxiesBehind",
        "operatorDown",
    ] {
        let without = alerts(&prometheus_rule(&[&format!(
            "alerts.{value}.enabled=false"
        )]));
        let mut gone = all.iter().filter(|rule| !without.contains(rule));
        left_out.push(gone.next().unwrap().0.clone());
        assert_eq!(gone.next(), None, "{value}");
    }
    let names: Vec<_> = all.into_iter().map(|(name, _)| name).collect();
    assert_eq!(left_out, names, "each has a value of its own");
}

#[test]
fn rejects_invalid_values_by_name() {
    for (value, expected) in [
        (
            "alerts.renewalOverdue.lifetimeFraction=0",
            "lifetimeFraction",
        ),
        ("alerts.operatorDown.for=soon", "for"),
        ("alerts.kind=File", "kind"),
        ("alerts.operatorDwon.for=5m", "operatorDwon"),
    ] {
        let refusal = objects(&["alerts.enabled=true", value]).unwrap_err();
        assert!(refusal.contains(expected), "{value}: {refusal}");
    }
}

#[test]
fn pod_monitors_reach_pods_and_honor_labels() {
    let objects = objects(&["podMonitor.create=true", "podMonitor.labels.release=kps"]).unwrap();
    let policies = of_kind(&objects, "networking.k8s.io/v1", "NetworkPolicy");
    let open = |policy: &Value| {
        let rules = policy["spec"]["ingress"].as_array().unwrap();
        rules
            .iter()
            .any(|rule| rule["ports"][0]["port"] == "admin" && rule["from"].is_null())
    };
    assert!(policies.iter().any(open), "{policies:?}");
    let monitors = of_kind(&objects, "monitoring.coreos.com/v1", "PodMonitor");
    assert_eq!(monitors.len(), 2);
    for monitor in &monitors {
        assert_eq!(monitor["metadata"]["labels"]["release"], "kps");
        assert_eq!(monitor["spec"]["podMetricsEndpoints"][0]["port"], "admin");
    }
    // Else the namespace of the operator's pod would stand where that of the object is wanted.
    assert_eq!(
        monitors[0]["spec"]["podMetricsEndpoints"][0]["honorLabels"],
        true
    );
    let deployments = of_kind(&objects, "apps/v1", "Deployment");
    let labels = &deployments[0]["spec"]["template"]["metadata"]["labels"];
    let wanted = monitors[0]["spec"]["selector"]["matchLabels"].as_object();
    for (label, value) in wanted.unwrap() {
        assert_eq!(&labels[label], value, "{label}");
    }
}
