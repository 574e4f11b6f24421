//! Endpoints that are no pods, under a class that sends requests to pods only.

use crate::world::*;
use k8s_openapi::api::core::v1::Pod;
use portolan_core::{Event, Reason, Subject};
use portolan_discovery::table::{Action, Resource};
use serde_json::{Value, json};

const SHOP: &str = "team-a/shop:http";

fn put_class(world: &mut World, name: &str, endpoints: &str) {
    let spec = json!({"default": name == "public", "domain": "apps.test", "endpoints": endpoints});
    world.apply(Event::ExposeClass(applied(expose_class(name, 1, spec))));
}

/// A class for pods only, and slices that name a pod of the namespace, one of another, and no pod.
fn world() -> World {
    let mut world = World::ready();
    put_class(&mut world, "public", "PodsOnly");
    let all = [("10.0.0.1", true), ("10.0.0.2", true), ("192.0.2.9", true)];
    let slice = slice("shop", ("http", 8080), &all);
    world.apply(Event::EndpointSlice(applied(slice)));
    put(&mut world, pod("team-a", "own", &["10.0.0.1"]));
    put(&mut world, pod("team-b", "theirs", &["10.0.0.2"]));
    world.see_everything();
    world
}

fn put(world: &mut World, pod: Pod) -> bool {
    let affected = world.apply(Event::Pod(applied(pod)));
    affected
        .resources
        .contains(&(class_name("public"), endpoints(SHOP)))
}

fn addresses_in(world: &World, class: &str) -> Vec<String> {
    let found = world.index.resource(&class_name(class), &endpoints(SHOP));
    let Some((Resource::Endpoints(set), _)) = found else {
        panic!("no endpoints")
    };
    set.endpoints
        .iter()
        .map(|it| it.address.to_string())
        .collect()
}

fn addresses(world: &World) -> Vec<String> {
    addresses_in(world, "public")
}

