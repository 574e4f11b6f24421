//! Routes that are left to another object, which agrees to it.

use crate::world::*;
use portolan_core::{Affected, Event, Observed, Reason, Subject};
use portolan_crds::ExposedPortStatus;
use portolan_discovery::table::{Action, PathMatch, Resource, Route};
use serde_json::{Value, json};

/// `World::ready`, whose object leaves `/docs` to `marketing/docs`.
fn delegating() -> World {
    let mut world = World::ready();
    put_root(
        &mut world,
        json!([delegate("/docs", "marketing", "docs"), {}]),
    );
    world
}

fn put_root(world: &mut World, routes: Value) -> Affected {
    let spec = json!({"service": "shop", "port": 80, "hostnames": [HOST],
        "tls": {"secret": {"name": "own"}}, "routes": routes});
    world.put_shop(spec)
}

fn delegate(prefix: &str, namespace: &str, name: &str) -> Value {
    json!({"match": {"path": {"prefix": prefix}}, "delegate": {"namespace": namespace, "name": name}})
}

fn answer(prefix: &str, body: &str) -> Value {
    json!({"match": {"path": {"prefix": prefix}}, "respond": {"status": 200, "body": body}})
}

/// A child that allows `team-a`.
fn put_child(world: &mut World, namespace: &str, name: &str, routes: Value) -> Affected {
    put_child_of(world, "team-a", namespace, name, routes)
}

fn put_child_of(
    world: &mut World,
    parent: &str,
    namespace: &str,
    name: &str,
    routes: Value,
) -> Affected {
    let spec = json!({"allowedParents": [{"namespace": parent}], "routes": routes});
    world.expose(namespace, name, 7, spec)
}

fn routes(world: &World) -> Vec<Route> {
    match world.resource(&virtual_host(HOST)) {
        Some(Resource::VirtualHost(host)) => host.routes,
        other => panic!("{other:?}"),
    }
}

/// Path and what becomes of a request: a body, a Service, or a reason.
fn told(world: &World) -> Vec<(String, String)> {
    let path = |path: &PathMatch| match path {
        PathMatch::Prefix(path) | PathMatch::Exact(path) | PathMatch::Regex(path) => path.clone(),
    };
    let action = |action: &Action| match action {
        Action::Respond(respond) => respond.body.clone(),
        Action::Forward { backends } => backends[0].endpoints.clone(),
        Action::Unavailable { reason } => reason.clone(),
        other => panic!("{other:?}"),
    };
    let routes = routes(world);
    let rows = routes.iter();
    rows.map(|it| (path(&it.matches.path), action(&it.action)))
        .collect()
}

fn row(path: &str, what: &str) -> (String, String) {
    (path.to_owned(), what.to_owned())
}

fn status_of(world: &World, namespace: &str, name: &str) -> ExposedPortStatus {
    let object = Subject::exposed_port(namespace, name);
    world
        .index
        .status(&object, &Observed::default(), now())
        .unwrap()
}

#[track_caller]
fn is(world: &World, namespace: &str, name: &str, reason: Reason) -> String {
    let status = status_of(world, namespace, name);
    let ready = condition(&status, "Ready");
    assert_eq!(ready, ("False".into(), reason.to_string()), "{status:#?}");
    status.description
}

#[test]
fn a_child_says_what_becomes_of_the_prefix_that_is_left_to_it() {
    let mut world = delegating();
    put_child(
        &mut world,
        "marketing",
        "docs",
        json!([answer("/docs/new", "new"), answer("/docs", "docs")]),
    );
    let expected = [
        row("/docs/new", "new"),
        row("/docs", "docs"),
        row("/", "team-a/shop:http"),
    ];
    assert_eq!(told(&world), expected);
    let name = virtual_host(HOST);
    let (_, origins) = world.index.resource(&class_name("public"), &name).unwrap();
    let uids: Vec<_> = origins.into_iter().map(|it| it.uid).collect();
    assert_eq!(uids, ["uid-marketing-docs", "uid-team-a-shop"]);
    world.see_everything();
    world.is(Reason::Serving);
}

