//! How many hostnames a certificate is for, as a class says it: one, all of an object, or those that are
//! shared and no others.

use crate::world::*;
use portolan_core::{Event, Index, Reason, Subject};
use portolan_discovery::table::Resource;
use serde_json::{Value, json};

fn put_class(world: &mut World, certificates: Value) {
    let spec = json!({"default": true, "domain": "apps.test", "issuerRef": {"name": "ca"},
        "certificates": certificates});
    world.apply(Event::ExposeClass(applied(expose_class("public", 1, spec))));
}

fn put_shop(world: &mut World, hostnames: Value) {
    world.put_shop(json!({"service": "shop", "port": 80, "hostnames": hostnames}));
}

fn hold_for_team_a(world: &mut World, hostname: &str) {
    world.apply(Event::HostnameHold(applied(hold(hostname, "team-a"))));
}

/// A class that has one certificate made for each object, and `shop` with two hostnames.
fn together() -> World {
    let mut world = World::empty();
    put_class(&mut world, json!({"mode": "PerExposure"}));
    hold_for_team_a(&mut world, "b.example.com");
    put_shop(&mut world, json!([HOST, "b.example.com"]));
    world.see_everything();
    world
}

/// Name and hostnames of each Certificate of an object.
fn certificates(index: &Index, object: &Subject) -> Vec<(String, Value)> {
    let children = index.children(object).into_iter();
    let certificates = children.filter(|it| it.kind == "Certificate");
    certificates
        .map(|it| (it.name, it.value["spec"]["dnsNames"].clone()))
        .collect()
}

