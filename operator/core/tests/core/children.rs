//! What is written to the cluster, as it is written. A changed snapshot is a rolling change in every cluster.

use crate::fixture::*;
use portolan_core::{Child, Event, Subject};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn values(children: &[Child]) -> Vec<&Value> {
    children.iter().map(|child| &child.value).collect()
}

#[test]
fn children_of_an_object() {
    let mut fixture = Fixture::empty();
    let tls = json!({"issuerRef": {"name": "letsencrypt"}});
    let hostnames = [HOST, "*.apps.test", "not.held.test"];
    fixture.put_shop(
        json!({"selector": {"app": "shop"}, "port": 8080, "hostnames": hostnames, "tls": tls}),
    );
    fixture.apply(Event::HostnameHold(applied(hold("*.apps.test", "team-a"))));
    insta::assert_yaml_snapshot!(values(&fixture.index.children(&fixture.shop)));
}

#[test]
fn children_for_a_named_port_of_a_service_of_ones_own() {
    let mut fixture = Fixture::empty();
    fixture.put_shop(json!({"service": "shop", "port": "http", "hostnames": [HOST]}));
    insta::assert_yaml_snapshot!(values(&fixture.index.children(&fixture.shop)));
}

#[test]
fn children_for_a_named_port_of_pods() {
    let mut fixture = Fixture::empty();
    fixture.put_shop(
        json!({"selector": {"app": "shop"}, "port": "web", "hostnames": ["not.held.test"]}),
    );
    let children = fixture.index.children(&fixture.shop);
    assert_eq!(children.len(), 1, "no Ingress without a held host");
    insta::assert_yaml_snapshot!(children[0].value["spec"]);
}

#[test]
fn children_of_a_class() {
    let fixture = Fixture::empty();
    insta::assert_yaml_snapshot!(values(
        &fixture
            .index
            .class_children(&class_name("public"), &settings())
    ));
}

#[test]
fn what_a_class_says_about_its_proxies_is_done() {
    let mut fixture = Fixture::empty();
    let proxy = json!({
        "replicas": 3, "workers": 8,
        "ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv6", "IPv4"],
        "service": {"type": "NodePort", "annotations": {"a": "b", "portolan.dev/owner-uid": "stolen"}},
        "resources": {"requests": {"cpu": "0.5"}, "limits": {"memory": "1024Mi", "cpu": 2}},
    });
    fixture.apply(Event::ExposeClass(applied(expose_class(
        "public",
        1,
        json!({"proxy": proxy}),
    ))));
    let children = fixture
        .index
        .class_children(&class_name("public"), &settings());
    let by_kind: BTreeMap<_, _> = children
        .iter()
        .map(|child| (child.kind, &child.value))
        .collect();
    let deployment = &by_kind["Deployment"]["spec"];
    let container = &deployment["template"]["spec"]["containers"][0];
    assert_eq!(deployment["replicas"], 3);
    assert_eq!(
        container["args"].as_array().unwrap().last().unwrap(),
        "--workers=8"
    );
    // In the API server's own form, so that comparing finds no difference.
    let expected = json!({"requests": {"cpu": "500m"}, "limits": {"memory": "1Gi", "cpu": "2"}});
    assert_eq!(container["resources"], expected);
    let service = by_kind["Service"];
    assert_eq!(service["spec"]["type"], "NodePort");
    assert_eq!(service["spec"]["ipFamilyPolicy"], "RequireDualStack");
    assert_eq!(service["spec"]["ipFamilies"], json!(["IPv6", "IPv4"]));
    let expected = json!({"a": "b", "portolan.dev/owner-uid": "uid-public"});
    assert_eq!(
        service["metadata"]["annotations"], expected,
        "the owner cannot be overwritten"
    );
}

