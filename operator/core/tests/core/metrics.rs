//! An object in numbers: what its stored status says, and of certificates what the index knows besides.

use crate::fixture::*;
use jiff::Timestamp;
use portolan_core::{AckState, CertificateMetrics, Event, ObjectMetrics, ServedCertificate};
use serde_json::{Value, json};

fn day(text: &str) -> Option<Timestamp> {
    Some(format!("{text}T00:00:00Z").parse().unwrap())
}

/// Stores the status as it is judged now, and reads the numbers from it.
fn stored(fixture: &mut Fixture, spec: Value) -> ObjectMetrics {
    let mut object = exposed_port("team-a", "shop", 5, spec);
    object.status = Some(fixture.status());
    let affected = fixture.apply(Event::ExposedPort(applied(object)));
    assert!(affected.objects.contains(&fixture.shop), "{affected:?}");
    fixture.index.metrics(&fixture.shop).unwrap()
}

fn of_shop(fixture: &mut Fixture) -> ObjectMetrics {
    stored(fixture, shop_with(json!({})))
}

fn certificate_of_shop(metrics: ObjectMetrics) -> CertificateMetrics {
    metrics.hostnames[0].certificate.clone().unwrap()
}

fn issued() -> Value {
    shop_with(json!({"tls": {"issuerRef": {"name": "ca"}}}))
}

#[test]
fn of_an_object_that_is_ready_everything_is_known() {
    let metrics = of_shop(&mut Fixture::ready());
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
fn an_object_without_status_is_not_ready() {
    let metrics = Fixture::ready()
        .index
        .metrics(&Fixture::ready().shop)
        .unwrap();
    assert_eq!(
        (metrics.ready, metrics.endpoints_ready),
        (Some(false), None)
    );
    assert_eq!([&metrics.status, &metrics.reason], ["", ""]);
    assert!(metrics.hostnames.is_empty());
}

#[test]
fn an_object_that_is_gone_has_no_numbers() {
    let mut fixture = Fixture::ready();
    fixture.apply(Event::ExposedPort(gone("team-a", "shop")));
    assert_eq!(fixture.index.metrics(&fixture.shop), None);
}

#[test]
fn an_expired_object_has_no_readiness() {
    let spec = shop_with(json!({"expiresAt": now().to_string()}));
    let mut fixture = Fixture::ready();
    fixture.put_shop(spec.clone());
    let metrics = stored(&mut fixture, spec);
    assert_eq!(metrics.status, "Expired");
    assert_eq!((metrics.ready, metrics.endpoints_ready), (None, None));
}

#[test]
fn distinguishes_endpoints_from_proxies() {
    let mut fixture = Fixture::ready();
    let port = ("http", 8080);
    let not_ready = slice("shop", port, &[("10.0.0.1", false)]);
    fixture.apply(Event::EndpointSlice(applied(not_ready)));
    let metrics = of_shop(&mut fixture);
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
        let mut fixture = Fixture::ready();
        let name = virtual_host(HOST);
        fixture.proxy().acks.insert(name, verdict);
        let metrics = of_shop(&mut fixture);
        assert_eq!((metrics.ready, metrics.proxies_behind), (Some(false), true));
        assert_eq!(metrics.endpoints_ready, Some(true));
    }
}

#[test]
fn a_replaced_certificate_still_presented_has_its_expiry() {
    let mut fixture = Fixture::ready();
    let newer = pem(&[HOST], 2033);
    let renewed = secret("own", &newer.certificate, &newer.key);
    fixture.apply(Event::Secret(applied(renewed)));
    let certificate = certificate_of_shop(of_shop(&mut fixture));
    assert_eq!(certificate.served, Some(false));
    assert_eq!(certificate.not_after, day("2033-01-01"));
    assert_eq!(certificate.served_not_after, day("2031-01-01"));
}

#[test]
fn served_is_false_if_proxies_differ() {
    let mut fixture = Fixture::ready();
    let mut other = fixture.proxy().clone();
    let shown = ServedCertificate {
        fingerprint: "00".repeat(32),
        not_after: "2030-02-01T00:00:00Z".parse().unwrap(),
    };
    other.served.insert(HOST.to_owned(), shown);
    fixture.seen.proxies.push(other);
    let certificate = certificate_of_shop(of_shop(&mut fixture));
    assert_eq!(
        (certificate.served, certificate.served_not_after),
        (Some(false), None)
    );

    fixture.seen.proxies.clear();
    let certificate = certificate_of_shop(of_shop(&mut fixture));
    assert_eq!(
        (certificate.served, certificate.served_not_after),
        (None, None)
    );
    assert!(certificate.stored);
}

#[test]
fn counts_failures_to_issue_until_success() {
    let mut fixture = Fixture::empty();
    fixture.put_shop(issued());
    let name = certificate_of("team-a", "public", HOST);
    let metrics = certificate_of_shop(stored(&mut fixture, issued()));
    let nothing = CertificateMetrics {
        failures: Some(0),
        ..CertificateMetrics::default()
    };
    assert_eq!(metrics, nothing);

    for issuing in ["False", "True"] {
        let status = json!({"failedIssuanceAttempts": 2, "conditions": [
            {"type": "Issuing", "status": issuing, "reason": "Failed", "message": "rate limited"}]});
        fixture.apply(Event::Certificate(applied(certificate(&name, status))));
        let metrics = certificate_of_shop(stored(&mut fixture, issued()));
        assert_eq!(metrics.failures, Some(2), "Issuing={issuing}");
        assert!(!metrics.stored);
    }

    let status = json!({"notAfter": "2031-01-01T00:00:00Z", "renewalTime": "2030-09-01T00:00:00Z"});
    fixture.apply(Event::Certificate(applied(certificate(&name, status))));
    fixture.apply(Event::Secret(applied(secret(
        &name,
        &GOOD.certificate,
        &GOOD.key,
    ))));
    fixture.see_everything();
    let metrics = certificate_of_shop(stored(&mut fixture, issued()));
    let served = CertificateMetrics {
        stored: true,
        not_before: day("2020-01-01"),
        not_after: day("2031-01-01"),
        renewal: day("2030-09-01"),
        failures: Some(0),
        served: Some(true),
        served_not_after: day("2031-01-01"),
    };
    assert_eq!(metrics, served);
}

#[test]
fn lost_and_plaintext_hostnames_have_no_certificate() {
    let mut fixture = Fixture::ready();
    fixture.apply(Event::HostnameHold(gone("", "h.shop.example.com")));
    fixture.apply(Event::HostnameHold(applied(hold(HOST, "team-b"))));
    let metrics = of_shop(&mut fixture);
    assert_eq!(metrics.reason, "HostnameHeld");
    assert_eq!(metrics.hostnames[0].certificate, None);

    let plain = shop_with(json!({"tls": {"mode": "Disabled"}}));
    let mut fixture = Fixture::ready();
    fixture.put_shop(plain.clone());
    let metrics = stored(&mut fixture, plain);
    assert_eq!(metrics.hostnames[0].certificate, None);
}
