//! Challenges of ACME: cert-manager answers them by Ingresses of its own, and keeps what became of them.

use crate::world::*;
use k8s_openapi::api::networking::v1::Ingress;
use portolan_core::{Affected, Event, Reason};
use portolan_discovery::table::{Action, EndpointSet, PathMatch, Resource, Route};
use serde_json::{Value, json};

/// As in [`World::ready`], with a Service of a solver.
fn world() -> World {
    let mut world = World::ready();
    let ports = json!([{"name": "http", "port": 80, "targetPort": 8089, "protocol": "TCP"}]);
    let spec = json!({"selector": {"acme.cert-manager.io/http01-solver": "true"}, "ports": ports});
    world.apply(Event::Service(applied(service("team-a", "solver", spec))));
    let endpoints = slice("solver", ("http", 8089), &[("10.0.0.9", true)]);
    world.apply(Event::EndpointSlice(applied(endpoints)));
    world
}

fn solve(world: &mut World, ingress: Ingress) -> Affected {
    world.apply(Event::Ingress(applied(ingress)))
}

fn ours(class: Value) -> Ingress {
    solver("team-a", "a", class, HOST, "solver")
}

fn routes(world: &World) -> Vec<Route> {
    let resource = world
        .index
        .resource(&class_name("public"), &virtual_host(HOST));
    let Some((Resource::VirtualHost(host), _)) = resource else {
        panic!("{HOST} is not served")
    };
    host.routes
}

/// The paths of the challenges that are answered.
fn answered(world: &World) -> Vec<String> {
    let routes = routes(world).into_iter();
    routes
        .filter_map(|route| match route.matches.path {
            PathMatch::Exact(path) => path.strip_prefix(CHALLENGES).map(str::to_owned),
            _ => None,
        })
        .collect()
}

