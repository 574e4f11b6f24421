//! Private until exposed: in a namespace that a class restricts, pods are for one another, and for the
//! proxies of the classes that expose them. Policies add up, so each exposure opens what it needs and no more.

use super::class_children::proxy_labels;
use super::metadata::Owner;
use crate::child::Child;
use crate::index::Index;
use crate::index::link::Object;
use crate::index::routing::Routing;
use crate::names::{ClassName, ObjectRef, child_name};
use crate::validate::Port;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const KIND: &str = "NetworkPolicy";
/// The label that the API server gives every namespace.
const NAME: &str = "kubernetes.io/metadata.name";

/// Some pods by their labels, and ports of theirs for the proxies of each class.
type Opened<'a> = (
    &'a BTreeMap<String, String>,
    BTreeMap<&'a ClassName, BTreeSet<&'a Port>>,
);

impl Index {
    /// For each namespace that a class restricts: nobody reaches its pods from elsewhere.
    pub(super) fn denials(&self, owner: &Owner<'_>, class: &ClassName) -> Vec<Child> {
        let restricted = self.restricted_by(class);
        restricted
            .map(|namespace| {
                let name = child_name(namespace, &format!("portolan-private-{class}"), KIND, "");
                let own_namespace = json!({"from": [{"podSelector": {}}]});
                policy(owner, namespace, name, json!({}), vec![own_namespace])
            })
            .collect()
    }

    /// For each Service in such a namespace that an object's requests go to: the proxies reach its pods on
    /// the ports that they send requests to.
    pub(super) fn allowances(
        &self,
        owner: &Owner<'_>,
        me: &ObjectRef,
        object: &Object,
        routing: &Routing,
    ) -> Vec<Child> {
        let mut opened: BTreeMap<ObjectRef, Opened<'_>> = BTreeMap::new();
        for demands in self.exposed_on(me) {
            for resolved in self.backends(object, routing, Some(demands)).flatten() {
                let backend = resolved.backend;
                if self.is_restricted(&backend.service.namespace)
                    && let Some((labels, port)) = self.services.pods(&backend)
                {
                    let (_, ports) = opened
                        .entry(backend.service)
                        .or_insert_with(|| (labels, BTreeMap::new()));
                    ports.entry(&demands.class).or_default().insert(port);
                }
            }
        }
        opened
            .into_iter()
            .map(|(service, (labels, ports))| {
                // The Service may be of another namespace, and so may another object of this name.
                let of = format!("{}/{}", me.namespace, service.name);
                let name = child_name(&service.namespace, &me.name, KIND, &of);
                let pods = json!({"matchLabels": labels});
                let rules = ports.into_iter();
                let rules = rules.map(|(class, ports)| self.rule_for_proxies(class, ports));
                policy(owner, &service.namespace, name, pods, rules.collect())
            })
            .collect()
    }

    /// Lets the proxies of a class in on some ports.
    fn rule_for_proxies(&self, class: &ClassName, ports: BTreeSet<&Port>) -> Value {
        let proxies = json!({
            "namespaceSelector": {"matchLabels": {NAME: self.namespace}},
            "podSelector": {"matchLabels": proxy_labels(class)},
        });
        let ports: Vec<_> = ports.into_iter().map(port).collect();
        json!({"from": [proxies], "ports": ports})
    }
}

fn port(port: &Port) -> Value {
    match port {
        Port::Number(number) => json!({"port": number, "protocol": "TCP"}),
        Port::Name(name) => json!({"port": name, "protocol": "TCP"}),
    }
}

fn policy(
    owner: &Owner<'_>,
    namespace: &str,
    name: String,
    pods: Value,
    rules: Vec<Value>,
) -> Child {
    let spec = json!({"podSelector": pods, "policyTypes": ["Ingress"], "ingress": rules});
    owner.child(
        "networking.k8s.io/v1",
        KIND,
        namespace,
        name,
        json!({"spec": spec}),
    )
}
