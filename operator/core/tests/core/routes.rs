//! Routes: what they come to in the table, what closes one of them, and how the status names it.

use crate::fixture::*;
use portolan_core::{Event, Reason};
use portolan_discovery::table::{
    Action, Backend, BackendTls, ClientCaMode, Hsts, Kind, PathMatch, PathRewrite, Resource,
    ResourceName, Route, TlsVersion, VirtualHost,
};
use serde_json::{Value, json};
use std::time::Duration;

/// A fixture with a second Service, `blog`, and an object with these routes.
fn with_routes(routes: Value) -> Fixture {
    let mut fixture = Fixture::ready();
    put_blog(
        &mut fixture,
        json!({"ports": [{"name": "http", "port": 80}]}),
    );
    fixture.apply(Event::EndpointSlice(applied(slice(
        "blog",
        ("http", 8080),
        &[("10.0.0.2", true)],
    ))));
    put(&mut fixture, json!({"routes": routes}));
    fixture
}

fn put_blog(fixture: &mut Fixture, spec: Value) {
    fixture.apply(Event::Service(applied(service("team-a", "blog", spec))));
}

/// The object of [`Fixture::ready`], with more in its spec.
fn put(fixture: &mut Fixture, more: Value) {
    let mut spec = json!({"service": "shop", "port": "http", "hostnames": [HOST],
        "tls": {"secret": {"name": "own"}}});
    for (field, value) in more.as_object().unwrap() {
        spec[field] = value.clone();
    }
    fixture.put_shop(spec);
    fixture.see_everything();
}

fn virtual_host_of_shop(fixture: &Fixture) -> VirtualHost {
    match fixture.resource(&virtual_host(HOST)) {
        Some(Resource::VirtualHost(host)) => host,
        other => panic!("{other:?}"),
    }
}

fn backends(route: &Route) -> Vec<Backend> {
    match &route.action {
        Action::Forward { backends } => backends.clone(),
        other => panic!("{other:?}"),
    }
}

fn weights(route: &Route) -> Vec<(String, u32)> {
    let all = backends(route).into_iter();
    all.map(|it| (it.endpoints, it.weight)).collect()
}

fn reason(route: &Route) -> &str {
    match &route.action {
        Action::Unavailable { reason } => reason,
        other => panic!("{other:?}"),
    }
}

fn authorities(name: &str, ca: &str) -> Event {
    let mut secret = secret(name, "", "");
    let bytes = k8s_openapi::ByteString(ca.as_bytes().to_vec());
    secret.data = Some([("ca.crt".to_owned(), bytes)].into());
    Event::Secret(applied(secret))
}

#[test]
fn routes_stand_in_the_order_in_which_they_are_tried() {
    let fixture = with_routes(json!([
        {"match": {"path": {"prefix": "/blog/"}}, "backends": [{"service": "blog", "port": 80}],
         "prefixRewrite": "/", "permitInsecure": true, "timeouts": {"response": "1m"}},
        {},
        {"match": {"path": {"exact": "/old"}}, "redirect": {"path": "/new", "status": 308}},
    ]));
    fixture.is(Reason::Serving);
    let routes = virtual_host_of_shop(&fixture).routes;
    let paths: Vec<_> = routes.iter().map(|it| it.matches.path.clone()).collect();
    assert_eq!(
        paths,
        [
            PathMatch::Exact("/old".into()),
            PathMatch::Prefix("/blog".into()),
            PathMatch::Prefix("/".into())
        ]
    );
    assert!(matches!(&routes[0].action, Action::Redirect(it) if it.status == 308));
    assert_eq!(weights(&routes[1]), [("team-a/blog:http".into(), 1)]);
    assert_eq!(routes[1].rewrite, Some(PathRewrite::Prefix("/".into())));
    assert!(routes[1].permit_insecure && !routes[2].permit_insecure);
    assert_eq!(routes[1].timeouts.response, Some(Duration::from_secs(60)));
    assert_eq!(weights(&routes[2]), [("team-a/shop:http".into(), 1)]);
}

#[test]
fn unweighted_backends_share_requests_evenly() {
    let of = |backends: Value| {
        let fixture = with_routes(json!([{"backends": backends}]));
        weights(&virtual_host_of_shop(&fixture).routes[0])
    };
    let (shop, blog) = (
        json!({"service": "shop", "port": 80}),
        json!({"service": "blog", "port": 80}),
    );
    let names = ["team-a/shop:http", "team-a/blog:http"].map(String::from);
    let expected = |a, b| vec![(names[0].clone(), a), (names[1].clone(), b)];
    assert_eq!(of(json!([shop, blog])), expected(1, 1));
    let mut weighed = shop.clone();
    weighed["weight"] = 90.into();
    assert_eq!(of(json!([weighed, blog])), expected(90, 0));
}

