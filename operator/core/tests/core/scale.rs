//! What a change names does not grow with what it does not concern: counted, so that it is the same on
//! every machine.

use crate::fixture::*;
use portolan_core::{Affected, Event, Index};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const NAMESPACE: &str = "team-a";

/// An object with a Service, a pod and, unless others delegate to it, a hostname that is held.
fn stand(index: &mut Index, namespace: &str, name: &str, host: Option<&str>, more: Value) {
    let ports = json!([{"name": "http", "port": 80, "targetPort": 8080}]);
    let it = service(
        namespace,
        name,
        json!({"selector": {"app": name}, "ports": ports}),
    );
    index.apply(Event::Service(applied(it)));
    index.apply(endpoints_of(namespace, name, true));
    if let Some(host) = host {
        index.apply(Event::HostnameHold(applied(hold(host, namespace))));
    }
    index.apply(object(namespace, name, host, more));
}

fn object(namespace: &str, name: &str, host: Option<&str>, more: Value) -> Event {
    let mut spec = json!({"service": name, "port": 80});
    match host {
        Some(host) => {
            spec["hostnames"] = json!([host]);
            spec["tls"] = json!({"secret": {"name": "own"}});
        }
        None => spec["allowedParents"] = json!([{"namespace": namespace}]),
    }
    for (field, value) in more.as_object().unwrap() {
        spec[field] = value.clone();
    }
    Event::ExposedPort(applied(exposed_port(namespace, name, 1, spec)))
}

fn endpoints_of(namespace: &str, name: &str, ready: bool) -> Event {
    let mut it = slice(name, ("http", 8080), &[("10.0.0.1", ready)]);
    it.metadata.namespace = Some(namespace.to_owned());
    Event::EndpointSlice(applied(it))
}

fn own_secret(namespace: &str, key: &str) -> Event {
    let mut it = secret("own", &ALL.certificate, key);
    it.metadata.namespace = Some(namespace.to_owned());
    Event::Secret(applied(it))
}

static ALL: std::sync::LazyLock<Pem> = std::sync::LazyLock::new(|| pem(&["*.example.com"], 2031));

fn route(path: &str) -> Value {
    json!({"routes": [{"match": {"path": {"prefix": path}}}]})
}

/// Objects of every kind, with so many others beside them: some in the same namespace, some in others, and
/// as many trees of delegation.
fn standing(others: usize) -> Index {
    let mut index = Index::new("portolan-system");
    index.apply(Event::Now(now()));
    index.apply(Event::CertManager(true));
    let class = expose_class("public", 1, json!({"default": true, "domain": "apps.test"}));
    index.apply(Event::ExposeClass(applied(class)));
    for n in 0..others {
        let host = format!("beside-{n}.example.com");
        let plain = json!({"tls": {"mode": "Disabled"}});
        stand(
            &mut index,
            NAMESPACE,
            &format!("beside-{n}"),
            Some(&host),
            plain,
        );
        let elsewhere = format!("elsewhere-{n}");
        index.apply(own_secret(&elsewhere, &ALL.key));
        fill(&mut index, &elsewhere);
    }
    index.apply(own_secret(NAMESPACE, &ALL.key));
    fill(&mut index, NAMESPACE);
    index
}

/// Own, shared and delegated.
fn fill(index: &mut Index, namespace: &str) {
    let host = |part: &str| format!("{part}-{namespace}.example.com");
    stand(index, namespace, "own", Some(&host("own")), json!({}));
    for part in ["one", "two"] {
        let path = route(&format!("/{part}"));
        stand(index, namespace, part, Some(&host("shared")), path);
    }
    let path = json!({"path": {"prefix": "/docs"}});
    let routes = json!({"routes": [{"match": path, "delegate": {"name": "child"}}, {}]});
    stand(index, namespace, "root", Some(&host("root")), routes);
    stand(index, namespace, "child", None, json!({}));
}

/// One change of each kind, in this order.
fn changes() -> Vec<(&'static str, Event)> {
    let host = |part: &str| format!("{part}-{NAMESPACE}.example.com");
    let deleted = |name: &str| Event::ExposedPort(gone(NAMESPACE, name));
    let ports = json!([{"name": "http", "port": 80, "targetPort": 8080, "appProtocol": "https"}]);
    let service_update = service(
        NAMESPACE,
        "own",
        json!({"selector": {"app": "own"}, "ports": ports}),
    );
    let hold_gone = gone("", &crate::fixture::host(&host("own")).hold_name());
    vec![
        (
            "a route",
            object(NAMESPACE, "own", Some(&host("own")), route("/a")),
        ),
        (
            "a shared route",
            object(NAMESPACE, "two", Some(&host("shared")), route("/b")),
        ),
        (
            "a delegated route",
            object(NAMESPACE, "child", None, route("/docs/a")),
        ),
        ("an endpoint", endpoints_of(NAMESPACE, "own", false)),
        ("a Service", Event::Service(applied(service_update))),
        ("a Secret", own_secret(NAMESPACE, "")),
        (
            "a new object",
            object(NAMESPACE, "new", Some(&host("new")), json!({})),
        ),
        ("its deletion", deleted("new")),
        ("a hold", Event::HostnameHold(hold_gone)),
        ("the deletion of a child", deleted("child")),
        ("the deletion of a root", deleted("root")),
        ("the deletion of one that shares", deleted("one")),
    ]
}

fn names(affected: &Affected) -> usize {
    let Affected {
        objects,
        holds,
        classes,
        resources,
        ..
    } = affected;
    objects.len() + holds.len() + classes.len() + resources.len()
}

#[test]
fn a_change_names_no_more_among_many_than_among_few() {
    let named = |others: usize| -> BTreeMap<&str, usize> {
        let mut index = standing(others);
        let named = changes().into_iter();
        named
            .map(|(what, event)| (what, names(&index.apply(event))))
            .collect()
    };
    let few = named(2);
    println!("{few:#?}");
    for (what, count) in &few {
        assert!(*count > 0, "{what} names nothing");
    }
    assert_eq!(named(40), few);
}
