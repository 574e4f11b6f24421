//! What is spoken to endpoints: how a Service says it, what that comes to in the table, and what the status
//! tells of words that nobody understands.

use crate::world::*;
use portolan_core::{Event, Reason};
use portolan_discovery::table::{
    Action, Backend, BackendTls, Resource, UpstreamProtocol, UpstreamProtocol::*,
};
use serde_json::{Value, json};

const CONTOUR: &str = "projectcontour.io/upstream-protocol";

/// A ready world whose only route goes to port 80 of its Service, by these words of a backend.
fn with_backend(more: Value) -> World {
    let mut world = World::ready();
    let mut backend = json!({"service": "shop", "port": 80});
    for (field, value) in more.as_object().unwrap() {
        backend[field] = value.clone();
    }
    world.put_shop(
        json!({"hostnames": [HOST], "tls": {"secret": {"name": "own"}},
        "routes": [{"backends": [backend]}]}),
    );
    world.see_everything();
    world.is(Reason::Serving);
    world
}

/// Replaces the Service, with an `appProtocol` and an annotation of Contour's.
fn say(world: &mut World, app_protocol: &str, annotation: Option<(&str, &str)>) {
    let mut port = json!({"name": "http", "port": 80, "targetPort": 8080});
    if !app_protocol.is_empty() {
        port["appProtocol"] = app_protocol.into();
    }
    put_service(world, json!({"ports": [port]}), annotation);
}

fn put_service(world: &mut World, spec: Value, annotation: Option<(&str, &str)>) {
    let mut it = service("team-a", "shop", spec);
    it.metadata.annotations = annotation
        .map(|(protocol, ports)| [(format!("{CONTOUR}.{protocol}"), ports.into())].into());
    let before = world.resource(&virtual_host(HOST));
    let affected = world.apply(Event::Service(applied(it)));
    let host = (class_name("public"), virtual_host(HOST));
    assert!(
        affected.resources.contains(&host) || world.resource(&host.1) == before,
        "proxies are not told"
    );
    world.see_everything();
}

