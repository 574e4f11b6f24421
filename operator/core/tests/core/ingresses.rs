//! Ingresses as input: each hostname of one is served, merged and held as an ExposedPort's is.

use crate::fixture::*;
use k8s_openapi::api::networking::v1::Ingress;
use portolan_core::{Affected, Event, INGRESS_CONTROLLER, ObjectRef, Observed, Reason, Subject};
use portolan_discovery::table::{Action, PathMatch, Resource, VirtualHost};
use serde_json::{Value, json};

/// A fixture without ExposedPorts, where Ingresses of the class `public` are ours.
fn fixture() -> Fixture {
    let mut fixture = Fixture::empty();
    let class = ingress_class("public", INGRESS_CONTROLLER, Value::Null);
    fixture.apply(Event::IngressClass(applied(class)));
    fixture
}

fn put(fixture: &mut Fixture, ingress: Ingress) -> Affected {
    fixture.apply(Event::Ingress(applied(ingress)))
}

fn all(host: &str) -> Value {
    json!({"rules": [rule(host, &[("Prefix", "/", "shop")])]})
}

fn shop(more: Value) -> Ingress {
    ingress("team-a", "shop", 5, "public", more)
}

/// The hostname of `team-a/shop`.
fn of_shop(name: &str) -> Subject {
    Subject::ingress_host(&ObjectRef::new("team-a", "shop"), &host(name))
}

fn served(fixture: &Fixture, name: &str) -> Option<VirtualHost> {
    match fixture.resource(&virtual_host(name))? {
        Resource::VirtualHost(host) => Some(host),
        other => panic!("{other:?}"),
    }
}

/// The paths of a hostname and the endpoints behind each, in the order in which they are tried.
fn routes(fixture: &Fixture, name: &str) -> Vec<(String, String)> {
    let host = served(fixture, name).unwrap_or_else(|| panic!("{name} is not served"));
    let routes = host.routes.into_iter();
    routes
        .map(|route| {
            let path = match route.matches.path {
                PathMatch::Exact(path) => format!("={path}"),
                PathMatch::Prefix(path) => path,
                PathMatch::Regex(text) => panic!("{text}"),
            };
            let to = match route.action {
                Action::Forward { backends } => backends[0].endpoints.clone(),
                Action::Unavailable { reason } => reason,
                other => panic!("{other:?}"),
            };
            (path, to)
        })
        .collect()
}

fn is(found: &[(String, String)], expected: &[(&str, &str)]) {
    let found: Vec<_> = found
        .iter()
        .map(|(a, b)| (a.as_str(), b.as_str()))
        .collect();
    assert_eq!(found, expected);
}

/// Why the hostname is not ready, in the words of its Ingress.
fn reason(fixture: &Fixture, me: &Subject) -> (String, String) {
    let status = fixture
        .index
        .status(me, &Observed::default(), now())
        .unwrap();
    let ready = status
        .conditions
        .iter()
        .find(|it| it.type_ == "Ready")
        .unwrap();
    let message = fixture.index.in_terms_of_ingress(me, &ready.message);
    (ready.reason.clone(), message)
}

#[test]
fn rules_path_types_and_the_default_backend_are_served() {
    let mut fixture = fixture();
    let spec = json!({"ports": [{"name": "http", "port": 80}], "selector": {"app": "x"}});
    fixture.apply(Event::Service(applied(service("team-a", "rest", spec))));
    let default = json!({"service": {"name": "rest", "port": {"number": 80}}});
    let paths = [
        ("Prefix", "/a/", "shop"),
        ("Exact", "/a", "shop"),
        ("ImplementationSpecific", "/b", "shop"),
    ];
    let affected = put(
        &mut fixture,
        shop(json!({"defaultBackend": default, "rules": [rule(HOST, &paths)]})),
    );
    assert!(affected.objects.contains(&of_shop(HOST)));
    let (shop, rest) = ("team-a/shop:http", "team-a/rest:http");
    let expected = [("=/a", shop), ("/a", shop), ("/b", shop), ("/", rest)];
    is(&routes(&fixture, HOST), &expected);
    assert!(
        served(&fixture, HOST).unwrap().tls.is_none(),
        "TLS is not configured"
    );
}

