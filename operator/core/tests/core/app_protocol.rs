//! Protocols of endpoints: `appProtocol` and annotations of Services, their effect in the table and the status.

use crate::fixture::*;
use portolan_core::{Event, Reason};
use portolan_discovery::table::{
    Action, Backend, BackendTls, Resource, UpstreamProtocol, UpstreamProtocol::*,
};
use serde_json::{Value, json};

const CONTOUR: &str = "projectcontour.io/upstream-protocol";

/// A ready fixture whose only route goes to port 80 of its Service, by these words of a backend.
fn with_backend(more: Value) -> Fixture {
    let mut fixture = Fixture::ready();
    let mut backend = json!({"service": "shop", "port": 80});
    for (field, value) in more.as_object().unwrap() {
        backend[field] = value.clone();
    }
    fixture.put_shop(
        json!({"hostnames": [HOST], "tls": {"secret": {"name": "own"}},
        "routes": [{"backends": [backend]}]}),
    );
    fixture.see_everything();
    fixture.is(Reason::Serving);
    fixture
}

/// Replaces the Service, with an `appProtocol` and an annotation of Contour's.
fn say(fixture: &mut Fixture, app_protocol: &str, annotation: Option<(&str, &str)>) {
    let mut port = json!({"name": "http", "port": 80, "targetPort": 8080});
    if !app_protocol.is_empty() {
        port["appProtocol"] = app_protocol.into();
    }
    put_service(fixture, json!({"ports": [port]}), annotation);
}

fn put_service(fixture: &mut Fixture, spec: Value, annotation: Option<(&str, &str)>) {
    let mut it = service("team-a", "shop", spec);
    it.metadata.annotations = annotation
        .map(|(protocol, ports)| [(format!("{CONTOUR}.{protocol}"), ports.into())].into());
    let before = fixture.resource(&virtual_host(HOST));
    let affected = fixture.apply(Event::Service(applied(it)));
    let host = (class_name("public"), virtual_host(HOST));
    assert!(
        affected.resources.contains(&host) || fixture.resource(&host.1) == before,
        "proxies are not notified"
    );
    fixture.see_everything();
}