#[test]
fn a_child_without_routes_takes_all_that_it_is_given() {
    let mut world = delegating();
    let spec = json!({"allowedParents": [{"namespace": "team-a", "name": "shop"}], "service": "web", "port": 80});
    world.expose("marketing", "docs", 7, spec);
    assert_eq!(told(&world)[0], row("/docs", "ServiceNotFound"));
    let ports = json!([{"name": "http", "port": 80}]);
    let web = service(
        "marketing",
        "web",
        json!({"selector": {"app": "web"}, "ports": ports}),
    );
    let affected = world.apply(Event::Service(applied(web)));
    assert_eq!(told(&world)[0], row("/docs", "marketing/web:http"));
    let class = class_name("public");
    for name in [virtual_host(HOST), endpoints("marketing/web:http")] {
        assert!(affected.resources.contains(&(class.clone(), name)));
    }
    assert!(world.resource(&endpoints("marketing/web:http")).is_some());
    put_root(&mut world, json!([{}]));
    assert_eq!(
        world.resource(&endpoints("marketing/web:http")),
        None,
        "nobody sends requests there any more"
    );
}

#[test]
fn without_the_childs_consent_nothing_is_left_to_it() {
    let mut world = delegating();
    put_child_of(
        &mut world,
        "team-b",
        "marketing",
        "docs",
        json!([answer("/docs", "docs")]),
    );
    assert_eq!(told(&world)[0], row("/docs", "DelegationNotPermitted"));
    world.is(Reason::DelegationNotPermitted);
    let sentence = world.status().description;
    assert!(
        sentence.starts_with(
            "spec.routes[0].delegate: Forbidden: ExposedPort \"marketing/docs\" does not allow it"
        ),
        "{sentence}"
    );
    is(&world, "marketing", "docs", Reason::Orphaned);
    // Consent comes, and is taken back.
    let affected = put_child(
        &mut world,
        "marketing",
        "docs",
        json!([answer("/docs", "docs")]),
    );
    assert!(affected.objects.contains(&world.shop));
    assert_eq!(told(&world)[0], row("/docs", "docs"));
    put_child_of(
        &mut world,
        "team-b",
        "marketing",
        "docs",
        json!([answer("/docs", "x")]),
    );
    assert_eq!(told(&world)[0], row("/docs", "DelegationNotPermitted"));
}

#[test]
fn a_root_is_nobodys_child() {
    let mut world = delegating();
    let spec = json!({"service": "x", "port": 80, "hostnames": ["b.example.com"]});
    world.expose("marketing", "docs", 7, spec);
    world.is(Reason::DelegationNotPermitted);
}

#[test]
fn a_missing_child_closes_its_prefix_and_nothing_else() {
    let mut world = delegating();
    let expected = [
        row("/docs", "DelegateNotFound"),
        row("/", "team-a/shop:http"),
    ];
    assert_eq!(told(&world), expected);
    world.is(Reason::DelegateNotFound);
    let affected = put_child(
        &mut world,
        "marketing",
        "docs",
        json!([answer("/docs", "docs")]),
    );
    assert!(affected.objects.contains(&world.shop));
    world.see_everything();
    world.is(Reason::Serving);
    let affected = world.apply(Event::ExposedPort(gone("marketing", "docs")));
    assert!(affected.objects.contains(&world.shop));
    assert_eq!(told(&world), expected);
}

#[test]
fn nothing_outside_of_the_delegated_prefix_is_taken() {
    let mut world = delegating();
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
            &mut world,
            "marketing",
            "docs",
            json!([outside, answer("/docs/in", "in")]),
        );
        let expected = [row("/docs/in", "in"), row("/", "team-a/shop:http")];
        assert_eq!(told(&world), expected, "{outside}");
        let sentence = is(&world, "marketing", "docs", Reason::RouteOutsideParent);
        assert!(sentence.contains("spec.routes[0].match"), "{sentence}");
        assert!(sentence.contains("team-a/shop"), "{sentence}");
        assert!(sentence.contains(field), "{sentence}");
    }
}