#[test]
fn tls_is_of_the_secret_or_of_the_issuer_of_the_class() {
    let mut fixture = fixture();
    let mut spec = all(HOST);
    spec["tls"] = json!([{"hosts": [HOST], "secretName": "own"}]);
    let affected = put(&mut fixture, shop(spec.clone()));
    assert!(affected.secrets);
    assert!(
        fixture
            .index
            .referenced_secrets()
            .contains(&ObjectRef::new("team-a", "own"))
    );
    let tls = served(&fixture, HOST).unwrap().tls.unwrap();
    assert_eq!(tls.certificates, ["team-a/own"]);
    assert!(tls.redirect, "as every controller does");
    spec["tls"] = json!([{"hosts": [HOST]}]);
    put(&mut fixture, shop(spec));
    let (no_issuer, message) = reason(&fixture, &of_shop(HOST));
    assert_eq!(no_issuer, Reason::NoIssuer.as_str());
    assert!(
        message.starts_with("spec.tls[0]: Required value: class \"public\" has no issuer"),
        "{message}"
    );
    assert!(
        !message.contains("mode"),
        "an Ingress has no such field: {message}"
    );
    let class = json!({"default": true, "issuerRef": {"name": "ca"}});
    fixture.apply(Event::ExposeClass(applied(expose_class(
        "public", 1, class,
    ))));
    let children = fixture.index.children(&of_shop(HOST));
    let [certificate] = &children[..] else {
        panic!("{children:?}")
    };
    assert_eq!(certificate.kind, "Certificate");
    let owner = &certificate.value["metadata"]["ownerReferences"][0];
    assert_eq!(
        (&owner["apiVersion"], &owner["kind"], &owner["name"]),
        (
            &json!("networking.k8s.io/v1"),
            &json!("Ingress"),
            &json!("shop")
        )
    );
    assert_eq!(
        certificate.value["metadata"]["labels"]["portolan.dev/ingress"],
        "shop"
    );
}

#[test]
fn an_ingress_host_without_tls_entry_has_no_certificate() {
    let mut fixture = fixture();
    let class = json!({"default": true, "issuerRef": {"name": "ca"}});
    fixture.apply(Event::ExposeClass(applied(expose_class(
        "public", 1, class,
    ))));
    put(&mut fixture, shop(all(HOST)));
    assert!(served(&fixture, HOST).unwrap().tls.is_none());
    assert_eq!(fixture.index.children(&of_shop(HOST)), []);
}

#[test]
fn serves_only_ingresses_of_its_classes() {
    let mut fixture = fixture();
    for (class, controller) in [
        ("nginx", "k8s.io/ingress-nginx"),
        ("edge", INGRESS_CONTROLLER),
    ] {
        let parameters =
            json!({"apiGroup": "portolan.dev", "kind": "ExposeClass", "name": "public"});
        let class = ingress_class(class, controller, parameters);
        fixture.apply(Event::IngressClass(applied(class)));
    }
    for (class, expected) in [
        ("nginx", false),
        ("none", false),
        ("edge", true),
        ("public", true),
    ] {
        put(&mut fixture, ingress("team-a", "shop", 5, class, all(HOST)));
        assert_eq!(served(&fixture, HOST).is_some(), expected, "{class}");
        let mut old = ingress("team-a", "shop", 5, class, all(HOST));
        old.spec.as_mut().unwrap().ingress_class_name = None;
        let key = "kubernetes.io/ingress.class".to_owned();
        old.metadata.annotations = Some([(key, class.to_owned())].into());
        put(&mut fixture, old);
        assert_eq!(
            served(&fixture, HOST).is_some(),
            expected,
            "{class}, by annotation"
        );
    }
    fixture.apply(Event::IngressClass(gone("", "public")));
    assert!(served(&fixture, HOST).is_none(), "the class is not served");
    let back = ingress_class("public", INGRESS_CONTROLLER, Value::Null);
    let affected = fixture.apply(Event::IngressClass(applied(back)));
    assert!(
        affected
            .ingresses
            .contains(&ObjectRef::new("team-a", "shop"))
    );
    assert!(served(&fixture, HOST).is_some());
    fixture.apply(Event::Ingress(gone("team-a", "shop")));
    assert!(served(&fixture, HOST).is_none());
}

