//! Children of an ExposedPort: its Service, one Ingress, a Certificate for each hostname or one
//! for all, and what lets the proxies in where pods are private. For a hostname of an Ingress only the last
//! two: the others are there.

use super::metadata::Owner;
use crate::child::Child;
use crate::index::Index;
use crate::index::resolve::certificates::Source;
use crate::index::resolve::exposure::{Exposure, ResolvedRoot};
use crate::index::resolve::routing::Own;
use crate::names::{Hostname, ObjectRef, child_name};
use crate::subject::Subject;
use crate::validate::{Port, RouteSpec};
use crate::{EXPOSED_PORT, INGRESS, MANAGED_BY};
use portolan_crds::{GROUP, IssuerRef, VERSION};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The port of a Service that we make for a port known by name only.
const PORT_FOR_NAMED: u16 = 80;

impl Index {
    /// The objects that should exist for an ExposedPort, or for a hostname of an Ingress, in the order in which they are made; none
    /// for one that is gone or invalid.
    ///
    /// Ingress and Certificates are for hostnames that the object serves only: no object publishes a name,
    /// or has it certified, that another one holds. Without cert-manager no Certificate is wanted,
    /// because the API server could not store it.
    pub fn children(&self, object: &Subject) -> Vec<Child> {
        let Some((facts, routing)) = self.routing(object) else {
            return Vec::new();
        };
        let owner = owner(object, facts);
        let mut children = Vec::new();
        if let Some(own) = &routing.own
            && let Some(selector) = &own.selector
        {
            children.push(service(&owner, own, selector));
        }
        children.extend(self.named_children(&owner, object));
        children.extend(self.allowances(&owner, object, facts, routing));
        children
    }

    /// Names and certificates are those of the root.
    fn named_children(&self, owner: &Owner<'_>, object: &Subject) -> Vec<Child> {
        let mut children = Vec::new();
        let Some((_, link)) = self.linked(object) else {
            return children;
        };
        let hosts: Vec<_> = self.served(object, link).collect();
        if !hosts.is_empty() && object.ingress().is_none() {
            children.push(ingress(owner, object, link, &hosts));
        }
        if self.cert_manager {
            // Under a hostname that several objects share, the oldest has the certificate.
            let oldest = |host: &&&Hostname| {
                let oldest = self.oldest(&link.class, host);
                oldest.is_some_and(|oldest| oldest.name == object)
            };
            let hosts = hosts.iter().filter(oldest);
            children.extend(certificates(owner, link, hosts.copied()));
        }
        children
    }
}

fn owner<'a>(subject: &'a Subject, facts: &'a Exposure) -> Owner<'a> {
    let (api_version, kind, label) = match subject.ingress() {
        Some(_) => ("networking.k8s.io/v1".to_owned(), "Ingress", INGRESS),
        None => (format!("{GROUP}/{VERSION}"), "ExposedPort", EXPOSED_PORT),
    };
    Owner {
        api_version,
        kind,
        namespace: subject.namespace(),
        name: subject.name(),
        uid: &facts.uid,
        label,
        labels: facts.child_labels(),
    }
}

fn service(owner: &Owner<'_>, own: &Own, selector: &BTreeMap<String, String>) -> Child {
    let port = match &own.port {
        Port::Number(number) => {
            json!({"name": "http", "port": number, "targetPort": number, "protocol": "TCP"})
        }
        Port::Name(name) => {
            json!({"name": name, "port": PORT_FOR_NAMED, "targetPort": name, "protocol": "TCP"})
        }
    };
    let ObjectRef { namespace, name } = &own.service;
    // Both families, where the cluster has both: pods may have addresses of the second one only.
    let spec = json!({
        "type": "ClusterIP", "ipFamilyPolicy": "PreferDualStack", "selector": selector, "ports": [port],
    });
    owner.child(
        "v1",
        "Service",
        namespace,
        name.clone(),
        json!({"spec": spec}),
    )
}

