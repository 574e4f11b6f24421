//! What a class says for the routes of its objects: where it counts, where it does not, and what of it
//! is wrong.

use crate::world::*;
use portolan_core::{Affected, Event, Observed, Subject};
use portolan_crds::ExposeClassStatus;
use portolan_discovery::table::{AllowedOrigins, Resource, Route};
use serde_json::{Value, json};
use std::time::Duration;

fn put_class(world: &mut World, defaults: Value) -> Affected {
    let spec = json!({"default": true, "domain": "apps.test", "defaults": defaults});
    world.apply(Event::ExposeClass(applied(expose_class("public", 1, spec))))
}

fn put(world: &mut World, more: Value) {
    let mut spec = json!({"service": "shop", "port": 80, "hostnames": [HOST],
        "tls": {"secret": {"name": "own"}}});
    for (field, value) in more.as_object().unwrap() {
        spec[field] = value.clone();
    }
    world.put_shop(spec);
}

fn routes(world: &World) -> Vec<Route> {
    match world.resource(&virtual_host(HOST)) {
        Some(Resource::VirtualHost(host)) => host.routes,
        other => panic!("{other:?}"),
    }
}

fn seconds(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds))
}

fn class_status(world: &World) -> ExposeClassStatus {
    let class = class_name("public");
    world
        .index
        .class_status(&class, &world.seen, now())
        .unwrap()
}

