//! What a class lets its objects say, and what objects write on their children.

use crate::fixture::*;
use portolan_core::{Event, Reason};
use serde_json::{Value, json};

const BODY_SIZE: &str = "nginx.ingress.kubernetes.io/proxy-body-size";

fn class(fixture: &mut Fixture, mut spec: Value) -> bool {
    spec["default"] = true.into();
    spec["domain"] = "apps.test".into();
    let class = expose_class("public", 1, spec);
    let affected = fixture.apply(Event::ExposeClass(applied(class)));
    affected.objects.contains(&fixture.shop)
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
    let mut fixture = Fixture::ready();
    fixture.put_shop(shop(json!({
        "childLabels": {"team.example.com/customer": "a", "app.kubernetes.io/part-of": "store"},
        "tls": {"issuerRef": {"name": "letsencrypt"}},
    })));
    let children = fixture.index.children(&fixture.shop);
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
        fixture.put_shop(shop(json!({"childLabels": {bad: "x"}})));
        fixture.is(Reason::InvalidSpec);
        let message = fixture.status().description;
        assert!(
            message.starts_with(&format!("spec.childLabels[{bad}]: ")),
            "{message}"
        );
    }
    fixture.put_shop(shop(json!({"childLabels": {"a": "-x"}})));
    fixture.is(Reason::InvalidSpec);
}

#[test]
fn copies_only_allowed_annotations_to_the_ingress() {
    let mut fixture = Fixture::ready();
    let annotations = json!({"annotations": {BODY_SIZE: "10m", "example.com/team": "a"}});
    fixture.put_shop(shop(annotations));
    let written = |fixture: &Fixture| {
        let children = fixture.index.children(&fixture.shop);
        metadata(&children, "Ingress")["annotations"].clone()
    };
    assert_eq!(written(&fixture).get(BODY_SIZE), None);
    let (status, reason) = condition(&fixture.status(), "Accepted");
    assert_eq!(
        (status.as_str(), reason.as_str()),
        ("True", "AnnotationNotAllowed")
    );
    let message = fixture.status().conditions.remove(0).message;
    assert!(
        message.contains("example.com/team] and 1 more"),
        "{message}"
    );

    assert!(class(
        &mut fixture,
        json!({"annotations": {"allow": [BODY_SIZE]}})
    ));
    assert_eq!(written(&fixture)[BODY_SIZE], "10m");
    assert_eq!(written(&fixture).get("example.com/team"), None);
    assert!(class(
        &mut fixture,
        json!({"annotations": {"allow": [BODY_SIZE, "example.com/team"]}})
    ));
    assert_eq!(condition(&fixture.status(), "Accepted").1, "Accepted");
}

#[test]
fn an_annotation_cannot_bypass_the_hostname_owner() {
    let mut fixture = Fixture::ready();
    let key = "external-dns.alpha.kubernetes.io/hostname";
    class(&mut fixture, json!({"annotations": {"allow": [key]}}));
    fixture.put_shop(shop(json!({"annotations": {key: "bank.example.com"}})));
    fixture.is(Reason::InvalidSpec);
    let message = fixture.status().description;
    assert!(message.contains("no class allows it"), "{message}");
    let many: serde_json::Map<String, Value> = (0..9)
        .map(|n| (format!("a{n}"), "x".repeat(4000).into()))
        .collect();
    fixture.put_shop(shop(json!({"annotations": many})));
    let message = fixture.status().description;
    assert!(
        message.contains("Too long: may not be more than 32768 bytes"),
        "{message}"
    );
}

