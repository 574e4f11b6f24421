//! Routes that are left to another object, which agrees to it.

use crate::fixture::*;
use portolan_core::{Affected, Event, Observed, Reason, Subject};
use portolan_crds::ExposedPortStatus;
use portolan_discovery::table::{Action, PathMatch, Resource, Route};
use serde_json::{Value, json};

/// `Fixture::ready`, whose object leaves `/docs` to `marketing/docs`.
fn delegating() -> Fixture {
    let mut fixture = Fixture::ready();
    put_root(
        &mut fixture,
        json!([delegate("/docs", "marketing", "docs"), {}]),
    );
    fixture
}

fn put_root(fixture: &mut Fixture, routes: Value) -> Affected {
    let spec = json!({"service": "shop", "port": 80, "hostnames": [HOST],
        "tls": {"secret": {"name": "own"}}, "routes": routes});
    fixture.put_shop(spec)
}

fn delegate(prefix: &str, namespace: &str, name: &str) -> Value {
    json!({"match": {"path": {"prefix": prefix}}, "delegate": {"namespace": namespace, "name": name}})
}

fn answer(prefix: &str, body: &str) -> Value {
    json!({"match": {"path": {"prefix": prefix}}, "respond": {"status": 200, "body": body}})
}

/// A child that allows `team-a`.
fn put_child(fixture: &mut Fixture, namespace: &str, name: &str, routes: Value) -> Affected {
    put_child_of(fixture, "team-a", namespace, name, routes)
}

fn put_child_of(
    fixture: &mut Fixture,
    parent: &str,
    namespace: &str,
    name: &str,
    routes: Value,
) -> Affected {
    let spec = json!({"allowedParents": [{"namespace": parent}], "routes": routes});
    fixture.expose(namespace, name, 7, spec)
}

fn routes(fixture: &Fixture) -> Vec<Route> {
    match fixture.resource(&virtual_host(HOST)) {
        Some(Resource::VirtualHost(host)) => host.routes,
        other => panic!("{other:?}"),
    }
}

/// Path and what becomes of a request: a body, a Service, or a reason.
fn routes_of_host(fixture: &Fixture) -> Vec<(String, String)> {
    let path = |path: &PathMatch| match path {
        PathMatch::Prefix(path) | PathMatch::Exact(path) | PathMatch::Regex(path) => path.clone(),
    };
    let action = |action: &Action| match action {
        Action::Respond(respond) => respond.body.clone(),
        Action::Forward { backends } => backends[0].endpoints.clone(),
        Action::Unavailable { reason } => reason.clone(),
        other => panic!("{other:?}"),
    };
    let routes = routes(fixture);
    let rows = routes.iter();
    rows.map(|it| (path(&it.matches.path), action(&it.action)))
        .collect()
}

fn row(path: &str, what: &str) -> (String, String) {
    (path.to_owned(), what.to_owned())
}

fn status_of(fixture: &Fixture, namespace: &str, name: &str) -> ExposedPortStatus {
    let object = Subject::exposed_port(namespace, name);
    fixture
        .index
        .status(&object, &Observed::default(), now())
        .unwrap()
}

#[track_caller]
fn is(fixture: &Fixture, namespace: &str, name: &str, reason: Reason) -> String {
    let status = status_of(fixture, namespace, name);
    let ready = condition(&status, "Ready");
    assert_eq!(ready, ("False".into(), reason.to_string()), "{status:#?}");
    status.description
}

#[test]
fn a_child_says_what_becomes_of_the_prefix_that_is_left_to_it() {
    let mut fixture = delegating();
    put_child(
        &mut fixture,
        "marketing",
        "docs",
        json!([answer("/docs/new", "new"), answer("/docs", "docs")]),
    );
    let expected = [
        row("/docs/new", "new"),
        row("/docs", "docs"),
        row("/", "team-a/shop:http"),
    ];
    assert_eq!(routes_of_host(&fixture), expected);
    let name = virtual_host(HOST);
    let (_, origins) = fixture
        .index
        .resource(&class_name("public"), &name)
        .unwrap();
    let uids: Vec<_> = origins.into_iter().map(|it| it.uid).collect();
    assert_eq!(uids, ["uid-marketing-docs", "uid-team-a-shop"]);
    fixture.see_everything();
    fixture.is(Reason::Serving);
}

