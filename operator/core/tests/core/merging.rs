//! Several objects of one namespace under one hostname.

use crate::world::*;
use portolan_core::{AckState, Affected, Event, Observed, Reason, Subject};
use portolan_discovery::table::{Action, PathMatch, Resource, VirtualHost};
use serde_json::{Value, json};

/// `World::ready` with an older object of the same namespace under the same hostname.
fn with_elder(spec: Value) -> World {
    let mut world = World::ready();
    put(&mut world, "elder", 1, spec);
    world
}

fn put(world: &mut World, name: &str, age: u32, more: Value) -> Affected {
    world.expose("team-a", name, age, shop_with(more))
}

/// Routes with these prefixes, answered by the proxy with the name of the object.
fn answers(name: &str, prefixes: &[&str]) -> Value {
    let route = |prefix: &&str| json!({"match": {"path": {"prefix": prefix}}, "respond": {"status": 200, "body": name}});
    json!(prefixes.iter().map(route).collect::<Vec<_>>())
}

fn host_of(world: &World) -> VirtualHost {
    match world.resource(&virtual_host(HOST)) {
        Some(Resource::VirtualHost(host)) => host,
        other => panic!("{other:?}"),
    }
}

/// The path of each route, and whose it is: what it answers, or the Service that it goes to.
fn routes(world: &World) -> Vec<(String, String)> {
    let whose = |action: &Action| match action {
        Action::Respond(respond) => respond.body.clone(),
        Action::Forward { backends } => backends[0].endpoints.clone(),
        other => panic!("{other:?}"),
    };
    let path = |path: &PathMatch| match path {
        PathMatch::Prefix(path) | PathMatch::Exact(path) | PathMatch::Regex(path) => path.clone(),
    };
    let routes = host_of(world).routes;
    let rows = routes
        .iter()
        .map(|it| (path(&it.matches.path), whose(&it.action)));
    rows.collect()
}

fn row(path: &str, whose: &str) -> (String, String) {
    (path.to_owned(), whose.to_owned())
}

#[test]
fn the_routes_of_all_are_one_list_in_the_order_of_precedence() {
    let mut world = with_elder(json!({"routes": answers("elder", &["/a", "/c/d"])}));
    put(
        &mut world,
        "third",
        9,
        json!({"routes": answers("third", &["/b/x", "/c"])}),
    );
    let expected = [
        row("/c/d", "elder"),
        row("/b/x", "third"),
        row("/a", "elder"),
        row("/c", "third"),
        row("/", "team-a/shop:http"),
    ];
    assert_eq!(routes(&world), expected);
    world.see_everything();
    world.is(Reason::Serving);
    let resource = world
        .index
        .resource(&class_name("public"), &virtual_host(HOST));
    let uids: Vec<_> = resource.unwrap().1.into_iter().map(|it| it.uid).collect();
    assert_eq!(
        uids,
        ["uid-team-a-elder", "uid-team-a-shop", "uid-team-a-third"]
    );
}

#[test]
fn of_two_routes_for_the_same_requests_the_older_objects_counts() {
    let mut world = with_elder(json!({"routes": answers("elder", &["/a"])}));
    put(
        &mut world,
        "shop",
        5,
        json!({"routes": answers("shop", &["/b", "/a"])}),
    );
    assert_eq!(routes(&world), [row("/a", "elder"), row("/b", "shop")]);
    world.see_everything();
    world.is(Reason::RouteConflict);
    let status = world.status();
    assert_eq!(status.hostnames[0].held_by, "team-a/elder");
    assert!(
        status.description.contains("spec.routes[1]"),
        "{}",
        status.description
    );
    assert_ne!(
        status.summary.unwrap().status,
        "Conflicted",
        "its other route is tried"
    );
    let affected = world.apply(Event::ExposedPort(gone("team-a", "elder")));
    assert!(
        affected.objects.contains(&world.shop),
        "it has its route now"
    );
    assert_eq!(routes(&world), [row("/b", "shop"), row("/a", "shop")]);
}

#[test]
fn an_object_of_which_no_route_is_left_is_in_conflict() {
    let mut world = World::ready();
    let affected = put(&mut world, "elder", 1, json!({}));
    assert!(
        affected.objects.contains(&world.shop),
        "the loser's status must be written"
    );
    world.is(Reason::RouteConflict);
    let status = world.status();
    assert_eq!(status.hostnames[0].held_by, "team-a/elder");
    assert_eq!(status.summary.unwrap().status, "Conflicted");
}

#[test]
fn conditions_are_the_same_in_whatever_order_they_are_written() {
    let matching = |names: [&str; 2]| {
        let headers = names.map(|name| json!({"name": name, "exact": "1"}));
        json!([{"match": {"headers": headers}}])
    };
    let mut world = with_elder(json!({"routes": matching(["x-a", "x-b"])}));
    put(
        &mut world,
        "shop",
        5,
        json!({"routes": matching(["x-b", "x-a"])}),
    );
    assert_eq!(host_of(&world).routes.len(), 1);
    world.is(Reason::RouteConflict);
}