#[test]
fn a_class_says_which_issuers_may_be_named_and_by_whom() {
    let mut fixture = Fixture::ready();
    let issuer = json!({"tls": {"issuerRef": {"name": "letsencrypt"}}});
    fixture.put_shop(shop(issuer));
    let accepted = |fixture: &Fixture| condition(&fixture.status(), "Accepted").1;
    assert_eq!(accepted(&fixture), "Accepted", "any by default");
    assert!(class(&mut fixture, json!({"tls": {"allowedIssuers": []}})));
    fixture.is(Reason::IssuerNotAllowed);
    assert!(fixture.index.children(&fixture.shop).is_empty());
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
        class(&mut fixture, json!({"tls": {"allowedIssuers": allowed}}));
        assert_eq!(accepted(&fixture), reason, "{allowed}");
    }
    let own = json!({"issuerRef": {"name": "letsencrypt"}, "tls": {"allowedIssuers": []}});
    class(&mut fixture, own);
    assert_eq!(accepted(&fixture), "Accepted", "the class's own always");
}

#[test]
fn a_class_says_whose_certificates_it_takes() {
    let mut fixture = Fixture::ready();
    fixture.put_shop(shop(json!({"tls": {"secret": {"name": "own"}}})));
    let accepted = |fixture: &Fixture| condition(&fixture.status(), "Accepted").1;
    assert_eq!(accepted(&fixture), "Accepted");
    let allow = |namespaces: Value| json!({"tls": {"allowOwnSecrets": {"namespaces": namespaces}}});
    assert!(class(&mut fixture, allow(json!(["team-b"]))));
    fixture.is(Reason::OwnSecretNotAllowed);
    assert_eq!(fixture.resource(&virtual_host(HOST)), None);
    class(&mut fixture, allow(json!(["team-b", "team-a"])));
    assert_eq!(accepted(&fixture), "Accepted");
}

