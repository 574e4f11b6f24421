//! Ready is the truth: breaking each precondition turns it False, with a reason of its own.

use crate::fixture::*;
use jiff::ToSpan;
use portolan_core::{AckState, ChildKey, ChildState, Event, ObservedProxy, Reason};
use serde_json::json;

#[test]
fn with_everything_in_place_a_request_would_succeed() {
    let fixture = Fixture::ready();
    fixture.is(Reason::Serving);
    let status = fixture.status();
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
    let mut fixture = Fixture::ready();
    let first = fixture.status();
    let spec = shop_with(json!({}));
    let mut stored = exposed_port("team-a", "shop", 5, spec);
    stored.status = Some(first.clone());
    let affected = fixture.apply(Event::ExposedPort(applied(stored)));
    assert_eq!(affected.objects.len(), 1);
    assert!(
        affected.resources.is_empty() && affected.holds.is_empty(),
        "a status changes no meaning"
    );
    let later = fixture
        .index
        .status(&fixture.shop, &fixture.seen, now() + 1.hour())
        .unwrap();
    assert_eq!(later, first);
}

#[test]
fn without_a_hold_nothing_is_served() {
    let mut fixture = Fixture::ready();
    fixture.apply(Event::HostnameHold(gone("", "h.shop.example.com")));
    fixture.is(Reason::HoldPending);
    assert_eq!(fixture.status().summary.unwrap().status, "Pending");
    assert_eq!(fixture.resource(&virtual_host(HOST)), None);
    fixture.apply(Event::HostnameHold(applied(hold(HOST, "team-b"))));
    fixture.is(Reason::HostnameHeld);
    let status = fixture.status();
    assert_eq!(status.hostnames[0].held_by, "team-b");
    assert_eq!(status.summary.unwrap().status, "Conflicted");
}

#[test]
fn a_name_below_a_foreign_wildcard_is_refused_by_name() {
    let mut fixture = Fixture::ready();
    fixture.apply(Event::HostnameHold(gone("", "h.shop.example.com")));
    let affected = fixture.apply(Event::HostnameHold(applied(hold(
        "*.example.com",
        "team-b",
    ))));
    assert!(affected.objects.contains(&fixture.shop));
    fixture.is(Reason::HeldByWildcard);
    assert_eq!(fixture.status().hostnames[0].held_by, "team-b");
}

#[test]
fn each_child_must_be_stored_and_ours() {
    let mut fixture = Fixture::ready();
    let key: ChildKey = fixture.index.children(&fixture.shop)[0].key();
    fixture
        .seen
        .children
        .insert(key.clone(), ChildState::Foreign);
    fixture.is(Reason::ForeignObject);
    fixture
        .seen
        .children
        .insert(key.clone(), ChildState::Failed("exceeded quota".into()));
    fixture.is(Reason::ApplyFailed);
    assert!(fixture.status().description.contains("exceeded quota"));
    assert!(
        fixture.status().children.is_empty(),
        "only what is stored is listed"
    );
    fixture.seen.children.remove(&key);
    fixture.is(Reason::Applying);
}

#[test]
fn the_service_and_its_port_must_be_there() {
    let mut fixture = Fixture::ready();
    fixture.apply(Event::Service(gone("team-a", "shop")));
    fixture.is(Reason::ServiceNotFound);
    assert_eq!(condition(&fixture.status(), "ResolvedRefs").0, "False");
    let spec = json!({"ports": [{"port": 81}]});
    fixture.apply(Event::Service(applied(service("team-a", "shop", spec))));
    fixture.is(Reason::PortNotFound);
    for bad in ["10.0.0.1", "", "*.example.com", "a_b"] {
        let spec = json!({"type": "ExternalName", "externalName": bad});
        fixture.apply(Event::Service(applied(service("team-a", "shop", spec))));
        fixture.is(Reason::InvalidExternalName);
    }
}

