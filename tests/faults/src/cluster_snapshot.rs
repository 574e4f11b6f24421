//! Objects of one test in the cluster, without what may differ from run to run: identities, versions,
//! times, digests, addresses that are handed out, and other controllers' own bookkeeping.

use anyhow::Result;
use jiff::Timestamp;
use portolan_e2e::Cluster;
use portolan_e2e::cluster::text;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Normalised objects by kind and name.
pub type ClusterSnapshot = BTreeMap<String, Value>;

/// Kinds of a snapshot. Pods, EndpointSlices and CertificateRequests are other
/// controllers' and have generated names.
const KINDS: [&str; 5] = ["Certificate", "ExposedPort", "Ingress", "Secret", "Service"];

/// Fields that identify an object or one version of it, or that another controller fills in.
const DROPPED: [&str; 12] = [
    "clusterIP",
    "clusterIPs",
    "creationTimestamp",
    "data",
    "generation",
    "healthCheckNodePort",
    "managedFields",
    "nodePort",
    "renewalTime",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// Takes the snapshot of a namespace and of its hostname holds.
///
/// # Errors
/// When the API server cannot be reached.
pub async fn cluster_snapshot(cluster: &Cluster, namespace: &str) -> Result<ClusterSnapshot> {
    let mut snapshot = ClusterSnapshot::new();
    for object in all(cluster, namespace).await? {
        let key = format!(
            "{} {}",
            text(&object, "/kind"),
            text(&object, "/metadata/name")
        );
        snapshot.insert(key, normalised(object));
    }
    Ok(snapshot)
}

/// Returns the UID of each object of a namespace by kind and name.
///
/// # Errors
/// When the API server cannot be reached.
pub async fn identities(cluster: &Cluster, namespace: &str) -> Result<BTreeMap<String, String>> {
    let all = all(cluster, namespace).await?;
    let key = |object: &Value| {
        format!(
            "{} {}",
            text(object, "/kind"),
            text(object, "/metadata/name")
        )
    };
    Ok(all
        .iter()
        .map(|object| (key(object), text(object, "/metadata/uid").to_owned()))
        .collect())
}

/// Returns the differences between two snapshots, a line each.
pub fn differences(wanted: &ClusterSnapshot, found: &ClusterSnapshot) -> Vec<String> {
    let mut lines = Vec::new();
    for (key, object) in wanted {
        match found.get(key) {
            None => lines.push(format!("{key}: is missing")),
            Some(other) => differ(key, object, other, &mut lines),
        }
    }
    let surplus = found.keys().filter(|key| !wanted.contains_key(*key));
    lines.extend(surplus.map(|key| format!("{key}: should not be there")));
    lines
}

fn differ(path: &str, wanted: &Value, found: &Value, lines: &mut Vec<String>) {
    match (wanted, found) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
                let [a, b] = [a, b].map(|fields| fields.get(key).unwrap_or(&Value::Null));
                differ(&format!("{path}.{key}"), a, b, lines);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (n, (a, b)) in a.iter().zip(b).enumerate() {
                differ(&format!("{path}[{n}]"), a, b, lines);
            }
        }
        (a, b) if a == b => {}
        (a, b) => lines.push(format!("{path}: {b} instead of {a}")),
    }
}

async fn all(cluster: &Cluster, namespace: &str) -> Result<Vec<Value>> {
    let mut all = Vec::new();
    for kind in KINDS {
        all.extend(cluster.list(kind, namespace, "").await?);
    }
    let mut holds = cluster.list("HostnameHold", "", "").await?;
    holds.retain(|hold| text(hold, "/spec/namespace") == namespace);
    all.extend(holds);
    Ok(all)
}

fn normalised(mut object: Value) -> Value {
    if text(&object, "/kind") == "Certificate"
        && let Some(fields) = object.as_object_mut()
    {
        // cert-manager's own account of what it did.
        fields.remove("status");
    }
    normalise(&mut object);
    object
}

fn normalise(value: &mut Value) {
    match value {
        Value::Object(fields) => normalise_fields(fields),
        Value::Array(items) => items.iter_mut().for_each(normalise),
        Value::String(text) => {
            if let Some(sort) = sort_of(text) {
                *text = sort.to_owned();
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn normalise_fields(fields: &mut Map<String, Value>) {
    fields.retain(|name, _| !DROPPED.contains(&name.as_str()));
    fields.values_mut().for_each(normalise);
}

/// Placeholder for a text of a sort that differs from run to run.
fn sort_of(text: &str) -> Option<&'static str> {
    let hex = |text: &str| text.chars().all(|c| c.is_ascii_hexdigit());
    if text.len() >= 32 && hex(text) {
        return Some("<digest>");
    }
    if text.len() == 36 && text.split('-').map(str::len).eq([8, 4, 4, 4, 12]) {
        return Some("<uid>");
    }
    text.parse::<Timestamp>().is_ok().then_some("<time>")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn removes_what_differs_from_run_to_run() {
        let object = json!({
            "kind": "Service",
            "metadata": {"name": "x-1c2d3e4f", "uid": "u", "resourceVersion": "7", "annotations": {
                "portolan.dev/owner-uid": "6f1b1f0e-3c2a-4d5e-8f90-0a1b2c3d4e5f",
            }},
            "spec": {"clusterIP": "10.0.0.1", "ports": [{"port": 80}]},
            "status": {"since": "2026-11-21T07:00:00Z", "served": "ab".repeat(32)},
        });
        let wanted = json!({
            "kind": "Service",
            "metadata": {"name": "x-1c2d3e4f", "annotations": {"portolan.dev/owner-uid": "<uid>"}},
            "spec": {"ports": [{"port": 80}]},
            "status": {"since": "<time>", "served": "<digest>"},
        });
        assert_eq!(normalised(object), wanted);
    }

    #[test]
    fn differences_name_the_place() {
        let snapshot = |port: u16| {
            ClusterSnapshot::from([("Service x".to_owned(), json!({"ports": [{"port": port}]}))])
        };
        assert_eq!(
            differences(&snapshot(80), &snapshot(80)),
            Vec::<String>::new()
        );
        assert_eq!(
            differences(&snapshot(80), &snapshot(81)),
            ["Service x.ports[0].port: 81 instead of 80"]
        );
        assert_eq!(
            differences(&snapshot(80), &ClusterSnapshot::new()),
            ["Service x: is missing"]
        );
        assert_eq!(
            differences(&ClusterSnapshot::new(), &snapshot(80)),
            ["Service x: should not be there"]
        );
    }
}
