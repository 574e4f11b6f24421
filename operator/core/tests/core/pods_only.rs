//! Endpoints that are no pods, under a class that sends requests to pods only.

use crate::fixture::*;
use k8s_openapi::api::core::v1::Pod;
use portolan_core::{Event, Reason, Subject};
use portolan_discovery::table::{Action, Resource};
use serde_json::{Value, json};

const SHOP: &str = "team-a/shop:http";

fn put_class(fixture: &mut Fixture, name: &str, endpoints: &str) {
    let spec = json!({"default": name == "public", "domain": "apps.test", "endpoints": endpoints});
    fixture.apply(Event::ExposeClass(applied(expose_class(name, 1, spec))));
}

/// A class for pods only, and slices that name a pod of the namespace, one of another, and no pod.
fn fixture() -> Fixture {
    let mut fixture = Fixture::ready();
    put_class(&mut fixture, "public", "PodsOnly");
    let all = [("10.0.0.1", true), ("10.0.0.2", true), ("192.0.2.9", true)];
    let slice = slice("shop", ("http", 8080), &all);
    fixture.apply(Event::EndpointSlice(applied(slice)));
    put(&mut fixture, pod("team-a", "own", &["10.0.0.1"]));
    put(&mut fixture, pod("team-b", "theirs", &["10.0.0.2"]));
    fixture.see_everything();
    fixture
}

fn put(fixture: &mut Fixture, pod: Pod) -> bool {
    let affected = fixture.apply(Event::Pod(applied(pod)));
    affected
        .resources
        .contains(&(class_name("public"), endpoints(SHOP)))
}

fn addresses_in(fixture: &Fixture, class: &str) -> Vec<String> {
    let found = fixture.index.resource(&class_name(class), &endpoints(SHOP));
    let Some((Resource::Endpoints(set), _)) = found else {
        panic!("no endpoints")
    };
    set.endpoints
        .iter()
        .map(|it| it.address.to_string())
        .collect()
}

fn addresses(fixture: &Fixture) -> Vec<String> {
    addresses_in(fixture, "public")
}

fn endpoints_ready(fixture: &Fixture) -> (String, String, String) {
    let status = fixture.status();
    let found = status
        .conditions
        .iter()
        .find(|it| it.type_ == "EndpointsReady")
        .unwrap();
    (
        found.status.clone(),
        found.reason.clone(),
        found.message.clone(),
    )
}

#[test]
fn excludes_no_endpoint_before_pods_are_listed() {
    let mut fixture = fixture();
    assert!(fixture.index.needs_pods() && fixture.index.lacks_pods());
    assert_eq!(addresses(&fixture).len(), 3);
    fixture.is(Reason::Serving);
    let affected = fixture.apply(Event::PodsListed(true));
    assert!(!fixture.index.lacks_pods());
    assert!(affected.objects.contains(&fixture.shop));
    assert!(
        affected
            .resources
            .contains(&(class_name("public"), endpoints(SHOP)))
    );
    assert_eq!(addresses(&fixture), ["10.0.0.1:8080"]);
    // Once they are removed, no endpoint is excluded.
    let affected = fixture.apply(Event::PodsListed(false));
    assert!(
        affected
            .resources
            .contains(&(class_name("public"), endpoints(SHOP)))
    );
    assert_eq!(addresses(&fixture).len(), 3);
}

#[test]
fn pods_only_excludes_endpoints_that_are_not_pods() {
    let mut fixture = fixture();
    fixture.apply(Event::PodsListed(true));
    fixture.see_everything();
    fixture.is(Reason::Serving);
    let (status, reason, message) = endpoints_ready(&fixture);
    assert_eq!(
        (status.as_str(), reason.as_str()),
        ("True", "ForeignEndpoint")
    );
    assert!(
        message.starts_with("endpoint 10.0.0.2 (and 1 more) of Service \"shop\" is not the address of a pod in namespace \"team-a\", and class \"public\" does not use it; remove it"),
        "{message}"
    );
    assert!(
        fixture
            .status()
            .description
            .starts_with("valid, with a warning: endpoint 10.0.0.2")
    );

    fixture.apply(Event::Pod(gone("team-a", "own")));
    fixture.see_everything();
    assert_eq!(addresses(&fixture), [""; 0]);
    fixture.is(Reason::ForeignEndpoint);
    assert_eq!(endpoints_ready(&fixture).0, "False");
}

#[test]
fn a_pod_counts_while_it_runs_in_a_network_of_its_own() {
    let mut fixture = fixture();
    fixture.apply(Event::PodsListed(true));
    let mut own = pod("team-a", "own", &["10.0.0.1"]);
    assert!(!put(&mut fixture, own.clone()), "nothing is new");
    for phase in ["Succeeded", "Failed"] {
        own.status.as_mut().unwrap().phase = Some(phase.into());
        assert!(
            put(&mut fixture, own.clone()),
            "its address may be another pod's by now"
        );
        assert_eq!(addresses(&fixture), [""; 0], "{phase}");
        own.status.as_mut().unwrap().phase = Some("Running".into());
        assert!(put(&mut fixture, own.clone()));
        assert_eq!(addresses(&fixture), ["10.0.0.1:8080"]);
    }
    own.spec.as_mut().unwrap().host_network = Some(true);
    assert!(put(&mut fixture, own.clone()));
    assert_eq!(
        addresses(&fixture),
        [""; 0],
        "that is the address of its node"
    );
    put(
        &mut fixture,
        pod("team-a", "own", &["fd00::1", "::ffff:10.0.0.1"]),
    );
    assert_eq!(
        addresses(&fixture),
        ["10.0.0.1:8080"],
        "one address in two forms"
    );
}

