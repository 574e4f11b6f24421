//! Assigns addresses of the pool 172.30.N.0/24 to load-balancer Services.
//!
//! `.10` belongs to the class `public`; an annotation or `spec.loadBalancerIP` asks for one; the others get the
//! lowest free one from `.20`. One address serves one Service, unless all of its Services ask for it by name.
//! A Service keeps the addresses in its status: the cluster is the only memory.

use serde_json::Value;
use std::collections::BTreeMap;

/// Asks for an address of the pool.
pub(crate) const ANNOTATION: &str = "testbed.portolan.dev/ip";
/// Names the class whose Service it is.
pub(crate) const CLASS: &str = "portolan.dev/class";
/// The last number of the class `public`.
pub(crate) const PUBLIC: u8 = 10;
const FIRST: u8 = 20;
const LAST: u8 = 250;

/// Relevant fields of a Service of type LoadBalancer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// `namespace/name`.
    pub(crate) key: String,
    /// The class in its label.
    pub(crate) class: Option<String>,
    /// The last number that it asks for, if it asks for one of the pool.
    pub(crate) asks: Option<u8>,
    /// The addresses in its status.
    pub(crate) has: Vec<String>,
    /// True if it takes IPv4 and IPv6.
    pub(crate) families: (bool, bool),
}

/// Reads a Service; `None` when it is not of type LoadBalancer or on its way out.
pub(crate) fn read(service: &Value, pool: &str) -> Option<Wanted> {
    let text = |pointer: &str| service.pointer(pointer).and_then(Value::as_str);
    let foreign = text("/spec/loadBalancerClass").is_some();
    if text("/spec/type") != Some("LoadBalancer")
        || foreign
        || text("/metadata/deletionTimestamp").is_some()
    {
        return None;
    }
    let annotation = service
        .pointer("/metadata/annotations")
        .and_then(|a| a.get(ANNOTATION))
        .and_then(Value::as_str);
    let class = service
        .pointer("/metadata/labels")
        .and_then(|l| l.get(CLASS))
        .and_then(Value::as_str);
    let asked = annotation.or_else(|| text("/spec/loadBalancerIP"));
    let family = |name: &str| {
        let families = service
            .pointer("/spec/ipFamilies")
            .and_then(Value::as_array);
        families.is_some_and(|all| all.iter().any(|f| f.as_str() == Some(name)))
    };
    let ingress = service
        .pointer("/status/loadBalancer/ingress")
        .and_then(Value::as_array);
    Some(Wanted {
        key: format!(
            "{}/{}",
            text("/metadata/namespace")?,
            text("/metadata/name")?
        ),
        class: class.map(str::to_owned),
        asks: asked.and_then(|ip| last_number(ip, pool)),
        has: ingress
            .into_iter()
            .flatten()
            .filter_map(|i| i.get("ip")?.as_str())
            .map(str::to_owned)
            .collect(),
        families: (family("IPv4"), family("IPv6")),
    })
}

/// The last number of an address of the pool; `pool` is its beginning: `172.30.N.`.
fn last_number(ip: &str, pool: &str) -> Option<u8> {
    ip.strip_prefix(pool)?
        .parse()
        .ok()
        .filter(|last| (1..=LAST).contains(last))
}