#[test]
fn what_the_delegating_route_asks_for_is_asked_of_the_childs_too() {
    let mut world = World::ready();
    let mut given = delegate("/docs", "marketing", "docs");
    given["match"]["method"] = "GET".into();
    given["match"]["headers"] = json!([{"name": "x-beta", "exact": "1"}]);
    put_root(&mut world, json!([given, {}]));
    let mut route = answer("/docs", "docs");
    route["match"]["headers"] = json!([{"name": "x-team", "present": true}]);
    put_child(&mut world, "marketing", "docs", json!([route]));
    let matches = &routes(&world)[0].matches;
    assert_eq!(matches.method.as_deref(), Some("GET"));
    let names: Vec<_> = matches.headers.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["x-beta", "x-team"]);
    route["match"]["method"] = "PUT".into();
    put_child(&mut world, "marketing", "docs", json!([route]));
    assert_eq!(told(&world), [row("/", "team-a/shop:http")]);
    is(&world, "marketing", "docs", Reason::RouteOutsideParent);
}

#[test]
fn one_child_serves_under_several_parents_and_says_nothing_of_what_one_of_them_leaves_out() {
    let mut world = World::ready();
    put_root(
        &mut world,
        json!([
            delegate("/a", "marketing", "docs"),
            delegate("/b", "marketing", "docs"),
            {}
        ]),
    );
    put_child(
        &mut world,
        "marketing",
        "docs",
        json!([answer("/a/x", "a"), answer("/b/x", "b")]),
    );
    let expected = [
        row("/a/x", "a"),
        row("/b/x", "b"),
        row("/", "team-a/shop:http"),
    ];
    assert_eq!(told(&world), expected);
    let reason = condition(&status_of(&world, "marketing", "docs"), "Ready").1;
    assert_ne!(reason, "RouteOutsideParent");
}