#[test]
fn a_child_without_routes_takes_all_that_it_is_given() {
    let mut fixture = delegating();
    let spec = json!({"allowedParents": [{"namespace": "team-a", "name": "shop"}], "service": "web", "port": 80});
    fixture.expose("marketing", "docs", 7, spec);
    assert_eq!(routes_of_host(&fixture)[0], row("/docs", "ServiceNotFound"));
    let ports = json!([{"name": "http", "port": 80}]);
    let web = service(
        "marketing",
        "web",
        json!({"selector": {"app": "web"}, "ports": ports}),
    );
    let affected = fixture.apply(Event::Service(applied(web)));
    assert_eq!(
        routes_of_host(&fixture)[0],
        row("/docs", "marketing/web:http")
    );
    let class = class_name("public");
    for name in [virtual_host(HOST), endpoints("marketing/web:http")] {
        assert!(affected.resources.contains(&(class.clone(), name)));
    }
    assert!(fixture.resource(&endpoints("marketing/web:http")).is_some());
    put_root(&mut fixture, json!([{}]));
    assert_eq!(
        fixture.resource(&endpoints("marketing/web:http")),
        None,
        "no requests are sent there any more"
    );
}

#[test]
fn without_the_childs_consent_nothing_is_left_to_it() {
    let mut fixture = delegating();
    put_child_of(
        &mut fixture,
        "team-b",
        "marketing",
        "docs",
        json!([answer("/docs", "docs")]),
    );
    assert_eq!(
        routes_of_host(&fixture)[0],
        row("/docs", "DelegationNotPermitted")
    );
    fixture.is(Reason::DelegationNotPermitted);
    let sentence = fixture.status().description;
    assert!(
        sentence.starts_with(
            "spec.routes[0].delegate: Forbidden: ExposedPort \"marketing/docs\" does not allow it"
        ),
        "{sentence}"
    );
    is(&fixture, "marketing", "docs", Reason::Orphaned);
    // Consent comes, and is taken back.
    let affected = put_child(
        &mut fixture,
        "marketing",
        "docs",
        json!([answer("/docs", "docs")]),
    );
    assert!(affected.objects.contains(&fixture.shop));
    assert_eq!(routes_of_host(&fixture)[0], row("/docs", "docs"));
    put_child_of(
        &mut fixture,
        "team-b",
        "marketing",
        "docs",
        json!([answer("/docs", "x")]),
    );
    assert_eq!(
        routes_of_host(&fixture)[0],
        row("/docs", "DelegationNotPermitted")
    );
}

#[test]
fn a_root_is_never_a_child() {
    let mut fixture = delegating();
    let spec = json!({"service": "x", "port": 80, "hostnames": ["b.example.com"]});
    fixture.expose("marketing", "docs", 7, spec);
    fixture.is(Reason::DelegationNotPermitted);
}

#[test]
fn a_missing_child_closes_its_prefix_and_nothing_else() {
    let mut fixture = delegating();
    let expected = [
        row("/docs", "DelegateNotFound"),
        row("/", "team-a/shop:http"),
    ];
    assert_eq!(routes_of_host(&fixture), expected);
    fixture.is(Reason::DelegateNotFound);
    let affected = put_child(
        &mut fixture,
        "marketing",
        "docs",
        json!([answer("/docs", "docs")]),
    );
    assert!(affected.objects.contains(&fixture.shop));
    fixture.see_everything();
    fixture.is(Reason::Serving);
    let affected = fixture.apply(Event::ExposedPort(gone("marketing", "docs")));
    assert!(affected.objects.contains(&fixture.shop));
    assert_eq!(routes_of_host(&fixture), expected);
}

#[test]
fn rejects_routes_outside_the_delegated_prefix() {
    let mut fixture = delegating();
    for (outside, field) in [
        (answer("/", "all"), "path"),
        (answer("/doc", "not a whole segment"), "path"),
        (answer("/docsx", "not a whole segment"), "path"),
        (
            json!({"match": {"path": {"regex": "/docs/.*"}}, "respond": {"status": 200}}),
            "path",
        ),
    ] {
        put_child(
            &mut fixture,
            "marketing",
            "docs",
            json!([outside, answer("/docs/in", "in")]),
        );
        let expected = [row("/docs/in", "in"), row("/", "team-a/shop:http")];
        assert_eq!(routes_of_host(&fixture), expected, "{outside}");
        let sentence = is(&fixture, "marketing", "docs", Reason::RouteOutsideParent);
        assert!(sentence.contains("spec.routes[0].match"), "{sentence}");
        assert!(sentence.contains("team-a/shop"), "{sentence}");
        assert!(sentence.contains(field), "{sentence}");
    }
}

