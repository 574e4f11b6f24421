//! How many hostnames a certificate is for, as a class says it: one, all of an object, or those that are
//! shared and no others.

use crate::fixture::*;
use portolan_core::{Event, Index, Reason, Subject};
use portolan_discovery::table::Resource;
use serde_json::{Value, json};

fn put_class(fixture: &mut Fixture, certificates: Value) {
    let spec = json!({"default": true, "domain": "apps.test", "issuerRef": {"name": "ca"},
        "certificates": certificates});
    fixture.apply(Event::ExposeClass(applied(expose_class("public", 1, spec))));
}

fn put_shop(fixture: &mut Fixture, hostnames: Value) {
    fixture.put_shop(json!({"service": "shop", "port": 80, "hostnames": hostnames}));
}

fn hold_for_team_a(fixture: &mut Fixture, hostname: &str) {
    fixture.apply(Event::HostnameHold(applied(hold(hostname, "team-a"))));
}

/// A class that has one certificate made for each object, and `shop` with two hostnames.
fn together() -> Fixture {
    let mut fixture = Fixture::empty();
    put_class(&mut fixture, json!({"mode": "PerExposure"}));
    hold_for_team_a(&mut fixture, "b.example.com");
    put_shop(&mut fixture, json!([HOST, "b.example.com"]));
    fixture.see_everything();
    fixture
}

/// Name and hostnames of each Certificate of an object.
fn certificates(index: &Index, object: &Subject) -> Vec<(String, Value)> {
    let children = index.children(object).into_iter();
    let certificates = children.filter(|it| it.kind == "Certificate");
    certificates
        .map(|it| (it.name, it.value["spec"]["dnsNames"].clone()))
        .collect()
}