/// Decides for all Services: the last number of each. A Service for which nothing is free is left out.
pub(crate) fn assign(
    services: &BTreeMap<String, Wanted>,
    pool: &str,
    v6: impl Fn(u8) -> String,
) -> BTreeMap<String, u8> {
    let mut given: BTreeMap<String, u8> = BTreeMap::new();
    // Services that request an address come first, and may share it with each other.
    for service in services.values() {
        if let Some(last) = service.asks {
            given.insert(service.key.clone(), last);
        }
    }
    let holds = |service: &Wanted, last: u8| {
        service
            .has
            .iter()
            .any(|ip| last_number(ip, pool) == Some(last) || *ip == v6(last))
    };
    let had = |service: &Wanted| {
        std::iter::once(PUBLIC)
            .chain(FIRST..=LAST)
            .find(|last| holds(service, *last))
    };
    // Then a Service keeps the address it has, unless another one has it.
    for service in services.values().filter(|s| s.asks.is_none()) {
        let Some(last) = had(service) else { continue };
        let allowed = last >= FIRST || service.class.as_deref() == Some("public");
        if allowed && !given.values().any(|taken| *taken == last) {
            given.insert(service.key.clone(), last);
        }
    }
    for service in services.values() {
        if given.contains_key(&service.key) {
            continue;
        }
        let public = (service.class.as_deref() == Some("public")).then_some(PUBLIC);
        let mut candidates = public.into_iter().chain(FIRST..=LAST);
        if let Some(last) = candidates.find(|last| !given.values().any(|taken| taken == last)) {
            given.insert(service.key.clone(), last);
        }
    }
    given
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const POOL: &str = "172.30.0.";

    fn service(
        name: &str,
        class: Option<&str>,
        ask: Option<&str>,
        has: &[&str],
    ) -> (String, Wanted) {
        let mut value = json!({
            "metadata": {"namespace": "default", "name": name, "labels": {}, "annotations": {}},
            "spec": {"type": "LoadBalancer", "ipFamilies": ["IPv4", "IPv6"]},
            "status": {"loadBalancer": {"ingress": has.iter().map(|ip| json!({"ip": ip})).collect::<Vec<_>>()}},
        });
        if let Some(class) = class {
            value["metadata"]["labels"][CLASS] = json!(class);
        }
        if let Some(ask) = ask {
            value["metadata"]["annotations"][ANNOTATION] = json!(ask);
        }
        let wanted = read(&value, POOL).unwrap();
        (wanted.key.clone(), wanted)
    }

    fn decide(services: &[(String, Wanted)]) -> Vec<(String, u8)> {
        let services = services.iter().cloned().collect();
        let given = assign(&services, POOL, |last| format!("fd00:0:3::{last}"));
        given
            .into_iter()
            .map(|(key, last)| (key.trim_start_matches("default/").to_owned(), last))
            .collect()
    }

    #[test]
    fn public_gets_ten_and_others_count_from_twenty() {
        let given = decide(&[
            service("a", None, None, &[]),
            service("p", Some("public"), None, &[]),
            service("b", Some("internal"), None, &[]),
        ]);
        assert_eq!(
            given,
            [("a".into(), 20), ("b".into(), 21), ("p".into(), 10)]
        );
    }

    #[test]
    fn what_stands_in_a_status_is_kept() {
        let given = decide(&[
            service("a", None, None, &[]),
            service("b", None, None, &["172.30.0.20"]),
        ]);
        assert_eq!(given, [("a".into(), 21), ("b".into(), 20)]);
    }

    #[test]
    fn a_second_public_service_gets_another_address() {
        let given = decide(&[
            service("a", Some("public"), None, &[]),
            service("b", Some("public"), None, &["172.30.0.10"]),
        ]);
        assert_eq!(given, [("a".into(), 20), ("b".into(), 10)]);
    }

    #[test]
    fn only_services_that_request_it_share_an_address() {
        let ask = Some("172.30.0.40");
        let given = decide(&[
            service("a", None, ask, &[]),
            service("b", None, ask, &[]),
            service("c", None, None, &["172.30.0.40"]),
        ]);
        assert_eq!(
            given,
            [("a".into(), 40), ("b".into(), 40), ("c".into(), 20)]
        );
    }

    #[test]
    fn an_address_outside_the_pool_is_not_honoured() {
        assert_eq!(
            decide(&[service("a", None, Some("10.0.0.1"), &[])]),
            [("a".into(), 20)]
        );
    }

    #[test]
    fn other_services_are_not_ours() {
        let mut value =
            json!({"metadata": {"namespace": "d", "name": "n"}, "spec": {"type": "ClusterIP"}});
        assert_eq!(read(&value, POOL), None);
        value["spec"] = json!({"type": "LoadBalancer", "loadBalancerClass": "other.example/lb"});
        assert_eq!(read(&value, POOL), None);
    }
}