#[test]
fn the_word_of_the_oldest_on_tls_counts_and_who_says_otherwise_serves_nothing() {
    let strict = json!({"secret": {"name": "own"}, "minVersion": "1.3"});
    let mut world = with_elder(json!({"tls": strict, "routes": answers("elder", &["/a"])}));
    assert_eq!(routes(&world), [row("/a", "elder")]);
    world.is(Reason::TlsConflict);
    let status = world.status();
    assert_eq!(status.hostnames[0].held_by, "team-a/elder");
    assert_eq!(status.hostnames[0].certificate, None);
    assert_eq!(status.summary.unwrap().status, "Conflicted");
    // Saying the same, or nothing, is agreeing.
    put(&mut world, "shop", 5, json!({"tls": strict}));
    assert_eq!(routes(&world).len(), 2);
    put(&mut world, "shop", 5, json!({"tls": null}));
    assert_eq!(routes(&world).len(), 2);
    world.see_everything();
    world.is(Reason::Serving);
    let served = &world.status().hostnames[0];
    assert_eq!(served.url, "https://shop.example.com");
    assert_eq!(served.certificate.as_ref().unwrap().secret_name, "own");
    let affected = put(&mut world, "elder", 1, json!({"tls": {"mode": "Disabled"}}));
    assert!(affected.objects.contains(&world.shop));
    assert_eq!(
        world.status().hostnames[0].url,
        "http://shop.example.com",
        "that is what is served"
    );
}

#[test]
fn under_a_hostname_that_is_shared_the_oldest_has_the_certificate() {
    let issued = json!({"issuerRef": {"name": "ca"}});
    let mut world = with_elder(json!({"tls": issued, "routes": answers("elder", &["/a"])}));
    put(&mut world, "shop", 5, json!({"tls": issued}));
    let certificates = |world: &World, name: &str| {
        let children = world.index.children(&Subject::exposed_port("team-a", name));
        children
            .iter()
            .filter(|it| it.kind == "Certificate")
            .count()
    };
    assert_eq!(certificates(&world, "elder"), 1);
    assert_eq!(certificates(&world, "shop"), 0);
    world.is(Reason::CertificatePending);
    // What becomes of it concerns both.
    let issued = certificate_of("team-a", "public", HOST);
    let refused = json!({"failedIssuanceAttempts": 1, "conditions": [
        {"type": "Issuing", "status": "False", "message": "refused"}]});
    let affected = world.apply(Event::Certificate(applied(certificate(&issued, refused))));
    assert!(affected.objects.contains(&world.shop));
    world.is(Reason::CertificateFailed);
    let affected = world.apply(Event::Secret(applied(secret(
        &issued,
        &GOOD.certificate,
        &GOOD.key,
    ))));
    assert!(affected.objects.contains(&world.shop));
    world.see_everything();
    world.is(Reason::Serving);
    let affected = world.apply(Event::ExposedPort(gone("team-a", "elder")));
    assert!(affected.objects.contains(&world.shop));
    assert_eq!(certificates(&world, "shop"), 1);
    let served = host_of(&world).tls.unwrap().certificates;
    assert_eq!(
        served,
        [format!("team-a/{issued}")],
        "the next one serves the same certificate at once"
    );
}

#[test]
fn what_closes_the_hostname_is_told_to_everybody_under_it() {
    let strict = json!({"secret": {"name": "own"}, "clientCA": {"secret": {"name": "nobody"}}});
    let mut world = with_elder(json!({"tls": strict, "routes": answers("elder", &["/a"])}));
    put(&mut world, "shop", 5, json!({"tls": null}));
    let closed =
        |it: &portolan_discovery::table::Route| matches!(it.action, Action::Unavailable { .. });
    assert!(host_of(&world).routes.iter().all(closed));
    world.is(Reason::SecretNotFound);
    let told = world.status().description;
    assert!(told.starts_with("team-a/elder: "), "{told}");
}

#[test]
fn another_namespace_has_no_share() {
    let mut world = World::ready();
    let spec =
        json!({"service": "x", "port": 80, "hostnames": [HOST], "routes": answers("b", &["/b"])});
    world.expose("team-b", "older", 1, spec);
    assert_eq!(routes(&world), [row("/", "team-a/shop:http")]);
    let status = world.index.status(
        &Subject::exposed_port("team-b", "older"),
        &Observed::default(),
        now(),
    );
    assert_eq!(status.unwrap().hostnames[0].reason, "HostnameHeld");
    world.is(Reason::Serving);
}

#[test]
fn an_object_waits_until_the_proxies_have_the_routes_of_all() {
    let mut world = World::ready();
    let affected = put(
        &mut world,
        "third",
        9,
        json!({"routes": answers("third", &["/b"])}),
    );
    let name = virtual_host(HOST);
    assert!(
        affected
            .resources
            .contains(&(class_name("public"), name.clone()))
    );
    world.proxy().acks.insert(name, AckState::Behind);
    world.is(Reason::ProxiesBehind);
}
