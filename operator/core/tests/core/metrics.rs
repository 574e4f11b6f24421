//! An object in numbers: what its stored status says, and of certificates what the index knows besides.

use crate::world::*;
use jiff::Timestamp;
use portolan_core::{AckState, CertificateMetrics, Event, ObjectMetrics, ServedCertificate};
use serde_json::{Value, json};

fn day(text: &str) -> Option<Timestamp> {
    Some(format!("{text}T00:00:00Z").parse().unwrap())
}

/// Stores the status as it is judged now, and reads the numbers from it.
fn stored(world: &mut World, spec: Value) -> ObjectMetrics {
    let mut object = exposed_port("team-a", "shop", 5, spec);
    object.status = Some(world.status());
    let affected = world.apply(Event::ExposedPort(applied(object)));
    assert!(affected.objects.contains(&world.shop), "{affected:?}");
    world.index.metrics(&world.shop).unwrap()
}

fn of_shop(world: &mut World) -> ObjectMetrics {
    stored(world, shop_with(json!({})))
}

fn certificate_of_shop(metrics: ObjectMetrics) -> CertificateMetrics {
    metrics.hostnames[0].certificate.clone().unwrap()
}

fn issued() -> Value {
    shop_with(json!({"tls": {"issuerRef": {"name": "ca"}}}))
}

#[test]
fn of_an_object_that_is_ready_everything_is_known() {
    let metrics = of_shop(&mut World::ready());
    assert_eq!(
        [&metrics.class, &metrics.status, &metrics.reason],
        ["public", "Ready", "Serving"]
    );
    assert_eq!(
        (metrics.ready, metrics.endpoints_ready),
        (Some(true), Some(true))
    );
    assert!(!metrics.proxies_behind);
    assert_eq!(metrics.hostnames[0].name, HOST);
    assert!(metrics.hostnames[0].ready);
    let expected = CertificateMetrics {
        stored: true,
        not_before: day("2020-01-01"),
        not_after: day("2031-01-01"),
        renewal: None,
        failures: None,
        served: Some(true),
        served_not_after: day("2031-01-01"),
    };
    assert_eq!(certificate_of_shop(metrics), expected);
}

#[test]
fn an_object_of_which_nothing_is_told_yet_is_not_ready() {
    let metrics = World::ready().index.metrics(&World::ready().shop).unwrap();
    assert_eq!(
        (metrics.ready, metrics.endpoints_ready),
        (Some(false), None)
    );
    assert_eq!([&metrics.status, &metrics.reason], ["", ""]);
    assert!(metrics.hostnames.is_empty());
}

#[test]
fn an_object_that_is_gone_has_no_numbers() {
    let mut world = World::ready();
    world.apply(Event::ExposedPort(gone("team-a", "shop")));
    assert_eq!(world.index.metrics(&world.shop), None);
}

#[test]
fn nobody_expects_an_object_to_be_ready_whose_time_is_over() {
    let spec = shop_with(json!({"expiresAt": now().to_string()}));
    let mut world = World::ready();
    world.put_shop(spec.clone());
    let metrics = stored(&mut world, spec);
    assert_eq!(metrics.status, "Expired");
    assert_eq!((metrics.ready, metrics.endpoints_ready), (None, None));
}

#[test]
fn endpoints_and_proxies_are_told_apart() {
    let mut world = World::ready();
    let port = ("http", 8080);
    let nobody = slice("shop", port, &[("10.0.0.1", false)]);
    world.apply(Event::EndpointSlice(applied(nobody)));
    let metrics = of_shop(&mut world);
    assert_eq!(metrics.reason, "NoReadyEndpoints");
    assert_eq!(
        (
            metrics.ready,
            metrics.endpoints_ready,
            metrics.proxies_behind
        ),
        (Some(false), Some(false), false)
    );

    for verdict in [AckState::Behind, AckState::Refused("too large".into())] {
        let mut world = World::ready();
        let name = virtual_host(HOST);
        world.proxy().acks.insert(name, verdict);
        let metrics = of_shop(&mut world);
        assert_eq!((metrics.ready, metrics.proxies_behind), (Some(false), true));
        assert_eq!(metrics.endpoints_ready, Some(true));
    }
}

