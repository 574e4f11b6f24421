//! Private until exposed: in a namespace that a class restricts, pods are for one another, and for the
//! proxies of the classes that expose them. Policies add up, so each exposure opens what it needs and no more.

use super::class_children::{owner, proxy_labels};
use super::metadata::Owner;
use crate::NAMESPACE_NAME;
use crate::child::Child;
use crate::index::Index;
use crate::index::resolve::exposure::Exposure;
use crate::index::resolve::routing::Routing;
use crate::index::store::services::Backend;
use crate::names::{ClassName, Hostname, ObjectRef, child_name};
use crate::subject::Subject;
use crate::validate::Port;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const KIND: &str = "NetworkPolicy";

/// Some pods by their labels, and ports of theirs for the proxies of each class.
type Opened<'a> = (
    &'a BTreeMap<String, String>,
    BTreeMap<&'a ClassName, BTreeSet<&'a Port>>,
);

impl Index {
    /// Policies that deny access from elsewhere, one for each namespace that a class restricts.
    pub fn denials(&self, class: &ClassName) -> Vec<Child> {
        let Some(facts) = self.classes.get(class) else {
            return Vec::new();
        };
        let owner = owner(class, facts);
        self.restricted_by(class)
            .map(|namespace| {
                let name = child_name(namespace, &format!("portolan-private-{class}"), KIND, "");
                let own_namespace = json!({"from": [{"podSelector": {}}]});
                policy(&owner, namespace, name, json!({}), vec![own_namespace])
            })
            .collect()
    }

    /// For each Service in such a namespace that an object's requests go to: the proxies reach its pods on
    /// the ports that they send requests to.
    pub(super) fn allowances(
        &self,
        owner: &Owner<'_>,
        subject: &Subject,
        object: &Exposure,
        routing: &Routing,
    ) -> Vec<Child> {
        let mut opened: BTreeMap<ObjectRef, Opened<'_>> = BTreeMap::new();
        let routed = self
            .exposed_on(subject)
            .into_iter()
            .flat_map(|requirements| {
                let backends = self.backends(object, routing, Some(requirements)).flatten();
                backends.map(|resolved| (&requirements.class, resolved.backend))
            });
        for (class, backend) in routed.chain(self.solvers_of(subject)) {
            if self.is_restricted(&backend.service.namespace)
                && let Some((labels, port)) = self.services.pods(&backend)
            {
                let (_, ports) = opened
                    .entry(backend.service)
                    .or_insert_with(|| (labels, BTreeMap::new()));
                ports.entry(class).or_default().insert(port);
            }
        }
        opened
            .into_iter()
            .map(|(service, (labels, ports))| {
                // The Service may be of another namespace, and so may another object of this name.
                let of = format!("{}/{}", subject.namespace(), service.name);
                let name = child_name(&service.namespace, &subject.child_base(), KIND, &of);
                let pods = json!({"matchLabels": labels});
                let rules = ports.into_iter();
                let rules = rules.map(|(class, ports)| self.rule_for_proxies(class, ports));
                policy(owner, &service.namespace, name, pods, rules.collect())
            })
            .collect()
    }

    /// Who answers the challenges of the hostnames that an object serves first of all.
    fn solvers_of(&self, subject: &Subject) -> impl Iterator<Item = (&ClassName, Backend)> {
        let link = self.linked(subject).map(|(_, link)| link);
        link.into_iter().flat_map(move |link| {
            let first = move |host: &&Hostname| {
                let oldest = self.oldest(&link.class, host);
                oldest.is_some_and(|oldest| oldest.name == subject)
            };
            let hosts = link.hostnames.iter().filter(first);
            hosts.flat_map(move |host| {
                let solved = self.solved(&link.class, host);
                solved.map(move |(_, backend)| (&link.class, backend))
            })
        })
    }

    /// Lets the proxies of a class in on some ports.
    fn rule_for_proxies(&self, class: &ClassName, ports: BTreeSet<&Port>) -> Value {
        let proxies = json!({
            "namespaceSelector": {"matchLabels": {NAMESPACE_NAME: self.namespace}},
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
