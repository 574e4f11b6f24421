//! Reverse references: from a Service, Secret, class or namespace to the exposures that depend on it.

use crate::index::Entry;
use crate::index::resolve::certificates::Source;
use crate::index::resolve::exposure::Link;
use crate::index::store::grants::{Grants, Referent};
use crate::index::store::issuers::IssuerName;
use crate::names::{ClassName, ObjectRef};
use crate::subject::Subject;
use std::borrow::Borrow;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::Hash;

/// For each thing that can be referred to, the ExposedPorts that do.
#[derive(Debug, Default)]
pub(crate) struct Users {
    services: Refers<ObjectRef>,
    /// Namespaces by those that refer to a Service there.
    services_within: Refers<String>,
    /// Secrets, whether named by objects or made for our Certificates.
    secrets: Refers<ObjectRef>,
    certificates: Refers<ObjectRef>,
    issuers: Refers<IssuerName>,
    /// Namespaces that objects of other namespaces refer into.
    namespaces: Refers<String>,
    /// Objects that routes are delegated to.
    delegates: Refers<Subject>,
    /// Classes that objects name, were given, or have.
    classes: Refers<ClassName>,
    /// Classes by those that are accepted there.
    accepted: Refers<ClassName>,
    /// Those for which another default class may be another class.
    takes_default: HashSet<Subject>,
    /// Classes by the Secret of their default certificate.
    class_secrets: HashMap<ObjectRef, BTreeSet<ClassName>>,
    /// How many objects and classes name each Secret.
    naming: HashMap<ObjectRef, usize>,
    named: BTreeSet<ObjectRef>,
}

#[derive(Debug)]
struct Refers<K>(HashMap<K, BTreeSet<Subject>>);

impl<K> Default for Refers<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash + Clone> Refers<K> {
    fn add(&mut self, key: &K, user: &Subject) {
        self.0.entry(key.clone()).or_default().insert(user.clone());
    }

    fn remove(&mut self, key: &K, user: &Subject) {
        if let Some(users) = self.0.get_mut(key) {
            users.remove(user);
            if users.is_empty() {
                self.0.remove(key);
            }
        }
    }

    fn of<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> impl Iterator<Item = &Subject> + use<'_, K, Q>
    where
        K: Borrow<Q>,
    {
        self.0.get(key).into_iter().flatten()
    }
}

impl Users {
    pub(crate) fn of_service(&self, service: &ObjectRef) -> impl Iterator<Item = &Subject> {
        self.services.of(service)
    }

    /// Those that refer to any Service of a namespace.
    pub(crate) fn of_services_in(&self, namespace: &str) -> impl Iterator<Item = &Subject> {
        self.services_within.of(namespace)
    }

    pub(crate) fn of_secret(&self, secret: &ObjectRef) -> impl Iterator<Item = &Subject> {
        self.secrets.of(secret)
    }

    pub(crate) fn of_certificate(&self, certificate: &ObjectRef) -> impl Iterator<Item = &Subject> {
        self.certificates.of(certificate)
    }

    /// Those whose certificates an issuer issues.
    pub(crate) fn of_issuer(&self, issuer: &IssuerName) -> impl Iterator<Item = &Subject> {
        self.issuers.of(issuer)
    }

    /// Every exposure that has a certificate issued.
    pub(crate) fn of_cert_manager(&self) -> BTreeSet<Subject> {
        self.certificates.0.values().flatten().cloned().collect()
    }

    /// The objects of other namespaces that refer to something of a namespace, whether or not they may.
    pub(crate) fn referring_into(&self, namespace: &String) -> impl Iterator<Item = &Subject> {
        self.namespaces.of(namespace)
    }

    /// Every exposure that refers to something of another namespace.
    pub(crate) fn of_other_namespaces(&self) -> BTreeSet<Subject> {
        self.namespaces.0.values().flatten().cloned().collect()
    }

    /// Those who delegate to an object, whether or not it allows that.
    pub(crate) fn delegating_to(&self, object: &Subject) -> impl Iterator<Item = &Subject> {
        self.delegates.of(object)
    }

    pub(crate) fn of_class(&self, class: &ClassName) -> impl Iterator<Item = &Subject> {
        self.classes.of(class)
    }

    /// Those that use a class: it serves them, or is about to. `None` when it is unused.
    pub(crate) fn served_by(&self, class: &ClassName) -> Option<&BTreeSet<Subject>> {
        self.accepted.0.get(class)
    }

    pub(crate) fn of_default_class(&self) -> &HashSet<Subject> {
        &self.takes_default
    }

    /// The Secrets that objects and classes name, and may.
    pub(crate) fn named_secrets(&self) -> &BTreeSet<ObjectRef> {
        &self.named
    }

