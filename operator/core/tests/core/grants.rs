//! References into another namespace need its consent, which counts at once and ends at once.

use crate::fixture::*;
use portolan_core::{Affected, Event, ObjectRef, Reason};
use portolan_discovery::table::{Action, Kind, Resource};
use serde_json::{Value, json};

/// `team-a/shop` with one route to Service `blog` of `team-b`, which is there and has a pod.
fn with_foreign_service() -> Fixture {
    let mut fixture = Fixture::empty();
    let ports = json!([{"name": "http", "port": 80, "protocol": "TCP"}]);
    let spec = json!({"selector": {"app": "blog"}, "ports": ports});
    fixture.apply(Event::Service(applied(service("team-b", "blog", spec))));
    let mut slice = slice("blog", ("http", 8080), &[("10.0.0.7", true)]);
    slice.metadata.namespace = Some("team-b".into());
    fixture.apply(Event::EndpointSlice(applied(slice)));
    fixture.put_shop(json!({
        "hostnames": [HOST], "tls": {"mode": "Disabled"},
        "routes": [{"backends": [{"service": "blog", "namespace": "team-b", "port": 80}]}],
    }));
    fixture
}

fn consent(fixture: &mut Fixture, from: &str, to: Value) -> Affected {
    fixture.apply(Event::ReferenceGrant(applied(grant(
        "team-b", "consent", from, to,
    ))))
}

/// Once all is applied and acknowledged.
#[track_caller]
fn is(fixture: &mut Fixture, reason: Reason) {
    fixture.see_everything();
    fixture.is(reason);
}

fn services() -> Value {
    json!([{"group": "", "kind": "Service"}])
}

fn secrets() -> Value {
    json!([{"group": "", "kind": "Secret"}])
}