fn of_shop(world: &World) -> (String, Value) {
    let mut all = certificates(&world.index, &world.shop);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

fn store(world: &mut World, name: &str, pair: &Pem) {
    let secret = secret(name, &pair.certificate, &pair.key);
    world.apply(Event::Secret(applied(secret)));
}

/// What serves a hostname.
fn served(world: &World, hostname: &str) -> Vec<String> {
    match world.resource(&virtual_host(hostname)) {
        Some(Resource::VirtualHost(host)) => host.tls.unwrap().certificates,
        other => panic!("{other:?}"),
    }
}

fn reasons(world: &World) -> Vec<String> {
    let hostnames = world.status().hostnames.into_iter();
    hostnames.map(|it| it.reason).collect()
}

#[test]
fn one_certificate_names_what_the_object_holds_in_order_and_keeps_its_name() {
    let mut world = together();
    let (name, names) = of_shop(&world);
    assert!(name.starts_with("shop-"), "{name}");
    assert_eq!(names, json!(["b.example.com", HOST]));
    // Nothing is asked for that somebody else may have.
    put_shop(&mut world, json!(["c.example.com", HOST, "a.*", "*.*"]));
    assert_eq!(of_shop(&world), (name.clone(), json!([HOST])));
    for hostname in ["c.example.com", "a.apps.test"] {
        hold_for_team_a(&mut world, hostname);
    }
    let names = json!(["a.apps.test", "c.example.com", HOST]);
    assert_eq!(of_shop(&world), (name.clone(), names));
    // An authority refuses a name beside the wildcard that stands for it.
    hold_for_team_a(&mut world, "*.apps.test");
    let names = json!(["*.apps.test", "c.example.com", HOST]);
    assert_eq!(of_shop(&world), (name, names));
}

#[test]
fn a_new_hostname_waits_and_the_others_are_served_on() {
    let mut world = together();
    let (name, _) = of_shop(&world);
    assert_eq!(reasons(&world), ["CertificatePending"; 2]);
    store(&mut world, &name, &pem(&[HOST], 2031));
    world.see_everything();
    assert_eq!(reasons(&world), ["", "CertificatePending"]);
    assert_eq!(served(&world, HOST), [format!("team-a/{name}")]);
    assert_eq!(served(&world, "b.example.com"), [""; 0]);
    let waiting = json!({"conditions": [
        {"type": "Issuing", "status": "True", "message": "order is pending"}]});
    world.apply(Event::Certificate(applied(certificate(&name, waiting))));
    let told = world.status().hostnames[1].message.clone();
    assert_eq!(told, "b.example.com: order is pending");
    let failed = json!({"failedIssuanceAttempts": 1, "conditions": [
        {"type": "Issuing", "status": "False", "reason": "Failed", "message": "no such name"}]});
    world.apply(Event::Certificate(applied(certificate(&name, failed))));
    assert_eq!(reasons(&world), ["", "CertificateFailed"]);

    store(&mut world, &name, &GOOD);
    world.see_everything();
    world.is(Reason::Serving);
    assert_eq!(served(&world, "b.example.com"), served(&world, HOST));
    let status = world.status();
    for host in &status.hostnames {
        let certificate = host.certificate.as_ref().unwrap();
        assert_eq!(certificate.secret_name, name);
        assert_eq!(certificate.issuer, "ClusterIssuer/ca");
    }
    // Of a hostname that is given up nothing is asked any more, and what is there goes on serving.
    put_shop(&mut world, json!([HOST]));
    assert_eq!(of_shop(&world), (name, json!([HOST])));
    world.see_everything();
    world.is(Reason::Serving);
}

#[test]
fn after_a_change_of_mode_what_was_issued_before_serves_until_the_new_one_can() {
    let mut world = World::empty();
    put_class(&mut world, json!({"mode": "PerHostname"}));
    put_shop(&mut world, json!([HOST]));
    let (alone, _) = of_shop(&world);
    store(&mut world, &alone, &GOOD);
    for mode in ["PerExposure", "PerHostname"] {
        let before = served(&world, HOST);
        put_class(&mut world, json!({"mode": mode}));
        let (wanted, _) = of_shop(&world);
        assert!(!before.contains(&format!("team-a/{wanted}")), "{mode}");
        assert_eq!(served(&world, HOST), before, "{mode}");
        world.see_everything();
        world.is(Reason::Serving);
        // One that is for other hostnames, or broken, takes nobody's place.
        store(&mut world, &wanted, &pem(&["other.example.com"], 2031));
        assert_eq!(served(&world, HOST), before, "{mode}");
        store(&mut world, &wanted, &GOOD);
        assert_eq!(served(&world, HOST), [format!("team-a/{wanted}")]);
        let former = before[0].strip_prefix("team-a/").unwrap();
        world.apply(Event::Secret(gone("team-a", former)));
        assert_eq!(served(&world, HOST), [format!("team-a/{wanted}")]);
    }
}

#[test]
fn under_a_hostname_of_several_objects_that_of_the_oldest_counts() {
    let mut world = together();
    let (name, _) = of_shop(&world);
    store(&mut world, &name, &GOOD);
    hold_for_team_a(&mut world, "c.example.com");
    let young = json!({"hostnames": [HOST, "c.example.com"],
        "routes": [{"match": {"path": {"prefix": "/young"}}, "respond": {"status": 200}}]});
    world.expose("team-a", "young", 9, young);
    let young = Subject::exposed_port("team-a", "young");
    let of_young = certificates(&world.index, &young);
    assert_eq!(of_young.len(), 1);
    assert_eq!(of_young[0].1, json!(["c.example.com"]));
    world.shop = young;
    world.see_everything();
    assert_eq!(reasons(&world), ["", "CertificatePending"]);
    let status = world.status();
    let shared = status.hostnames[0].certificate.as_ref().unwrap();
    assert_eq!(shared.secret_name, name);
    // What is not made yet for its own hostname is no matter of the other one.
    world.seen.children.retain(|it, _| it.kind != "Certificate");
    assert_eq!(reasons(&world), ["", "Applying"]);
    // The oldest goes, and the other one has the hostname certified.
    world.apply(Event::ExposedPort(gone("team-a", "shop")));
    let of_young = certificates(&world.index, &world.shop);
    assert_eq!(of_young[0].1, json!(["c.example.com", HOST]));
    world.see_everything();
    assert_eq!(reasons(&world), ["CertificatePending"; 2]);
}

#[test]
fn in_the_mode_shared_nothing_is_issued_unless_the_object_says_by_whom() {
    let mut world = World::empty();
    let own = json!({"namespace": "team-a", "name": "own"});
    let shared = json!([{"secret": own, "hostnames": [HOST]}]);
    put_class(&mut world, json!({"mode": "Shared", "shared": shared}));
    hold_for_team_a(&mut world, "b.example.com");
    put_shop(&mut world, json!([HOST]));
    world.see_everything();
    world.is(Reason::Serving);
    assert_eq!(certificates(&world.index, &world.shop), []);

    let mut spec = json!({"service": "shop", "port": 80, "hostnames": [HOST, "b.example.com"]});
    world.put_shop(spec.clone());
    world.is(Reason::NoIssuer);
    let told = world.status().description;
    assert!(
        told.starts_with("spec.tls: Required value: class \"public\" only uses certificates from its spec.certificates.shared, and none is for \"b.example.com\"; "),
        "{told}"
    );
    // Not even one of which nothing is shared is served without TLS.
    put_shop(&mut world, json!(["b.example.com"]));
    world.is(Reason::NoIssuer);

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
        world.put_shop(spec.clone());
        world.see_everything();
        world.is(reason);
        let made = certificates(&world.index, &world.shop).into_iter();
        let mut made: Vec<_> = made.map(|(_, names)| names).collect();
        made.sort_by_key(|it| std::cmp::Reverse(it.to_string()));
        assert_eq!(Value::from(made), names);
    }
}