#[test]
fn conditions_of_the_delegating_route_apply_to_the_child() {
    let mut fixture = Fixture::ready();
    let mut given = delegate("/docs", "marketing", "docs");
    given["match"]["method"] = "GET".into();
    given["match"]["headers"] = json!([{"name": "x-beta", "exact": "1"}]);
    put_root(&mut fixture, json!([given, {}]));
    let mut route = answer("/docs", "docs");
    route["match"]["headers"] = json!([{"name": "x-team", "present": true}]);
    put_child(&mut fixture, "marketing", "docs", json!([route]));
    let matches = &routes(&fixture)[0].matches;
    assert_eq!(matches.method.as_deref(), Some("GET"));
    let names: Vec<_> = matches.headers.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["x-beta", "x-team"]);
    route["match"]["method"] = "PUT".into();
    put_child(&mut fixture, "marketing", "docs", json!([route]));
    assert_eq!(routes_of_host(&fixture), [row("/", "team-a/shop:http")]);
    is(&fixture, "marketing", "docs", Reason::RouteOutsideParent);
}

#[test]
fn a_child_serves_under_several_parents() {
    let mut fixture = Fixture::ready();
    put_root(
        &mut fixture,
        json!([
            delegate("/a", "marketing", "docs"),
            delegate("/b", "marketing", "docs"),
            {}
        ]),
    );
    put_child(
        &mut fixture,
        "marketing",
        "docs",
        json!([answer("/a/x", "a"), answer("/b/x", "b")]),
    );
    let expected = [
        row("/a/x", "a"),
        row("/b/x", "b"),
        row("/", "team-a/shop:http"),
    ];
    assert_eq!(routes_of_host(&fixture), expected);
    let reason = condition(&status_of(&fixture, "marketing", "docs"), "Ready").1;
    assert_ne!(reason, "RouteOutsideParent");
}

#[test]
fn a_chain_narrows_step_by_step() {
    let mut fixture = delegating();
    put_child(
        &mut fixture,
        "marketing",
        "docs",
        json!([
            delegate("/docs/api", "platform", "api"),
            answer("/docs", "docs")
        ]),
    );
    put_child_of(
        &mut fixture,
        "marketing",
        "platform",
        "api",
        json!([answer("/docs/api/v1", "v1"), answer("/docs", "too much")]),
    );
    let expected = [
        row("/docs/api/v1", "v1"),
        row("/docs", "docs"),
        row("/", "team-a/shop:http"),
    ];
    assert_eq!(routes_of_host(&fixture), expected);
    is(&fixture, "platform", "api", Reason::RouteOutsideParent);
    let status = status_of(&fixture, "platform", "api");
    assert_eq!(status.summary.unwrap().hosts, HOST);
    assert_eq!(status.class_name.as_deref(), Some("public"));
    let affected = fixture.apply(Event::ExposedPort(gone("team-a", "shop")));
    assert!(
        affected
            .objects
            .contains(&Subject::exposed_port("platform", "api")),
        "it is an orphan now"
    );
    let sentence = is(&fixture, "platform", "api", Reason::Orphaned);
    assert!(sentence.contains("marketing/docs"), "{sentence}");
    assert_eq!(
        status_of(&fixture, "platform", "api")
            .summary
            .unwrap()
            .status,
        "Orphaned"
    );
}

#[test]
fn a_circle_is_named_in_full_and_everything_else_is_served() {
    let mut fixture = delegating();
    put_child(
        &mut fixture,
        "marketing",
        "docs",
        json!([
            delegate("/docs/x", "team-a", "loop"),
            answer("/docs", "docs")
        ]),
    );
    put_child_of(
        &mut fixture,
        "marketing",
        "team-a",
        "loop",
        json!([
            delegate("/docs/x/y", "marketing", "docs"),
            answer("/docs/x", "x")
        ]),
    );
    let expected = [
        row("/docs/x/y", "DelegationCycle"),
        row("/docs/x", "x"),
        row("/docs", "docs"),
        row("/", "team-a/shop:http"),
    ];
    assert_eq!(routes_of_host(&fixture), expected);
    let sentence = is(&fixture, "marketing", "docs", Reason::DelegationCycle);
    assert!(
        sentence.contains("marketing/docs -> team-a/loop -> marketing/docs"),
        "{sentence}"
    );
    let sentence = is(&fixture, "team-a", "loop", Reason::DelegationCycle);
    assert!(
        sentence.contains("team-a/loop -> marketing/docs -> team-a/loop"),
        "{sentence}"
    );
    fixture.see_everything();
    fixture.is(Reason::Serving);
}

