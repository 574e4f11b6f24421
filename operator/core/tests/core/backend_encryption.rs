//! What a class asks for on the way from the proxies to the endpoints, and what status says of it.

use crate::fixture::*;
use portolan_core::{AckState, Affected, Event, Reason, Subject};
use portolan_crds::ExposedPortStatus;
use portolan_discovery::table::{Action, Resource};
use serde_json::{Value, json};

const TYPE: &str = "BackendEncrypted";

fn class(fixture: &mut Fixture, encryption: &str) -> Affected {
    let spec = json!({"default": true, "domain": "apps.test", "backendEncryption": encryption});
    fixture.apply(Event::ExposeClass(applied(expose_class("public", 1, spec))))
}

/// The object `shop` without TLS, with these routes.
fn put_routes(fixture: &mut Fixture, routes: Value) {
    fixture.put_shop(json!({
        "service": "shop", "port": 80, "hostnames": [HOST], "tls": {"mode": "Disabled"}, "routes": routes,
    }));
    fixture.see_everything();
}

/// A Service with one port, whose pods speak this.
fn put_service(fixture: &mut Fixture, name: &str, app_protocol: &str) {
    let ports = json!([{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP", "appProtocol": app_protocol}]);
    let spec = json!({"selector": {"app": name}, "ports": ports});
    fixture.apply(Event::Service(applied(service("team-a", name, spec))));
    let pods = slice(name, ("http", 8080), &[("10.0.0.7", true)]);
    fixture.apply(Event::EndpointSlice(applied(pods)));
}

fn backend_encrypted(status: &ExposedPortStatus) -> (String, String, String) {
    let of = |it: &&k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition| it.type_ == TYPE;
    let found = status.conditions.iter().find(of).unwrap().clone();
    (found.status, found.reason, found.message)
}

#[track_caller]
fn is(fixture: &Fixture, status: &str, reason: Reason, message: &str) {
    let found = backend_encrypted(&fixture.status());
    assert_eq!(
        (found.0.as_str(), found.1.as_str()),
        (status, reason.as_str())
    );
    assert!(found.2.starts_with(message), "{}", found.2);
}

/// What becomes of each route.
fn actions(fixture: &Fixture) -> Vec<String> {
    let Some(Resource::VirtualHost(host)) = fixture.resource(&virtual_host(HOST)) else {
        panic!("{HOST} is not served")
    };
    let action_of = |action: &Action| match action {
        Action::Forward { backends } => {
            let names = backends.iter().map(|it| it.endpoints.clone());
            names.collect::<Vec<_>>().join(",")
        }
        Action::Unavailable { reason } => reason.clone(),
        Action::Redirect(_) | Action::Respond(_) => "answer".to_owned(),
    };
    host.routes
        .iter()
        .map(|route| action_of(&route.action))
        .collect()
}

fn backend(path: &str, more: Value) -> Value {
    let mut backend = json!({"port": 80});
    let fields = backend.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    json!({"match": {"path": {"prefix": path}}, "backends": [backend]})
}

#[test]
fn unencrypted_traffic_is_reported_and_stays_ready() {
    let mut fixture = Fixture::ready();
    is(
        &fixture,
        "False",
        Reason::NotEncrypted,
        "spec.service: traffic to Service \"shop\" port http is not encrypted (HTTP/1.1)",
    );
    fixture.is(Reason::Serving);
    put_service(&mut fixture, "two", "h2c");
    put_routes(
        &mut fixture,
        json!([
            backend("/a", json!({"tls": {}})),
            backend("/b", json!({"service": "two"}))
        ]),
    );
    is(
        &fixture,
        "False",
        Reason::NotEncrypted,
        "spec.routes[1].backends[0].tls: traffic to Service \"two\" port http is not encrypted (HTTP/2)",
    );
}

#[test]
fn reports_whether_backend_certificates_are_verified() {
    let mut fixture = Fixture::ready();
    put_service(&mut fixture, "shop", "https");
    fixture.see_everything();
    is(
        &fixture,
        "True",
        Reason::BackendTls,
        "backends use TLS, but the certificate of Service \"shop\" is not verified",
    );
    let mut ca = secret("ca", "", "");
    let pem = k8s_openapi::ByteString(GOOD.certificate.as_bytes().to_vec());
    ca.data = Some([("ca.crt".to_owned(), pem)].into());
    fixture.apply(Event::Secret(applied(ca)));
    let checked =
        json!({"tls": {"ca": {"secret": {"name": "ca"}}, "subjectName": "shop.internal"}});
    put_routes(&mut fixture, json!([backend("/", checked.clone())]));
    is(
        &fixture,
        "True",
        Reason::BackendTls,
        "all backends use TLS and their certificates are verified",
    );
    put_routes(
        &mut fixture,
        json!([backend("/", checked), backend("/b", json!({"tls": {}}))]),
    );
    assert!(
        backend_encrypted(&fixture.status())
            .2
            .contains("is not verified"),
        "the weaker one counts"
    );
}

#[test]
fn encryption_is_unknown_while_a_proxy_is_behind() {
    let mut fixture = Fixture::ready();
    put_service(&mut fixture, "shop", "https");
    fixture.see_everything();
    fixture
        .proxy()
        .acks
        .insert(virtual_host(HOST), AckState::Behind);
    is(
        &fixture,
        "Unknown",
        Reason::ProxiesBehind,
        "waiting for proxy \"proxy-0\"",
    );
    put_service(&mut fixture, "shop", "http");
    is(&fixture, "False", Reason::NotEncrypted, "spec.service");
}

#[test]
fn what_is_not_there_is_reached_in_no_way() {
    let mut fixture = Fixture::ready();
    put_routes(
        &mut fixture,
        json!([
            backend("/", json!({"tls": {}})),
            backend("/b", json!({"service": "absent"}))
        ]),
    );
    is(
        &fixture,
        "Unknown",
        Reason::ServiceNotFound,
        "spec.routes[1]",
    );
    put_routes(&mut fixture, json!([{"respond": {"status": 200}}]));
    let status = fixture.status();
    assert!(
        status.conditions.iter().all(|it| it.type_ != TYPE),
        "no backend, nothing to tell"
    );
}

#[test]
fn backend_encryption_tls_closes_only_unencrypted_routes() {
    let mut fixture = Fixture::ready();
    put_service(&mut fixture, "plain", "http");
    put_service(&mut fixture, "h2c", "kubernetes.io/h2c");
    let outside = json!({"type": "ExternalName", "externalName": "db.example.com"});
    fixture.apply(Event::Service(applied(service(
        "team-a", "outside", outside,
    ))));
    put_routes(
        &mut fixture,
        json!([
            backend("/tls", json!({"service": "plain", "tls": {}})),
            backend("/plain", json!({"service": "plain"})),
            backend("/h2c", json!({"service": "h2c"})),
            backend("/h2", json!({"service": "h2c", "tls": {}})),
            backend("/outside", json!({"service": "outside"})),
            {},
        ]),
    );
    let affected = class(&mut fixture, "TLS");
    assert!(affected.objects.contains(&fixture.shop));
    assert!(
        affected
            .resources
            .contains(&(class_name("public"), endpoints("team-a/shop:http"))),
        "what is contacted no more is taken away"
    );
    fixture.see_everything();
    assert_eq!(
        actions(&fixture),
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
    assert_eq!(fixture.resource(&endpoints("team-a/shop:http")), None);
    assert!(fixture.resource(&endpoints("team-a/plain:http")).is_some());
    is(
        &fixture,
        "False",
        Reason::BackendNotEncrypted,
        "spec.routes[4].backends[0].tls: Forbidden: traffic to Service \"outside\" port 80 is not encrypted (HTTP/1.1), and class \"public\" requires TLS; set tls on this backend, or appProtocol: https on that port",
    );
    fixture.is(Reason::BackendNotEncrypted);
    let resolved = condition(&fixture.status(), "ResolvedRefs");
    assert_eq!(resolved, ("False".into(), "BackendNotEncrypted".into()));
    let all = fixture.status().description;
    for right in [
        "spec.routes[1].backends[0].tls: Forbidden: traffic to Service \"plain\" port http is",
        "spec.routes[2].backends[0].tls: Forbidden: traffic to Service \"h2c\" port http is not encrypted (HTTP/2), and class \"public\" requires TLS; set tls on this backend, or appProtocol: h2 on that port",
        "spec.service: Forbidden: traffic to Service \"shop\" port http is not encrypted (HTTP/1.1), and class \"public\" requires TLS; set appProtocol: https on that port of the Service, or use a route",
    ] {
        assert!(all.contains(right), "{all}");
    }
}

#[test]
fn remedy_fits_a_service_made_by_portolan() {
    let mut fixture = Fixture::ready();
    class(&mut fixture, "TLS");
    let spec = json!({"selector": {"app": "shop"}, "port": 8080, "hostnames": [HOST], "tls": {"mode": "Disabled"}});
    fixture.put_shop(spec.clone());
    let made = fixture.index.children(&fixture.shop).remove(0).name;
    let ports = json!([{"name": "http", "port": 8080}]);
    let owner = format!("uid-{}-{}", fixture.shop.namespace(), fixture.shop.name());
    let own = own_service("team-a", &made, &owner, json!({"ports": ports}));
    fixture.apply(Event::Service(applied(own)));
    fixture.see_everything();
    fixture.is(Reason::BackendNotEncrypted);
    let message = fixture.status().description;
    let right = "and class \"public\" requires TLS; set tls on a route with backends: [{port: http, tls: {}}]";
    assert!(
        message.starts_with("spec.port: ") && message.contains(right),
        "{message}"
    );
    // As it says.
    let mut spec = spec;
    spec["routes"] = json!([{"backends": [{"port": "http", "tls": {}}]}]);
    fixture.put_shop(spec);
    fixture.see_everything();
    let encrypted = condition(&fixture.status(), TYPE);
    assert_eq!(encrypted, ("True".into(), "BackendTls".into()));
}

#[test]
fn mesh_encryption_is_unknown() {
    let mut fixture = Fixture::ready();
    assert!(class(&mut fixture, "Mesh").objects.contains(&fixture.shop));
    is(
        &fixture,
        "Unknown",
        Reason::MeshNotSeen,
        "class \"public\" leaves encryption",
    );
    fixture.is(Reason::Serving);
    assert_eq!(actions(&fixture), ["team-a/shop:http"]);
    put_service(&mut fixture, "shop", "https");
    fixture.see_everything();
    is(&fixture, "True", Reason::BackendTls, "backends use TLS");
}

#[test]
fn a_child_reports_its_backends_under_the_class_of_its_root() {
    let mut fixture = Fixture::ready();
    put_service(&mut fixture, "plain", "http");
    put_service(&mut fixture, "tls", "https");
    put_routes(
        &mut fixture,
        json!([{"match": {"path": {"prefix": "/c"}}, "delegate": {"name": "child"}}, backend("/", json!({"service": "tls"}))]),
    );
    let spec = json!({"allowedParents": [{"namespace": "team-a"}], "service": "plain", "port": 80});
    fixture.expose("team-a", "child", 9, spec);
    let name = Subject::exposed_port("team-a", "child");
    let of_child = |fixture: &Fixture| {
        let status = fixture.index.status(&name, &fixture.seen, now()).unwrap();
        backend_encrypted(&status)
    };
    assert!(class(&mut fixture, "TLS").objects.contains(&name));
    fixture.see_everything();
    assert_eq!(
        actions(&fixture),
        ["BackendNotEncrypted", "team-a/tls:http"]
    );
    assert_eq!(of_child(&fixture).1, "BackendNotEncrypted");
    is(&fixture, "True", Reason::BackendTls, "backends use TLS");
    class(&mut fixture, "Mesh");
    assert_eq!(of_child(&fixture).1, "MeshNotSeen");

    // Of two roots the one that asks for more is message, wherever the other one leads.
    let strict = json!({"backendEncryption": "TLS"});
    fixture.apply(Event::ExposeClass(applied(expose_class(
        "strict", 2, strict,
    ))));
    let spec = json!({
        "className": "strict", "hostnames": ["b.example.com"], "tls": {"mode": "Disabled"},
        "routes": [{"delegate": {"name": "child"}}],
    });
    fixture.expose("team-a", "b", 10, spec);
    let (status, reason, message) = of_child(&fixture);
    assert_eq!(
        (status.as_str(), reason.as_str()),
        ("False", "BackendNotEncrypted")
    );
    assert!(
        message.contains("class \"strict\" requires TLS"),
        "{message}"
    );
    assert_eq!(actions(&fixture), ["team-a/plain:http", "team-a/tls:http"]);
}