    /// Returns true if the set of Secrets that objects name differs now.
    pub(crate) fn enter(&mut self, subject: &Subject, entry: &Entry, grants: &Grants) -> bool {
        for class in classes(entry) {
            self.classes.add(class, subject);
        }
        if entry.object.takes_default() {
            self.takes_default.insert(subject.clone());
        }
        let Ok(link) = &entry.link else {
            return false;
        };
        for service in link.routing().services() {
            self.services.add(&service, subject);
            self.services_within.add(&service.namespace, subject);
        }
        for object in link.routing().delegates() {
            self.delegates.add(&object, subject);
        }
        for namespace in link.other_namespaces() {
            self.namespaces.add(&namespace, subject);
        }
        if let Link::Root(link) = link {
            self.accepted.add(&link.class, subject);
            for host in &link.hostnames {
                for secret in link.secrets(host) {
                    self.secrets.add(&secret, subject);
                }
                if let Source::Issued(issuer) = link.source(host) {
                    self.certificates
                        .add(&link.issued.certificate(host), subject);
                    if let Some(issuer) = IssuerName::meant(issuer, subject.namespace()) {
                        self.issuers.add(&issuer, subject);
                    }
                }
            }
        }
        let mut differs = false;
        for secret in link.own_secrets() {
            self.secrets.add(&secret, subject);
        }
        for secret in watched(subject, link, grants) {
            differs |= self.name(secret);
        }
        differs
    }

    /// Returns true if the set of Secrets that objects name differs now.
    pub(crate) fn leave(&mut self, subject: &Subject, entry: &Entry, grants: &Grants) -> bool {
        for class in classes(entry) {
            self.classes.remove(class, subject);
        }
        self.takes_default.remove(subject);
        let Ok(link) = &entry.link else {
            return false;
        };
        for service in link.routing().services() {
            self.services.remove(&service, subject);
            self.services_within.remove(&service.namespace, subject);
        }
        for object in link.routing().delegates() {
            self.delegates.remove(&object, subject);
        }
        for namespace in link.other_namespaces() {
            self.namespaces.remove(&namespace, subject);
        }
        if let Link::Root(link) = link {
            self.accepted.remove(&link.class, subject);
            for host in &link.hostnames {
                for secret in link.secrets(host) {
                    self.secrets.remove(&secret, subject);
                }
                self.certificates
                    .remove(&link.issued.certificate(host), subject);
                if let Source::Issued(issuer) = link.source(host)
                    && let Some(issuer) = IssuerName::meant(issuer, subject.namespace())
                {
                    self.issuers.remove(&issuer, subject);
                }
            }
        }
        let mut differs = false;
        for secret in link.own_secrets() {
            self.secrets.remove(&secret, subject);
        }
        for secret in watched(subject, link, grants) {
            differs |= self.unname(&secret);
        }
        differs
    }

    /// The classes that name a Secret.
    pub(crate) fn classes_of_secret(&self, secret: &ObjectRef) -> impl Iterator<Item = &ClassName> {
        self.class_secrets.get(secret).into_iter().flatten()
    }

    /// Returns true if the set of Secrets that are named differs now.
    pub(crate) fn enter_class(&mut self, class: &ClassName, secret: Option<ObjectRef>) -> bool {
        let Some(secret) = secret else {
            return false;
        };
        let classes = self.class_secrets.entry(secret.clone()).or_default();
        classes.insert(class.clone());
        self.name(secret)
    }

    /// Returns true if the set of Secrets that are named differs now.
    pub(crate) fn leave_class(&mut self, class: &ClassName, secret: Option<&ObjectRef>) -> bool {
        let Some(secret) = secret else {
            return false;
        };
        if let Some(classes) = self.class_secrets.get_mut(secret) {
            classes.remove(class);
            if classes.is_empty() {
                self.class_secrets.remove(secret);
            }
        }
        self.unname(secret)
    }

    /// One more names a Secret; whether it is the first.
    fn name(&mut self, secret: ObjectRef) -> bool {
        *self.naming.entry(secret.clone()).or_default() += 1;
        self.named.insert(secret)
    }

    /// One fewer names a Secret; whether it was the last.
    fn unname(&mut self, secret: &ObjectRef) -> bool {
        let Some(naming) = self.naming.get_mut(secret) else {
            return false;
        };
        *naming = naming.saturating_sub(1);
        if *naming > 0 {
            return false;
        }
        self.naming.remove(secret);
        self.named.remove(secret)
    }
}

/// The Secrets that are watched because of an object: those that it may refer to, and the class's. A Secret
/// of another namespace is not even read without that namespace's consent.
fn watched(subject: &Subject, link: &Link, grants: &Grants) -> BTreeSet<ObjectRef> {
    let own = link.own_secrets().into_iter();
    own.filter(|secret| grants.permit(subject.namespace(), Referent::Secret, secret))
        .chain(link.shared_secrets().cloned())
        .collect()
}

/// An object that could not be linked may be, once the class that it has changes.
fn classes(entry: &Entry) -> impl Iterator<Item = &ClassName> {
    entry.object.named_class().into_iter().chain(&entry.class)
}