#[test]
fn many_ways_to_the_same_children_come_to_an_end() {
    let mut fixture = Fixture::ready();
    put_root(&mut fixture, json!([delegate("/", "team-a", "c0")]));
    for depth in 0..20 {
        let next = format!("c{}", depth + 1);
        let both = json!([
            {"match": {"method": "GET"}, "delegate": {"name": next}},
            {"match": {"headers": [{"name": "x", "present": true}]}, "delegate": {"name": next}},
        ]);
        put_child(&mut fixture, "team-a", &format!("c{depth}"), both);
    }
    assert!(routes(&fixture).len() < 3000);
    is(&fixture, "team-a", "c19", Reason::DelegationTooDeep);
}

#[test]
fn a_child_cannot_loosen_the_client_certificates_of_its_root() {
    let mut fixture = Fixture::ready();
    let tls = json!({"secret": {"name": "own"}, "clientCA": {"secret": {"name": "ca"}}});
    let spec = json!({"service": "shop", "port": 80, "hostnames": [HOST], "tls": tls,
        "routes": [delegate("/docs", "marketing", "docs"), {}]});
    fixture.put_shop(spec);
    let mut ca = secret("ca", "", "");
    let pem = k8s_openapi::ByteString(GOOD.certificate.as_bytes().to_vec());
    ca.data = Some([("ca.crt".to_owned(), pem)].into());
    fixture.apply(Event::Secret(applied(ca)));
    let mut open = answer("/docs", "docs");
    open["permitInsecure"] = true.into();
    put_child(&mut fixture, "marketing", "docs", json!([open]));
    assert_eq!(routes_of_host(&fixture)[0], row("/docs", "docs"));
    assert!(!routes(&fixture)[0].permit_insecure);
    let accepted = condition(&status_of(&fixture, "marketing", "docs"), "Accepted");
    assert_eq!(accepted, ("True".into(), "ParentRequiresTls".into()));
    // Without client certificates the child decides.
    put_root(
        &mut fixture,
        json!([delegate("/docs", "marketing", "docs"), {}]),
    );
    assert!(routes(&fixture)[0].permit_insecure);
}

#[test]
fn a_child_cannot_loosen_tls_of_a_cohosted_object() {
    let mut fixture = Fixture::ready();
    let tls = json!({"secret": {"name": "own"}, "clientCA": {"secret": {"name": "ca"}}});
    let elder = json!({"service": "shop", "port": 80, "hostnames": [HOST], "tls": tls,
        "routes": [{"match": {"path": {"prefix": "/own"}}}]});
    fixture.put_shop(elder);
    let mut ca = secret("ca", "", "");
    let pem = k8s_openapi::ByteString(GOOD.certificate.as_bytes().to_vec());
    ca.data = Some([("ca.crt".to_owned(), pem)].into());
    fixture.apply(Event::Secret(applied(ca)));
    let root = json!({"hostnames": [HOST], "routes": [delegate("/docs", "marketing", "docs")]});
    fixture.expose("team-a", "younger", 9, root);
    let mut open = answer("/docs", "docs");
    open["permitInsecure"] = true.into();
    put_child(&mut fixture, "marketing", "docs", json!([open]));
    assert!(
        routes_of_host(&fixture).contains(&row("/docs", "docs")),
        "{:?}",
        routes_of_host(&fixture)
    );
    assert!(routes(&fixture).iter().all(|it| !it.permit_insecure));
    let accepted = condition(&status_of(&fixture, "marketing", "docs"), "Accepted");
    assert_eq!(accepted, ("True".into(), "ParentRequiresTls".into()));
}

#[test]
fn a_child_has_a_service_and_no_names_of_its_own() {
    let mut fixture = delegating();
    let spec = json!({"allowedParents": [{"namespace": "team-a"}], "selector": {"app": "docs"}, "port": 80});
    fixture.expose("marketing", "docs", 7, spec);
    let children = fixture
        .index
        .children(&Subject::exposed_port("marketing", "docs"));
    let kinds: Vec<_> = children.iter().map(|it| it.kind).collect();
    assert_eq!(kinds, ["Service"]);
    is(&fixture, "marketing", "docs", Reason::Applying);
}

