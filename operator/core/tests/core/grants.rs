//! References into another namespace need its consent, which counts at once and ends at once.

use crate::world::*;
use portolan_core::{Affected, Event, ObjectRef, Reason};
use portolan_discovery::table::{Action, Kind, Resource};
use serde_json::{Value, json};

/// `team-a/shop` with one route to Service `blog` of `team-b`, which is there and has a pod.
fn with_foreign_service() -> World {
    let mut world = World::empty();
    let ports = json!([{"name": "http", "port": 80, "protocol": "TCP"}]);
    let spec = json!({"selector": {"app": "blog"}, "ports": ports});
    world.apply(Event::Service(applied(service("team-b", "blog", spec))));
    let mut slice = slice("blog", ("http", 8080), &[("10.0.0.7", true)]);
    slice.metadata.namespace = Some("team-b".into());
    world.apply(Event::EndpointSlice(applied(slice)));
    world.put_shop(json!({
        "hostnames": [HOST], "tls": {"mode": "Disabled"},
        "routes": [{"backends": [{"service": "blog", "namespace": "team-b", "port": 80}]}],
    }));
    world
}

fn consent(world: &mut World, from: &str, to: Value) -> Affected {
    world.apply(Event::ReferenceGrant(applied(grant(
        "team-b", "consent", from, to,
    ))))
}

/// Once all is applied and acknowledged.
#[track_caller]
fn is(world: &mut World, reason: Reason) {
    world.see_everything();
    world.is(reason);
}

fn services() -> Value {
    json!([{"group": "", "kind": "Service"}])
}

fn secrets() -> Value {
    json!([{"group": "", "kind": "Secret"}])
}

