//! Which objects are accepted at all, and which class they get.

use crate::fixture::*;
use portolan_core::{Event, Reason, Subject};
use serde_json::json;

#[test]
fn an_invalid_object_says_so_in_every_condition() {
    let mut fixture = Fixture::ready();
    fixture.put_shop(json!({"service": "shop", "port": 0, "hostnames": ["-bad"]}));
    let status = fixture.status();
    assert_eq!(
        condition(&status, "Accepted"),
        ("False".into(), "InvalidSpec".into())
    );
    assert_eq!(condition(&status, "Programmed").0, "Unknown");
    assert_eq!(status.summary.unwrap().status, "Invalid");
    assert!(
        status.description.contains("spec.port: Invalid value: "),
        "{}",
        status.description
    );
    assert!(
        status.description.contains("spec.hostnames[0]"),
        "{}",
        status.description
    );
    assert_eq!(fixture.resource(&virtual_host(HOST)), None);
}

#[test]
fn a_class_is_needed() {
    let mut fixture = Fixture::ready();
    let spec = json!({"service": "shop", "port": 80, "hostnames": [HOST], "className": "private"});
    fixture.put_shop(spec);
    fixture.is(Reason::ClassNotFound);
    fixture.put_shop(json!({"service": "shop", "port": 80, "hostnames": [HOST]}));
    let affected = fixture.apply(Event::ExposeClass(gone("", "public")));
    assert!(affected.objects.contains(&fixture.shop));
    fixture.is(Reason::NoClass);
}

#[test]
fn the_chosen_class_stays_chosen_while_it_exists() {
    let mut fixture = Fixture::empty();
    let spec = json!({"service": "shop", "port": 80, "hostnames": [HOST]});
    let mut shop = exposed_port("team-a", "shop", 5, spec);
    shop.status = Some(read(json!({"className": "private"})));
    fixture.apply(Event::ExposedPort(applied(shop)));
    assert_eq!(
        fixture.index.class_of(&fixture.shop),
        Some(&class_name("public")),
        "private is gone"
    );
    fixture.apply(Event::ExposeClass(applied(expose_class(
        "private",
        9,
        json!({}),
    ))));
    assert_eq!(
        fixture.index.class_of(&fixture.shop),
        Some(&class_name("private"))
    );
}

#[test]
fn the_older_of_two_default_classes_takes_precedence() {
    let mut fixture = Fixture::empty();
    let affected = fixture.apply(Event::ExposeClass(applied(expose_class(
        "second",
        9,
        json!({"default": true}),
    ))));
    assert!(
        affected.classes.contains(&class_name("public")),
        "the first has something to say too"
    );
    fixture.put_shop(json!({"service": "shop", "port": 80, "hostnames": [HOST]}));
    assert_eq!(
        fixture.index.class_of(&fixture.shop),
        Some(&class_name("public"))
    );
    for name in ["public", "second"] {
        let status = fixture
            .index
            .class_status(&class_name(name), &fixture.seen, now())
            .unwrap();
        assert_eq!(status.conditions[0].reason, "SeveralDefaults", "{name}");
        let message = &status.conditions[0].message;
        let other = ["public", "second"].into_iter().find(|it| *it != name);
        assert!(message.contains(other.unwrap()), "{name}: {message}");
    }
    let affected = fixture.apply(Event::ExposeClass(gone("", "public")));
    assert!(affected.objects.contains(&fixture.shop));
    assert_eq!(
        fixture.index.class_of(&fixture.shop),
        Some(&class_name("second"))
    );
}

