//! Which objects are accepted at all, and which class they get.

use crate::world::*;
use portolan_core::{Event, Reason, Subject};
use serde_json::json;

#[test]
fn an_invalid_object_says_so_in_every_condition() {
    let mut world = World::ready();
    world.put_shop(json!({"service": "shop", "port": 0, "hostnames": ["-bad"]}));
    let status = world.status();
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
    assert_eq!(world.resource(&virtual_host(HOST)), None);
}

#[test]
fn a_class_is_needed() {
    let mut world = World::ready();
    let spec = json!({"service": "shop", "port": 80, "hostnames": [HOST], "className": "private"});
    world.put_shop(spec);
    world.is(Reason::ClassNotFound);
    world.put_shop(json!({"service": "shop", "port": 80, "hostnames": [HOST]}));
    let affected = world.apply(Event::ExposeClass(gone("", "public")));
    assert!(affected.objects.contains(&world.shop));
    world.is(Reason::NoClass);
}

#[test]
fn the_chosen_class_stays_chosen_while_it_exists() {
    let mut world = World::empty();
    let spec = json!({"service": "shop", "port": 80, "hostnames": [HOST]});
    let mut shop = exposed_port("team-a", "shop", 5, spec);
    shop.status = Some(read(json!({"className": "private"})));
    world.apply(Event::ExposedPort(applied(shop)));
    assert_eq!(
        world.index.class_of(&world.shop),
        Some(&class_name("public")),
        "private is gone"
    );
    world.apply(Event::ExposeClass(applied(expose_class(
        "private",
        9,
        json!({}),
    ))));
    assert_eq!(
        world.index.class_of(&world.shop),
        Some(&class_name("private"))
    );
}

#[test]
fn of_two_default_classes_the_older_one_counts_and_both_say_so() {
    let mut world = World::empty();
    let affected = world.apply(Event::ExposeClass(applied(expose_class(
        "second",
        9,
        json!({"default": true}),
    ))));
    assert!(
        affected.classes.contains(&class_name("public")),
        "the first has something to say too"
    );
    world.put_shop(json!({"service": "shop", "port": 80, "hostnames": [HOST]}));
    assert_eq!(
        world.index.class_of(&world.shop),
        Some(&class_name("public"))
    );
    for name in ["public", "second"] {
        let status = world
            .index
            .class_status(&class_name(name), &world.seen, now())
            .unwrap();
        assert_eq!(status.conditions[0].reason, "SeveralDefaults", "{name}");
        let said = &status.conditions[0].message;
        let other = ["public", "second"].into_iter().find(|it| *it != name);
        assert!(said.contains(other.unwrap()), "{name}: {said}");
    }
    let affected = world.apply(Event::ExposeClass(gone("", "public")));
    assert!(affected.objects.contains(&world.shop));
    assert_eq!(
        world.index.class_of(&world.shop),
        Some(&class_name("second"))
    );
}

#[test]
fn a_trailing_star_takes_the_domain_of_the_class() {
    let mut world = World::empty();
    world.put_shop(json!({"service": "shop", "port": 80, "hostnames": ["shop.*", "*.*"]}));
    let names: Vec<_> = world
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
    world.apply(Event::ExposeClass(applied(class)));
    assert_eq!(world.status().hostnames[0].name, "shop.team-a.test");
    world.apply(Event::ExposeClass(applied(expose_class(
        "public",
        1,
        json!({"default": true}),
    ))));
    world.is(Reason::NoDomain);
    // It was the class of this object all the while, so its change finds the object.
    let class = expose_class("public", 1, json!({"default": true, "domain": "apps.test"}));
    world.apply(Event::ExposeClass(applied(class)));
    assert_eq!(world.status().hostnames[0].name, "shop.apps.test");
}

#[test]
fn to_terminate_tls_somebody_must_provide_a_certificate() {
    let mut world = World::empty();
    let mut spec =
        json!({"service": "shop", "port": 80, "hostnames": [HOST], "tls": {"mode": "Terminate"}});
    world.put_shop(spec.clone());
    world.is(Reason::NoIssuer);
    spec["tls"]["mode"] = "Disabled".into();
    world.put_shop(spec);
    world.see_everything();
    world.is(Reason::Serving);
    assert_eq!(
        condition(&world.status(), "CertificatesReady").1,
        "TlsDisabled"
    );
    assert_eq!(world.status().hostnames[0].url, "http://shop.example.com");
}

#[test]
fn an_object_that_is_gone_has_no_status_and_wants_nothing() {
    let mut world = World::ready();
    let affected = world.apply(Event::ExposedPort(gone("team-a", "shop")));
    assert!(affected.secrets && affected.holds.contains(&host(HOST)));
    assert_eq!(world.index.status(&world.shop, &world.seen, now()), None);
    assert!(world.index.children(&world.shop).is_empty());
    assert!(world.index.referenced_secrets().is_empty());
    assert_eq!(world.resource(&virtual_host(HOST)), None);
    assert_eq!(world.resource(&endpoints("team-a/shop:http")), None);
    assert_eq!(world.resource(&certificate_resource("team-a/own")), None);
}

#[test]
fn an_object_that_is_being_deleted_is_as_good_as_gone() {
    let mut world = World::ready();
    let spec = json!({"service": "shop", "port": 80, "hostnames": [HOST]});
    let mut going = exposed_port("team-a", "shop", 5, spec);
    going.metadata.deletion_timestamp =
        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now()));
    world.apply(Event::ExposedPort(applied(going)));
    assert_eq!(world.index.status(&world.shop, &world.seen, now()), None);
    assert!(
        world.index.hold_action(&host(HOST)).is_some(),
        "its hold is freed"
    );
}

#[test]
fn an_object_nobody_knows_has_no_status() {
    let world = World::ready();
    let nobody = Subject::exposed_port("team-a", "nobody");
    assert_eq!(world.index.status(&nobody, &world.seen, now()), None);
    assert!(world.index.resources_of(&nobody).is_empty());
}

#[test]
fn a_newcomer_that_comes_last_disturbs_nobody() {
    let mut world = World::ready();
    let spec = json!({"service": "shop", "port": 80, "hostnames": [HOST]});
    for namespace in ["team-a", "team-b"] {
        let newcomer = exposed_port(namespace, "newcomer", 9, spec.clone());
        let affected = world.apply(Event::ExposedPort(applied(newcomer)));
        let objects: Vec<_> = affected.objects.into_iter().collect();
        assert_eq!(objects, [Subject::exposed_port(namespace, "newcomer")]);
    }
}
