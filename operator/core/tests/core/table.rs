//! Resources sent to the proxies: virtual hosts, endpoints, listeners.

use crate::fixture::*;
use portolan_core::{Event, OWNER_UID};
use portolan_discovery::table::{Action, Resource, ResourceName, VirtualHost};
use serde_json::{Value, json};

fn served(fixture: &Fixture, name: &str) -> Option<VirtualHost> {
    match fixture.resource(&virtual_host(name))? {
        Resource::VirtualHost(host) => Some(host),
        other => panic!("{other:?}"),
    }
}

fn action(fixture: &Fixture) -> Action {
    served(fixture, HOST).unwrap().routes.remove(0).action
}

fn target(fixture: &Fixture) -> Result<String, String> {
    match action(fixture) {
        Action::Forward { mut backends } => Ok(backends.remove(0).endpoints),
        Action::Unavailable { reason } => Err(reason),
        other => panic!("{other:?}"),
    }
}

fn addresses(fixture: &Fixture, name: &str) -> Vec<String> {
    match fixture.resource(&endpoints(name)) {
        Some(Resource::Endpoints(set)) => set
            .endpoints
            .iter()
            .map(|endpoint| format!("{} {}", endpoint.address, endpoint.uid))
            .collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_hostname_is_sent_to_the_ready_pods_of_its_service() {
    let fixture = Fixture::ready();
    let host = served(&fixture, HOST).unwrap();
    assert_eq!(host.tls.unwrap().certificates, ["team-a/own"]);
    assert_eq!(target(&fixture).as_deref(), Ok("team-a/shop:http"));
    assert_eq!(
        addresses(&fixture, "team-a/shop:http"),
        ["10.0.0.1:8080 pod-10.0.0.1"]
    );
    let (_, origins) = fixture
        .index
        .resource(&class_name("public"), &virtual_host(HOST))
        .unwrap();
    assert_eq!(
        (origins[0].uid.as_str(), origins[0].generation),
        ("uid-team-a-shop", 3)
    );
}

#[test]
fn what_cannot_be_resolved_answers_with_its_reason() {
    let mut fixture = Fixture::ready();
    fixture.apply(Event::Service(gone("team-a", "shop")));
    assert_eq!(target(&fixture), Err("ServiceNotFound".into()));
    assert_eq!(fixture.resource(&endpoints("team-a/shop:http")), None);
}

#[test]
fn resolves_ports_by_number_name_and_target_port() {
    let ports = json!([
        {"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"},
        {"name": "admin", "port": 8080, "targetPort": "metrics"},
        {"name": "dns", "port": 53, "protocol": "UDP"},
    ]);
    for (wanted, found) in [
        (json!(80), Ok("team-a/shop:http")),
        (json!("http"), Ok("team-a/shop:http")),
        (json!(8080), Ok("team-a/shop:admin")), // The Service's own number comes first.
        (json!("metrics"), Ok("team-a/shop:admin")),
        (json!(53), Err("PortNotFound")), // Not over UDP.
        (json!("none"), Err("PortNotFound")),
    ] {
        let mut fixture = Fixture::empty();
        fixture.apply(Event::Service(applied(service(
            "team-a",
            "shop",
            json!({"ports": ports}),
        ))));
        fixture.put_shop(json!({"service": "shop", "port": wanted, "hostnames": [HOST]}));
        assert_eq!(
            target(&fixture).as_deref(),
            found.map_err(|e: &str| e.to_string()).as_deref(),
            "{wanted}"
        );
    }
}

#[test]
fn an_unnamed_port_is_known_by_its_number() {
    let mut fixture = Fixture::empty();
    fixture.apply(Event::Service(applied(service(
        "team-a",
        "shop",
        json!({"ports": [{"port": 80}]}),
    ))));
    fixture.apply(Event::EndpointSlice(applied(slice(
        "shop",
        ("", 8080),
        &[("10.0.0.9", true)],
    ))));
    fixture.put_shop(json!({"service": "shop", "port": 80, "hostnames": [HOST]}));
    assert_eq!(target(&fixture).as_deref(), Ok("team-a/shop:80"));
    assert_eq!(
        addresses(&fixture, "team-a/shop:80"),
        ["10.0.0.9:8080 pod-10.0.0.9"]
    );
}

#[test]
fn an_external_name_is_left_to_the_proxies_to_look_up() {
    let mut fixture = Fixture::ready();
    let put = |fixture: &mut Fixture, spec: Value| {
        fixture.apply(Event::Service(applied(service("team-a", "shop", spec))))
    };
    let external = |fixture: &Fixture| {
        let name = target(fixture).unwrap();
        match fixture.resource(&endpoints(&name)) {
            Some(Resource::Endpoints(set)) => {
                assert!(set.endpoints.is_empty(), "{set:?}");
                set.external
                    .map(|it| format!("{name} {}:{}", it.host, it.port))
            }
            other => panic!("{other:?}"),
        }
    };
    put(
        &mut fixture,
        json!({"type": "ExternalName", "externalName": "DB.Example.com."}),
    );
    assert_eq!(
        external(&fixture).as_deref(),
        Some("team-a/shop:80 db.example.com:80")
    );
    assert_eq!(
        fixture.reason(),
        "ProxiesBehind",
        "nothing else is in the way"
    );
    let ports = json!([{"name": "http", "port": 80}, {"name": "admin", "port": 81}]);
    let affected = put(
        &mut fixture,
        json!({"type": "ExternalName", "externalName": "b.example.com", "ports": ports}),
    );
    assert_eq!(
        external(&fixture).as_deref(),
        Some("team-a/shop:http b.example.com:80")
    );
    let named = (class_name("public"), endpoints("team-a/shop:http"));
    assert!(affected.resources.contains(&named), "{affected:?}");
    put(
        &mut fixture,
        json!({"type": "ExternalName", "externalName": "b.example.com", "ports": [{"port": 81}]}),
    );
    assert_eq!(target(&fixture), Err("PortNotFound".to_owned()));
}

#[test]
fn with_a_selector_only_the_service_that_we_made_is_taken() {
    let mut fixture = Fixture::empty();
    fixture.put_shop(json!({"selector": {"app": "shop"}, "port": "web", "hostnames": [HOST]}));
    let child = fixture.index.children(&fixture.shop).remove(0);
    assert_eq!(target(&fixture), Err("Applying".into()));
    let spec = child.value["spec"].clone();
    let foreign = service("team-a", &child.name, spec.clone());
    fixture.apply(Event::Service(applied(foreign)));
    assert_eq!(target(&fixture), Err("ForeignObject".into()));
    let ours = own_service("team-a", &child.name, "uid-team-a-shop", spec.clone());
    fixture.apply(Event::Service(applied(ours)));
    assert_eq!(target(&fixture), Ok(format!("team-a/{}:web", child.name)));
    // The ownerReference says more than the annotation, which anybody may copy.
    let mut taken = own_service("team-a", &child.name, "uid-team-a-shop", spec);
    taken.metadata.owner_references = Some(read(json!([
        {"apiVersion": "v1", "kind": "X", "name": "x", "uid": "other", "controller": true}])));
    assert!(
        taken
            .metadata
            .annotations
            .as_ref()
            .unwrap()
            .contains_key(OWNER_UID)
    );
    fixture.apply(Event::Service(applied(taken)));
    assert_eq!(target(&fixture), Err("ForeignObject".into()));
}

#[test]
fn endpoints_that_are_terminating_or_not_serving_get_nothing() {
    let mut fixture = Fixture::ready();
    let endpoint =
        |ip: &str, conditions: Value| json!({"addresses": [ip], "conditions": conditions});
    let mut it = slice("shop", ("http", 8080), &[]);
    it.endpoints = Some(read(json!([
        endpoint("10.0.0.1", json!({})), // Unset means ready.
        endpoint("10.0.0.2", json!({"ready": true, "terminating": true})),
        endpoint("10.0.0.3", json!({"ready": true, "serving": false})),
        endpoint("10.0.0.4", json!({"ready": false, "serving": true})),
    ])));
    fixture.apply(Event::EndpointSlice(applied(it)));
    assert_eq!(addresses(&fixture, "team-a/shop:http"), ["10.0.0.1:8080 "]);
}

#[test]
fn a_dual_stack_pod_uses_the_family_of_the_service() {
    for (families, expected) in [
        (json!(["IPv4", "IPv6"]), "10.0.0.1:8080 pod"),
        (json!(["IPv6", "IPv4"]), "[fd00::1]:8080 pod"),
    ] {
        let mut fixture = Fixture::ready();
        let ports = json!([{"name": "http", "port": 80}]);
        let spec = json!({"ports": ports, "ipFamilies": families});
        fixture.apply(Event::Service(applied(service("team-a", "shop", spec))));
        for (name, ip) in [("shop-4", "10.0.0.1"), ("shop-6", "fd00::1")] {
            let mut it = slice("shop", ("http", 8080), &[(ip, true)]);
            it.metadata.name = Some(name.into());
            let endpoint = &mut it.endpoints.as_mut().unwrap()[0];
            endpoint.target_ref.as_mut().unwrap().uid = Some("pod".into());
            fixture.apply(Event::EndpointSlice(applied(it)));
        }
        fixture.apply(Event::EndpointSlice(gone("team-a", "shop-x")));
        assert_eq!(addresses(&fixture, "team-a/shop:http"), [expected]);
    }
}

#[test]
fn a_slice_affects_only_users_of_its_service() {
    let mut fixture = Fixture::ready();
    let same = slice("shop", ("http", 8080), &[("10.0.0.1", true)]);
    assert!(
        fixture
            .apply(Event::EndpointSlice(applied(same)))
            .is_empty()
    );
    let affected = fixture.apply(Event::EndpointSlice(applied(slice(
        "shop",
        ("http", 8080),
        &[],
    ))));
    assert!(
        affected
            .resources
            .contains(&(class_name("public"), endpoints("team-a/shop:http")))
    );
    let mut other = slice("other", ("http", 8080), &[("10.0.0.1", true)]);
    other.metadata.name = Some("shop-x".into());
    // Relabelled: it leaves one Service and no object uses the other.
    assert!(
        fixture
            .apply(Event::EndpointSlice(applied(other)))
            .objects
            .contains(&fixture.shop)
    );
}

#[test]
fn two_hosts_of_one_service_share_their_endpoints() {
    let mut fixture = Fixture::ready();
    fixture.apply(Event::HostnameHold(applied(hold(
        "b.example.com",
        "team-a",
    ))));
    let spec = json!({"service": "shop", "port": "http", "hostnames": ["b.example.com"]});
    fixture.expose("team-a", "two", 9, spec);
    let (_, origins) = fixture
        .index
        .resource(&class_name("public"), &endpoints("team-a/shop:http"))
        .unwrap();
    let uids: Vec<_> = origins.into_iter().map(|origin| origin.uid).collect();
    assert_eq!(uids, ["uid-team-a-shop", "uid-team-a-two"]);
}

#[test]
fn a_new_hostname_owner_replaces_the_virtual_host() {
    let mut fixture = Fixture::ready();
    let spec = json!({"service": "other", "port": 80, "hostnames": [HOST]});
    let elder = exposed_port("team-a", "elder", 1, spec);
    let affected = fixture.apply(Event::ExposedPort(applied(elder)));
    let public = class_name("public");
    for name in [
        endpoints("team-a/shop:http"),
        certificate_resource("team-a/own"),
    ] {
        assert!(
            affected.resources.contains(&(public.clone(), name.clone())),
            "{name}"
        );
        assert_eq!(fixture.resource(&name), None);
    }
}

#[test]
fn each_class_has_its_own_table() {
    let mut fixture = Fixture::ready();
    fixture.apply(Event::ExposeClass(applied(expose_class(
        "private",
        9,
        json!({}),
    ))));
    let private = class_name("private");
    assert_eq!(fixture.index.resource(&private, &virtual_host(HOST)), None);
    let listeners: Vec<ResourceName> = fixture.index.resources_of_class(&private);
    for name in &listeners {
        let (resource, origins) = fixture.index.resource(&private, name).unwrap();
        assert_eq!(resource.name(), *name);
        assert_eq!(origins[0].uid, "uid-private");
    }
    let affected = fixture.apply(Event::ExposeClass(gone("", "private")));
    assert!(
        affected
            .resources
            .iter()
            .all(|(class, _)| *class == private)
    );
    assert_eq!(affected.resources.len(), listeners.len());
    assert_eq!(fixture.index.resource(&private, &listeners[0]), None);
}

#[test]
fn every_resource_goes_by_the_name_that_it_is_asked_for() {
    let fixture = Fixture::ready();
    let resources = fixture.index.resources_of(&fixture.shop);
    assert_eq!(
        resources.len(),
        6,
        "two listeners, class settings, host, certificate, endpoints: {resources:?}"
    );
    for (class, name) in resources {
        let (resource, _) = fixture.index.resource(&class, &name).unwrap();
        assert_eq!(resource.name(), name);
        for reference in resource.references() {
            assert!(
                fixture.resource(&reference).is_some(),
                "{name} refers to {reference}"
            );
        }
    }
}
