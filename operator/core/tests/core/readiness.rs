//! Ready is the truth: breaking each precondition turns it False, with a reason of its own.

use crate::world::*;
use jiff::ToSpan;
use portolan_core::{AckState, ChildKey, ChildState, Event, ObservedProxy, Reason};
use serde_json::json;

#[test]
fn with_everything_in_place_a_request_would_succeed() {
    let world = World::ready();
    world.is(Reason::Serving);
    let status = world.status();
    assert_eq!(status.description, "valid");
    assert_eq!(status.observed_generation, Some(3));
    assert_eq!(status.class_name.as_deref(), Some("public"));
    assert_eq!(status.addresses[0].value, "203.0.113.7");
    assert_eq!(status.hostnames[0].url, "https://shop.example.com");
    let certificate = status.hostnames[0].certificate.as_ref().unwrap();
    assert_eq!(certificate.secret_name, "own");
    assert_eq!(certificate.served_fingerprint.len(), 64);
    let summary = status.summary.unwrap();
    assert_eq!(
        (summary.status.as_str(), summary.hosts.as_str()),
        ("Ready", HOST)
    );
    assert_eq!(summary.certificate_expires, "2031-01-01T00:00:00Z");
    // Ready does not ask whether requests are encrypted on their way to the pods.
    assert!(status.conditions.iter().all(|it| {
        let holds = it.status == "True" || it.type_ == "BackendEncrypted";
        holds && it.observed_generation == Some(3)
    }));
}

#[test]
fn an_unchanged_status_is_equal_and_keeps_its_times() {
    let mut world = World::ready();
    let first = world.status();
    let spec = shop_with(json!({}));
    let mut stored = exposed_port("team-a", "shop", 5, spec);
    stored.status = Some(first.clone());
    let affected = world.apply(Event::ExposedPort(applied(stored)));
    assert_eq!(affected.objects.len(), 1);
    assert!(
        affected.resources.is_empty() && affected.holds.is_empty(),
        "a status changes no meaning"
    );
    let later = world
        .index
        .status(&world.shop, &world.seen, now() + 1.hour())
        .unwrap();
    assert_eq!(later, first);
}

#[test]
fn without_a_hold_nothing_is_served() {
    let mut world = World::ready();
    world.apply(Event::HostnameHold(gone("", "h.shop.example.com")));
    world.is(Reason::HoldPending);
    assert_eq!(world.status().summary.unwrap().status, "Pending");
    assert_eq!(world.resource(&virtual_host(HOST)), None);
    world.apply(Event::HostnameHold(applied(hold(HOST, "team-b"))));
    world.is(Reason::HostnameHeld);
    let status = world.status();
    assert_eq!(status.hostnames[0].held_by, "team-b");
    assert_eq!(status.summary.unwrap().status, "Conflicted");
}

#[test]
fn a_name_below_a_foreign_wildcard_is_refused_by_name() {
    let mut world = World::ready();
    world.apply(Event::HostnameHold(gone("", "h.shop.example.com")));
    let affected = world.apply(Event::HostnameHold(applied(hold(
        "*.example.com",
        "team-b",
    ))));
    assert!(affected.objects.contains(&world.shop));
    world.is(Reason::HeldByWildcard);
    assert_eq!(world.status().hostnames[0].held_by, "team-b");
}

#[test]
fn each_child_must_be_stored_and_ours() {
    let mut world = World::ready();
    let key: ChildKey = world.index.children(&world.shop)[0].key();
    world.seen.children.insert(key.clone(), ChildState::Foreign);
    world.is(Reason::ForeignObject);
    world
        .seen
        .children
        .insert(key.clone(), ChildState::Failed("exceeded quota".into()));
    world.is(Reason::ApplyFailed);
    assert!(world.status().description.contains("exceeded quota"));
    assert!(
        world.status().children.is_empty(),
        "only what is stored is listed"
    );
    world.seen.children.remove(&key);
    world.is(Reason::Applying);
}

#[test]
fn the_service_and_its_port_must_be_there() {
    let mut world = World::ready();
    world.apply(Event::Service(gone("team-a", "shop")));
    world.is(Reason::ServiceNotFound);
    assert_eq!(condition(&world.status(), "ResolvedRefs").0, "False");
    let spec = json!({"ports": [{"port": 81}]});
    world.apply(Event::Service(applied(service("team-a", "shop", spec))));
    world.is(Reason::PortNotFound);
    for bad in ["10.0.0.1", "", "*.example.com", "a_b"] {
        let spec = json!({"type": "ExternalName", "externalName": bad});
        world.apply(Event::Service(applied(service("team-a", "shop", spec))));
        world.is(Reason::InvalidExternalName);
    }
}

#[test]
fn endpoints_are_told_apart() {
    let mut world = World::ready();
    let mut with = |port, endpoints: &[(&str, bool)]| {
        world.apply(Event::EndpointSlice(applied(slice(
            "shop", port, endpoints,
        ))));
        world.reason()
    };
    assert_eq!(
        with(("http", 8080), &[("10.0.0.1", false)]),
        "NoReadyEndpoints"
    );
    assert_eq!(with(("http", 8080), &[]), "SelectorMatchesNoPods");
    assert_eq!(with(("other", 8080), &[("10.0.0.1", true)]), "PortNotFound");
    for refused in ["127.0.0.1", "169.254.169.254", "0.0.0.0", "224.0.0.1"] {
        assert_eq!(
            with(("http", 8080), &[(refused, true)]),
            "EndpointRefused",
            "{refused}"
        );
    }
    assert_eq!(with(("http", 8080), &[("10.0.0.1", true)]), "Serving");
    assert_eq!(condition(&world.status(), "EndpointsReady").0, "True");
}