fn backend(world: &World) -> Backend {
    match world.resource(&virtual_host(HOST)) {
        Some(Resource::VirtualHost(host)) => match &host.routes[0].action {
            Action::Forward { backends } => backends[0].clone(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

/// Encrypted, and nobody checks to whom.
fn unchecked() -> BackendTls {
    BackendTls {
        server_name: "shop.team-a.svc".into(),
        trust: None,
        subject_name: None,
    }
}

fn spoken(world: &World) -> (UpstreamProtocol, Option<BackendTls>) {
    let backend = backend(world);
    (backend.protocol, backend.tls)
}

#[test]
fn a_service_says_by_app_protocol_what_its_pods_speak() {
    let mut world = with_backend(json!({}));
    assert_eq!(spoken(&world), (Http1, None));
    for (said, expected) in [
        ("kubernetes.io/h2c", (Http2, None)),
        ("https", (Http1, Some(unchecked()))),
        ("grpc", (Http2, None)),
        ("kubernetes.io/wss", (Http1, Some(unchecked()))),
        ("h2", (Http2, Some(unchecked()))),
        ("kubernetes.io/ws", (Http1, None)),
        ("", (Http1, None)),
    ] {
        say(&mut world, said, None);
        assert_eq!(spoken(&world), expected, "{said}");
        world.is(Reason::Serving);
        assert_eq!(condition(&world.status(), "ResolvedRefs").1, "ResolvedRefs");
    }
}

#[test]
fn contour_s_annotations_say_it_where_app_protocol_does_not() {
    let mut world = with_backend(json!({}));
    for (app_protocol, annotation, expected) in [
        ("", ("h2c", "8443, 80"), (Http2, None)),
        ("", ("h2", "http"), (Http2, Some(unchecked()))),
        ("", ("tls", "http"), (Http1, Some(unchecked()))),
        ("", ("tls", "443"), (Http1, None)),
        ("http", ("h2c", "80"), (Http1, None)),
        ("odd", ("tls", "80"), (Http1, Some(unchecked()))),
    ] {
        say(&mut world, app_protocol, Some(annotation));
        assert_eq!(spoken(&world), expected, "{app_protocol} {annotation:?}");
    }
}

#[test]
fn a_backend_with_tls_of_its_own_takes_only_the_version_of_http_from_its_service() {
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
        let mut world = World::ready();
        world.apply(Event::Secret(applied(ca.clone())));
        world.put_shop(
            json!({"hostnames": [HOST], "tls": {"secret": {"name": "own"}},
            "routes": [{"backends": [{"service": "shop", "port": 80, "tls": typed}]}]}),
        );
        for (said, protocol) in [
            ("", Http1),
            ("https", Http1),
            ("kubernetes.io/h2c", Http2),
            ("h2", Http2),
        ] {
            say(&mut world, said, None);
            assert_eq!(spoken(&world), (protocol, Some(expected.clone())), "{said}");
        }
    }
}

#[test]
fn each_port_speaks_for_itself_and_the_own_target_is_spoken_to_alike() {
    let mut world = World::ready();
    let ports =
        json!([{"name": "http", "port": 80}, {"name": "rpc", "port": 81, "appProtocol": "grpc"}]);
    for (port, expected) in [
        (json!(80), Http1),
        (json!("rpc"), Http2),
        (json!(81), Http2),
    ] {
        world.put_shop(json!({"service": "shop", "port": port, "hostnames": [HOST]}));
        put_service(&mut world, json!({"ports": ports}), None);
        assert_eq!(spoken(&world), (expected, None), "{port}");
        // As if the Service were new to the index.
        say(&mut world, "", None);
    }
}

#[test]
fn a_service_that_portolan_made_is_heard_as_any_other() {
    let mut world = World::ready();
    world.put_shop(json!({"selector": {"app": "shop"}, "port": 80, "hostnames": [HOST]}));
    let name = portolan_core::names::child_name("team-a", "shop", "Service", "");
    let ports = json!({"ports": [{"name": "http", "port": 80}]});
    let mut it = own_service("team-a", &name, "uid-team-a-shop", ports);
    world.apply(Event::Service(applied(it.clone())));
    assert_eq!(spoken(&world), (Http1, None));
    let annotations = it.metadata.annotations.as_mut().unwrap();
    annotations.insert(format!("{CONTOUR}.h2c"), "80".into());
    world.apply(Event::Service(applied(it)));
    assert_eq!(spoken(&world), (Http2, None));
}

#[test]
fn a_name_outside_is_spoken_to_as_its_service_says_even_without_ports() {
    let mut world = with_backend(json!({}));
    let outside = |ports: Value| json!({"type": "ExternalName", "externalName": "db.example.com", "ports": ports});
    put_service(&mut world, outside(json!([])), Some(("h2", "80,443")));
    assert_eq!(spoken(&world), (Http2, Some(unchecked())));
    assert_eq!(world.status().description, "valid");
    put_service(
        &mut world,
        outside(json!([{"port": 80, "appProtocol": "https"}])),
        None,
    );
    assert_eq!(spoken(&world), (Http1, Some(unchecked())));
}

#[test]
fn words_that_nobody_understands_are_told_and_close_nothing() {
    let mut world = with_backend(json!({}));
    for (app_protocol, annotation, told) in [
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
        say(&mut world, app_protocol, annotation);
        let status = world.status();
        world.is(Reason::Serving);
        let expected = ("True".to_owned(), "UnsupportedProtocol".to_owned());
        assert_eq!(condition(&status, "ResolvedRefs"), expected);
        let description = status
            .description
            .strip_prefix("valid, with a warning: ")
            .unwrap();
        assert!(description.starts_with(told), "{description}");
        say(&mut world, "", None);
        assert_eq!(world.status().description, "valid");
    }
    // Whoever does not send requests to the Service is not told.
    say(&mut world, "redis", None);
    world.put_shop(
        json!({"hostnames": [HOST], "tls": {"secret": {"name": "own"}},
        "routes": [{"respond": {"status": 200}}]}),
    );
    assert_eq!(condition(&world.status(), "ResolvedRefs").1, "ResolvedRefs");
}