#[test]
fn a_missing_reference_closes_only_its_routes() {
    let mut fixture = with_routes(json!([
        {"match": {"path": {"exact": "/gone"}}, "backends": [{"service": "gone", "port": 80}]},
        {"match": {"path": {"exact": "/port"}},
         "backends": [{"service": "shop", "port": 80}, {"service": "blog", "port": 81}]},
        {"match": {"path": {"exact": "/spare"}},
         "backends": [{"service": "shop", "port": 80, "weight": 1}, {"service": "gone", "port": 80}]},
        {},
    ]));
    let routes = virtual_host_of_shop(&fixture).routes;
    assert_eq!(reason(&routes[0]), "ServiceNotFound");
    assert_eq!(reason(&routes[1]), "PortNotFound");
    assert_eq!(
        weights(&routes[2]).len(),
        1,
        "who gets nothing is not missed"
    );
    assert_eq!(weights(&routes[3]).len(), 1);
    let status = fixture.status();
    let resolved = status
        .conditions
        .iter()
        .find(|it| it.type_ == "ResolvedRefs");
    let message = &resolved.unwrap().message;
    for place in [
        "spec.routes[0].backends[0].service: ",
        "spec.routes[1].backends[1].port: ",
        "spec.routes[2].backends[1].service: ",
    ] {
        assert!(message.contains(place), "{message}");
    }
    let ports = json!({"ports": [{"name": "http", "port": 80}, {"name": "more", "port": 81}]});
    put_blog(&mut fixture, ports);
    assert_eq!(
        weights(&virtual_host_of_shop(&fixture).routes[1]).len(),
        2,
        "the event names the host"
    );
}

#[test]
fn every_backend_that_gets_requests_needs_a_pod() {
    let mut fixture = with_routes(json!([{"backends": [
        {"service": "shop", "port": 80, "weight": 1}, {"service": "blog", "port": 80}]}]));
    fixture.is(Reason::Serving);
    fixture.apply(Event::EndpointSlice(gone("team-a", "blog-x")));
    fixture.is(Reason::Serving);
    put(
        &mut fixture,
        json!({"routes": [{"backends": [
        {"service": "shop", "port": 80}, {"service": "blog", "port": 80}]}]}),
    );
    fixture.is(Reason::NoReadyEndpoints);
    put(
        &mut fixture,
        json!({"routes": [{"backends": [{"service": "shop", "port": 80, "weight": 0}]}]}),
    );
    fixture.is(Reason::AllWeightsZero);
}

#[test]
fn an_object_that_only_answers_needs_no_service() {
    let mut fixture = Fixture::ready();
    let routes = json!([{"respond": {"status": 503, "body": "back at nine"}}]);
    let tls = json!({"secret": {"name": "own"}});
    fixture.put_shop(json!({"hostnames": [HOST], "tls": tls, "routes": routes}));
    fixture.see_everything();
    fixture.is(Reason::Serving);
    let ingress = fixture.index.children(&fixture.shop).pop().unwrap();
    assert_eq!(ingress.value["spec"]["rules"], json!([{"host": HOST}]));
}

#[test]
fn a_verified_backend_needs_its_ca() {
    let mut fixture = with_routes(json!([{"backends": [{"service": "blog", "port": 80,
        "tls": {"ca": {"secret": {"name": "ca"}}, "subjectName": "blog.internal"}}]}]));
    let anchors = ResourceName {
        kind: Kind::TrustAnchors,
        name: "team-a/ca".into(),
    };
    let secret = portolan_core::ObjectRef::new("team-a", "ca");
    assert!(
        fixture.index.referenced_secrets().contains(&secret),
        "it is watched by its name"
    );
    for (ca, expected) in [
        (None, Reason::SecretNotFound),
        (Some(""), Reason::SecretWithoutCA),
        (Some("no PEM"), Reason::SecretUnreadable),
    ] {
        if let Some(ca) = ca {
            fixture.apply(authorities("ca", ca));
        }
        assert_eq!(
            reason(&virtual_host_of_shop(&fixture).routes[0]),
            expected.as_str()
        );
        assert_eq!(fixture.resource(&anchors), None);
        fixture.is(expected);
    }
    let affected = fixture.apply(authorities("ca", &GOOD.certificate));
    for name in [
        &anchors,
        &virtual_host(HOST),
        &endpoints("team-a/blog:http"),
    ] {
        assert!(
            affected
                .resources
                .contains(&(class_name("public"), name.clone())),
            "{name}"
        );
    }
    let tls = backends(&virtual_host_of_shop(&fixture).routes[0])
        .remove(0)
        .tls;
    let expected = BackendTls {
        server_name: "blog.internal".into(),
        trust: Some("team-a/ca".into()),
        subject_name: None,
    };
    assert_eq!(tls, Some(expected));
    assert!(fixture.resource(&anchors).is_some());
    fixture.see_everything();
    fixture.is(Reason::Serving);
}