#[test]
fn every_ready_proxy_must_have_everything() {
    let mut world = World::ready();
    let name = endpoints("team-a/shop:http");
    world.proxy().acks.insert(name.clone(), AckState::Behind);
    world.is(Reason::ProxiesBehind);
    world
        .proxy()
        .acks
        .insert(name.clone(), AckState::Refused("bad".into()));
    world.is(Reason::ProxyRefused);
    world.see_everything();
    world.seen.proxies.push(ObservedProxy {
        name: "new".into(),
        ready: true,
        ..Default::default()
    });
    assert_ne!(
        world.reason(),
        "Serving",
        "a second ready proxy knows nothing yet"
    );
    world.seen.proxies[1].ready = false;
    world.is(Reason::Serving);
    world.proxy().ready = false;
    world.is(Reason::NoReadyProxy);
}

#[test]
fn the_listeners_count_too() {
    let mut world = World::ready();
    let listener = world
        .index
        .resources_of_class(&class_name("public"))
        .remove(0);
    world.proxy().acks.remove(&listener);
    world.is(Reason::ProxiesBehind);
}

#[test]
fn the_proxies_need_an_address() {
    let mut world = World::ready();
    world.give_address("");
    world.is(Reason::NoAddress);
    let service = portolan_core::proxy_service("portolan-system", &class_name("public"));
    let affected = world.apply(Event::Service(gone("portolan-system", &service.name)));
    assert!(affected.classes.contains(&class_name("public")));
    assert!(affected.objects.contains(&world.shop));
}

#[test]
fn a_proxy_that_its_service_does_not_reach_yet_is_not_enough() {
    let mut world = World::ready();
    let affected = world.put_proxy_behind_its_service(false);
    world.is(Reason::NoReadyProxy);
    assert!(affected.classes.contains(&class_name("public")));
    assert!(affected.objects.contains(&world.shop));
    let again = world.put_proxy_behind_its_service(false);
    assert!(again.is_empty(), "{again:?}");
    world.put_proxy_behind_its_service(true);
    world.is(Reason::Serving);
}

#[test]
fn a_proxy_must_present_the_certificate() {
    let mut world = World::ready();
    let served = world.proxy().served.remove(HOST).unwrap();
    world.is(Reason::CertificateNotServed);
    let mut other = served.clone();
    other.fingerprint = "0".repeat(64);
    world.proxy().served.insert(HOST.into(), other);
    world.is(Reason::CertificateNotServed);
    world.proxy().served.insert(HOST.into(), served);
    world.is(Reason::Serving);
}

#[test]
fn expiry_is_noticed_without_an_event() {
    let world = World::ready();
    let at = world
        .index
        .recheck_at(&world.shop, &world.seen, now())
        .unwrap();
    assert_eq!(at.to_string(), "2031-01-01T00:00:00Z");
    let status = world.index.status(&world.shop, &world.seen, at).unwrap();
    assert_eq!(
        condition(&status, "Ready"),
        ("False".into(), "CertificateExpired".into())
    );
    assert_eq!(world.index.recheck_at(&world.shop, &world.seen, at), None);
}

#[test]
fn one_dead_hostname_degrades_and_names_itself() {
    let mut world = World::empty();
    world.put_shop(json!({"service": "shop", "port": 80, "hostnames": [HOST, "b.example.com"]}));
    world.apply(Event::HostnameHold(applied(hold(
        "b.example.com",
        "team-b",
    ))));
    world.see_everything();
    let status = world.status();
    assert_eq!(status.summary.as_ref().unwrap().status, "Degraded");
    assert_eq!(
        status.summary.as_ref().unwrap().hosts,
        "shop.example.com +1"
    );
    assert_eq!(
        condition(&status, "Ready"),
        ("False".into(), "HostnameHeld".into())
    );
    let ready: Vec<bool> = status.hostnames.iter().map(|it| it.ready).collect();
    assert_eq!(ready, [true, false]);
    assert!(
        status.description.contains("hostname \"b.example.com\""),
        "{}",
        status.description
    );
}

#[test]
fn what_was_ready_is_degraded_and_never_pending_again() {
    let mut world = World::ready();
    let spec = shop_with(json!({}));
    let mut stored = exposed_port("team-a", "shop", 5, spec);
    stored.status = Some(world.status());
    world.apply(Event::ExposedPort(applied(stored)));
    world.apply(Event::Service(gone("team-a", "shop")));
    assert_eq!(world.status().summary.unwrap().status, "Degraded");
}

#[test]
fn the_class_tells_how_many_proxies_serve_it() {
    let mut world = World::ready();
    let class = class_name("public");
    let of = |world: &World| {
        world
            .index
            .class_status(&class, &world.seen, now())
            .unwrap()
    };
    world.seen.children.clear();
    let status = of(&world);
    let proxies = status.proxies.unwrap();
    assert_eq!(
        (proxies.desired, proxies.connected, proxies.ready),
        (2, 1, 1)
    );
    assert_eq!(
        status
            .conditions
            .iter()
            .map(|it| it.status.as_str())
            .collect::<Vec<_>>(),
        ["True"; 4]
    );
    let deployment = ChildKey {
        kind: "Deployment".into(),
        name: "x".into(),
    };
    world.seen.children.insert(deployment, ChildState::Foreign);
    assert_eq!(of(&world).conditions[1].reason, "ForeignObject");
    world.seen.children.clear();
    world.proxy().ready = false;
    assert_eq!(of(&world).conditions[3].reason, "NoReadyProxy");
    world.proxy().ready = true;
    world.give_address("");
    assert_eq!(of(&world).conditions[3].reason, "NoAddress");
    let unknown = class_name("unknown");
    assert_eq!(world.index.class_status(&unknown, &world.seen, now()), None);
}