#[test]
fn distinguishes_reasons_of_missing_endpoints() {
    let mut fixture = Fixture::ready();
    let mut with = |port, endpoints: &[(&str, bool)]| {
        fixture.apply(Event::EndpointSlice(applied(slice(
            "shop", port, endpoints,
        ))));
        fixture.reason()
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
    assert_eq!(condition(&fixture.status(), "EndpointsReady").0, "True");
}

#[test]
fn every_ready_proxy_must_have_everything() {
    let mut fixture = Fixture::ready();
    let name = endpoints("team-a/shop:http");
    fixture.proxy().acks.insert(name.clone(), AckState::Behind);
    fixture.is(Reason::ProxiesBehind);
    fixture
        .proxy()
        .acks
        .insert(name.clone(), AckState::Refused("bad".into()));
    fixture.is(Reason::ProxyRefused);
    fixture.see_everything();
    fixture.seen.proxies.push(ObservedProxy {
        name: "new".into(),
        ready: true,
        ..Default::default()
    });
    assert_ne!(
        fixture.reason(),
        "Serving",
        "a second ready proxy knows nothing yet"
    );
    fixture.seen.proxies[1].ready = false;
    fixture.is(Reason::Serving);
    fixture.proxy().ready = false;
    fixture.is(Reason::NoReadyProxy);
}

#[test]
fn the_listeners_count_too() {
    let mut fixture = Fixture::ready();
    let listener = fixture
        .index
        .resources_of_class(&class_name("public"))
        .remove(0);
    fixture.proxy().acks.remove(&listener);
    fixture.is(Reason::ProxiesBehind);
}

#[test]
fn the_proxies_need_an_address() {
    let mut fixture = Fixture::ready();
    fixture.give_address("");
    fixture.is(Reason::NoAddress);
    let service = portolan_core::proxy_service("portolan-system", &class_name("public"));
    let affected = fixture.apply(Event::Service(gone("portolan-system", &service.name)));
    assert!(affected.classes.contains(&class_name("public")));
    assert!(affected.objects.contains(&fixture.shop));
}

#[test]
fn a_proxy_that_its_service_does_not_reach_yet_is_not_enough() {
    let mut fixture = Fixture::ready();
    let affected = fixture.put_proxy_behind_its_service(false);
    fixture.is(Reason::NoReadyProxy);
    assert!(affected.classes.contains(&class_name("public")));
    assert!(affected.objects.contains(&fixture.shop));
    let again = fixture.put_proxy_behind_its_service(false);
    assert!(again.is_empty(), "{again:?}");
    fixture.put_proxy_behind_its_service(true);
    fixture.is(Reason::Serving);
}

#[test]
fn a_proxy_must_present_the_certificate() {
    let mut fixture = Fixture::ready();
    let served = fixture.proxy().served.remove(HOST).unwrap();
    fixture.is(Reason::CertificateNotServed);
    let mut other = served.clone();
    other.fingerprint = "0".repeat(64);
    fixture.proxy().served.insert(HOST.into(), other);
    fixture.is(Reason::CertificateNotServed);
    fixture.proxy().served.insert(HOST.into(), served);
    fixture.is(Reason::Serving);
}

#[test]
fn expiry_is_noticed_without_an_event() {
    let fixture = Fixture::ready();
    let at = fixture
        .index
        .recheck_at(&fixture.shop, &fixture.seen, now())
        .unwrap();
    assert_eq!(at.to_string(), "2031-01-01T00:00:00Z");
    let status = fixture
        .index
        .status(&fixture.shop, &fixture.seen, at)
        .unwrap();
    assert_eq!(
        condition(&status, "Ready"),
        ("False".into(), "CertificateExpired".into())
    );
    assert_eq!(
        fixture.index.recheck_at(&fixture.shop, &fixture.seen, at),
        None
    );
}

#[test]
fn one_dead_hostname_degrades_and_names_itself() {
    let mut fixture = Fixture::empty();
    fixture.put_shop(json!({"service": "shop", "port": 80, "hostnames": [HOST, "b.example.com"]}));
    fixture.apply(Event::HostnameHold(applied(hold(
        "b.example.com",
        "team-b",
    ))));
    fixture.see_everything();
    let status = fixture.status();
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
    let mut fixture = Fixture::ready();
    let spec = shop_with(json!({}));
    let mut stored = exposed_port("team-a", "shop", 5, spec);
    stored.status = Some(fixture.status());
    fixture.apply(Event::ExposedPort(applied(stored)));
    fixture.apply(Event::Service(gone("team-a", "shop")));
    assert_eq!(fixture.status().summary.unwrap().status, "Degraded");
}

#[test]
fn the_class_tells_how_many_proxies_serve_it() {
    let mut fixture = Fixture::ready();
    let class = class_name("public");
    let of = |fixture: &Fixture| {
        fixture
            .index
            .class_status(&class, &fixture.seen, now())
            .unwrap()
    };
    fixture.seen.children.clear();
    let status = of(&fixture);
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
    fixture
        .seen
        .children
        .insert(deployment, ChildState::Foreign);
    assert_eq!(of(&fixture).conditions[1].reason, "ForeignObject");
    fixture.seen.children.clear();
    fixture.proxy().ready = false;
    assert_eq!(of(&fixture).conditions[3].reason, "NoReadyProxy");
    fixture.proxy().ready = true;
    fixture.give_address("");
    assert_eq!(of(&fixture).conditions[3].reason, "NoAddress");
    let unknown = class_name("unknown");
    assert_eq!(
        fixture.index.class_status(&unknown, &fixture.seen, now()),
        None
    );
}