#[test]
fn a_trailing_star_takes_the_domain_of_the_class() {
    let mut fixture = Fixture::empty();
    fixture.put_shop(json!({"service": "shop", "port": 80, "hostnames": ["shop.*", "*.*"]}));
    let names: Vec<_> = fixture
        .status()
        .hostnames
        .into_iter()
        .map(|it| it.name)
        .collect();
    assert_eq!(names, ["shop.apps.test", "*.apps.test"]);
    let class = expose_class(
        "public",
        1,
        json!({"default": true, "domain": "{namespace}.test"}),
    );
    fixture.apply(Event::ExposeClass(applied(class)));
    assert_eq!(fixture.status().hostnames[0].name, "shop.team-a.test");
    fixture.apply(Event::ExposeClass(applied(expose_class(
        "public",
        1,
        json!({"default": true}),
    ))));
    fixture.is(Reason::NoDomain);
    // It was the class of this object all the while, so its change finds the object.
    let class = expose_class("public", 1, json!({"default": true, "domain": "apps.test"}));
    fixture.apply(Event::ExposeClass(applied(class)));
    assert_eq!(fixture.status().hostnames[0].name, "shop.apps.test");
}

#[test]
fn terminating_tls_requires_a_certificate_source() {
    let mut fixture = Fixture::empty();
    let mut spec =
        json!({"service": "shop", "port": 80, "hostnames": [HOST], "tls": {"mode": "Terminate"}});
    fixture.put_shop(spec.clone());
    fixture.is(Reason::NoIssuer);
    spec["tls"]["mode"] = "Disabled".into();
    fixture.put_shop(spec);
    fixture.see_everything();
    fixture.is(Reason::Serving);
    assert_eq!(
        condition(&fixture.status(), "CertificatesReady").1,
        "TlsDisabled"
    );
    assert_eq!(fixture.status().hostnames[0].url, "http://shop.example.com");
}

#[test]
fn an_object_that_is_gone_has_no_status_and_wants_nothing() {
    let mut fixture = Fixture::ready();
    let affected = fixture.apply(Event::ExposedPort(gone("team-a", "shop")));
    assert!(affected.secrets && affected.holds.contains(&host(HOST)));
    assert_eq!(
        fixture.index.status(&fixture.shop, &fixture.seen, now()),
        None
    );
    assert!(fixture.index.children(&fixture.shop).is_empty());
    assert!(fixture.index.referenced_secrets().is_empty());
    assert_eq!(fixture.resource(&virtual_host(HOST)), None);
    assert_eq!(fixture.resource(&endpoints("team-a/shop:http")), None);
    assert_eq!(fixture.resource(&certificate_resource("team-a/own")), None);
}

#[test]
fn an_object_that_is_being_deleted_is_as_good_as_gone() {
    let mut fixture = Fixture::ready();
    let spec = json!({"service": "shop", "port": 80, "hostnames": [HOST]});
    let mut going = exposed_port("team-a", "shop", 5, spec);
    going.metadata.deletion_timestamp =
        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now()));
    fixture.apply(Event::ExposedPort(applied(going)));
    assert_eq!(
        fixture.index.status(&fixture.shop, &fixture.seen, now()),
        None
    );
    assert!(
        fixture.index.hold_action(&host(HOST)).is_some(),
        "its hold is freed"
    );
}

#[test]
fn an_unknown_object_has_no_status() {
    let fixture = Fixture::ready();
    let unknown = Subject::exposed_port("team-a", "unknown");
    assert_eq!(fixture.index.status(&unknown, &fixture.seen, now()), None);
    assert!(fixture.index.resources_of(&unknown).is_empty());
}

#[test]
fn a_new_object_does_not_affect_others() {
    let mut fixture = Fixture::ready();
    let spec = json!({"service": "shop", "port": 80, "hostnames": [HOST]});
    for namespace in ["team-a", "team-b"] {
        let newcomer = exposed_port(namespace, "newcomer", 9, spec.clone());
        let affected = fixture.apply(Event::ExposedPort(applied(newcomer)));
        let objects: Vec<_> = affected.objects.into_iter().collect();
        assert_eq!(objects, [Subject::exposed_port(namespace, "newcomer")]);
    }
}
