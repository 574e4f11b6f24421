//! Several objects of one namespace under one hostname.

use crate::fixture::*;
use portolan_core::{AckState, Affected, Event, Observed, Reason, Subject};
use portolan_discovery::table::{Action, PathMatch, Resource, VirtualHost};
use serde_json::{Value, json};

/// `Fixture::ready` with an older object of the same namespace under the same hostname.
fn with_elder(spec: Value) -> Fixture {
    let mut fixture = Fixture::ready();
    put(&mut fixture, "elder", 1, spec);
    fixture
}

fn put(fixture: &mut Fixture, name: &str, age: u32, more: Value) -> Affected {
    fixture.expose("team-a", name, age, shop_with(more))
}

/// Routes with these prefixes, answered by the proxy with the name of the object.
fn answers(name: &str, prefixes: &[&str]) -> Value {
    let route = |prefix: &&str| json!({"match": {"path": {"prefix": prefix}}, "respond": {"status": 200, "body": name}});
    json!(prefixes.iter().map(route).collect::<Vec<_>>())
}

fn host_of(fixture: &Fixture) -> VirtualHost {
    match fixture.resource(&virtual_host(HOST)) {
        Some(Resource::VirtualHost(host)) => host,
        other => panic!("{other:?}"),
    }
}

/// The path of each route, and whose it is: what it answers, or the Service that it goes to.
fn routes(fixture: &Fixture) -> Vec<(String, String)> {
    let whose = |action: &Action| match action {
        Action::Respond(respond) => respond.body.clone(),
        Action::Forward { backends } => backends[0].endpoints.clone(),
        other => panic!("{other:?}"),
    };
    let path = |path: &PathMatch| match path {
        PathMatch::Prefix(path) | PathMatch::Exact(path) | PathMatch::Regex(path) => path.clone(),
    };
    let routes = host_of(fixture).routes;
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
    let mut fixture = with_elder(json!({"routes": answers("elder", &["/a", "/c/d"])}));
    put(
        &mut fixture,
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
    assert_eq!(routes(&fixture), expected);
    fixture.see_everything();
    fixture.is(Reason::Serving);
    let resource = fixture
        .index
        .resource(&class_name("public"), &virtual_host(HOST));
    let uids: Vec<_> = resource.unwrap().1.into_iter().map(|it| it.uid).collect();
    assert_eq!(
        uids,
        ["uid-team-a-elder", "uid-team-a-shop", "uid-team-a-third"]
    );
}

#[test]
fn the_older_of_two_equal_routes_takes_precedence() {
    let mut fixture = with_elder(json!({"routes": answers("elder", &["/a"])}));
    put(
        &mut fixture,
        "shop",
        5,
        json!({"routes": answers("shop", &["/b", "/a"])}),
    );
    assert_eq!(routes(&fixture), [row("/a", "elder"), row("/b", "shop")]);
    fixture.see_everything();
    fixture.is(Reason::RouteConflict);
    let status = fixture.status();
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
    let affected = fixture.apply(Event::ExposedPort(gone("team-a", "elder")));
    assert!(
        affected.objects.contains(&fixture.shop),
        "it has its route now"
    );
    assert_eq!(routes(&fixture), [row("/b", "shop"), row("/a", "shop")]);
}

#[test]
fn an_object_of_which_no_route_is_left_is_in_conflict() {
    let mut fixture = Fixture::ready();
    let affected = put(&mut fixture, "elder", 1, json!({}));
    assert!(
        affected.objects.contains(&fixture.shop),
        "the loser's status must be written"
    );
    fixture.is(Reason::RouteConflict);
    let status = fixture.status();
    assert_eq!(status.hostnames[0].held_by, "team-a/elder");
    assert_eq!(status.summary.unwrap().status, "Conflicted");
}

#[test]
fn order_of_match_conditions_does_not_matter() {
    let matching = |names: [&str; 2]| {
        let headers = names.map(|name| json!({"name": name, "exact": "1"}));
        json!([{"match": {"headers": headers}}])
    };
    let mut fixture = with_elder(json!({"routes": matching(["x-a", "x-b"])}));
    put(
        &mut fixture,
        "shop",
        5,
        json!({"routes": matching(["x-b", "x-a"])}),
    );
    assert_eq!(host_of(&fixture).routes.len(), 1);
    fixture.is(Reason::RouteConflict);
}

#[test]
fn tls_settings_of_the_oldest_object_take_precedence() {
    let strict = json!({"secret": {"name": "own"}, "minVersion": "1.3"});
    let mut fixture = with_elder(json!({"tls": strict, "routes": answers("elder", &["/a"])}));
    assert_eq!(routes(&fixture), [row("/a", "elder")]);
    fixture.is(Reason::TlsConflict);
    let status = fixture.status();
    assert_eq!(status.hostnames[0].held_by, "team-a/elder");
    assert_eq!(status.hostnames[0].certificate, None);
    assert_eq!(status.summary.unwrap().status, "Conflicted");
    // Saying the same, or nothing, is agreeing.
    put(&mut fixture, "shop", 5, json!({"tls": strict}));
    assert_eq!(routes(&fixture).len(), 2);
    put(&mut fixture, "shop", 5, json!({"tls": null}));
    assert_eq!(routes(&fixture).len(), 2);
    fixture.see_everything();
    fixture.is(Reason::Serving);
    let served = &fixture.status().hostnames[0];
    assert_eq!(served.url, "https://shop.example.com");
    assert_eq!(served.certificate.as_ref().unwrap().secret_name, "own");
    let affected = put(
        &mut fixture,
        "elder",
        1,
        json!({"tls": {"mode": "Disabled"}}),
    );
    assert!(affected.objects.contains(&fixture.shop));
    assert_eq!(
        fixture.status().hostnames[0].url,
        "http://shop.example.com",
        "that is what is served"
    );
}

#[test]
fn the_oldest_object_owns_a_shared_certificate() {
    let issued = json!({"issuerRef": {"name": "ca"}});
    let mut fixture = with_elder(json!({"tls": issued, "routes": answers("elder", &["/a"])}));
    put(&mut fixture, "shop", 5, json!({"tls": issued}));
    let certificates = |fixture: &Fixture, name: &str| {
        let children = fixture
            .index
            .children(&Subject::exposed_port("team-a", name));
        children
            .iter()
            .filter(|it| it.kind == "Certificate")
            .count()
    };
    assert_eq!(certificates(&fixture, "elder"), 1);
    assert_eq!(certificates(&fixture, "shop"), 0);
    fixture.is(Reason::CertificatePending);
    // What becomes of it concerns both.
    let issued = certificate_of("team-a", "public", HOST);
    let refused = json!({"failedIssuanceAttempts": 1, "conditions": [
        {"type": "Issuing", "status": "False", "message": "refused"}]});
    let affected = fixture.apply(Event::Certificate(applied(certificate(&issued, refused))));
    assert!(affected.objects.contains(&fixture.shop));
    fixture.is(Reason::CertificateFailed);
    let affected = fixture.apply(Event::Secret(applied(secret(
        &issued,
        &GOOD.certificate,
        &GOOD.key,
    ))));
    assert!(affected.objects.contains(&fixture.shop));
    fixture.see_everything();
    fixture.is(Reason::Serving);
    let affected = fixture.apply(Event::ExposedPort(gone("team-a", "elder")));
    assert!(affected.objects.contains(&fixture.shop));
    assert_eq!(certificates(&fixture, "shop"), 1);
    let served = host_of(&fixture).tls.unwrap().certificates;
    assert_eq!(
        served,
        [format!("team-a/{issued}")],
        "the next one serves the same certificate at once"
    );
}

#[test]
fn a_closed_hostname_is_reported_to_all_its_objects() {
    let strict = json!({"secret": {"name": "own"}, "clientCA": {"secret": {"name": "missing"}}});
    let mut fixture = with_elder(json!({"tls": strict, "routes": answers("elder", &["/a"])}));
    put(&mut fixture, "shop", 5, json!({"tls": null}));
    let closed =
        |it: &portolan_discovery::table::Route| matches!(it.action, Action::Unavailable { .. });
    assert!(host_of(&fixture).routes.iter().all(closed));
    fixture.is(Reason::SecretNotFound);
    let message = fixture.status().description;
    assert!(message.starts_with("team-a/elder: "), "{message}");
}

#[test]
fn another_namespace_has_no_share() {
    let mut fixture = Fixture::ready();
    let spec =
        json!({"service": "x", "port": 80, "hostnames": [HOST], "routes": answers("b", &["/b"])});
    fixture.expose("team-b", "older", 1, spec);
    assert_eq!(routes(&fixture), [row("/", "team-a/shop:http")]);
    let status = fixture.index.status(
        &Subject::exposed_port("team-b", "older"),
        &Observed::default(),
        now(),
    );
    assert_eq!(status.unwrap().hostnames[0].reason, "HostnameHeld");
    fixture.is(Reason::Serving);
}

#[test]
fn an_object_waits_until_the_proxies_have_the_routes_of_all() {
    let mut fixture = Fixture::ready();
    let affected = put(
        &mut fixture,
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
    fixture.proxy().acks.insert(name, AckState::Behind);
    fixture.is(Reason::ProxiesBehind);
}