#[test]
fn pods_run_as_the_service_account_that_discovery_lets_in() {
    let fixture = Fixture::empty();
    let class = class_name("public");
    let children = fixture.index.class_children(&class, &settings());
    let account = portolan_core::proxy_service_account("portolan-system", &class);
    let service = portolan_core::proxy_service("portolan-system", &class);
    let named = |kind, name: &str| {
        children
            .iter()
            .any(|child| child.kind == kind && child.name == name)
    };
    assert!(named("ServiceAccount", &account) && named("Service", &service.name));
    let deployment = children
        .iter()
        .find(|child| child.kind == "Deployment")
        .unwrap();
    assert_eq!(
        deployment.value["spec"]["template"]["spec"]["serviceAccountName"],
        account.as_str()
    );
}

#[test]
fn hashes_a_long_name_in_the_label_only() {
    let mut fixture = Fixture::empty();
    let name = "n".repeat(200);
    let spec = json!({"selector": {"app": "shop"}, "port": 80, "hostnames": [HOST]});
    fixture.expose("team-a", &name, 1, spec);
    for child in fixture
        .index
        .children(&Subject::exposed_port("team-a", &name))
    {
        let metadata = &child.value["metadata"];
        assert!(
            metadata["labels"]["portolan.dev/exposed-port"]
                .as_str()
                .unwrap()
                .len()
                <= 63
        );
        assert_eq!(
            metadata["annotations"]["portolan.dev/exposed-port"],
            name.as_str()
        );
        assert!(child.name.len() <= 63);
    }
}

#[test]
fn every_child_says_whose_it_is() {
    let mut fixture = Fixture::empty();
    fixture.put_shop(json!({"selector": {"app": "shop"}, "port": 80, "hostnames": [HOST]}));
    let mut children = fixture.index.children(&fixture.shop);
    children.extend(
        fixture
            .index
            .class_children(&class_name("public"), &settings()),
    );
    for child in children {
        let metadata = &child.value["metadata"];
        assert_eq!(child.value["apiVersion"], child.api_version);
        assert_eq!(child.value["kind"], child.kind);
        assert_eq!(metadata["name"], child.name.as_str());
        assert_eq!(
            metadata["namespace"].as_str().unwrap_or_default(),
            child.namespace
        );
        assert_eq!(
            metadata["labels"]["app.kubernetes.io/managed-by"],
            "portolan"
        );
        assert_eq!(
            metadata["annotations"][portolan_core::OWNER_UID],
            child.owner_uid.as_str()
        );
        let owner = &metadata["ownerReferences"][0];
        assert_eq!(owner["uid"], child.owner_uid.as_str());
        assert!(owner["controller"] == true && owner["blockOwnerDeletion"] == true);
    }
}

#[test]
fn the_hold_that_is_created_says_what_the_schema_wants() {
    let mut fixture = Fixture::empty();
    fixture.put_shop(json!({"service": "shop", "port": 80, "hostnames": ["*.free.test"]}));
    let action = fixture.index.hold_action(&host("*.free.test")).unwrap();
    let hold = action.hold(now()).unwrap();
    assert_eq!(hold.metadata.name.as_deref(), Some("w.free.test"));
    assert_eq!(
        (hold.spec.hostname.as_str(), hold.spec.namespace.as_str()),
        ("*.free.test", "team-a")
    );
    assert_eq!(
        fixture.index.hold_action(&host(HOST)).unwrap().hold(now()),
        None,
        "that one is deleted"
    );
}

#[test]
fn reports_addresses_of_both_families() {
    let mut fixture = Fixture::ready();
    let name = portolan_core::proxy_service("portolan-system", &class_name("public")).name;
    let spec = json!({"type": "LoadBalancer", "ipFamilies": ["IPv4", "IPv6"]});
    let mut proxies = service("portolan-system", &name, spec);
    let points = json!([{"ip": "203.0.113.7"}, {"ip": "2001:db8::7"}]);
    proxies.status = Some(read(json!({"loadBalancer": {"ingress": points}})));
    fixture.apply(Event::Service(applied(proxies)));
    let addresses = fixture.status().addresses.into_iter().map(|it| it.value);
    assert_eq!(
        addresses.collect::<Vec<_>>(),
        ["203.0.113.7", "2001:db8::7"]
    );
}