#[test]
fn a_class_says_who_may_have_which_hostnames() {
    let mut fixture = Fixture::ready();
    let accepted = |fixture: &Fixture| condition(&fixture.status(), "Accepted").1;
    fixture.put_shop(shop(json!({"tls": {"secret": {"name": "own"}}})));
    assert!(
        class(&mut fixture, json!({"hostnames": []})),
        "none for any namespace"
    );
    fixture.is(Reason::HostnameNotAllowed);
    assert_eq!(fixture.resource(&virtual_host(HOST)), None);
    let message = fixture.status().description;
    assert!(
        message.contains("hostname \"shop.example.com\" in namespace \"team-a\""),
        "{message}"
    );
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
        class(&mut fixture, json!({"hostnames": rules}));
        assert_eq!(accepted(&fixture), reason, "{rules}");
    }
    // A wildcard is all that it stands for, and the domain of the class is judged in full.
    class(
        &mut fixture,
        json!({"hostnames": [{"domains": ["{namespace}.test", "apps.test"]}]}),
    );
    for (hostname, reason) in [
        ("*.team-a.test", "Accepted"),
        ("*.test", "HostnameNotAllowed"),
        ("team-a.test", "Accepted"),
        ("x.team-b.test", "HostnameNotAllowed"),
        ("shop.*", "Accepted"),
    ] {
        fixture.put_shop(shop(
            json!({"hostnames": [hostname], "tls": {"secret": {"name": "own"}}}),
        ));
        assert_eq!(accepted(&fixture), reason, "{hostname}");
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

fn put_wildcard(fixture: &mut Fixture) {
    let mut wildcard = secret("wildcard", &GOOD.certificate, &GOOD.key);
    wildcard.metadata.namespace = Some("portolan-system".into());
    fixture.apply(Event::Secret(applied(wildcard)));
}

fn hold_for_team_a(fixture: &mut Fixture, hostname: &str) {
    fixture.apply(Event::HostnameHold(applied(hold(hostname, "team-a"))));
}

#[test]
fn a_shared_certificate_serves_its_hostnames_only() {
    let mut fixture = Fixture::ready();
    let wildcard = portolan_core::ObjectRef::new("portolan-system", "wildcard");
    class(
        &mut fixture,
        sharing(json!({"issuerRef": {"name": "letsencrypt"}})),
    );
    for hostname in ["shop.apps.test", "a.b.apps.test"] {
        hold_for_team_a(&mut fixture, hostname);
    }
    let hostnames = json!(["shop.*", "a.b.*"]);
    let affected = fixture.put_shop(json!({"service": "shop", "port": 80, "hostnames": hostnames}));
    assert!(affected.secrets && fixture.index.referenced_secrets().contains(&wildcard));
    let reason =
        |fixture: &Fixture, hostname: usize| fixture.status().hostnames[hostname].reason.clone();
    assert_eq!(reason(&fixture, 0), "SecretNotFound");
    let message = fixture.status().hostnames[0].message.clone();
    assert!(
        message.contains("portolan-system/wildcard") && message.contains("class \"public\""),
        "{message}"
    );

    put_wildcard(&mut fixture);
    fixture.see_everything();
    assert_eq!(reason(&fixture, 0), "");
    // The wildcard is for one label only: what it does not cover is issued.
    assert_eq!(reason(&fixture, 1), "CertificatePending");
    let children = fixture.index.children(&fixture.shop);
    let certificates: Vec<_> = children
        .iter()
        .filter(|it| it.kind == "Certificate")
        .collect();
    assert_eq!(certificates.len(), 1);
    assert_eq!(
        certificates[0].value["spec"]["dnsNames"],
        json!(["a.b.apps.test"])
    );
    let status = fixture.status();
    let of_shared = status.hostnames[0].certificate.as_ref().unwrap();
    assert_eq!(
        (of_shared.secret_name.as_str(), of_shared.issuer.as_str()),
        ("wildcard", "")
    );

    // Another issuer, or none: what an object says itself counts more.
    fixture.put_shop(json!({"service": "shop", "port": 80, "hostnames": ["shop.*"], "tls": {"secret": {"name": "own"}}}));
    assert!(!fixture.index.referenced_secrets().contains(&wildcard));
    fixture.put_shop(json!({"service": "shop", "port": 80, "hostnames": ["shop.*"], "tls": {"mode": "Disabled"}}));
    fixture.see_everything();
    fixture.is(Reason::Serving);
    assert!(!fixture.index.referenced_secrets().contains(&wildcard));
}

#[test]
fn without_an_issuer_only_what_is_shared_is_certified() {
    let mut fixture = Fixture::ready();
    class(&mut fixture, sharing(json!({})));
    put_wildcard(&mut fixture);
    hold_for_team_a(&mut fixture, "shop.apps.test");
    fixture.put_shop(json!({"service": "shop", "port": 80, "hostnames": ["shop.*"]}));
    fixture.see_everything();
    fixture.is(Reason::Serving);
    fixture.put_shop(json!({"service": "shop", "port": 80, "hostnames": ["shop.*", HOST]}));
    fixture.is(Reason::NoIssuer);
    let message = fixture.status().description;
    assert!(
        message.contains("no shared certificate for \"shop.example.com\""),
        "{message}"
    );
    // Nothing of it is shared: plain HTTP, as without TLS in the class.
    fixture.put_shop(json!({"service": "shop", "port": 80, "hostnames": [HOST]}));
    assert_eq!(
        condition(&fixture.status(), "CertificatesReady").1,
        "TlsDisabled"
    );
}

#[test]
fn objects_with_a_shared_certificate_do_not_conflict() {
    let mut fixture = Fixture::ready();
    class(&mut fixture, sharing(json!({})));
    put_wildcard(&mut fixture);
    for hostname in ["shop.apps.test", "blog.apps.test"] {
        hold_for_team_a(&mut fixture, hostname);
    }
    let hsts = json!({"hsts": {"maxAge": "1h"}});
    fixture.put_shop(json!({"service": "shop", "port": 80, "hostnames": ["shop.*"], "tls": hsts}));
    let blog = json!({
        "hostnames": ["shop.*", "blog.*"], "tls": hsts,
        "routes": [{"match": {"path": {"prefix": "/blog"}}, "respond": {"status": 200}}],
    });
    fixture.expose("team-a", "blog", 6, blog);
    let blog = portolan_core::Subject::exposed_port("team-a", "blog");
    let status = fixture.index.status(&blog, &fixture.seen, now()).unwrap();
    let conflicts = status
        .hostnames
        .iter()
        .filter(|it| it.reason == "TlsConflict");
    assert_eq!(conflicts.count(), 0, "{status:?}");
}
