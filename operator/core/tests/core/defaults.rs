//! What a class says for the routes of its objects: where it counts, where it does not, and what of it
//! is wrong.

use crate::fixture::*;
use portolan_core::{Affected, Event, Observed, Subject};
use portolan_crds::ExposeClassStatus;
use portolan_discovery::table::{AllowedOrigins, Resource, Route};
use serde_json::{Value, json};
use std::time::Duration;

fn put_class(fixture: &mut Fixture, defaults: Value) -> Affected {
    let spec = json!({"default": true, "domain": "apps.test", "defaults": defaults});
    fixture.apply(Event::ExposeClass(applied(expose_class("public", 1, spec))))
}

fn put(fixture: &mut Fixture, more: Value) {
    let mut spec = json!({"service": "shop", "port": 80, "hostnames": [HOST],
        "tls": {"secret": {"name": "own"}}});
    for (field, value) in more.as_object().unwrap() {
        spec[field] = value.clone();
    }
    fixture.put_shop(spec);
}

fn routes(fixture: &Fixture) -> Vec<Route> {
    match fixture.resource(&virtual_host(HOST)) {
        Some(Resource::VirtualHost(host)) => host.routes,
        other => panic!("{other:?}"),
    }
}

fn seconds(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds))
}

fn class_status(fixture: &Fixture) -> ExposeClassStatus {
    let class = class_name("public");
    fixture
        .index
        .class_status(&class, &fixture.seen, now())
        .unwrap()
}

#[test]
fn route_overrides_object_overrides_class_per_field() {
    let mut fixture = Fixture::ready();
    put_class(
        &mut fixture,
        json!({
            "timeouts": {"connect": "1s", "response": "1s", "request": "1s"},
            "retries": {"count": 3}, "websockets": false, "permitInsecure": true,
            "headers": {"request": {"set": {"x-from": "class"}}, "response": {"set": {"x-from": "class"}}},
            "cors": {"allowOrigins": ["*"]},
        }),
    );
    put(
        &mut fixture,
        json!({
            "policy": {"timeouts": {"connect": "2s", "response": "2s"}, "permitInsecure": false,
                "headers": {"request": {"set": {"x-from": "object"}}}},
            "routes": [{"timeouts": {"connect": "3s"}, "websockets": true}, {"match": {"method": "GET"}}],
        }),
    );
    let rows = routes(&fixture);
    let (one, other) = (&rows[1], &rows[0]);
    let timeouts = |row: &Route| {
        let it = row.timeouts;
        [it.connect, it.response, it.request, it.idle]
    };
    assert_eq!(
        timeouts(one),
        [seconds(3), seconds(2), seconds(1), None],
        "route, object, class, none"
    );
    assert_eq!(timeouts(other), [seconds(2), seconds(2), seconds(1), None]);
    assert_eq!((one.websockets, other.websockets), (true, false));
    let from = |value: &str| vec![("x-from".to_owned(), value.to_owned())];
    for row in [one, other] {
        assert_eq!(row.request_headers.set, from("object"));
        assert_eq!(row.response_headers.set, from("class"));
        assert_eq!(row.retries.as_ref().unwrap().count, 3);
        let cors = row.cors.as_ref().unwrap();
        assert_eq!(cors.allow_origins, AllowedOrigins::Any);
        assert!(!row.permit_insecure);
    }
}

#[test]
fn a_class_change_affects_the_hosts_of_its_objects() {
    let mut fixture = Fixture::ready();
    let touched = |affected: &Affected| {
        let resource = (class_name("public"), virtual_host(HOST));
        affected.resources.contains(&resource)
            && affected
                .objects
                .contains(&Subject::exposed_port("team-a", "shop"))
    };
    let settings = json!({"timeouts": {"idle": "5m"}});
    assert!(touched(&put_class(&mut fixture, settings.clone())));
    assert_eq!(routes(&fixture)[0].timeouts.idle, seconds(300));
    assert!(!touched(&put_class(&mut fixture, settings)));
    assert!(touched(&put_class(&mut fixture, json!({}))));
    assert_eq!(routes(&fixture)[0].timeouts.idle, None);
}

/// `shop` leaves `/docs` to `marketing/docs`, which says this.
fn delegating(fixture: &mut Fixture, child: Value, tls: Value) {
    let to = json!({"namespace": "marketing", "name": "docs"});
    let docs = json!({"path": {"prefix": "/docs"}});
    let routes = json!([{"match": docs, "delegate": to}, {}]);
    put(
        fixture,
        json!({"routes": routes, "tls": tls, "policy": {"timeouts": {"response": "2s"}}}),
    );
    let mut spec = json!({"allowedParents": [{"namespace": "team-a"}],
        "routes": [{"match": docs, "respond": {"status": 200}}]});
    spec["policy"] = child;
    fixture.expose("marketing", "docs", 7, spec);
}