/// What becomes of requests to the hostname.
fn answer(world: &World) -> String {
    let Some(Resource::VirtualHost(host)) = world.resource(&virtual_host(HOST)) else {
        panic!("the hostname is not served")
    };
    match &host.routes[0].action {
        Action::Forward { backends } => backends[0].endpoints.clone(),
        Action::Unavailable { reason } => reason.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_service_of_another_namespace_is_served_with_its_consent_and_not_an_event_longer() {
    let mut world = with_foreign_service();
    is(&mut world, Reason::RefNotPermitted);
    assert_eq!(answer(&world), "RefNotPermitted");
    assert_eq!(
        world.resource(&endpoints("team-b/blog:http")),
        None,
        "no proxy learns of its pods"
    );
    let affected = consent(&mut world, "team-a", services());
    assert!(affected.objects.contains(&world.shop), "{affected:?}");
    assert_eq!(answer(&world), "team-b/blog:http");
    is(&mut world, Reason::Serving);
    world.apply(Event::ReferenceGrant(gone("team-b", "consent")));
    assert_eq!(answer(&world), "RefNotPermitted");
    is(&mut world, Reason::RefNotPermitted);
}

#[test]
fn the_sentence_names_what_is_missing() {
    let mut world = with_foreign_service();
    world.see_everything();
    let told = |world: &World| world.status().description;
    assert_eq!(
        told(&world),
        "spec.routes[0].backends[0].service: Forbidden: Service \"team-b/blog\" is in another namespace, and ReferenceGrants are not installed; install the Gateway API CustomResourceDefinitions, or name a Service in namespace \"team-a\""
    );
    let affected = world.apply(Event::ReferenceGrants(true));
    assert!(affected.objects.contains(&world.shop), "{affected:?}");
    assert_eq!(
        told(&world),
        "spec.routes[0].backends[0].service: Forbidden: Service \"team-b/blog\" is in another namespace, and no ReferenceGrant in that namespace allows it; create one in namespace \"team-b\" for ExposedPorts of namespace \"team-a\", or name a Service in namespace \"team-a\""
    );
}

#[test]
fn a_consent_is_for_whom_and_what_it_names() {
    for (from, to, permits) in [
        ("team-a", services(), true),
        ("team-c", services(), false),
        ("team-a", secrets(), false),
        (
            "team-a",
            json!([{"group": "", "kind": "Service", "name": "blog"}]),
            true,
        ),
        (
            "team-a",
            json!([{"group": "", "kind": "Service", "name": "shop"}]),
            false,
        ),
        (
            "team-a",
            json!([{"group": "apps", "kind": "Service"}]),
            false,
        ),
    ] {
        let mut world = with_foreign_service();
        consent(&mut world, from, to.clone());
        let served = answer(&world) == "team-b/blog:http";
        assert_eq!(served, permits, "{from} {to}");
    }
    let mut world = with_foreign_service();
    let mut of_routes = grant("team-b", "consent", "team-a", services());
    of_routes.spec.from[0].kind = "HTTPRoute".into();
    world.apply(Event::ReferenceGrant(applied(of_routes)));
    assert_eq!(answer(&world), "RefNotPermitted");
    let mut elsewhere = grant("team-c", "consent", "team-a", services());
    elsewhere.spec.to[0].name = None;
    world.apply(Event::ReferenceGrant(applied(elsewhere)));
    assert_eq!(answer(&world), "RefNotPermitted");
}

#[test]
fn what_the_object_names_besides_goes_on() {
    let mut world = with_foreign_service();
    world.put_shop(json!({
        "hostnames": [HOST], "tls": {"mode": "Disabled"}, "service": "shop", "port": 80,
        "routes": [
            {"match": {"path": {"prefix": "/blog"}}, "backends": [{"service": "blog", "namespace": "team-b", "port": 80}]},
            {},
        ],
    }));
    let Some(Resource::VirtualHost(host)) = world.resource(&virtual_host(HOST)) else {
        panic!("the hostname is not served")
    };
    let served = host
        .routes
        .iter()
        .filter(|it| matches!(it.action, Action::Forward { .. }));
    assert_eq!(served.count(), 1);
}

/// `team-a/shop` with the certificate in Secret `wildcard` of `team-b`, which is there and good.
fn with_foreign_secret() -> World {
    let mut world = World::empty();
    let mut secret = secret("wildcard", &GOOD.certificate, &GOOD.key);
    secret.metadata.namespace = Some("team-b".into());
    world.apply(Event::Secret(applied(secret)));
    world.put_shop(json!({
        "service": "shop", "port": 80, "hostnames": [HOST],
        "tls": {"secret": {"name": "wildcard", "namespace": "team-b"}},
    }));
    world
}

fn certificates(world: &World) -> Vec<String> {
    let Some(Resource::VirtualHost(host)) = world.resource(&virtual_host(HOST)) else {
        panic!("the hostname is not served")
    };
    host.tls.unwrap().certificates
}

#[test]
fn a_certificate_of_another_namespace_is_read_and_served_with_its_consent_alone() {
    let wildcard = ObjectRef::new("team-b", "wildcard");
    let mut world = with_foreign_secret();
    is(&mut world, Reason::RefNotPermitted);
    assert_eq!(certificates(&world), [""; 0]);
    assert!(
        !world.index.referenced_secrets().contains(&wildcard),
        "a Secret that nobody may refer to is not even read"
    );
    let affected = consent(&mut world, "team-a", secrets());
    assert!(affected.secrets);
    assert!(world.index.referenced_secrets().contains(&wildcard));
    assert_eq!(certificates(&world), ["team-b/wildcard"]);
    is(&mut world, Reason::Serving);

    // The last good certificate stays in service when its Secret breaks, but not when it is taken back.
    let affected = world.apply(Event::ReferenceGrant(gone("team-b", "consent")));
    assert!(affected.secrets);
    assert!(!world.index.referenced_secrets().contains(&wildcard));
    assert_eq!(certificates(&world), [""; 0]);
    assert_eq!(
        world.resource(&certificate_resource("team-b/wildcard")),
        None
    );
    is(&mut world, Reason::RefNotPermitted);
}

#[test]
fn the_authorities_of_clients_and_endpoints_need_consent_too() {
    let mut world = World::empty();
    let mut secret = secret("ca", &GOOD.certificate, &GOOD.key);
    secret.metadata.namespace = Some("team-b".into());
    let bytes = k8s_openapi::ByteString(GOOD.certificate.clone().into_bytes());
    secret
        .data
        .as_mut()
        .unwrap()
        .insert("ca.crt".to_owned(), bytes);
    world.apply(Event::Secret(applied(secret)));
    let ca = json!({"secret": {"name": "ca", "namespace": "team-b"}});
    let clients = json!({
        "service": "shop", "port": 80, "hostnames": [HOST],
        "tls": {"secret": {"name": "own"}, "clientCA": ca},
    });
    let tls = json!({"ca": ca, "subjectName": "shop.internal"});
    let endpoints = json!({
        "hostnames": [HOST], "tls": {"mode": "Disabled"},
        "routes": [{"backends": [{"service": "shop", "port": 80, "tls": tls}]}],
    });
    let anchors = portolan_discovery::table::ResourceName {
        kind: Kind::TrustAnchors,
        name: "team-b/ca".into(),
    };
    for spec in [clients, endpoints] {
        world.put_shop(spec);
        is(&mut world, Reason::RefNotPermitted);
        assert_eq!(answer(&world), "RefNotPermitted");
        assert_eq!(world.resource(&anchors), None);
        consent(&mut world, "team-a", secrets());
        assert_eq!(answer(&world), "team-a/shop:http");
        assert!(world.resource(&anchors).is_some());
        world.apply(Event::ReferenceGrant(gone("team-b", "consent")));
        assert_eq!(answer(&world), "RefNotPermitted");
    }
}

#[test]
fn a_child_has_the_rights_of_its_own_namespace_not_those_of_its_parent() {
    let mut world = with_foreign_service();
    consent(&mut world, "team-a", services());
    let to = json!({"namespace": "team-c", "name": "docs"});
    world.put_shop(json!({
        "hostnames": [HOST], "tls": {"mode": "Disabled"}, "routes": [{"delegate": to}],
    }));
    let spec = json!({
        "allowedParents": [{"namespace": "team-a"}],
        "routes": [{"backends": [{"service": "blog", "namespace": "team-b", "port": 80}]}],
    });
    world.expose("team-c", "docs", 1, spec);
    assert_eq!(answer(&world), "RefNotPermitted");
    consent(&mut world, "team-c", services());
    assert_eq!(answer(&world), "team-b/blog:http");
}

#[test]
fn a_namespace_without_a_service_is_a_mistake() {
    let mut world = World::empty();
    world.put_shop(json!({
        "hostnames": [HOST], "tls": {"mode": "Disabled"}, "service": "shop", "port": 80,
        "routes": [{"backends": [{"namespace": "team-b", "port": 80}]}],
    }));
    is(&mut world, Reason::InvalidSpec);
    let told = world.status().description;
    assert!(
        told.starts_with("spec.routes[0].backends[0].namespace: there is no service"),
        "{told}"
    );
}
