//! Challenges of ACME: cert-manager answers them by Ingresses of its own, and keeps what became of them.

use crate::fixture::*;
use k8s_openapi::api::networking::v1::Ingress;
use portolan_core::{Affected, Event, Reason};
use portolan_discovery::table::{Action, EndpointSet, PathMatch, Resource, Route};
use serde_json::{Value, json};

/// As in [`Fixture::ready`], with a Service of a solver.
fn fixture() -> Fixture {
    let mut fixture = Fixture::ready();
    let ports = json!([{"name": "http", "port": 80, "targetPort": 8089, "protocol": "TCP"}]);
    let spec = json!({"selector": {"acme.cert-manager.io/http01-solver": "true"}, "ports": ports});
    fixture.apply(Event::Service(applied(service("team-a", "solver", spec))));
    let endpoints = slice("solver", ("http", 8089), &[("10.0.0.9", true)]);
    fixture.apply(Event::EndpointSlice(applied(endpoints)));
    fixture
}

fn solve(fixture: &mut Fixture, ingress: Ingress) -> Affected {
    fixture.apply(Event::Ingress(applied(ingress)))
}

fn ours(class: Value) -> Ingress {
    solver("team-a", "a", class, HOST, "solver")
}

fn routes(fixture: &Fixture) -> Vec<Route> {
    let resource = fixture
        .index
        .resource(&class_name("public"), &virtual_host(HOST));
    let Some((Resource::VirtualHost(host), _)) = resource else {
        panic!("{HOST} is not served")
    };
    host.routes
}

/// The paths of the challenges that are answered.
fn answered(fixture: &Fixture) -> Vec<String> {
    let routes = routes(fixture).into_iter();
    routes
        .filter_map(|route| match route.matches.path {
            PathMatch::Exact(path) => path.strip_prefix(CHALLENGES).map(str::to_owned),
            _ => None,
        })
        .collect()
}

fn endpoint_set(fixture: &Fixture) -> Option<EndpointSet> {
    let name = endpoints("team-a/solver:http");
    match fixture.index.resource(&class_name("public"), &name)?.0 {
        Resource::Endpoints(set) => Some(set),
        other => panic!("{other:?}"),
    }
}

#[test]
fn challenges_take_precedence_on_plain_http() {
    let mut fixture = fixture();
    // An owner who takes the path is no reason to lose the certificate.
    let path = json!({"exact": format!("{CHALLENGES}token-a")});
    let routes_of_shop = json!([{"match": {"path": path}, "respond": {"status": 204}}, {}]);
    fixture.put_shop(shop_with(json!({"routes": routes_of_shop})));
    let affected = solve(&mut fixture, ours(Value::Null));
    let resource = (class_name("public"), virtual_host(HOST));
    assert!(affected.resources.contains(&resource), "{affected:?}");
    assert_eq!(answered(&fixture), ["token-a", "token-a"]);
    let first = routes(&fixture).remove(0);
    assert!(first.permit_insecure && !first.websockets);
    let Action::Forward { backends } = first.action else {
        panic!("{:?}", first.action)
    };
    assert_eq!(backends[0].endpoints, "team-a/solver:http");
    let set = endpoint_set(&fixture).unwrap();
    assert_eq!(set.endpoints[0].address.to_string(), "10.0.0.9:8089");

    let affected = fixture.apply(Event::Ingress(gone("team-a", "a")));
    let resource = (class_name("public"), endpoints("team-a/solver:http"));
    assert!(affected.resources.contains(&resource), "{affected:?}");
    assert_eq!(endpoint_set(&fixture), None);
    assert_eq!(answered(&fixture), ["token-a"], "its owner's again");
}

#[test]
fn ignores_challenges_for_hostnames_of_other_namespaces() {
    let mut fixture = fixture();
    let mut ingress = ours(Value::Null);
    ingress.metadata.namespace = Some("team-b".into());
    solve(&mut fixture, ingress);
    assert_eq!(answered(&fixture), [""; 0]);
}

#[test]
fn the_class_is_one_of_ours_by_either_spelling_or_anybodys() {
    for (class, old, expected) in [
        (json!("public"), None, true),
        (Value::Null, Some("public"), true),
        (Value::Null, None, true),
        (json!("nginx"), None, false),
        (Value::Null, Some("nginx"), false),
        // As Kubernetes has it: the field counts, not the annotation.
        (json!("public"), Some("nginx"), true),
    ] {
        let mut fixture = fixture();
        let mut ingress = ours(class.clone());
        let old = old.map(|it| ("kubernetes.io/ingress.class".to_owned(), it.to_owned()));
        ingress.metadata.annotations = old.clone().map(|it| [it].into());
        solve(&mut fixture, ingress);
        assert_eq!(
            answered(&fixture).len(),
            usize::from(expected),
            "{class} {old:?}"
        );
    }
}