#[test]
fn a_route_counts_more_than_its_object_and_both_more_than_the_class_field_by_field() {
    let mut world = World::ready();
    put_class(
        &mut world,
        json!({
            "timeouts": {"connect": "1s", "response": "1s", "request": "1s"},
            "retries": {"count": 3}, "websockets": false, "permitInsecure": true,
            "headers": {"request": {"set": {"x-from": "class"}}, "response": {"set": {"x-from": "class"}}},
            "cors": {"allowOrigins": ["*"]},
        }),
    );
    put(
        &mut world,
        json!({
            "policy": {"timeouts": {"connect": "2s", "response": "2s"}, "permitInsecure": false,
                "headers": {"request": {"set": {"x-from": "object"}}}},
            "routes": [{"timeouts": {"connect": "3s"}, "websockets": true}, {"match": {"method": "GET"}}],
        }),
    );
    let rows = routes(&world);
    let (one, other) = (&rows[1], &rows[0]);
    let timeouts = |row: &Route| {
        let it = row.timeouts;
        [it.connect, it.response, it.request, it.idle]
    };
    assert_eq!(
        timeouts(one),
        [seconds(3), seconds(2), seconds(1), None],
        "route, object, class, nobody"
    );
    assert_eq!(timeouts(other), [seconds(2), seconds(2), seconds(1), None]);
    assert_eq!((one.websockets, other.websockets), (true, false));
    let from = |said: &str| vec![("x-from".to_owned(), said.to_owned())];
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
fn a_changed_class_touches_the_hosts_of_its_objects_and_nothing_when_it_says_the_same() {
    let mut world = World::ready();
    let touched = |affected: &Affected| {
        let resource = (class_name("public"), virtual_host(HOST));
        affected.resources.contains(&resource)
            && affected
                .objects
                .contains(&Subject::exposed_port("team-a", "shop"))
    };
    let said = json!({"timeouts": {"idle": "5m"}});
    assert!(touched(&put_class(&mut world, said.clone())));
    assert_eq!(routes(&world)[0].timeouts.idle, seconds(300));
    assert!(!touched(&put_class(&mut world, said)));
    assert!(touched(&put_class(&mut world, json!({}))));
    assert_eq!(routes(&world)[0].timeouts.idle, None);
}

/// `shop` leaves `/docs` to `marketing/docs`, which says this.
fn delegating(world: &mut World, child: Value, tls: Value) {
    let to = json!({"namespace": "marketing", "name": "docs"});
    let docs = json!({"path": {"prefix": "/docs"}});
    let routes = json!([{"match": docs, "delegate": to}, {}]);
    put(
        world,
        json!({"routes": routes, "tls": tls, "policy": {"timeouts": {"response": "2s"}}}),
    );
    let mut spec = json!({"allowedParents": [{"namespace": "team-a"}],
        "routes": [{"match": docs, "respond": {"status": 200}}]});
    spec["policy"] = child;
    world.expose("marketing", "docs", 7, spec);
}

#[test]
fn for_a_child_the_class_is_that_of_its_root() {
    let mut world = World::ready();
    let said = json!({"timeouts": {"response": "1s", "idle": "1s"}});
    put_class(&mut world, said);
    delegating(
        &mut world,
        json!({"timeouts": {"idle": "3s"}}),
        json!({"secret": {"name": "own"}}),
    );
    let rows = routes(&world);
    let timeouts = rows[0].timeouts;
    assert_eq!((timeouts.idle, timeouts.response), (seconds(3), seconds(1)));
    assert_eq!(rows[1].timeouts.response, seconds(2), "that of the root");
    let affected = put_class(&mut world, json!({}));
    let child = Subject::exposed_port("marketing", "docs");
    assert!(affected.objects.contains(&child), "{affected:?}");
}

#[test]
fn where_clients_need_a_certificate_no_class_lets_them_in_without() {
    let mut world = World::ready();
    put_class(&mut world, json!({"permitInsecure": true}));
    let own = json!({"secret": {"name": "own"}});
    delegating(&mut world, json!({}), own.clone());
    let open = |world: &World| -> Vec<bool> {
        routes(world).iter().map(|it| it.permit_insecure).collect()
    };
    assert_eq!(open(&world), [true, true]);
    let mut ca = secret("ca", "", "");
    let pem = k8s_openapi::ByteString(GOOD.certificate.as_bytes().to_vec());
    ca.data = Some([("ca.crt".to_owned(), pem)].into());
    world.apply(Event::Secret(applied(ca)));
    for mode in ["Require", "Optional"] {
        let mut tls = own.clone();
        tls["clientCA"] = json!({"secret": {"name": "ca"}, "mode": mode});
        delegating(&mut world, json!({}), tls.clone());
        assert_eq!(open(&world), [false, false]);
        // Nobody of them asked for it, so nobody is told to leave it out.
        let child = Subject::exposed_port("marketing", "docs");
        let status = world.index.status(&child, &Observed::default(), now());
        assert_eq!(condition(&status.unwrap(), "Accepted").1, "Accepted");
        put(
            &mut world,
            json!({"tls": tls, "policy": {"permitInsecure": true}}),
        );
        assert_eq!(open(&world), [true], "the object may say so itself");
    }
}

#[test]
fn a_mistake_takes_its_field_away_and_no_object() {
    let mut world = World::ready();
    let many: serde_json::Map<_, _> = (0..33).map(|n| (format!("x-{n}"), json!("1"))).collect();
    put_class(
        &mut world,
        json!({
            "timeouts": {"idle": "soon", "response": "9s"},
            "retries": {"count": 11, "perTryTimeout": "1s"},
            "headers": {"request": {"set": {"te": "a", "x-a": "b"}}, "response": {"add": many}},
            "cors": {"allowOrigins": ["*"], "allowCredentials": true},
        }),
    );
    let row = &routes(&world)[0];
    assert_eq!(row.timeouts.response, seconds(9));
    assert_eq!(row.timeouts.idle, None);
    assert_eq!(row.retries, None, "as if nobody had written any of it");
    assert_eq!(row.request_headers, Default::default());
    assert_eq!(row.response_headers, Default::default());
    assert_eq!(row.cors, None);
    assert_eq!(condition(&world.status(), "Accepted").1, "Accepted");

    let status = class_status(&world);
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
    let told = world.index.class_diagnostics(&class_name("public"));
    assert_eq!(told.len(), 5, "one by one: {told:?}");

    put_class(&mut world, json!({"timeouts": {"idle": "5m"}}));
    assert_eq!(class_status(&world).description, "valid");
    assert_eq!(world.index.class_diagnostics(&class_name("public")), []);
}