/// What becomes of requests to the hostname.
fn answer(fixture: &Fixture) -> String {
    let Some(Resource::VirtualHost(host)) = fixture.resource(&virtual_host(HOST)) else {
        panic!("the hostname is not served")
    };
    match &host.routes[0].action {
        Action::Forward { backends } => backends[0].endpoints.clone(),
        Action::Unavailable { reason } => reason.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn serves_a_granted_service_until_the_grant_is_removed() {
    let mut fixture = with_foreign_service();
    is(&mut fixture, Reason::RefNotPermitted);
    assert_eq!(answer(&fixture), "RefNotPermitted");
    assert_eq!(
        fixture.resource(&endpoints("team-b/blog:http")),
        None,
        "no proxy learns of its pods"
    );
    let affected = consent(&mut fixture, "team-a", services());
    assert!(affected.objects.contains(&fixture.shop), "{affected:?}");
    assert_eq!(answer(&fixture), "team-b/blog:http");
    is(&mut fixture, Reason::Serving);
    fixture.apply(Event::ReferenceGrant(gone("team-b", "consent")));
    assert_eq!(answer(&fixture), "RefNotPermitted");
    is(&mut fixture, Reason::RefNotPermitted);
}

#[test]
fn the_sentence_names_what_is_missing() {
    let mut fixture = with_foreign_service();
    fixture.see_everything();
    let description = |fixture: &Fixture| fixture.status().description;
    assert_eq!(
        description(&fixture),
        "spec.routes[0].backends[0].service: Forbidden: Service \"team-b/blog\" is in another namespace, and ReferenceGrants are not installed; install the Gateway API CustomResourceDefinitions, or name a Service in namespace \"team-a\""
    );
    let affected = fixture.apply(Event::ReferenceGrants(true));
    assert!(affected.objects.contains(&fixture.shop), "{affected:?}");
    assert_eq!(
        description(&fixture),
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
        let mut fixture = with_foreign_service();
        consent(&mut fixture, from, to.clone());
        let served = answer(&fixture) == "team-b/blog:http";
        assert_eq!(served, permits, "{from} {to}");
    }
    let mut fixture = with_foreign_service();
    let mut of_routes = grant("team-b", "consent", "team-a", services());
    of_routes.spec.from[0].kind = "HTTPRoute".into();
    fixture.apply(Event::ReferenceGrant(applied(of_routes)));
    assert_eq!(answer(&fixture), "RefNotPermitted");
    let mut elsewhere = grant("team-c", "consent", "team-a", services());
    elsewhere.spec.to[0].name = None;
    fixture.apply(Event::ReferenceGrant(applied(elsewhere)));
    assert_eq!(answer(&fixture), "RefNotPermitted");
}

#[test]
fn what_the_object_names_besides_goes_on() {
    let mut fixture = with_foreign_service();
    fixture.put_shop(json!({
        "hostnames": [HOST], "tls": {"mode": "Disabled"}, "service": "shop", "port": 80,
        "routes": [
            {"match": {"path": {"prefix": "/blog"}}, "backends": [{"service": "blog", "namespace": "team-b", "port": 80}]},
            {},
        ],
    }));
    let Some(Resource::VirtualHost(host)) = fixture.resource(&virtual_host(HOST)) else {
        panic!("the hostname is not served")
    };
    let served = host
        .routes
        .iter()
        .filter(|it| matches!(it.action, Action::Forward { .. }));
    assert_eq!(served.count(), 1);
}

/// `team-a/shop` with the certificate in Secret `wildcard` of `team-b`, which is there and good.
fn with_foreign_secret() -> Fixture {
    let mut fixture = Fixture::empty();
    let mut secret = secret("wildcard", &GOOD.certificate, &GOOD.key);
    secret.metadata.namespace = Some("team-b".into());
    fixture.apply(Event::Secret(applied(secret)));
    fixture.put_shop(json!({
        "service": "shop", "port": 80, "hostnames": [HOST],
        "tls": {"secret": {"name": "wildcard", "namespace": "team-b"}},
    }));
    fixture
}

fn certificates(fixture: &Fixture) -> Vec<String> {
    let Some(Resource::VirtualHost(host)) = fixture.resource(&virtual_host(HOST)) else {
        panic!("the hostname is not served")
    };
    host.tls.unwrap().certificates
}

#[test]
fn serves_a_certificate_of_another_namespace_if_granted() {
    let wildcard = ObjectRef::new("team-b", "wildcard");
    let mut fixture = with_foreign_secret();
    is(&mut fixture, Reason::RefNotPermitted);
    assert_eq!(certificates(&fixture), [""; 0]);
    assert!(
        !fixture.index.referenced_secrets().contains(&wildcard),
        "a Secret without a grant is not even read"
    );
    let affected = consent(&mut fixture, "team-a", secrets());
    assert!(affected.secrets);
    assert!(fixture.index.referenced_secrets().contains(&wildcard));
    assert_eq!(certificates(&fixture), ["team-b/wildcard"]);
    is(&mut fixture, Reason::Serving);

    // The last good certificate stays in service when its Secret breaks, but not when it is taken back.
    let affected = fixture.apply(Event::ReferenceGrant(gone("team-b", "consent")));
    assert!(affected.secrets);
    assert!(!fixture.index.referenced_secrets().contains(&wildcard));
    assert_eq!(certificates(&fixture), [""; 0]);
    assert_eq!(
        fixture.resource(&certificate_resource("team-b/wildcard")),
        None
    );
    is(&mut fixture, Reason::RefNotPermitted);
}

#[test]
fn the_authorities_of_clients_and_endpoints_need_consent_too() {
    let mut fixture = Fixture::empty();
    let mut secret = secret("ca", &GOOD.certificate, &GOOD.key);
    secret.metadata.namespace = Some("team-b".into());
    let bytes = k8s_openapi::ByteString(GOOD.certificate.clone().into_bytes());
    secret
        .data
        .as_mut()
        .unwrap()
        .insert("ca.crt".to_owned(), bytes);
    fixture.apply(Event::Secret(applied(secret)));
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
        fixture.put_shop(spec);
        is(&mut fixture, Reason::RefNotPermitted);
        assert_eq!(answer(&fixture), "RefNotPermitted");
        assert_eq!(fixture.resource(&anchors), None);
        consent(&mut fixture, "team-a", secrets());
        assert_eq!(answer(&fixture), "team-a/shop:http");
        assert!(fixture.resource(&anchors).is_some());
        fixture.apply(Event::ReferenceGrant(gone("team-b", "consent")));
        assert_eq!(answer(&fixture), "RefNotPermitted");
    }
}

#[test]
fn grants_of_a_child_are_those_of_its_namespace() {
    let mut fixture = with_foreign_service();
    consent(&mut fixture, "team-a", services());
    let to = json!({"namespace": "team-c", "name": "docs"});
    fixture.put_shop(json!({
        "hostnames": [HOST], "tls": {"mode": "Disabled"}, "routes": [{"delegate": to}],
    }));
    let spec = json!({
        "allowedParents": [{"namespace": "team-a"}],
        "routes": [{"backends": [{"service": "blog", "namespace": "team-b", "port": 80}]}],
    });
    fixture.expose("team-c", "docs", 1, spec);
    assert_eq!(answer(&fixture), "RefNotPermitted");
    consent(&mut fixture, "team-c", services());
    assert_eq!(answer(&fixture), "team-b/blog:http");
}

#[test]
fn a_namespace_without_a_service_is_a_mistake() {
    let mut fixture = Fixture::empty();
    fixture.put_shop(json!({
        "hostnames": [HOST], "tls": {"mode": "Disabled"}, "service": "shop", "port": 80,
        "routes": [{"backends": [{"namespace": "team-b", "port": 80}]}],
    }));
    is(&mut fixture, Reason::InvalidSpec);
    let message = fixture.status().description;
    assert!(
        message.starts_with("spec.routes[0].backends[0].namespace: Forbidden: requires service"),
        "{message}"
    );
}
