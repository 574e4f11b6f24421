//! What a class lets its objects say, and what objects write on their children.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // A test that cannot go on panics.

mod world;

use portolan_core::{Event, Reason};
use serde_json::{Value, json};
use world::*;

const BODY_SIZE: &str = "nginx.ingress.kubernetes.io/proxy-body-size";

fn class(world: &mut World, mut spec: Value) -> bool {
    spec["default"] = true.into();
    spec["domain"] = "apps.test".into();
    let class = expose_class("public", 1, spec);
    let affected = world.apply(Event::ExposeClass(applied(class)));
    affected.objects.contains(&world.shop)
}

fn shop(more: Value) -> Value {
    let mut spec = json!({"selector": {"app": "shop"}, "port": 8080, "hostnames": [HOST]});
    spec.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    spec
}

fn metadata<'a>(children: &'a [portolan_core::Child], kind: &str) -> &'a Value {
    &children.iter().find(|it| it.kind == kind).unwrap().value["metadata"]
}

#[test]
fn labels_are_on_every_child_and_never_in_the_place_of_ours() {
    let mut world = World::ready();
    world.put_shop(shop(json!({
        "childLabels": {"team.example.com/customer": "a", "app.kubernetes.io/part-of": "store"},
        "tls": {"issuerRef": {"name": "letsencrypt"}},
    })));
    let children = world.index.children(&world.shop);
    for kind in ["Service", "Ingress", "Certificate"] {
        let labels = &metadata(&children, kind)["labels"];
        assert_eq!(labels["team.example.com/customer"], "a", "{kind}");
        assert_eq!(labels["app.kubernetes.io/managed-by"], "portolan");
    }
    for bad in [
        "app.kubernetes.io/managed-by",
        "portolan.dev/exposed-port",
        "a b",
    ] {
        world.put_shop(shop(json!({"childLabels": {bad: "x"}})));
        world.is(Reason::InvalidSpec);
        let told = world.status().description;
        assert!(
            told.starts_with(&format!("spec.childLabels[{bad}]: ")),
            "{told}"
        );
    }
    world.put_shop(shop(json!({"childLabels": {"a": "-x"}})));
    world.is(Reason::InvalidSpec);
}

#[test]
fn annotations_reach_the_ingress_when_the_class_allows_them_and_are_told_when_not() {
    let mut world = World::ready();
    let annotations = json!({"annotations": {BODY_SIZE: "10m", "example.com/team": "a"}});
    world.put_shop(shop(annotations));
    let written = |world: &World| {
        let children = world.index.children(&world.shop);
        metadata(&children, "Ingress")["annotations"].clone()
    };
    assert_eq!(written(&world).get(BODY_SIZE), None);
    let (status, reason) = condition(&world.status(), "Accepted");
    assert_eq!(
        (status.as_str(), reason.as_str()),
        ("True", "AnnotationNotAllowed")
    );
    let told = world.status().conditions.remove(0).message;
    assert!(told.contains("example.com/team] and 1 more"), "{told}");

    assert!(class(
        &mut world,
        json!({"annotations": {"allow": [BODY_SIZE]}})
    ));
    assert_eq!(written(&world)[BODY_SIZE], "10m");
    assert_eq!(written(&world).get("example.com/team"), None);
    assert!(class(
        &mut world,
        json!({"annotations": {"allow": [BODY_SIZE, "example.com/team"]}})
    ));
    assert_eq!(condition(&world.status(), "Accepted").1, "Accepted");
}

#[test]
fn no_class_lets_an_annotation_serve_past_the_holder_of_a_hostname() {
    let mut world = World::ready();
    let key = "external-dns.alpha.kubernetes.io/hostname";
    class(&mut world, json!({"annotations": {"allow": [key]}}));
    world.put_shop(shop(json!({"annotations": {key: "bank.example.com"}})));
    world.is(Reason::InvalidSpec);
    let told = world.status().description;
    assert!(told.contains("no class allows it"), "{told}");
    let many: serde_json::Map<String, Value> = (0..9)
        .map(|n| (format!("a{n}"), "x".repeat(4000).into()))
        .collect();
    world.put_shop(shop(json!({"annotations": many})));
    let told = world.status().description;
    assert!(told.contains("32 KiB"), "{told}");
}

#[test]
fn a_class_says_which_issuers_may_be_named_and_by_whom() {
    let mut world = World::ready();
    let issuer = json!({"tls": {"issuerRef": {"name": "letsencrypt"}}});
    world.put_shop(shop(issuer));
    let accepted = |world: &World| condition(&world.status(), "Accepted").1;
    assert_eq!(accepted(&world), "Accepted", "any, when nothing is said");
    assert!(class(&mut world, json!({"tls": {"allowedIssuers": []}})));
    world.is(Reason::IssuerNotAllowed);
    assert!(world.index.children(&world.shop).is_empty());
    for (allowed, reason) in [
        (json!([{"name": "other"}]), "IssuerNotAllowed"),
        (
            json!([{"name": "letsencrypt", "kind": "Issuer"}]),
            "IssuerNotAllowed",
        ),
        (
            json!([{"name": "letsencrypt", "namespaces": ["team-b"]}]),
            "IssuerNotAllowed",
        ),
        (
            json!([{"name": "letsencrypt", "namespaces": ["team-a"]}]),
            "Accepted",
        ),
        (json!([{"name": "letsencrypt"}]), "Accepted"),
    ] {
        class(&mut world, json!({"tls": {"allowedIssuers": allowed}}));
        assert_eq!(accepted(&world), reason, "{allowed}");
    }
    let own = json!({"issuerRef": {"name": "letsencrypt"}, "tls": {"allowedIssuers": []}});
    class(&mut world, own);
    assert_eq!(accepted(&world), "Accepted", "the class's own always");
}

#[test]
fn a_class_says_whose_certificates_it_takes() {
    let mut world = World::ready();
    world.put_shop(shop(json!({"tls": {"secret": {"name": "own"}}})));
    let accepted = |world: &World| condition(&world.status(), "Accepted").1;
    assert_eq!(accepted(&world), "Accepted");
    let allow = |namespaces: Value| json!({"tls": {"allowOwnSecrets": {"namespaces": namespaces}}});
    assert!(class(&mut world, allow(json!(["team-b"]))));
    world.is(Reason::OwnSecretNotAllowed);
    assert_eq!(world.resource(&virtual_host(HOST)), None);
    class(&mut world, allow(json!(["team-b", "team-a"])));
    assert_eq!(accepted(&world), "Accepted");
}