fn backend(fixture: &Fixture) -> Backend {
    match fixture.resource(&virtual_host(HOST)) {
        Some(Resource::VirtualHost(host)) => match &host.routes[0].action {
            Action::Forward { backends } => backends[0].clone(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

/// TLS without verification of the certificate.
fn unchecked() -> BackendTls {
    BackendTls {
        server_name: "shop.team-a.svc".into(),
        trust: None,
        subject_name: None,
    }
}

fn upstream_protocol(fixture: &Fixture) -> (UpstreamProtocol, Option<BackendTls>) {
    let backend = backend(fixture);
    (backend.protocol, backend.tls)
}

#[test]
fn a_service_says_by_app_protocol_what_its_pods_speak() {
    let mut fixture = with_backend(json!({}));
    assert_eq!(upstream_protocol(&fixture), (Http1, None));
    for (app_protocol, expected) in [
        ("kubernetes.io/h2c", (Http2, None)),
        ("https", (Http1, Some(unchecked()))),
        ("grpc", (Http2, None)),
        ("kubernetes.io/wss", (Http1, Some(unchecked()))),
        ("h2", (Http2, Some(unchecked()))),
        ("kubernetes.io/ws", (Http1, None)),
        ("", (Http1, None)),
    ] {
        say(&mut fixture, app_protocol, None);
        assert_eq!(upstream_protocol(&fixture), expected, "{app_protocol}");
        fixture.is(Reason::Serving);
        assert_eq!(
            condition(&fixture.status(), "ResolvedRefs").1,
            "ResolvedRefs"
        );
    }
}

#[test]
fn contour_s_annotations_say_it_where_app_protocol_does_not() {
    let mut fixture = with_backend(json!({}));
    for (app_protocol, annotation, expected) in [
        ("", ("h2c", "8443, 80"), (Http2, None)),
        ("", ("h2", "http"), (Http2, Some(unchecked()))),
        ("", ("tls", "http"), (Http1, Some(unchecked()))),
        ("", ("tls", "443"), (Http1, None)),
        ("http", ("h2c", "80"), (Http1, None)),
        ("odd", ("tls", "80"), (Http1, Some(unchecked()))),
    ] {
        say(&mut fixture, app_protocol, Some(annotation));
        assert_eq!(
            upstream_protocol(&fixture),
            expected,
            "{app_protocol} {annotation:?}"
        );
    }
}

#[test]
fn backend_tls_takes_only_the_http_version_from_the_service() {
    let mut ca = secret("ca", "", "");
    let bytes = k8s_openapi::ByteString(GOOD.certificate.as_bytes().to_vec());
    ca.data = Some([("ca.crt".to_owned(), bytes)].into());
    let checked = BackendTls {
        server_name: "shop.internal".into(),
        trust: Some("team-a/ca".into()),
        subject_name: None,
    };
    for (typed, expected) in [
        (json!({}), unchecked()),
        (
            json!({"ca": {"secret": {"name": "ca"}}, "subjectName": "shop.internal"}),
            checked,
        ),
    ] {
        let mut fixture = Fixture::ready();
        fixture.apply(Event::Secret(applied(ca.clone())));
        fixture.put_shop(
            json!({"hostnames": [HOST], "tls": {"secret": {"name": "own"}},
            "routes": [{"backends": [{"service": "shop", "port": 80, "tls": typed}]}]}),
        );
        for (app_protocol, protocol) in [
            ("", Http1),
            ("https", Http1),
            ("kubernetes.io/h2c", Http2),
            ("h2", Http2),
        ] {
            say(&mut fixture, app_protocol, None);
            assert_eq!(
                upstream_protocol(&fixture),
                (protocol, Some(expected.clone())),
                "{app_protocol}"
            );
        }
    }
}

#[test]
fn app_protocol_is_per_port_also_for_the_own_service() {
    let mut fixture = Fixture::ready();
    let ports =
        json!([{"name": "http", "port": 80}, {"name": "rpc", "port": 81, "appProtocol": "grpc"}]);
    for (port, expected) in [
        (json!(80), Http1),
        (json!("rpc"), Http2),
        (json!(81), Http2),
    ] {
        fixture.put_shop(json!({"service": "shop", "port": port, "hostnames": [HOST]}));
        put_service(&mut fixture, json!({"ports": ports}), None);
        assert_eq!(upstream_protocol(&fixture), (expected, None), "{port}");
        // As if the Service were new to the index.
        say(&mut fixture, "", None);
    }
}

#[test]
fn a_service_that_portolan_made_is_heard_as_any_other() {
    let mut fixture = Fixture::ready();
    fixture.put_shop(json!({"selector": {"app": "shop"}, "port": 80, "hostnames": [HOST]}));
    let name = portolan_core::names::child_name("team-a", "shop", "Service", "");
    let ports = json!({"ports": [{"name": "http", "port": 80}]});
    let mut it = own_service("team-a", &name, "uid-team-a-shop", ports);
    fixture.apply(Event::Service(applied(it.clone())));
    assert_eq!(upstream_protocol(&fixture), (Http1, None));
    let annotations = it.metadata.annotations.as_mut().unwrap();
    annotations.insert(format!("{CONTOUR}.h2c"), "80".into());
    fixture.apply(Event::Service(applied(it)));
    assert_eq!(upstream_protocol(&fixture), (Http2, None));
}

#[test]
fn an_external_name_uses_app_protocol_without_ports() {
    let mut fixture = with_backend(json!({}));
    let outside = |ports: Value| json!({"type": "ExternalName", "externalName": "db.example.com", "ports": ports});
    put_service(&mut fixture, outside(json!([])), Some(("h2", "80,443")));
    assert_eq!(upstream_protocol(&fixture), (Http2, Some(unchecked())));
    assert_eq!(fixture.status().description, "valid");
    put_service(
        &mut fixture,
        outside(json!([{"port": 80, "appProtocol": "https"}])),
        None,
    );
    assert_eq!(upstream_protocol(&fixture), (Http1, Some(unchecked())));
}

#[test]
fn an_unsupported_app_protocol_is_a_warning() {
    let mut fixture = with_backend(json!({}));
    for (app_protocol, annotation, expected_message) in [
        (
            "redis",
            None,
            "Service \"shop\": appProtocol \"redis\" of port 80 (http) is not supported",
        ),
        (
            "",
            Some(("h2c", "80,8443")),
            "Service \"shop\": annotation projectcontour.io/upstream-protocol.h2c lists \"8443\", \
             which is not one of its ports; it has 80 (http)",
        ),
    ] {
        say(&mut fixture, app_protocol, annotation);
        let status = fixture.status();
        fixture.is(Reason::Serving);
        let expected = ("True".to_owned(), "UnsupportedProtocol".to_owned());
        assert_eq!(condition(&status, "ResolvedRefs"), expected);
        let description = status
            .description
            .strip_prefix("valid, with a warning: ")
            .unwrap();
        assert!(description.starts_with(expected_message), "{description}");
        say(&mut fixture, "", None);
        assert_eq!(fixture.status().description, "valid");
    }
    // An object that does not use the Service gets no warning.
    say(&mut fixture, "redis", None);
    fixture.put_shop(
        json!({"hostnames": [HOST], "tls": {"secret": {"name": "own"}},
        "routes": [{"respond": {"status": 200}}]}),
    );
    assert_eq!(
        condition(&fixture.status(), "ResolvedRefs").1,
        "ResolvedRefs"
    );
}