fn endpoint_set(world: &World) -> Option<EndpointSet> {
    let name = endpoints("team-a/solver:http");
    match world.index.resource(&class_name("public"), &name)?.0 {
        Resource::Endpoints(set) => Some(set),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_challenge_is_answered_before_everything_else_and_on_plain_http() {
    let mut world = world();
    // An owner who takes the path is no reason to lose the certificate.
    let path = json!({"exact": format!("{CHALLENGES}token-a")});
    let routes_of_shop = json!([{"match": {"path": path}, "respond": {"status": 204}}, {}]);
    world.put_shop(shop_with(json!({"routes": routes_of_shop})));
    let affected = solve(&mut world, ours(Value::Null));
    let told = (class_name("public"), virtual_host(HOST));
    assert!(affected.resources.contains(&told), "{affected:?}");
    assert_eq!(answered(&world), ["token-a", "token-a"]);
    let first = routes(&world).remove(0);
    assert!(first.permit_insecure && !first.websockets);
    let Action::Forward { backends } = first.action else {
        panic!("{:?}", first.action)
    };
    assert_eq!(backends[0].endpoints, "team-a/solver:http");
    let set = endpoint_set(&world).unwrap();
    assert_eq!(set.endpoints[0].address.to_string(), "10.0.0.9:8089");

    let affected = world.apply(Event::Ingress(gone("team-a", "a")));
    let told = (class_name("public"), endpoints("team-a/solver:http"));
    assert!(affected.resources.contains(&told), "{affected:?}");
    assert_eq!(endpoint_set(&world), None);
    assert_eq!(answered(&world), ["token-a"], "its owner's again");
}

#[test]
fn nobody_answers_for_the_hostname_of_another_namespace() {
    let mut world = world();
    let mut ingress = ours(Value::Null);
    ingress.metadata.namespace = Some("team-b".into());
    solve(&mut world, ingress);
    assert_eq!(answered(&world), [""; 0]);
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
        let mut world = world();
        let mut ingress = ours(class.clone());
        let old = old.map(|it| ("kubernetes.io/ingress.class".to_owned(), it.to_owned()));
        ingress.metadata.annotations = old.clone().map(|it| [it].into());
        solve(&mut world, ingress);
        assert_eq!(
            answered(&world).len(),
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
        let mut world = world();
        let mut ingress = serde_json::to_value(ours(Value::Null)).unwrap();
        ingress["spec"]["rules"][0]["http"]["paths"][0]["path"] = path.into();
        let before = routes(&world);
        solve(&mut world, read(ingress));
        assert_eq!(routes(&world), before, "{path}");
    }
    let mut world = world();
    let mut ingress = ours(Value::Null);
    ingress.metadata.labels = None;
    solve(&mut world, ingress);
    assert_eq!(answered(&world), [""; 0], "an Ingress that is no solver's");
}

#[test]
fn a_solver_that_is_elsewhere_is_nobody() {
    let mut world = world();
    let spec = json!({"type": "ExternalName", "externalName": "metadata.internal"});
    world.apply(Event::Service(applied(service("team-a", "solver", spec))));
    solve(&mut world, ours(Value::Null));
    assert_eq!(answered(&world), [""; 0]);
    assert_eq!(endpoint_set(&world), None);
}

#[test]
fn the_pods_of_a_solver_are_followed() {
    let mut world = world();
    solve(&mut world, ours(Value::Null));
    let slice = slice("solver", ("http", 8089), &[("10.0.0.10", true)]);
    let affected = world.apply(Event::EndpointSlice(applied(slice)));
    let told = (class_name("public"), endpoints("team-a/solver:http"));
    assert!(affected.resources.contains(&told), "{affected:?}");
    let set = endpoint_set(&world).unwrap();
    assert_eq!(set.endpoints[0].address.to_string(), "10.0.0.10:8089");
}

#[test]
fn the_pods_of_a_solver_in_a_private_namespace_are_reached() {
    let mut world = world();
    let spec = json!({
        "default": true, "domain": "apps.test",
        "networkPolicy": {"mode": "Restrict", "namespaceSelector": {}},
    });
    world.apply(Event::Namespace(applied(namespace("team-a", json!({})))));
    world.apply(Event::ExposeClass(applied(expose_class("public", 1, spec))));
    let opened = |world: &World| {
        let children = world.index.children(&world.shop).into_iter();
        let policies = children.filter(|it| it.kind == "NetworkPolicy");
        let ports = policies.map(|it| it.value["spec"]["ingress"][0]["ports"][0]["port"].clone());
        ports.collect::<Vec<_>>()
    };
    assert_eq!(opened(&world), [json!(8080)]);
    let affected = solve(&mut world, ours(Value::Null));
    assert!(affected.objects.contains(&world.shop));
    let mut ports = opened(&world);
    ports.sort_by_key(Value::to_string);
    assert_eq!(ports, [json!(8080), json!(8089)]);
    world.apply(Event::Ingress(gone("team-a", "a")));
    assert_eq!(opened(&world), [json!(8080)]);
}

/// A hostname whose certificate is not there yet.
fn without_certificate() -> World {
    let mut world = World::ready();
    let issued = json!({"issuerRef": {"name": "letsencrypt"}});
    world.put_shop(shop_with(json!({"tls": issued})));
    world.see_everything();
    world.is(Reason::CertificatePending);
    world
}

fn told(world: &World) -> String {
    let conditions = world.status().conditions.into_iter();
    let mut found = conditions.filter(|it| it.type_ == "CertificatesReady");
    found.next().unwrap().message
}

#[test]
fn what_a_challenge_waits_for_and_what_the_server_said_is_told_of_its_hostname() {
    let mut world = without_certificate();
    let waiting = "Waiting for HTTP-01 challenge propagation: wrong status code '404'";
    let event = |state, words| Event::Challenge(applied(challenge("c", HOST, state, words)));
    let affected = world.apply(event("pending", waiting));
    assert!(affected.objects.contains(&world.shop));
    world.is(Reason::CertificatePending);
    assert_eq!(
        told(&world),
        format!("{HOST}: waiting for HTTP-01 challenge: {waiting}")
    );

    let said = "urn:ietf:params:acme:error:unauthorized: got 404";
    world.apply(event("invalid", said));
    world.is(Reason::ChallengeFailed);
    assert_eq!(
        told(&world),
        format!("{HOST}: HTTP-01 challenge failed: {said}")
    );

    let affected = world.apply(event("invalid", said));
    assert!(affected.is_empty(), "{affected:?}");
    world.apply(Event::Challenge(gone("team-a", "c")));
    world.is(Reason::CertificatePending);
}

#[test]
fn of_several_challenges_the_newest_counts_and_those_of_other_names_do_not() {
    let mut world = without_certificate();
    let mut newer = challenge("a", HOST, "pending", "waiting");
    newer.metadata.creation_timestamp = Some(read(json!(created(20))));
    for it in [
        newer,
        challenge("b", HOST, "invalid", "old"),
        challenge("c", "b.example.com", "invalid", "of another"),
        challenge("d", &format!("*.{HOST}"), "invalid", "of the wildcard"),
    ] {
        world.apply(Event::Challenge(applied(it)));
    }
    world.is(Reason::CertificatePending);
    assert_eq!(
        told(&world),
        format!("{HOST}: waiting for HTTP-01 challenge: waiting")
    );
}
