//! Finds the first difference between a desired and an observed object.
//!
//! Every desired field must be present; fields that the API server or other managers added are ignored, as in
//! server-side apply. So reconciling an unchanged cluster finds no difference and writes nothing.

use serde_json::{Map, Value};

/// The path of the first difference, such as `spec.ports[0].port`; `None` when `observed` has all of `desired`.
pub fn difference(desired: &Value, observed: &Value) -> Option<String> {
    let kind = desired.get("kind").and_then(Value::as_str).unwrap_or("");
    Comparison { kind }.values("", desired, observed)
}

struct Comparison<'a> {
    kind: &'a str,
}

impl Comparison<'_> {
    fn values(&self, path: &str, desired: &Value, observed: &Value) -> Option<String> {
        match (desired, observed) {
            (Value::Object(desired), Value::Object(observed)) => {
                self.objects(path, desired, observed)
            }
            (Value::Array(desired), Value::Array(observed)) => self.arrays(path, desired, observed),
            _ if same(desired, observed) => None,
            _ => Some(path.to_owned()),
        }
    }

    fn objects(
        &self,
        path: &str,
        desired: &Map<String, Value>,
        observed: &Map<String, Value>,
    ) -> Option<String> {
        desired.iter().find_map(|(field, value)| {
            let path = match path {
                "" => field.clone(),
                path => format!("{path}.{field}"),
            };
            match observed.get(field) {
                Some(observed) => self.values(&path, value, observed),
                // The API server leaves empty things out.
                None if is_empty(value) => None,
                None => Some(path),
            }
        })
    }

    fn arrays(&self, path: &str, desired: &[Value], observed: &[Value]) -> Option<String> {
        let field = path.rsplit('.').next().unwrap_or(path);
        if let Some(keys) = merge_keys(self.kind, field) {
            return desired.iter().enumerate().find_map(|(index, element)| {
                let path = format!("{path}[{index}]");
                match observed
                    .iter()
                    .find(|candidate| agree_on(keys, element, candidate))
                {
                    Some(observed) => self.values(&path, element, observed),
                    None => Some(path),
                }
            });
        }
        if desired.len() != observed.len() {
            return Some(path.to_owned());
        }
        let pairs = desired.iter().zip(observed).enumerate();
        pairs.into_iter().find_map(|(index, (desired, observed))| {
            self.values(&format!("{path}[{index}]"), desired, observed)
        })
    }
}

/// Lists whose elements have owners of their own: server-side apply replaces ours and leaves others
/// in place, so others are no difference (`x-kubernetes-list-map-keys` of the built-in types).
/// Every other list is replaced as a whole.
fn merge_keys(kind: &str, field: &str) -> Option<&'static [&'static str]> {
    Some(match (kind, field) {
        (_, "ownerReferences") => &["uid"],
        ("Service", "ports") => &["port", "protocol"],
        ("Deployment", "ports") => &["containerPort", "protocol"],
        ("Deployment", "containers" | "initContainers" | "env" | "volumes") => &["name"],
        ("Deployment", "volumeMounts") => &["mountPath"],
        ("Deployment", "topologySpreadConstraints") => &["topologyKey", "whenUnsatisfiable"],
        _ => return None,
    })
}

fn agree_on(keys: &[&str], desired: &Value, observed: &Value) -> bool {
    keys.iter().all(|key| match desired.get(key) {
        Some(value) => observed
            .get(key)
            .is_some_and(|observed| same(value, observed)),
        // Left to the server's default.
        None => true,
    })
}

/// 1 and 1.0 are one number, whichever way they were parsed.
fn same(one: &Value, other: &Value) -> bool {
    one == other
        || match (one.as_f64(), other.as_f64()) {
            (Some(one), Some(other)) => one.total_cmp(&other).is_eq(),
            _ => false,
        }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(elements) => elements.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Desired, observed, and the path that differs.
    fn check(kind: &str, desired: Value, observed: Value, expected: Option<&str>) {
        let of_kind = |spec| json!({"kind": kind, "spec": spec});
        let found = difference(&of_kind(desired.clone()), &of_kind(observed.clone()));
        assert_eq!(found.as_deref(), expected, "{desired} in {observed}");
    }

    #[test]
    fn what_others_added_is_no_difference_and_what_is_missing_is() {
        let observed = json!({"type": "ClusterIP", "clusterIP": "10.0.0.1"});
        check(
            "Service",
            json!({"type": "ClusterIP"}),
            observed.clone(),
            None,
        );
        let typed = json!({"type": "LoadBalancer"});
        check("Service", typed, observed.clone(), Some("spec.type"));
        let missing = json!({"selector": {"app": "shop"}});
        check("Service", missing, observed, Some("spec.selector"));
    }

    #[test]
    fn a_field_that_is_explicitly_false_or_zero_must_be_there() {
        check(
            "Deployment",
            json!({"replicas": 0}),
            json!({}),
            Some("spec.replicas"),
        );
        check("Deployment", json!({"x": false}), json!({}), Some("spec.x"));
    }

    #[test]
    fn empty_things_may_be_absent() {
        check("Any", json!({"a": {}, "b": [], "c": null}), json!({}), None);
    }

    #[test]
    fn numbers_are_compared_by_value() {
        check("Any", json!({"n": 1}), json!({"n": 1.0}), None);
        check("Any", json!({"n": 1}), json!({"n": "1"}), Some("spec.n"));
    }

    #[test]
    fn ignores_added_ports_and_finds_changed_ones() {
        let ours = json!({"port": 80, "protocol": "TCP", "targetPort": 8080});
        let theirs = json!({"port": 9, "protocol": "TCP", "targetPort": 9});
        let changed = json!({"port": 80, "protocol": "TCP", "targetPort": 1});
        check(
            "Service",
            json!({"ports": [ours]}),
            json!({"ports": [theirs, ours]}),
            None,
        );
        let path = Some("spec.ports[0].targetPort");
        check(
            "Service",
            json!({"ports": [ours]}),
            json!({"ports": [changed]}),
            path,
        );
        let path = Some("spec.ports[0]");
        check(
            "Service",
            json!({"ports": [ours]}),
            json!({"ports": [theirs]}),
            path,
        );
    }

    #[test]
    fn a_list_that_is_replaced_as_a_whole_is_compared_as_a_whole() {
        let ours = json!({"host": "a.example.com"});
        let theirs = json!({"host": "b.example.com"});
        let both = json!({"rules": [ours, theirs]});
        check(
            "Ingress",
            json!({"rules": [ours]}),
            both,
            Some("spec.rules"),
        );
        let ports = json!({"ports": [{"port": 8080}, {"port": 22}]});
        let path = Some("spec.ports");
        check(
            "NetworkPolicy",
            json!({"ports": [{"port": 8080}]}),
            ports,
            path,
        );
    }

    #[test]
    fn a_second_owner_is_no_difference() {
        let desired = json!({"metadata": {"ownerReferences": [{"uid": "a", "controller": true}]}});
        let observed = json!({"metadata": {"ownerReferences": [{"uid": "b"}, {"uid": "a", "controller": true}]}});
        assert_eq!(difference(&desired, &observed), None);
    }
}