#[test]
fn only_the_path_of_a_challenge_is_taken() {
    for path in [
        "/",
        "/shop",
        CHALLENGES,
        "/.well-known/acme-challenge",
        "/.well-known/acme-challenge/a/b",
        "/.well-known/acme-challenge/../admin",
        "/.well-known/acme-challenge/%2e%2e",
    ] {
        let mut fixture = fixture();
        let mut ingress = serde_json::to_value(ours(Value::Null)).unwrap();
        ingress["spec"]["rules"][0]["http"]["paths"][0]["path"] = path.into();
        let before = routes(&fixture);
        solve(&mut fixture, read(ingress));
        assert_eq!(routes(&fixture), before, "{path}");
    }
    let mut fixture = fixture();
    let mut ingress = ours(Value::Null);
    ingress.metadata.labels = None;
    solve(&mut fixture, ingress);
    assert_eq!(
        answered(&fixture),
        [""; 0],
        "an Ingress that is no solver's"
    );
}

#[test]
fn ignores_a_solver_in_another_namespace() {
    let mut fixture = fixture();
    let spec = json!({"type": "ExternalName", "externalName": "metadata.internal"});
    fixture.apply(Event::Service(applied(service("team-a", "solver", spec))));
    solve(&mut fixture, ours(Value::Null));
    assert_eq!(answered(&fixture), [""; 0]);
    assert_eq!(endpoint_set(&fixture), None);
}

#[test]
fn the_pods_of_a_solver_are_followed() {
    let mut fixture = fixture();
    solve(&mut fixture, ours(Value::Null));
    let slice = slice("solver", ("http", 8089), &[("10.0.0.10", true)]);
    let affected = fixture.apply(Event::EndpointSlice(applied(slice)));
    let resource = (class_name("public"), endpoints("team-a/solver:http"));
    assert!(affected.resources.contains(&resource), "{affected:?}");
    let set = endpoint_set(&fixture).unwrap();
    assert_eq!(set.endpoints[0].address.to_string(), "10.0.0.10:8089");
}

#[test]
fn the_pods_of_a_solver_in_a_private_namespace_are_reached() {
    let mut fixture = fixture();
    let spec = json!({
        "default": true, "domain": "apps.test",
        "networkPolicy": {"mode": "Restrict", "namespaceSelector": {}},
    });
    fixture.apply(Event::Namespace(applied(namespace("team-a", json!({})))));
    fixture.apply(Event::ExposeClass(applied(expose_class("public", 1, spec))));
    let opened = |fixture: &Fixture| {
        let children = fixture.index.children(&fixture.shop).into_iter();
        let policies = children.filter(|it| it.kind == "NetworkPolicy");
        let ports = policies.map(|it| it.value["spec"]["ingress"][0]["ports"][0]["port"].clone());
        ports.collect::<Vec<_>>()
    };
    assert_eq!(opened(&fixture), [json!(8080)]);
    let affected = solve(&mut fixture, ours(Value::Null));
    assert!(affected.objects.contains(&fixture.shop));
    let mut ports = opened(&fixture);
    ports.sort_by_key(Value::to_string);
    assert_eq!(ports, [json!(8080), json!(8089)]);
    fixture.apply(Event::Ingress(gone("team-a", "a")));
    assert_eq!(opened(&fixture), [json!(8080)]);
}

/// A hostname whose certificate is not there yet.
fn without_certificate() -> Fixture {
    let mut fixture = Fixture::ready();
    let issued = json!({"issuerRef": {"name": "letsencrypt"}});
    fixture.put_shop(shop_with(json!({"tls": issued})));
    fixture.see_everything();
    fixture.is(Reason::CertificatePending);
    fixture
}

fn message(fixture: &Fixture) -> String {
    let conditions = fixture.status().conditions.into_iter();
    let mut found = conditions.filter(|it| it.type_ == "CertificatesReady");
    found.next().unwrap().message
}

#[test]
fn a_hostname_reports_the_state_of_its_challenge() {
    let mut fixture = without_certificate();
    let waiting = "Waiting for HTTP-01 challenge propagation: wrong status code '404'";
    let event = |state, words| Event::Challenge(applied(challenge("c", HOST, state, words)));
    let affected = fixture.apply(event("pending", waiting));
    assert!(affected.objects.contains(&fixture.shop));
    fixture.is(Reason::CertificatePending);
    assert_eq!(
        message(&fixture),
        format!("{HOST}: waiting for HTTP-01 challenge: {waiting}")
    );

    let error = "urn:ietf:params:acme:error:unauthorized: got 404";
    fixture.apply(event("invalid", error));
    fixture.is(Reason::ChallengeFailed);
    assert_eq!(
        message(&fixture),
        format!("{HOST}: HTTP-01 challenge failed: {error}")
    );

    let affected = fixture.apply(event("invalid", error));
    assert!(affected.is_empty(), "{affected:?}");
    fixture.apply(Event::Challenge(gone("team-a", "c")));
    fixture.is(Reason::CertificatePending);
}

#[test]
fn only_the_newest_challenge_of_a_hostname_counts() {
    let mut fixture = without_certificate();
    let mut newer = challenge("a", HOST, "pending", "waiting");
    newer.metadata.creation_timestamp = Some(read(json!(created(20))));
    for it in [
        newer,
        challenge("b", HOST, "invalid", "old"),
        challenge("c", "b.example.com", "invalid", "of another"),
        challenge("d", &format!("*.{HOST}"), "invalid", "of the wildcard"),
    ] {
        fixture.apply(Event::Challenge(applied(it)));
    }
    fixture.is(Reason::CertificatePending);
    assert_eq!(
        message(&fixture),
        format!("{HOST}: waiting for HTTP-01 challenge: waiting")
    );
}