#[test]
fn what_we_make_is_never_input_even_without_its_owner() {
    let mut fixture = fixture();
    fixture.put_shop(shop_with(json!({})));
    let children = fixture.index.children(&fixture.shop);
    let made = children
        .into_iter()
        .find(|it| it.kind == "Ingress")
        .unwrap();
    let mut made: Ingress = read(made.value);
    made.metadata.owner_references = None;
    fixture.apply(Event::ExposedPort(gone("team-a", "shop")));
    let affected = put(&mut fixture, made.clone());
    assert!(affected.is_empty(), "{affected:?}");
    // A label alone takes nothing away from its author.
    made.metadata.name = Some("mine".into());
    put(&mut fixture, made);
    assert!(served(&fixture, HOST).is_some());
}

#[test]
fn another_namespace_loses_and_reads_who_holds_the_hostname() {
    let mut fixture = fixture();
    put(&mut fixture, shop(all(HOST)));
    put(
        &mut fixture,
        ingress("team-b", "thief", 1, "public", all(HOST)),
    );
    is(&routes(&fixture, HOST), &[("/", "team-a/shop:http")]);
    let thief = Subject::ingress_host(&ObjectRef::new("team-b", "thief"), &host(HOST));
    let (held, message) = reason(&fixture, &thief);
    assert_eq!(held, Reason::HostnameHeld.as_str());
    assert!(
        message.contains("already in use by namespace \"team-a\""),
        "{message}"
    );
    let address = "203.0.113.7";
    let shown = |name, ingress| {
        let shown = fixture
            .index
            .addresses_of_ingress(&ObjectRef::new(name, ingress));
        shown.iter().map(|it| it.value.clone()).collect::<Vec<_>>()
    };
    assert_eq!(shown("team-a", "shop"), [address]);
    assert_eq!(
        shown("team-b", "thief"),
        [""; 0],
        "no addresses are published"
    );
}

#[test]
fn ingresses_and_exposed_ports_share_a_hostname() {
    let mut fixture = fixture();
    fixture.expose(
        "team-a",
        "first",
        1,
        json!({"hostnames": [HOST], "tls": {"mode": "Disabled"}, "routes": [
        {"match": {"path": {"prefix": "/a"}}, "respond": {"status": 204}}]}),
    );
    let paths = [("Prefix", "/a", "shop"), ("Prefix", "/b", "shop")];
    put(&mut fixture, shop(json!({"rules": [rule(HOST, &paths)]})));
    let found = served(&fixture, HOST).unwrap().routes;
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(matches!(found[0].action, Action::Respond(_)), "{found:?}");
    let (conflict, message) = reason(&fixture, &of_shop(HOST));
    assert_eq!(conflict, Reason::RouteConflict.as_str());
    let sentence = "spec.rules[0].http.paths[0]: conflicts on hostname";
    assert!(message.contains(sentence), "{message}");
    // And the other way round.
    put(
        &mut fixture,
        ingress(
            "team-a",
            "elder",
            0,
            "public",
            json!({"rules": [rule(HOST, &paths[..1])]}),
        ),
    );
    let me = Subject::exposed_port("team-a", "first");
    let status = fixture
        .index
        .status(&me, &Observed::default(), now())
        .unwrap();
    assert!(
        status
            .description
            .contains("the older Ingress \"team-a/elder\""),
        "{}",
        status.description
    );
    assert_eq!(status.hostnames[0].held_by, "Ingress team-a/elder");
}