#[test]
fn for_a_child_the_class_is_that_of_its_root() {
    let mut fixture = Fixture::ready();
    let settings = json!({"timeouts": {"response": "1s", "idle": "1s"}});
    put_class(&mut fixture, settings);
    delegating(
        &mut fixture,
        json!({"timeouts": {"idle": "3s"}}),
        json!({"secret": {"name": "own"}}),
    );
    let rows = routes(&fixture);
    let timeouts = rows[0].timeouts;
    assert_eq!((timeouts.idle, timeouts.response), (seconds(3), seconds(1)));
    assert_eq!(rows[1].timeouts.response, seconds(2), "that of the root");
    let affected = put_class(&mut fixture, json!({}));
    let child = Subject::exposed_port("marketing", "docs");
    assert!(affected.objects.contains(&child), "{affected:?}");
}

#[test]
fn a_class_cannot_waive_client_certificates() {
    let mut fixture = Fixture::ready();
    put_class(&mut fixture, json!({"permitInsecure": true}));
    let own = json!({"secret": {"name": "own"}});
    delegating(&mut fixture, json!({}), own.clone());
    let open = |fixture: &Fixture| -> Vec<bool> {
        routes(fixture)
            .iter()
            .map(|it| it.permit_insecure)
            .collect()
    };
    assert_eq!(open(&fixture), [true, true]);
    let mut ca = secret("ca", "", "");
    let pem = k8s_openapi::ByteString(GOOD.certificate.as_bytes().to_vec());
    ca.data = Some([("ca.crt".to_owned(), pem)].into());
    fixture.apply(Event::Secret(applied(ca)));
    for mode in ["Require", "Optional"] {
        let mut tls = own.clone();
        tls["clientCA"] = json!({"secret": {"name": "ca"}, "mode": mode});
        delegating(&mut fixture, json!({}), tls.clone());
        assert_eq!(open(&fixture), [false, false]);
        // No object set it, so none has a message about it.
        let child = Subject::exposed_port("marketing", "docs");
        let status = fixture.index.status(&child, &Observed::default(), now());
        assert_eq!(condition(&status.unwrap(), "Accepted").1, "Accepted");
        put(
            &mut fixture,
            json!({"tls": tls, "policy": {"permitInsecure": true}}),
        );
        assert_eq!(open(&fixture), [true], "the object may say so itself");
    }
}

#[test]
fn a_mistake_takes_its_field_away_and_no_object() {
    let mut fixture = Fixture::ready();
    let many: serde_json::Map<_, _> = (0..33).map(|n| (format!("x-{n}"), json!("1"))).collect();
    put_class(
        &mut fixture,
        json!({
            "timeouts": {"idle": "soon", "response": "9s"},
            "retries": {"count": 11, "perTryTimeout": "1s"},
            "headers": {"request": {"set": {"te": "a", "x-a": "b"}}, "response": {"add": many}},
            "cors": {"allowOrigins": ["*"], "allowCredentials": true},
        }),
    );
    let row = &routes(&fixture)[0];
    assert_eq!(row.timeouts.response, seconds(9));
    assert_eq!(row.timeouts.idle, None);
    assert_eq!(row.retries, None, "as if none of it was set");
    assert_eq!(row.request_headers, Default::default());
    assert_eq!(row.response_headers, Default::default());
    assert_eq!(row.cors, None);
    assert_eq!(condition(&fixture.status(), "Accepted").1, "Accepted");

    let status = class_status(&fixture);
    let accepted = status.conditions.iter().find(|it| it.type_ == "Accepted");
    let accepted = accepted.unwrap();
    assert_eq!(
        (accepted.status.as_str(), accepted.reason.as_str()),
        ("False", "InvalidSpec")
    );
    assert_eq!(status.description, accepted.message);
    for sentence in [
        "spec.defaults.timeouts.idle: Invalid value: \"soon\": must be a duration ",
        "spec.defaults.retries.count: Invalid value: 11: must be ",
        "spec.defaults.headers.request.set: Invalid value: \"te\": must not be a field of the connection",
        "spec.defaults.headers.response.add: Too many: 33: ",
        "spec.defaults.cors.allowCredentials: Forbidden: may not be used",
    ] {
        assert!(accepted.message.contains(sentence), "{accepted:?}");
    }
    let diagnostics = fixture.index.class_diagnostics(&class_name("public"));
    assert_eq!(diagnostics.len(), 5, "one by one: {diagnostics:?}");

    put_class(&mut fixture, json!({"timeouts": {"idle": "5m"}}));
    assert_eq!(class_status(&fixture).description, "valid");
    assert_eq!(fixture.index.class_diagnostics(&class_name("public")), []);
}