#[test]
fn a_certificate_that_was_replaced_and_is_presented_still_is_told_with_its_own_end() {
    let mut world = World::ready();
    let newer = pem(&[HOST], 2033);
    let renewed = secret("own", &newer.certificate, &newer.key);
    world.apply(Event::Secret(applied(renewed)));
    let certificate = certificate_of_shop(of_shop(&mut world));
    assert_eq!(certificate.served, Some(false));
    assert_eq!(certificate.not_after, day("2033-01-01"));
    assert_eq!(certificate.served_not_after, day("2031-01-01"));
}

#[test]
fn proxies_that_differ_present_another_one_and_none_at_all_presents_nothing() {
    let mut world = World::ready();
    let mut other = world.proxy().clone();
    let shown = ServedCertificate {
        fingerprint: "00".repeat(32),
        not_after: "2030-02-01T00:00:00Z".parse().unwrap(),
    };
    other.served.insert(HOST.to_owned(), shown);
    world.seen.proxies.push(other);
    let certificate = certificate_of_shop(of_shop(&mut world));
    assert_eq!(
        (certificate.served, certificate.served_not_after),
        (Some(false), None)
    );

    world.seen.proxies.clear();
    let certificate = certificate_of_shop(of_shop(&mut world));
    assert_eq!(
        (certificate.served, certificate.served_not_after),
        (None, None)
    );
    assert!(certificate.stored);
}

#[test]
fn issuing_is_counted_until_it_succeeds_also_while_it_is_tried_again() {
    let mut world = World::empty();
    world.put_shop(issued());
    let name = certificate_of("team-a", "public", HOST);
    let told = certificate_of_shop(stored(&mut world, issued()));
    let nothing = CertificateMetrics {
        failures: Some(0),
        ..CertificateMetrics::default()
    };
    assert_eq!(told, nothing);

    for issuing in ["False", "True"] {
        let status = json!({"failedIssuanceAttempts": 2, "conditions": [
            {"type": "Issuing", "status": issuing, "reason": "Failed", "message": "rate limited"}]});
        world.apply(Event::Certificate(applied(certificate(&name, status))));
        let told = certificate_of_shop(stored(&mut world, issued()));
        assert_eq!(told.failures, Some(2), "Issuing={issuing}");
        assert!(!told.stored);
    }

    let status = json!({"notAfter": "2031-01-01T00:00:00Z", "renewalTime": "2030-09-01T00:00:00Z"});
    world.apply(Event::Certificate(applied(certificate(&name, status))));
    world.apply(Event::Secret(applied(secret(
        &name,
        &GOOD.certificate,
        &GOOD.key,
    ))));
    world.see_everything();
    let told = certificate_of_shop(stored(&mut world, issued()));
    let served = CertificateMetrics {
        stored: true,
        not_before: day("2020-01-01"),
        not_after: day("2031-01-01"),
        renewal: day("2030-09-01"),
        failures: Some(0),
        served: Some(true),
        served_not_after: day("2031-01-01"),
    };
    assert_eq!(told, served);
}

#[test]
fn a_hostname_that_others_have_and_one_without_tls_have_no_certificate() {
    let mut world = World::ready();
    world.apply(Event::HostnameHold(gone("", "h.shop.example.com")));
    world.apply(Event::HostnameHold(applied(hold(HOST, "team-b"))));
    let metrics = of_shop(&mut world);
    assert_eq!(metrics.reason, "HostnameHeld");
    assert_eq!(metrics.hostnames[0].certificate, None);

    let plain = shop_with(json!({"tls": {"mode": "Disabled"}}));
    let mut world = World::ready();
    world.put_shop(plain.clone());
    let metrics = stored(&mut world, plain);
    assert_eq!(metrics.hostnames[0].certificate, None);
}