#[test]
fn hostnames_of_one_ingress_stand_and_fall_by_themselves() {
    let mut fixture = fixture();
    fixture.apply(Event::HostnameHold(applied(hold(
        "b.example.com",
        "team-a",
    ))));
    let rules = [
        rule(HOST, &[("Prefix", "/", "shop")]),
        rule("b.example.com", &[("Prefix", "/", "none")]),
        rule("", &[("Prefix", "/", "shop")]),
        rule("c.example.com", &[]),
    ];
    put(&mut fixture, shop(json!({"rules": rules})));
    is(&routes(&fixture, HOST), &[("/", "team-a/shop:http")]);
    is(
        &routes(&fixture, "b.example.com"),
        &[("/", "ServiceNotFound")],
    );
    let (_, message) = reason(&fixture, &of_shop("b.example.com"));
    let sentence =
        "spec.rules[1].http.paths[0].backend.service.name: Not found: Service \"none\" not found";
    assert!(message.starts_with(sentence), "{message}");
    let (invalid, message) = reason(&fixture, &of_shop("c.example.com"));
    assert_eq!(invalid, Reason::InvalidSpec.as_str());
    assert!(
        message.starts_with("spec.rules[3]: Required value: http.paths"),
        "{message}"
    );
    let diagnostics = fixture
        .index
        .ingress_diagnostics(&ObjectRef::new("team-a", "shop"));
    let message = &diagnostics[0].message;
    assert!(
        message.starts_with("spec.rules[2].host: Required value: a host"),
        "{message}"
    );
    assert_eq!(
        fixture
            .index
            .hosts_of_ingress(&ObjectRef::new("team-a", "shop"))
            .len(),
        3
    );
}

#[test]
fn reports_a_missing_class_until_it_is_created() {
    let mut fixture = fixture();
    let class = ingress_class("edge", INGRESS_CONTROLLER, Value::Null);
    fixture.apply(Event::IngressClass(applied(class)));
    put(
        &mut fixture,
        ingress("team-a", "shop", 5, "edge", all(HOST)),
    );
    let (missing, message) = reason(&fixture, &of_shop(HOST));
    assert_eq!(missing, Reason::ClassNotFound.as_str());
    assert!(
        message.starts_with("spec.ingressClassName: Not found: \"edge\": "),
        "{message}"
    );
    fixture.apply(Event::ExposeClass(applied(expose_class(
        "edge",
        2,
        json!({}),
    ))));
    let name = virtual_host(HOST);
    assert!(fixture.index.resource(&class_name("edge"), &name).is_some());
}

#[test]
fn what_the_class_forbids_is_forbidden_to_ingresses_too() {
    let mut fixture = fixture();
    let mut spec = all(HOST);
    spec["tls"] = json!([{"secretName": "own"}]);
    put(&mut fixture, shop(spec));
    for (policy, expected, field) in [
        (
            json!({"hostnames": [{"domains": ["other.test"]}]}),
            Reason::HostnameNotAllowed,
            "spec.rules[0].host: Forbidden: class \"public\"",
        ),
        (
            json!({"tls": {"allowOwnSecrets": {"namespaces": ["team-b"]}}}),
            Reason::OwnSecretNotAllowed,
            "spec.tls[0].secretName: Forbidden: class \"public\"",
        ),
        (
            json!({"rootNamespaces": ["team-b"]}),
            Reason::RootNamespaceDenied,
            "spec.rules[0].host: Forbidden: class \"public\"",
        ),
    ] {
        fixture.apply(Event::ExposeClass(applied(expose_class(
            "public", 1, policy,
        ))));
        let (reason, message) = reason(&fixture, &of_shop(HOST));
        assert_eq!(reason, expected.as_str());
        assert!(message.starts_with(field), "{message}");
        assert!(served(&fixture, HOST).is_none());
    }
}