#[test]
fn a_chain_narrows_step_by_step() {
    let mut world = delegating();
    put_child(
        &mut world,
        "marketing",
        "docs",
        json!([
            delegate("/docs/api", "platform", "api"),
            answer("/docs", "docs")
        ]),
    );
    put_child_of(
        &mut world,
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
    assert_eq!(told(&world), expected);
    is(&world, "platform", "api", Reason::RouteOutsideParent);
    let status = status_of(&world, "platform", "api");
    assert_eq!(status.summary.unwrap().hosts, HOST);
    assert_eq!(status.class_name.as_deref(), Some("public"));
    let affected = world.apply(Event::ExposedPort(gone("team-a", "shop")));
    assert!(
        affected
            .objects
            .contains(&Subject::exposed_port("platform", "api")),
        "it is an orphan now"
    );
    let sentence = is(&world, "platform", "api", Reason::Orphaned);
    assert!(sentence.contains("marketing/docs"), "{sentence}");
    assert_eq!(
        status_of(&world, "platform", "api").summary.unwrap().status,
        "Orphaned"
    );
}

#[test]
fn a_circle_is_named_in_full_and_everything_else_is_served() {
    let mut world = delegating();
    put_child(
        &mut world,
        "marketing",
        "docs",
        json!([
            delegate("/docs/x", "team-a", "loop"),
            answer("/docs", "docs")
        ]),
    );
    put_child_of(
        &mut world,
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
    assert_eq!(told(&world), expected);
    let sentence = is(&world, "marketing", "docs", Reason::DelegationCycle);
    assert!(
        sentence.contains("marketing/docs -> team-a/loop -> marketing/docs"),
        "{sentence}"
    );
    let sentence = is(&world, "team-a", "loop", Reason::DelegationCycle);
    assert!(
        sentence.contains("team-a/loop -> marketing/docs -> team-a/loop"),
        "{sentence}"
    );
    world.see_everything();
    world.is(Reason::Serving);
}

#[test]
fn many_ways_to_the_same_children_come_to_an_end() {
    let mut world = World::ready();
    put_root(&mut world, json!([delegate("/", "team-a", "c0")]));
    for depth in 0..20 {
        let next = format!("c{}", depth + 1);
        let both = json!([
            {"match": {"method": "GET"}, "delegate": {"name": next}},
            {"match": {"headers": [{"name": "x", "present": true}]}, "delegate": {"name": next}},
        ]);
        put_child(&mut world, "team-a", &format!("c{depth}"), both);
    }
    assert!(routes(&world).len() < 3000);
    is(&world, "team-a", "c19", Reason::DelegationTooDeep);
}

#[test]
fn a_child_cannot_loosen_the_client_certificates_of_its_root() {
    let mut world = World::ready();
    let tls = json!({"secret": {"name": "own"}, "clientCA": {"secret": {"name": "ca"}}});
    let spec = json!({"service": "shop", "port": 80, "hostnames": [HOST], "tls": tls,
        "routes": [delegate("/docs", "marketing", "docs"), {}]});
    world.put_shop(spec);
    let mut ca = secret("ca", "", "");
    let pem = k8s_openapi::ByteString(GOOD.certificate.as_bytes().to_vec());
    ca.data = Some([("ca.crt".to_owned(), pem)].into());
    world.apply(Event::Secret(applied(ca)));
    let mut open = answer("/docs", "docs");
    open["permitInsecure"] = true.into();
    put_child(&mut world, "marketing", "docs", json!([open]));
    assert_eq!(told(&world)[0], row("/docs", "docs"));
    assert!(!routes(&world)[0].permit_insecure);
    let accepted = condition(&status_of(&world, "marketing", "docs"), "Accepted");
    assert_eq!(accepted, ("True".into(), "ParentRequiresTls".into()));
    // Where nobody asks for certificates the child decides.
    put_root(
        &mut world,
        json!([delegate("/docs", "marketing", "docs"), {}]),
    );
    assert!(routes(&world)[0].permit_insecure);
}

#[test]
fn nor_those_of_an_older_object_that_shares_the_hostname_with_its_root() {
    let mut world = World::ready();
    let tls = json!({"secret": {"name": "own"}, "clientCA": {"secret": {"name": "ca"}}});
    let elder = json!({"service": "shop", "port": 80, "hostnames": [HOST], "tls": tls,
        "routes": [{"match": {"path": {"prefix": "/own"}}}]});
    world.put_shop(elder);
    let mut ca = secret("ca", "", "");
    let pem = k8s_openapi::ByteString(GOOD.certificate.as_bytes().to_vec());
    ca.data = Some([("ca.crt".to_owned(), pem)].into());
    world.apply(Event::Secret(applied(ca)));
    let root = json!({"hostnames": [HOST], "routes": [delegate("/docs", "marketing", "docs")]});
    world.expose("team-a", "younger", 9, root);
    let mut open = answer("/docs", "docs");
    open["permitInsecure"] = true.into();
    put_child(&mut world, "marketing", "docs", json!([open]));
    assert!(
        told(&world).contains(&row("/docs", "docs")),
        "{:?}",
        told(&world)
    );
    assert!(routes(&world).iter().all(|it| !it.permit_insecure));
    let accepted = condition(&status_of(&world, "marketing", "docs"), "Accepted");
    assert_eq!(accepted, ("True".into(), "ParentRequiresTls".into()));
}

#[test]
fn a_child_has_a_service_and_no_names_of_its_own() {
    let mut world = delegating();
    let spec = json!({"allowedParents": [{"namespace": "team-a"}], "selector": {"app": "docs"}, "port": 80});
    world.expose("marketing", "docs", 7, spec);
    let children = world
        .index
        .children(&Subject::exposed_port("marketing", "docs"));
    let kinds: Vec<_> = children.iter().map(|it| it.kind).collect();
    assert_eq!(kinds, ["Service"]);
    is(&world, "marketing", "docs", Reason::Applying);
}

#[test]
fn a_child_waits_for_its_root_and_is_told_when_that_serves() {
    let mut world = delegating();
    put_child(
        &mut world,
        "marketing",
        "docs",
        json!([answer("/docs", "docs")]),
    );
    let child = Subject::exposed_port("marketing", "docs");
    let affected = world.apply(Event::HostnameHold(gone("", "h.shop.example.com")));
    assert!(affected.objects.contains(&child));
    is(&world, "marketing", "docs", Reason::ParentNotServing);
    let affected = world.apply(Event::HostnameHold(applied(hold(HOST, "team-a"))));
    assert!(affected.objects.contains(&child));
    world.shop = child;
    world.see_everything();
    let status = world.status();
    assert_eq!(condition(&status, "Ready").1, "Serving", "{status:#?}");
    assert_eq!(status.summary.unwrap().status, "Ready");
    assert_eq!(status.addresses[0].value, "203.0.113.7");
    world.proxy().acks.clear();
    assert_eq!(condition(&world.status(), "Ready").1, "ProxiesBehind");
}

#[test]
fn only_some_namespaces_may_have_roots() {
    let mut world = World::ready();
    let class = json!({"default": true, "domain": "apps.test", "rootNamespaces": ["platform"]});
    let affected = world.apply(Event::ExposeClass(applied(expose_class(
        "public", 1, class,
    ))));
    assert!(affected.objects.contains(&world.shop));
    world.is(Reason::RootNamespaceDenied);
    let sentence = world.status().description;
    assert!(sentence.contains("have team-a added"), "{sentence}");
    assert_eq!(world.resource(&virtual_host(HOST)), None);
    let class = json!({"default": true, "domain": "apps.test", "rootNamespaces": ["team-a"]});
    world.apply(Event::ExposeClass(applied(expose_class(
        "public", 1, class,
    ))));
    world.is(Reason::Serving);
}

#[test]
fn what_is_too_far_below_a_hostname_is_told_above_and_below() {
    let mut world = World::ready();
    put_root(&mut world, json!([delegate("/", "team-a", "c1")]));
    // The root and fifteen below it are sixteen.
    for depth in 1..=17 {
        let next = format!("c{}", depth + 1);
        let routes = match depth {
            17 => json!([answer("/", "the end")]),
            _ => json!([delegate("/", "team-a", &next)]),
        };
        put_child(&mut world, "team-a", &format!("c{depth}"), routes);
    }
    assert_eq!(told(&world), [row("/", "DelegationTooDeep")]);
    world.see_everything();
    world.is(Reason::DelegationTooDeep);
    let described = world.status().description;
    assert!(
        described.contains("team-a/c15") && described.contains("team-a/c16"),
        "{described}"
    );
    let reason = |world: &World, name: &str| {
        let child = Subject::exposed_port("team-a", name);
        let status = world.index.status(&child, &Observed::default(), now());
        condition(&status.unwrap(), "Programmed").1
    };
    assert_ne!(reason(&world, "c15"), "DelegationTooDeep");
    for beyond in ["c16", "c17"] {
        assert_eq!(reason(&world, beyond), "DelegationTooDeep");
    }
    // Another way from a root that is short enough.
    let spec = json!({"service": "shop", "port": 80, "hostnames": ["b.example.com"],
        "tls": {"secret": {"name": "own"}}, "routes": [delegate("/", "team-a", "c17")]});
    world.expose("team-a", "b", 9, spec);
    assert_ne!(reason(&world, "c17"), "DelegationTooDeep");
}

#[test]
fn routes_beyond_the_bound_are_told() {
    let mut world = World::ready();
    let many = |n: usize| json!({"match": {"path": {"exact": format!("/{n}")}}, "respond": {"status": 200}});
    let routes: Vec<_> = (0..128).map(many).collect();
    let children: Vec<_> = (0..20)
        .map(|n| json!({"match": {"path": {"prefix": "/"}}, "delegate": {"name": format!("c{n}")}}))
        .collect();
    for n in 0..20 {
        put_child(&mut world, "team-a", &format!("c{n}"), json!(routes));
    }
    put_root(&mut world, json!(children));
    world.see_everything();
    world.is(Reason::TooManyRoutes);
    put_root(&mut world, json!(children[..10]));
    world.see_everything();
    world.is(Reason::Serving);
}