#[test]
fn tls_settings_are_part_of_the_virtual_host() {
    let mut fixture = Fixture::ready();
    put(
        &mut fixture,
        json!({"tls": {"secret": {"name": "own"}, "additionalSecrets": [{"name": "rsa"}],
        "minVersion": "1.1", "maxVersion": "1.2", "redirectHTTP": false,
        "hsts": {"maxAge": "8760h"}, "clientCA": {"secret": {"name": "ca"}, "mode": "Optional"}}}),
    );
    fixture.is(Reason::SecretNotFound);
    let host = virtual_host_of_shop(&fixture);
    assert_eq!(
        reason(&host.routes[0]),
        "SecretNotFound",
        "no client is accepted"
    );
    assert_eq!(host.tls.unwrap().client_ca, None);
    fixture.apply(authorities("ca", &GOOD.certificate));
    let other = pem(&[HOST], 2031);
    fixture.apply(Event::Secret(applied(secret(
        "rsa",
        &other.certificate,
        &other.key,
    ))));
    fixture.see_everything();
    fixture.is(Reason::Serving);
    let tls = virtual_host_of_shop(&fixture).tls.unwrap();
    assert_eq!(tls.certificates, ["team-a/own", "team-a/rsa"]);
    assert_eq!(
        (tls.min_version, tls.max_version),
        (TlsVersion::V1_2, TlsVersion::V1_2)
    );
    let hsts = Hsts {
        max_age: Duration::from_secs(31_536_000),
        include_sub_domains: false,
    };
    assert_eq!((tls.redirect, tls.hsts), (false, Some(hsts)));
    assert_eq!(tls.client_ca.unwrap().mode, ClientCaMode::Optional);
    let status = fixture.status();
    assert_eq!(
        condition(&status, "Accepted"),
        ("True".into(), "TlsVersionRaised".into())
    );
    assert!(
        status.description.contains("set \"1.2\""),
        "{}",
        status.description
    );
}

#[test]
fn a_class_can_only_raise_the_tls_version() {
    let mut fixture = Fixture::ready();
    let class = |version: &str| {
        let spec = json!({"default": true, "domain": "apps.test", "tls": {"minVersion": version}});
        Event::ExposeClass(applied(expose_class("public", 1, spec)))
    };
    let versions = |fixture: &Fixture| virtual_host_of_shop(fixture).tls.unwrap().min_version;
    fixture.apply(class("1.3"));
    assert_eq!(versions(&fixture), TlsVersion::V1_3);
    let tls =
        |field: &str, version: &str| json!({"tls": {"secret": {"name": "own"}, field: version}});
    put(&mut fixture, tls("maxVersion", "1.2"));
    fixture.is(Reason::InvalidSpec);
    fixture.apply(class("1.2"));
    put(&mut fixture, tls("minVersion", "1.3"));
    assert_eq!(versions(&fixture), TlsVersion::V1_3);
}

#[test]
fn class_settings_rotate_ticket_seeds() {
    use portolan_core::{Observed, TicketKey};
    use portolan_discovery::table::ClassSettings;
    let mut fixture = Fixture::ready();
    let settings = ResourceName {
        kind: Kind::ClassSettings,
        name: ClassSettings::NAME.into(),
    };
    let read = |fixture: &Fixture| match fixture.resource(&settings) {
        Some(Resource::ClassSettings(settings)) => settings,
        other => panic!("{other:?}"),
    };
    assert_eq!(read(&fixture), ClassSettings::default());
    let spec = json!({"default": true, "domain": "apps.test", "proxy": {"deniedCIDRs": ["10.9.0.0/16"]},
        "tls": {"defaultCertificate": {"namespace": "team-a", "name": "fallback"}}});
    let affected = fixture.apply(Event::ExposeClass(applied(expose_class("public", 1, spec))));
    assert!(affected.secrets, "it is watched by its name");
    let virtual_host_of_shop = |fixture: &Fixture| {
        let status = fixture
            .index
            .class_status(&class_name("public"), &Observed::default(), now());
        status.unwrap().description
    };
    assert!(
        virtual_host_of_shop(&fixture).contains("Secret \"team-a/fallback\" not found"),
        "{}",
        virtual_host_of_shop(&fixture)
    );
    assert_eq!(read(&fixture).denied_cidrs, ["10.9.0.0/16"]);
    let fallback = Event::Secret(applied(secret("fallback", &GOOD.certificate, &GOOD.key)));
    let affected = fixture.apply(fallback);
    assert!(affected.classes.contains(&class_name("public")));
    assert_eq!(
        read(&fixture).default_certificate.as_deref(),
        Some("team-a/fallback")
    );
    assert!(
        fixture
            .resource(&certificate_resource("team-a/fallback"))
            .is_some()
    );
    fixture.apply(Event::TicketKey(TicketKey([7; 32])));
    let first = read(&fixture).ticket_seeds;
    assert_eq!(first.len(), 2);
    let hour = |hours: i64| Event::Now(now() + jiff::SignedDuration::from_hours(hours));
    assert!(fixture.apply(hour(11)).resources.is_empty());
    let affected = fixture.apply(hour(12));
    assert!(
        affected
            .resources
            .contains(&(class_name("public"), settings.clone()))
    );
    assert_eq!(read(&fixture).ticket_seeds[1], first[0]);
}