fn of_shop(fixture: &Fixture) -> (String, Value) {
    let mut all = certificates(&fixture.index, &fixture.shop);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

fn store(fixture: &mut Fixture, name: &str, pair: &Pem) {
    let secret = secret(name, &pair.certificate, &pair.key);
    fixture.apply(Event::Secret(applied(secret)));
}

/// What serves a hostname.
fn served(fixture: &Fixture, hostname: &str) -> Vec<String> {
    match fixture.resource(&virtual_host(hostname)) {
        Some(Resource::VirtualHost(host)) => host.tls.unwrap().certificates,
        other => panic!("{other:?}"),
    }
}

fn reasons(fixture: &Fixture) -> Vec<String> {
    let hostnames = fixture.status().hostnames.into_iter();
    hostnames.map(|it| it.reason).collect()
}

#[test]
fn one_certificate_covers_all_held_hostnames() {
    let mut fixture = together();
    let (name, names) = of_shop(&fixture);
    assert!(name.starts_with("shop-"), "{name}");
    assert_eq!(names, json!(["b.example.com", HOST]));
    // Requests nothing that another namespace may hold.
    put_shop(&mut fixture, json!(["c.example.com", HOST, "a.*", "*.*"]));
    assert_eq!(of_shop(&fixture), (name.clone(), json!([HOST])));
    for hostname in ["c.example.com", "a.apps.test"] {
        hold_for_team_a(&mut fixture, hostname);
    }
    let names = json!(["a.apps.test", "c.example.com", HOST]);
    assert_eq!(of_shop(&fixture), (name.clone(), names));
    // An authority refuses a name beside the wildcard that stands for it.
    hold_for_team_a(&mut fixture, "*.apps.test");
    let names = json!(["*.apps.test", "c.example.com", HOST]);
    assert_eq!(of_shop(&fixture), (name, names));
}

#[test]
fn a_new_hostname_waits_and_the_others_are_served_on() {
    let mut fixture = together();
    let (name, _) = of_shop(&fixture);
    assert_eq!(reasons(&fixture), ["CertificatePending"; 2]);
    store(&mut fixture, &name, &pem(&[HOST], 2031));
    fixture.see_everything();
    assert_eq!(reasons(&fixture), ["", "CertificatePending"]);
    assert_eq!(served(&fixture, HOST), [format!("team-a/{name}")]);
    assert_eq!(served(&fixture, "b.example.com"), [""; 0]);
    let waiting = json!({"conditions": [
        {"type": "Issuing", "status": "True", "message": "order is pending"}]});
    fixture.apply(Event::Certificate(applied(certificate(&name, waiting))));
    let message = fixture.status().hostnames[1].message.clone();
    assert_eq!(message, "b.example.com: order is pending");
    let failed = json!({"failedIssuanceAttempts": 1, "conditions": [
        {"type": "Issuing", "status": "False", "reason": "Failed", "message": "no such name"}]});
    fixture.apply(Event::Certificate(applied(certificate(&name, failed))));
    assert_eq!(reasons(&fixture), ["", "CertificateFailed"]);

    store(&mut fixture, &name, &GOOD);
    fixture.see_everything();
    fixture.is(Reason::Serving);
    assert_eq!(served(&fixture, "b.example.com"), served(&fixture, HOST));
    let status = fixture.status();
    for host in &status.hostnames {
        let certificate = host.certificate.as_ref().unwrap();
        assert_eq!(certificate.secret_name, name);
        assert_eq!(certificate.issuer, "ClusterIssuer/ca");
    }
    // Of a hostname that is given up nothing is asked any more, and what is there goes on serving.
    put_shop(&mut fixture, json!([HOST]));
    assert_eq!(of_shop(&fixture), (name, json!([HOST])));
    fixture.see_everything();
    fixture.is(Reason::Serving);
}

#[test]
fn keeps_the_old_certificate_until_a_new_mode_is_issued() {
    let mut fixture = Fixture::empty();
    put_class(&mut fixture, json!({"mode": "PerHostname"}));
    put_shop(&mut fixture, json!([HOST]));
    let (alone, _) = of_shop(&fixture);
    store(&mut fixture, &alone, &GOOD);
    for mode in ["PerExposure", "PerHostname"] {
        let before = served(&fixture, HOST);
        put_class(&mut fixture, json!({"mode": mode}));
        let (wanted, _) = of_shop(&fixture);
        assert!(!before.contains(&format!("team-a/{wanted}")), "{mode}");
        assert_eq!(served(&fixture, HOST), before, "{mode}");
        fixture.see_everything();
        fixture.is(Reason::Serving);
        // One that is for other hostnames, or broken, replaces no other.
        store(&mut fixture, &wanted, &pem(&["other.example.com"], 2031));
        assert_eq!(served(&fixture, HOST), before, "{mode}");
        store(&mut fixture, &wanted, &GOOD);
        assert_eq!(served(&fixture, HOST), [format!("team-a/{wanted}")]);
        let former = before[0].strip_prefix("team-a/").unwrap();
        fixture.apply(Event::Secret(gone("team-a", former)));
        assert_eq!(served(&fixture, HOST), [format!("team-a/{wanted}")]);
    }
}

#[test]
fn the_oldest_object_sets_the_certificate_mode() {
    let mut fixture = together();
    let (name, _) = of_shop(&fixture);
    store(&mut fixture, &name, &GOOD);
    hold_for_team_a(&mut fixture, "c.example.com");
    let young = json!({"hostnames": [HOST, "c.example.com"],
        "routes": [{"match": {"path": {"prefix": "/young"}}, "respond": {"status": 200}}]});
    fixture.expose("team-a", "young", 9, young);
    let young = Subject::exposed_port("team-a", "young");
    let of_young = certificates(&fixture.index, &young);
    assert_eq!(of_young.len(), 1);
    assert_eq!(of_young[0].1, json!(["c.example.com"]));
    fixture.shop = young;
    fixture.see_everything();
    assert_eq!(reasons(&fixture), ["", "CertificatePending"]);
    let status = fixture.status();
    let shared = status.hostnames[0].certificate.as_ref().unwrap();
    assert_eq!(shared.secret_name, name);
    // What is not made yet for its own hostname is no matter of the other one.
    fixture
        .seen
        .children
        .retain(|it, _| it.kind != "Certificate");
    assert_eq!(reasons(&fixture), ["", "Applying"]);
    // The oldest goes, and the other one has the hostname certified.
    fixture.apply(Event::ExposedPort(gone("team-a", "shop")));
    let of_young = certificates(&fixture.index, &fixture.shop);
    assert_eq!(of_young[0].1, json!(["c.example.com", HOST]));
    fixture.see_everything();
    assert_eq!(reasons(&fixture), ["CertificatePending"; 2]);
}

#[test]
fn shared_mode_issues_only_with_an_explicit_issuer() {
    let mut fixture = Fixture::empty();
    let own = json!({"namespace": "team-a", "name": "own"});
    let shared = json!([{"secret": own, "hostnames": [HOST]}]);
    put_class(&mut fixture, json!({"mode": "Shared", "shared": shared}));
    hold_for_team_a(&mut fixture, "b.example.com");
    put_shop(&mut fixture, json!([HOST]));
    fixture.see_everything();
    fixture.is(Reason::Serving);
    assert_eq!(certificates(&fixture.index, &fixture.shop), []);

    let mut spec = json!({"service": "shop", "port": 80, "hostnames": [HOST, "b.example.com"]});
    fixture.put_shop(spec.clone());
    fixture.is(Reason::NoIssuer);
    let message = fixture.status().description;
    assert!(
        message.starts_with("spec.tls: Required value: class \"public\" only uses certificates from its spec.certificates.shared, and none is for \"b.example.com\"; "),
        "{message}"
    );
    // Not even one of which nothing is shared is served without TLS.
    put_shop(&mut fixture, json!(["b.example.com"]));
    fixture.is(Reason::NoIssuer);

    for (tls, reason, names) in [
        (json!({"mode": "Disabled"}), Reason::Serving, json!([])),
        (
            json!({"secret": {"name": "own"}}),
            Reason::Serving,
            json!([]),
        ),
        (
            json!({"issuerRef": {"name": "other"}}),
            Reason::CertificatePending,
            json!([[HOST], ["b.example.com"]]),
        ),
    ] {
        spec["tls"] = tls;
        fixture.put_shop(spec.clone());
        fixture.see_everything();
        fixture.is(reason);
        let made = certificates(&fixture.index, &fixture.shop).into_iter();
        let mut made: Vec<_> = made.map(|(_, names)| names).collect();
        made.sort_by_key(|it| std::cmp::Reverse(it.to_string()));
        assert_eq!(Value::from(made), names);
    }
}