#[test]
fn a_child_is_ready_once_its_root_serves() {
    let mut fixture = delegating();
    put_child(
        &mut fixture,
        "marketing",
        "docs",
        json!([answer("/docs", "docs")]),
    );
    let child = Subject::exposed_port("marketing", "docs");
    let affected = fixture.apply(Event::HostnameHold(gone("", "h.shop.example.com")));
    assert!(affected.objects.contains(&child));
    is(&fixture, "marketing", "docs", Reason::ParentNotServing);
    let affected = fixture.apply(Event::HostnameHold(applied(hold(HOST, "team-a"))));
    assert!(affected.objects.contains(&child));
    fixture.shop = child;
    fixture.see_everything();
    let status = fixture.status();
    assert_eq!(condition(&status, "Ready").1, "Serving", "{status:#?}");
    assert_eq!(status.summary.unwrap().status, "Ready");
    assert_eq!(status.addresses[0].value, "203.0.113.7");
    fixture.proxy().acks.clear();
    assert_eq!(condition(&fixture.status(), "Ready").1, "ProxiesBehind");
}

#[test]
fn only_some_namespaces_may_have_roots() {
    let mut fixture = Fixture::ready();
    let class = json!({"default": true, "domain": "apps.test", "rootNamespaces": ["platform"]});
    let affected = fixture.apply(Event::ExposeClass(applied(expose_class(
        "public", 1, class,
    ))));
    assert!(affected.objects.contains(&fixture.shop));
    fixture.is(Reason::RootNamespaceDenied);
    let sentence = fixture.status().description;
    assert!(
        sentence.contains("does not allow hostnames in namespace \"team-a\""),
        "{sentence}"
    );
    assert_eq!(fixture.resource(&virtual_host(HOST)), None);
    let class = json!({"default": true, "domain": "apps.test", "rootNamespaces": ["team-a"]});
    fixture.apply(Event::ExposeClass(applied(expose_class(
        "public", 1, class,
    ))));
    fixture.is(Reason::Serving);
}

#[test]
fn too_deep_delegation_is_reported_at_both_ends() {
    let mut fixture = Fixture::ready();
    put_root(&mut fixture, json!([delegate("/", "team-a", "c1")]));
    // The root and fifteen below it are sixteen.
    for depth in 1..=17 {
        let next = format!("c{}", depth + 1);
        let routes = match depth {
            17 => json!([answer("/", "the end")]),
            _ => json!([delegate("/", "team-a", &next)]),
        };
        put_child(&mut fixture, "team-a", &format!("c{depth}"), routes);
    }
    assert_eq!(routes_of_host(&fixture), [row("/", "DelegationTooDeep")]);
    fixture.see_everything();
    fixture.is(Reason::DelegationTooDeep);
    let described = fixture.status().description;
    assert!(
        described.contains("team-a/c15") && described.contains("team-a/c16"),
        "{described}"
    );
    let reason = |fixture: &Fixture, name: &str| {
        let child = Subject::exposed_port("team-a", name);
        let status = fixture.index.status(&child, &Observed::default(), now());
        condition(&status.unwrap(), "Programmed").1
    };
    assert_ne!(reason(&fixture, "c15"), "DelegationTooDeep");
    for beyond in ["c16", "c17"] {
        assert_eq!(reason(&fixture, beyond), "DelegationTooDeep");
    }
    // Another way from a root that is short enough.
    let spec = json!({"service": "shop", "port": 80, "hostnames": ["b.example.com"],
        "tls": {"secret": {"name": "own"}}, "routes": [delegate("/", "team-a", "c17")]});
    fixture.expose("team-a", "b", 9, spec);
    assert_ne!(reason(&fixture, "c17"), "DelegationTooDeep");
}

#[test]
fn reports_routes_beyond_the_limit() {
    let mut fixture = Fixture::ready();
    let many = |n: usize| json!({"match": {"path": {"exact": format!("/{n}")}}, "respond": {"status": 200}});
    let routes: Vec<_> = (0..128).map(many).collect();
    let children: Vec<_> = (0..20)
        .map(|n| json!({"match": {"path": {"prefix": "/"}}, "delegate": {"name": format!("c{n}")}}))
        .collect();
    for n in 0..20 {
        put_child(&mut fixture, "team-a", &format!("c{n}"), json!(routes));
    }
    put_root(&mut fixture, json!(children));
    fixture.see_everything();
    fixture.is(Reason::TooManyRoutes);
    put_root(&mut fixture, json!(children[..10]));
    fixture.see_everything();
    fixture.is(Reason::Serving);
}