/// For external-dns, dashboards and people. It has no TLS section, so that no second certificate is issued.
fn ingress(
    owner: &Owner<'_>,
    subject: &Subject,
    link: &ResolvedRoot,
    hosts: &[&Hostname],
) -> Child {
    let http = shown_backend(link).map(|(service, port)| {
        let port = match port {
            Port::Number(number) => json!({"number": number}),
            Port::Name(name) => json!({"name": name}),
        };
        let backend = json!({"service": {"name": service, "port": port}});
        json!({"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]})
    });
    let rules: Vec<Value> = hosts
        .iter()
        .map(|host| match &http {
            Some(http) => json!({"host": host.as_str(), "http": http}),
            None => json!({"host": host.as_str()}),
        })
        .collect();
    let name = ingress_name(subject.object());
    let spec = json!({"ingressClassName": link.class.as_str(), "rules": rules});
    let mut ingress = owner.child(
        "networking.k8s.io/v1",
        "Ingress",
        subject.namespace(),
        name,
        json!({"spec": spec}),
    );
    let ours = ingress.value.pointer_mut("/metadata/annotations");
    if let Some(Value::Object(annotations)) = ours {
        let theirs = link.annotations.iter();
        annotations.extend(theirs.map(|(key, value)| (key.clone(), value.clone().into())));
    }
    ingress
}

/// An Ingress shows one Service of its namespace: the object's own, or the first that a route names. An
/// object that only redirects and answers has none.
fn shown_backend(link: &ResolvedRoot) -> Option<(String, &Port)> {
    if let Some(own) = &link.routing.own {
        return Some((own.service.name.clone(), &own.port));
    }
    let mut backends = link.routing.routes.iter().flat_map(RouteSpec::backends);
    let namespace = &link.routing.namespace;
    backends.find_map(|backend| {
        let service = backend.service.as_ref()?.within(namespace);
        (service.namespace == *namespace).then_some((service.name, &backend.port))
    })
}

/// Of the Ingress of an ExposedPort.
pub(crate) fn ingress_name(exposed_port: &ObjectRef) -> String {
    child_name(&exposed_port.namespace, &exposed_port.name, "Ingress", "")
}

/// Those that an issuer is asked for.
fn certificates<'a>(
    owner: &Owner<'_>,
    link: &ResolvedRoot,
    hosts: impl Iterator<Item = &'a Hostname>,
) -> Vec<Child> {
    let mut wanted: BTreeMap<ObjectRef, (&IssuerRef, BTreeSet<&Hostname>)> = BTreeMap::new();
    for host in hosts {
        if let Source::Issued(issuer) = link.source(host) {
            let name = link.issued.certificate(host);
            let (_, hosts) = wanted.entry(name).or_insert((issuer, BTreeSet::new()));
            hosts.insert(host);
        }
    }
    let wanted = wanted.into_iter();
    wanted
        .map(|(name, (issuer, hosts))| certificate(owner, name, &hosts, issuer))
        .collect()
}

fn certificate(
    owner: &Owner<'_>,
    name: ObjectRef,
    hosts: &BTreeSet<&Hostname>,
    issuer: &IssuerRef,
) -> Child {
    // Let's Encrypt refuses a name that a wildcard beside it stands for, as redundant.
    let below_wildcard = |host: &Hostname| {
        host.wildcard_above()
            .is_some_and(|wildcard| hosts.contains(&wildcard))
    };
    let names = hosts.iter().filter(|host| !below_wildcard(host));
    let names: Vec<_> = names.map(|host| host.as_str()).collect();
    let labels = [
        (MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned()),
        (owner.label.to_owned(), owner.label_value()),
    ];
    let spec = json!({
        "dnsNames": names,
        "secretName": name.name,
        "secretTemplate": {"labels": BTreeMap::from(labels)},
        "issuerRef": {"name": issuer.name, "kind": issuer.kind, "group": issuer.group},
        "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
        // RFC 8446 4.4.2.2: a server's key signs. Nothing is ever encrypted to it.
        "usages": ["digital signature", "server auth"],
    });
    owner.child(
        "cert-manager.io/v1",
        "Certificate",
        &name.namespace,
        name.name,
        json!({"spec": spec}),
    )
}