fn endpoints_ready(world: &World) -> (String, String, String) {
    let status = world.status();
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
fn nobody_is_left_out_before_every_pod_was_told() {
    let mut world = world();
    assert!(world.index.needs_pods() && world.index.lacks_pods());
    assert_eq!(addresses(&world).len(), 3);
    world.is(Reason::Serving);
    let affected = world.apply(Event::PodsListed(true));
    assert!(!world.index.lacks_pods());
    assert!(affected.objects.contains(&world.shop));
    assert!(
        affected
            .resources
            .contains(&(class_name("public"), endpoints(SHOP)))
    );
    assert_eq!(addresses(&world), ["10.0.0.1:8080"]);
    // When they are forgotten, nobody can be missed.
    let affected = world.apply(Event::PodsListed(false));
    assert!(
        affected
            .resources
            .contains(&(class_name("public"), endpoints(SHOP)))
    );
    assert_eq!(addresses(&world).len(), 3);
}

#[test]
fn what_is_no_pod_of_the_namespace_is_never_contacted_and_the_rest_is_served() {
    let mut world = world();
    world.apply(Event::PodsListed(true));
    world.see_everything();
    world.is(Reason::Serving);
    let (status, reason, message) = endpoints_ready(&world);
    assert_eq!(
        (status.as_str(), reason.as_str()),
        ("True", "ForeignEndpoint")
    );
    assert!(
        message.starts_with("endpoint 10.0.0.2 (and 1 more) of Service \"shop\" is not the address of a pod in namespace \"team-a\", and class \"public\" does not use it; remove it"),
        "{message}"
    );
    assert!(
        world
            .status()
            .description
            .starts_with("valid, with a warning: endpoint 10.0.0.2")
    );

    world.apply(Event::Pod(gone("team-a", "own")));
    world.see_everything();
    assert_eq!(addresses(&world), [""; 0]);
    world.is(Reason::ForeignEndpoint);
    assert_eq!(endpoints_ready(&world).0, "False");
}

#[test]
fn a_pod_counts_while_it_runs_in_a_network_of_its_own() {
    let mut world = world();
    world.apply(Event::PodsListed(true));
    let mut own = pod("team-a", "own", &["10.0.0.1"]);
    assert!(!put(&mut world, own.clone()), "nothing is new");
    for phase in ["Succeeded", "Failed"] {
        own.status.as_mut().unwrap().phase = Some(phase.into());
        assert!(
            put(&mut world, own.clone()),
            "its address may be another pod's by now"
        );
        assert_eq!(addresses(&world), [""; 0], "{phase}");
        own.status.as_mut().unwrap().phase = Some("Running".into());
        assert!(put(&mut world, own.clone()));
        assert_eq!(addresses(&world), ["10.0.0.1:8080"]);
    }
    own.spec.as_mut().unwrap().host_network = Some(true);
    assert!(put(&mut world, own.clone()));
    assert_eq!(
        addresses(&world),
        [""; 0],
        "that is the address of its node"
    );
    put(
        &mut world,
        pod("team-a", "own", &["fd00::1", "::ffff:10.0.0.1"]),
    );
    assert_eq!(
        addresses(&world),
        ["10.0.0.1:8080"],
        "one address in two forms"
    );
}

#[test]
fn an_address_that_two_pods_have_had_is_a_pod_s_until_the_last_is_gone() {
    let mut world = world();
    world.apply(Event::PodsListed(true));
    put(&mut world, pod("team-a", "next", &["10.0.0.1"]));
    world.apply(Event::Pod(gone("team-a", "own")));
    assert_eq!(addresses(&world), ["10.0.0.1:8080"]);
    world.apply(Event::Pod(gone("team-a", "next")));
    assert_eq!(addresses(&world), [""; 0]);
}

#[test]
fn a_pod_with_two_families_is_one_endpoint_whatever_slices_say_of_it() {
    let mut world = world();
    world.apply(Event::PodsListed(true));
    put(&mut world, pod("team-a", "own", &["10.0.0.1", "fd00::1"]));
    let mut six = slice("shop", ("http", 8080), &[("fd00::1", true)]);
    six.metadata.name = Some("shop-6".into());
    six.endpoints.as_mut().unwrap()[0].target_ref = None;
    world.apply(Event::EndpointSlice(applied(six)));
    assert_eq!(addresses(&world), ["10.0.0.1:8080"]);
}

#[test]
fn a_pod_touches_those_alone_whose_services_name_its_address() {
    let mut world = world();
    world.apply(Event::PodsListed(true));
    let other = Event::Pod(applied(pod("team-a", "other", &["10.0.0.3"])));
    assert!(world.apply(other).is_empty());
    let theirs = Event::Pod(applied(pod("team-b", "theirs", &["10.0.0.1"])));
    assert!(world.apply(theirs).is_empty(), "of another namespace");
    put_class(&mut world, "public", "Any");
    assert!(!world.index.needs_pods());
    let own = Event::Pod(gone("team-a", "own"));
    assert!(world.apply(own).is_empty(), "no class asks for pods");
}

#[test]
fn each_class_says_for_itself_whom_requests_go_to() {
    let mut world = world();
    world.apply(Event::PodsListed(true));
    put_class(&mut world, "open", "Any");
    let host = "b.example.com";
    world.apply(Event::HostnameHold(applied(hold(host, "team-a"))));
    let spec = json!({"className": "open", "service": "shop", "port": 80, "hostnames": [host], "tls": {"mode": "Disabled"}});
    world.expose("team-a", "open", 6, spec);
    assert_eq!(addresses(&world), ["10.0.0.1:8080"]);
    assert_eq!(addresses_in(&world, "open").len(), 3);
    put_class(&mut world, "public", "Any");
    assert_eq!(addresses(&world).len(), 3);
}

#[test]
fn a_name_outside_is_no_pod() {
    let mut world = world();
    let outside = json!({"type": "ExternalName", "externalName": "db.example.com"});
    world.apply(Event::Service(applied(service("team-a", "far", outside))));
    let routes = json!([{"match": {"path": {"prefix": "/far"}}, "backends": [{"service": "far", "port": 80}]}, {}]);
    let spec: Value = json!({"service": "shop", "port": 80, "hostnames": [HOST], "tls": {"mode": "Disabled"}, "routes": routes});
    world.put_shop(spec);
    world.see_everything();
    // Pods need not be known for that.
    world.is(Reason::ForeignEndpoint);
    let told = world.status().description;
    assert!(
        told.starts_with("spec.routes[0].backends[0].service: Forbidden: Service \"far\" has externalName \"db.example.com\", and class \"public\" sends requests to pods only; name a Service with pods"),
        "{told}"
    );
    let Some(Resource::VirtualHost(served)) = world.resource(&virtual_host(HOST)) else {
        panic!("not served")
    };
    let reason = "ForeignEndpoint".to_owned();
    assert_eq!(served.routes[0].action, Action::Unavailable { reason });
    assert!(matches!(served.routes[1].action, Action::Forward { .. }));
    assert_eq!(world.resource(&endpoints("team-a/far:80")), None);
}

#[test]
fn whoever_is_delegated_to_is_judged_under_the_class_of_the_root() {
    let mut world = world();
    world.apply(Event::PodsListed(true));
    let routes = json!([{"delegate": {"name": "child"}}]);
    world.put_shop(json!({"hostnames": [HOST], "tls": {"mode": "Disabled"}, "routes": routes}));
    let spec = json!({"allowedParents": [{"namespace": "team-a"}], "service": "shop", "port": 80});
    world.expose("team-a", "child", 7, spec);
    assert_eq!(addresses(&world), ["10.0.0.1:8080"]);
    let affected = world.apply(Event::Pod(gone("team-a", "own")));
    let child = Subject::exposed_port("team-a", "child");
    assert!(affected.objects.contains(&child));
    let status = world.index.status(&child, &world.seen, now()).unwrap();
    assert_eq!(
        condition(&status, "EndpointsReady"),
        ("False".into(), "ForeignEndpoint".into())
    );
}
