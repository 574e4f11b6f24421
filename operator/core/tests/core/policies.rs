//! What a class lets its objects say, and what objects write on their children.

use crate::world::*;
use portolan_core::{Event, Reason};
use serde_json::{Value, json};

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

#[test]
fn a_class_says_who_may_have_which_hostnames() {
    let mut world = World::ready();
    let accepted = |world: &World| condition(&world.status(), "Accepted").1;
    world.put_shop(shop(json!({"tls": {"secret": {"name": "own"}}})));
    assert!(class(&mut world, json!({"hostnames": []})), "nobody any");
    world.is(Reason::HostnameNotAllowed);
    assert_eq!(world.resource(&virtual_host(HOST)), None);
    let told = world.status().description;
    assert!(told.contains("team-a have shop.example.com"), "{told}");
    for (rules, reason) in [
        (json!([{"domains": ["example.com"]}]), "Accepted"),
        (json!([{"domains": ["Shop.Example.com"]}]), "Accepted"),
        (json!([{"domains": ["ple.com"]}]), "HostnameNotAllowed"),
        (
            json!([{"domains": ["a.shop.example.com"]}]),
            "HostnameNotAllowed",
        ),
        (
            json!([{"domains": ["com"], "namespaces": ["team-b"]}]),
            "HostnameNotAllowed",
        ),
        (
            json!([{"domains": ["com"], "namespaces": ["team-b", "team-a"]}]),
            "Accepted",
        ),
        (
            json!([{"domains": ["{namespace}.test"]}, {"domains": ["shop.example.com"]}]),
            "Accepted",
        ),
    ] {
        class(&mut world, json!({"hostnames": rules}));
        assert_eq!(accepted(&world), reason, "{rules}");
    }
    // A wildcard is all that it stands for, and the domain of the class is judged in full.
    class(
        &mut world,
        json!({"hostnames": [{"domains": ["{namespace}.test", "apps.test"]}]}),
    );
    for (hostname, reason) in [
        ("*.team-a.test", "Accepted"),
        ("*.test", "HostnameNotAllowed"),
        ("team-a.test", "Accepted"),
        ("x.team-b.test", "HostnameNotAllowed"),
        ("shop.*", "Accepted"),
    ] {
        world.put_shop(shop(
            json!({"hostnames": [hostname], "tls": {"secret": {"name": "own"}}}),
        ));
        assert_eq!(accepted(&world), reason, "{hostname}");
    }
}

/// A class whose certificate for `*.apps.test` lies in another namespace.
fn sharing(more: Value) -> Value {
    let secret = json!({"namespace": "portolan-system", "name": "wildcard"});
    let mut spec =
        json!({"certificates": {"shared": [{"secret": secret, "hostnames": ["*.apps.test"]}]}});
    spec.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    spec
}

fn put_wildcard(world: &mut World) {
    let mut wildcard = secret("wildcard", &GOOD.certificate, &GOOD.key);
    wildcard.metadata.namespace = Some("portolan-system".into());
    world.apply(Event::Secret(applied(wildcard)));
}

fn hold_for_team_a(world: &mut World, hostname: &str) {
    world.apply(Event::HostnameHold(applied(hold(hostname, "team-a"))));
}

#[test]
fn a_certificate_of_the_class_serves_the_hostnames_that_it_is_shared_for() {
    let mut world = World::ready();
    let wildcard = portolan_core::ObjectRef::new("portolan-system", "wildcard");
    class(
        &mut world,
        sharing(json!({"issuerRef": {"name": "letsencrypt"}})),
    );
    for hostname in ["shop.apps.test", "a.b.apps.test"] {
        hold_for_team_a(&mut world, hostname);
    }
    let hostnames = json!(["shop.*", "a.b.*"]);
    let affected = world.put_shop(json!({"service": "shop", "port": 80, "hostnames": hostnames}));
    assert!(affected.secrets && world.index.referenced_secrets().contains(&wildcard));
    let reason = |world: &World, hostname: usize| world.status().hostnames[hostname].reason.clone();
    assert_eq!(reason(&world, 0), "SecretNotFound");
    let told = world.status().hostnames[0].message.clone();
    assert!(
        told.contains("portolan-system/wildcard") && told.contains("class \"public\""),
        "{told}"
    );

    put_wildcard(&mut world);
    world.see_everything();
    assert_eq!(reason(&world, 0), "");
    // The wildcard is for one label only: what it does not cover is issued.
    assert_eq!(reason(&world, 1), "CertificatePending");
    let children = world.index.children(&world.shop);
    let certificates: Vec<_> = children
        .iter()
        .filter(|it| it.kind == "Certificate")
        .collect();
    assert_eq!(certificates.len(), 1);
    assert_eq!(
        certificates[0].value["spec"]["dnsNames"],
        json!(["a.b.apps.test"])
    );
    let status = world.status();
    let of_shared = status.hostnames[0].certificate.as_ref().unwrap();
    assert_eq!(
        (of_shared.secret_name.as_str(), of_shared.issuer.as_str()),
        ("wildcard", "")
    );

    // Another issuer, or none: what an object says itself counts more.
    world.put_shop(json!({"service": "shop", "port": 80, "hostnames": ["shop.*"], "tls": {"secret": {"name": "own"}}}));
    assert!(!world.index.referenced_secrets().contains(&wildcard));
    world.put_shop(json!({"service": "shop", "port": 80, "hostnames": ["shop.*"], "tls": {"mode": "Disabled"}}));
    world.see_everything();
    world.is(Reason::Serving);
    assert!(!world.index.referenced_secrets().contains(&wildcard));
}

#[test]
fn without_an_issuer_only_what_is_shared_is_certified() {
    let mut world = World::ready();
    class(&mut world, sharing(json!({})));
    put_wildcard(&mut world);
    hold_for_team_a(&mut world, "shop.apps.test");
    world.put_shop(json!({"service": "shop", "port": 80, "hostnames": ["shop.*"]}));
    world.see_everything();
    world.is(Reason::Serving);
    world.put_shop(json!({"service": "shop", "port": 80, "hostnames": ["shop.*", HOST]}));
    world.is(Reason::NoIssuer);
    let told = world.status().description;
    assert!(told.contains("shared for shop.example.com"), "{told}");
    // Nothing of it is shared: plain HTTP, as without TLS in the class.
    world.put_shop(json!({"service": "shop", "port": 80, "hostnames": [HOST]}));
    assert_eq!(
        condition(&world.status(), "CertificatesReady").1,
        "TlsDisabled"
    );
}

#[test]
fn objects_of_a_namespace_agree_on_a_shared_certificate_whatever_else_they_serve() {
    let mut world = World::ready();
    class(&mut world, sharing(json!({})));
    put_wildcard(&mut world);
    for hostname in ["shop.apps.test", "blog.apps.test"] {
        hold_for_team_a(&mut world, hostname);
    }
    let hsts = json!({"hsts": {"maxAge": "1h"}});
    world.put_shop(json!({"service": "shop", "port": 80, "hostnames": ["shop.*"], "tls": hsts}));
    let blog = json!({
        "hostnames": ["shop.*", "blog.*"], "tls": hsts,
        "routes": [{"match": {"path": {"prefix": "/blog"}}, "respond": {"status": 200}}],
    });
    world.expose("team-a", "blog", 6, blog);
    let blog = portolan_core::Subject::exposed_port("team-a", "blog");
    let status = world.index.status(&blog, &world.seen, now()).unwrap();
    let conflicts = status
        .hostnames
        .iter()
        .filter(|it| it.reason == "TlsConflict");
    assert_eq!(conflicts.count(), 0, "{status:?}");
}