#[test]
fn ingress_status_is_remembered_per_object() {
    let mut fixture = fixture();
    put(&mut fixture, shop(all(HOST)));
    let me = of_shop(HOST);
    let status = fixture
        .index
        .status(&me, &Observed::default(), now())
        .unwrap();
    fixture
        .index
        .remember(&me, portolan_core::ReportedStatus::from(&status));
    let later = now() + jiff::SignedDuration::from_hours(1);
    let again = fixture
        .index
        .status(&me, &Observed::default(), later)
        .unwrap();
    assert_eq!(again, status, "conditions keep their times");
    assert_eq!(fixture.index.metrics(&me).unwrap().hostnames[0].name, HOST);
    let mut another = shop(all(HOST));
    another.metadata.uid = Some("another".into());
    put(&mut fixture, another);
    assert_eq!(
        fixture.index.metrics(&me).unwrap().status,
        "",
        "it has no status yet"
    );
}

#[test]
fn a_class_that_only_an_ingress_uses_is_in_use() {
    let mut fixture = fixture();
    put(&mut fixture, shop(all(HOST)));
    let finalizers = fixture.index.finalizers(&class_name("public")).unwrap();
    assert_eq!(finalizers, [portolan_core::IN_USE]);
    let mut leaving = expose_class("public", 1, json!({}));
    leaving.metadata.deletion_timestamp = Some(read(json!(created(9))));
    fixture.apply(Event::ExposeClass(applied(leaving)));
    let status = fixture
        .index
        .class_status(&class_name("public"), &Observed::default(), now());
    let message = serde_json::to_string(&status).unwrap();
    assert!(
        message.contains(r#"still used by Ingress \"team-a/shop\""#),
        "{message}"
    );
}

#[test]
fn reports_unsupported_annotations() {
    let mut fixture = fixture();
    let mut object = shop(all(HOST));
    let keys = [
        "cert-manager.io/issuer",
        "nginx.ingress.kubernetes.io/rewrite-target",
        "nginx.org/x",
    ];
    object.metadata.annotations = Some(keys.map(|key| (key.to_owned(), String::new())).into());
    put(&mut fixture, object);
    let diagnostics = fixture
        .index
        .ingress_diagnostics(&ObjectRef::new("team-a", "shop"));
    let [diagnostic] = &diagnostics[..] else {
        panic!("{diagnostics:?}")
    };
    assert_eq!(diagnostic.reason, Reason::AnnotationNotSupported);
    let message = &diagnostic.message;
    let sentence = "metadata.annotations: Unsupported value: nginx.ingress.kubernetes.io/rewrite-target and 1 more: ignored";
    assert!(message.starts_with(sentence), "{message}");
    assert!(served(&fixture, HOST).is_some());
}

#[test]
fn remedies_name_no_field_that_an_ingress_lacks() {
    let mut fixture = fixture();
    let class = json!({"default": true, "domain": "apps.test", "backendEncryption": "TLS"});
    fixture.apply(Event::ExposeClass(applied(expose_class(
        "public", 1, class,
    ))));
    put(&mut fixture, shop(all(HOST)));
    let (encryption, message) = reason(&fixture, &of_shop(HOST));
    assert_eq!(encryption, Reason::BackendNotEncrypted.as_str());
    assert!(
        message.ends_with("set appProtocol: https on that port of the Service"),
        "{message}"
    );
    let mut spec = all(HOST);
    spec["tls"] = json!([{"hosts": [HOST], "secretName": "none"}]);
    put(&mut fixture, shop(spec));
    let key = of_shop(HOST);
    let status = fixture.index.status(&key, &Observed::default(), now());
    let messages = status.unwrap().conditions.into_iter();
    let messages: Vec<_> = messages
        .map(|condition| fixture.index.in_terms_of_ingress(&key, &condition.message))
        .collect();
    assert!(
        messages
            .iter()
            .any(|message| message.ends_with("correct spec.tls[0].secretName")),
        "{messages:#?}"
    );
    assert!(
        messages
            .iter()
            .all(|message| !message.contains("spec.tls.secret")),
        "{messages:#?}"
    );
}
