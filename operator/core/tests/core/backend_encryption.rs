//! What a class asks for on the way from the proxies to the endpoints, and what status says of it.

use crate::world::*;
use portolan_core::{AckState, Affected, Event, Reason, Subject};
use portolan_crds::ExposedPortStatus;
use portolan_discovery::table::{Action, Resource};
use serde_json::{Value, json};

const TYPE: &str = "BackendEncrypted";

fn class(world: &mut World, encryption: &str) -> Affected {
    let spec = json!({"default": true, "domain": "apps.test", "backendEncryption": encryption});
    world.apply(Event::ExposeClass(applied(expose_class("public", 1, spec))))
}

/// The object `shop` without TLS, with these routes.
fn put_routes(world: &mut World, routes: Value) {
    world.put_shop(json!({
        "service": "shop", "port": 80, "hostnames": [HOST], "tls": {"mode": "Disabled"}, "routes": routes,
    }));
    world.see_everything();
}

/// A Service with one port, whose pods speak this.
fn put_service(world: &mut World, name: &str, app_protocol: &str) {
    let ports = json!([{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP", "appProtocol": app_protocol}]);
    let spec = json!({"selector": {"app": name}, "ports": ports});
    world.apply(Event::Service(applied(service("team-a", name, spec))));
    let pods = slice(name, ("http", 8080), &[("10.0.0.7", true)]);
    world.apply(Event::EndpointSlice(applied(pods)));
}

fn told(status: &ExposedPortStatus) -> (String, String, String) {
    let of = |it: &&k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition| it.type_ == TYPE;
    let found = status.conditions.iter().find(of).unwrap().clone();
    (found.status, found.reason, found.message)
}

#[track_caller]
fn is(world: &World, status: &str, reason: Reason, message: &str) {
    let found = told(&world.status());
    assert_eq!(
        (found.0.as_str(), found.1.as_str()),
        (status, reason.as_str())
    );
    assert!(found.2.starts_with(message), "{}", found.2);
}

/// What becomes of each route.
fn actions(world: &World) -> Vec<String> {
    let Some(Resource::VirtualHost(host)) = world.resource(&virtual_host(HOST)) else {
        panic!("{HOST} is not served")
    };
    let told = |action: &Action| match action {
        Action::Forward { backends } => {
            let names = backends.iter().map(|it| it.endpoints.clone());
            names.collect::<Vec<_>>().join(",")
        }
        Action::Unavailable { reason } => reason.clone(),
        Action::Redirect(_) | Action::Respond(_) => "answer".to_owned(),
    };
    host.routes
        .iter()
        .map(|route| told(&route.action))
        .collect()
}

fn backend(path: &str, more: Value) -> Value {
    let mut backend = json!({"port": 80});
    let fields = backend.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    json!({"match": {"path": {"prefix": path}}, "backends": [backend]})
}

#[test]
fn what_is_sent_in_the_clear_is_told_and_stands_against_nothing() {
    let mut world = World::ready();
    is(
        &world,
        "False",
        Reason::NotEncrypted,
        "spec.service: traffic to Service \"shop\" port http is not encrypted (HTTP/1.1)",
    );
    world.is(Reason::Serving);
    put_service(&mut world, "two", "h2c");
    put_routes(
        &mut world,
        json!([
            backend("/a", json!({"tls": {}})),
            backend("/b", json!({"service": "two"}))
        ]),
    );
    is(
        &world,
        "False",
        Reason::NotEncrypted,
        "spec.routes[1].backends[0].tls: traffic to Service \"two\" port http is not encrypted (HTTP/2)",
    );
}

#[test]
fn over_tls_it_is_told_whether_anybody_checks_to_whom() {
    let mut world = World::ready();
    put_service(&mut world, "shop", "https");
    world.see_everything();
    is(
        &world,
        "True",
        Reason::BackendTls,
        "backends use TLS, but the certificate of Service \"shop\" is not verified",
    );
    let mut ca = secret("ca", "", "");
    let pem = k8s_openapi::ByteString(GOOD.certificate.as_bytes().to_vec());
    ca.data = Some([("ca.crt".to_owned(), pem)].into());
    world.apply(Event::Secret(applied(ca)));
    let checked =
        json!({"tls": {"ca": {"secret": {"name": "ca"}}, "subjectName": "shop.internal"}});
    put_routes(&mut world, json!([backend("/", checked.clone())]));
    is(
        &world,
        "True",
        Reason::BackendTls,
        "all backends use TLS and their certificates are verified",
    );
    put_routes(
        &mut world,
        json!([backend("/", checked), backend("/b", json!({"tls": {}}))]),
    );
    assert!(
        told(&world.status()).2.contains("is not verified"),
        "the weaker one counts"
    );
}

#[test]
fn nothing_is_claimed_while_a_proxy_may_still_do_otherwise() {
    let mut world = World::ready();
    put_service(&mut world, "shop", "https");
    world.see_everything();
    world
        .proxy()
        .acks
        .insert(virtual_host(HOST), AckState::Behind);
    is(
        &world,
        "Unknown",
        Reason::ProxiesBehind,
        "waiting for proxy \"proxy-0\"",
    );
    put_service(&mut world, "shop", "http");
    is(&world, "False", Reason::NotEncrypted, "spec.service");
}

#[test]
fn what_is_not_there_is_reached_in_no_way() {
    let mut world = World::ready();
    put_routes(
        &mut world,
        json!([
            backend("/", json!({"tls": {}})),
            backend("/b", json!({"service": "absent"}))
        ]),
    );
    is(&world, "Unknown", Reason::ServiceNotFound, "spec.routes[1]");
    put_routes(&mut world, json!([{"respond": {"status": 200}}]));
    let status = world.status();
    assert!(
        status.conditions.iter().all(|it| it.type_ != TYPE),
        "no backend, nothing to tell"
    );
}

#[test]
fn a_class_that_asks_for_tls_closes_routes_that_would_be_in_the_clear_and_no_others() {
    let mut world = World::ready();
    put_service(&mut world, "plain", "http");
    put_service(&mut world, "h2c", "kubernetes.io/h2c");
    let outside = json!({"type": "ExternalName", "externalName": "db.example.com"});
    world.apply(Event::Service(applied(service(
        "team-a", "outside", outside,
    ))));
    put_routes(
        &mut world,
        json!([
            backend("/tls", json!({"service": "plain", "tls": {}})),
            backend("/plain", json!({"service": "plain"})),
            backend("/h2c", json!({"service": "h2c"})),
            backend("/h2", json!({"service": "h2c", "tls": {}})),
            backend("/outside", json!({"service": "outside"})),
            {},
        ]),
    );
    let affected = class(&mut world, "TLS");
    assert!(affected.objects.contains(&world.shop));
    assert!(
        affected
            .resources
            .contains(&(class_name("public"), endpoints("team-a/shop:http"))),
        "what is contacted no more is taken away"
    );
    world.see_everything();
    assert_eq!(
        actions(&world),
        [
            "BackendNotEncrypted",
            "BackendNotEncrypted",
            "team-a/plain:http",
            "BackendNotEncrypted",
            "team-a/h2c:http",
            "BackendNotEncrypted",
        ],
        "/outside, /plain, /tls, /h2c, /h2, everything else"
    );
    assert_eq!(world.resource(&endpoints("team-a/shop:http")), None);
    assert!(world.resource(&endpoints("team-a/plain:http")).is_some());
    is(
        &world,
        "False",
        Reason::BackendNotEncrypted,
        "spec.routes[4].backends[0].tls: Forbidden: traffic to Service \"outside\" port 80 is not encrypted (HTTP/1.1), and class \"public\" requires TLS; set tls on this backend, or appProtocol: https on that port",
    );
    world.is(Reason::BackendNotEncrypted);
    let resolved = condition(&world.status(), "ResolvedRefs");
    assert_eq!(resolved, ("False".into(), "BackendNotEncrypted".into()));
    let all = world.status().description;
    for right in [
        "spec.routes[1].backends[0].tls: Forbidden: traffic to Service \"plain\" port http is",
        "spec.routes[2].backends[0].tls: Forbidden: traffic to Service \"h2c\" port http is not encrypted (HTTP/2), and class \"public\" requires TLS; set tls on this backend, or appProtocol: h2 on that port",
        "spec.service: Forbidden: traffic to Service \"shop\" port http is not encrypted (HTTP/1.1), and class \"public\" requires TLS; set appProtocol: https on that port of the Service, or use a route",
    ] {
        assert!(all.contains(right), "{all}");
    }
}

#[test]
fn what_is_right_is_told_for_a_service_that_portolan_makes_too() {
    let mut world = World::ready();
    class(&mut world, "TLS");
    let spec = json!({"selector": {"app": "shop"}, "port": 8080, "hostnames": [HOST], "tls": {"mode": "Disabled"}});
    world.put_shop(spec.clone());
    let made = world.index.children(&world.shop).remove(0).name;
    let ports = json!([{"name": "http", "port": 8080}]);
    let owner = format!("uid-{}-{}", world.shop.namespace(), world.shop.name());
    let own = own_service("team-a", &made, &owner, json!({"ports": ports}));
    world.apply(Event::Service(applied(own)));
    world.see_everything();
    world.is(Reason::BackendNotEncrypted);
    let told = world.status().description;
    let right = "and class \"public\" requires TLS; set tls on a route with backends: [{port: http, tls: {}}]";
    assert!(
        told.starts_with("spec.port: ") && told.contains(right),
        "{told}"
    );
    // As it says.
    let mut spec = spec;
    spec["routes"] = json!([{"backends": [{"port": "http", "tls": {}}]}]);
    world.put_shop(spec);
    world.see_everything();
    let encrypted = condition(&world.status(), TYPE);
    assert_eq!(encrypted, ("True".into(), "BackendTls".into()));
}

#[test]
fn of_a_mesh_nothing_is_claimed() {
    let mut world = World::ready();
    assert!(class(&mut world, "Mesh").objects.contains(&world.shop));
    is(
        &world,
        "Unknown",
        Reason::MeshNotSeen,
        "class \"public\" leaves encryption",
    );
    world.is(Reason::Serving);
    assert_eq!(actions(&world), ["team-a/shop:http"]);
    put_service(&mut world, "shop", "https");
    world.see_everything();
    is(&world, "True", Reason::BackendTls, "backends use TLS");
}

#[test]
fn a_childs_status_tells_of_its_own_backends_under_the_class_of_its_root() {
    let mut world = World::ready();
    put_service(&mut world, "plain", "http");
    put_service(&mut world, "tls", "https");
    put_routes(
        &mut world,
        json!([{"match": {"path": {"prefix": "/c"}}, "delegate": {"name": "child"}}, backend("/", json!({"service": "tls"}))]),
    );
    let spec = json!({"allowedParents": [{"namespace": "team-a"}], "service": "plain", "port": 80});
    world.expose("team-a", "child", 9, spec);
    let name = Subject::exposed_port("team-a", "child");
    let of_child = |world: &World| {
        let status = world.index.status(&name, &world.seen, now()).unwrap();
        told(&status)
    };
    assert!(class(&mut world, "TLS").objects.contains(&name));
    world.see_everything();
    assert_eq!(actions(&world), ["BackendNotEncrypted", "team-a/tls:http"]);
    assert_eq!(of_child(&world).1, "BackendNotEncrypted");
    is(&world, "True", Reason::BackendTls, "backends use TLS");
    class(&mut world, "Mesh");
    assert_eq!(of_child(&world).1, "MeshNotSeen");

    // Of two roots the one that asks for more is told, wherever the other one leads.
    let strict = json!({"backendEncryption": "TLS"});
    world.apply(Event::ExposeClass(applied(expose_class(
        "strict", 2, strict,
    ))));
    let spec = json!({
        "className": "strict", "hostnames": ["b.example.com"], "tls": {"mode": "Disabled"},
        "routes": [{"delegate": {"name": "child"}}],
    });
    world.expose("team-a", "b", 10, spec);
    let (status, reason, message) = of_child(&world);
    assert_eq!(
        (status.as_str(), reason.as_str()),
        ("False", "BackendNotEncrypted")
    );
    assert!(
        message.contains("class \"strict\" requires TLS"),
        "{message}"
    );
    assert_eq!(actions(&world), ["team-a/plain:http", "team-a/tls:http"]);
}