#[test]
fn an_address_is_a_pod_until_its_last_pod_is_gone() {
    let mut fixture = fixture();
    fixture.apply(Event::PodsListed(true));
    put(&mut fixture, pod("team-a", "next", &["10.0.0.1"]));
    fixture.apply(Event::Pod(gone("team-a", "own")));
    assert_eq!(addresses(&fixture), ["10.0.0.1:8080"]);
    fixture.apply(Event::Pod(gone("team-a", "next")));
    assert_eq!(addresses(&fixture), [""; 0]);
}

#[test]
fn a_dual_stack_pod_is_one_endpoint() {
    let mut fixture = fixture();
    fixture.apply(Event::PodsListed(true));
    put(&mut fixture, pod("team-a", "own", &["10.0.0.1", "fd00::1"]));
    let mut six = slice("shop", ("http", 8080), &[("fd00::1", true)]);
    six.metadata.name = Some("shop-6".into());
    six.endpoints.as_mut().unwrap()[0].target_ref = None;
    fixture.apply(Event::EndpointSlice(applied(six)));
    assert_eq!(addresses(&fixture), ["10.0.0.1:8080"]);
}

#[test]
fn a_pod_touches_those_alone_whose_services_name_its_address() {
    let mut fixture = fixture();
    fixture.apply(Event::PodsListed(true));
    let other = Event::Pod(applied(pod("team-a", "other", &["10.0.0.3"])));
    assert!(fixture.apply(other).is_empty());
    let theirs = Event::Pod(applied(pod("team-b", "theirs", &["10.0.0.1"])));
    assert!(fixture.apply(theirs).is_empty(), "of another namespace");
    put_class(&mut fixture, "public", "Any");
    assert!(!fixture.index.needs_pods());
    let own = Event::Pod(gone("team-a", "own"));
    assert!(fixture.apply(own).is_empty(), "no class asks for pods");
}

#[test]
fn each_class_says_for_itself_whom_requests_go_to() {
    let mut fixture = fixture();
    fixture.apply(Event::PodsListed(true));
    put_class(&mut fixture, "open", "Any");
    let host = "b.example.com";
    fixture.apply(Event::HostnameHold(applied(hold(host, "team-a"))));
    let spec = json!({"className": "open", "service": "shop", "port": 80, "hostnames": [host], "tls": {"mode": "Disabled"}});
    fixture.expose("team-a", "open", 6, spec);
    assert_eq!(addresses(&fixture), ["10.0.0.1:8080"]);
    assert_eq!(addresses_in(&fixture, "open").len(), 3);
    put_class(&mut fixture, "public", "Any");
    assert_eq!(addresses(&fixture).len(), 3);
}

#[test]
fn a_name_outside_is_no_pod() {
    let mut fixture = fixture();
    let outside = json!({"type": "ExternalName", "externalName": "db.example.com"});
    fixture.apply(Event::Service(applied(service("team-a", "far", outside))));
    let routes = json!([{"match": {"path": {"prefix": "/far"}}, "backends": [{"service": "far", "port": 80}]}, {}]);
    let spec: Value = json!({"service": "shop", "port": 80, "hostnames": [HOST], "tls": {"mode": "Disabled"}, "routes": routes});
    fixture.put_shop(spec);
    fixture.see_everything();
    // Pods need not be known for that.
    fixture.is(Reason::ForeignEndpoint);
    let message = fixture.status().description;
    assert!(
        message.starts_with("spec.routes[0].backends[0].service: Forbidden: Service \"far\" has externalName \"db.example.com\", and class \"public\" sends requests to pods only; name a Service with pods"),
        "{message}"
    );
    let Some(Resource::VirtualHost(served)) = fixture.resource(&virtual_host(HOST)) else {
        panic!("not served")
    };
    let reason = "ForeignEndpoint".to_owned();
    assert_eq!(served.routes[0].action, Action::Unavailable { reason });
    assert!(matches!(served.routes[1].action, Action::Forward { .. }));
    assert_eq!(fixture.resource(&endpoints("team-a/far:80")), None);
}

#[test]
fn a_child_is_checked_under_the_class_of_its_root() {
    let mut fixture = fixture();
    fixture.apply(Event::PodsListed(true));
    let routes = json!([{"delegate": {"name": "child"}}]);
    fixture.put_shop(json!({"hostnames": [HOST], "tls": {"mode": "Disabled"}, "routes": routes}));
    let spec = json!({"allowedParents": [{"namespace": "team-a"}], "service": "shop", "port": 80});
    fixture.expose("team-a", "child", 7, spec);
    assert_eq!(addresses(&fixture), ["10.0.0.1:8080"]);
    let affected = fixture.apply(Event::Pod(gone("team-a", "own")));
    let child = Subject::exposed_port("team-a", "child");
    assert!(affected.objects.contains(&child));
    let status = fixture.index.status(&child, &fixture.seen, now()).unwrap();
    assert_eq!(
        condition(&status, "EndpointsReady"),
        ("False".into(), "ForeignEndpoint".into())
    );
}
