//! Compiles the resources of the proxies of a class.

use crate::index::Index;
use crate::index::requirements::BackendRequirements;
use crate::index::resolve::exposure::{Exposure, ResolvedRoot};
use crate::index::resolve::routing::Routing;
use crate::index::resource_names::class_settings;
use crate::index::resource_names::virtual_host;
use crate::index::store::grants::Referent;
use crate::index::store::served_certificates::{Slot, secret_of};
use crate::names::{ClassName, Hostname, ObjectRef};
use crate::subject::Subject;
use portolan_discovery::table::{
    Certificate, EndpointSet, Kind, Listener, Origin, Protocol, Resource, ResourceName,
    TrustAnchors,
};
use std::collections::BTreeSet;

/// Name, port of the pod, and protocol of every listener.
const LISTENERS: [(&str, u16, Protocol); 2] = [
    ("http", HTTP_PORT, Protocol::Http),
    ("https", HTTPS_PORT, Protocol::Https),
];

/// The pod's port for plain HTTP.
pub(crate) const HTTP_PORT: u16 = 8080;
/// The pod's port for HTTPS.
pub(crate) const HTTPS_PORT: u16 = 8443;

impl Index {
    /// Returns the resource of a class under a name, and the objects that it was compiled from;
    /// `None` when there is no such resource, or no more.
    pub fn resource(
        &self,
        class: &ClassName,
        name: &ResourceName,
    ) -> Option<(Resource, Vec<Origin>)> {
        match name.kind {
            Kind::Listener => self.listener(class, &name.name),
            Kind::VirtualHost => {
                let host = Hostname::parse(&name.name).ok()?;
                let served = self.served_by(class, &host);
                let origins = served.iter().flat_map(|(server, effective_routes)| {
                    let effective_routes = effective_routes.iter().map(|route| route.object);
                    effective_routes.chain([server.object]).map(origin)
                });
                let origins = sorted(origins.collect());
                Some((self.virtual_host(&host, served)?, origins))
            }
            Kind::Certificate => self.certificate(class, name),
            Kind::Endpoints => self.endpoints(class, &name.name),
            Kind::TrustAnchors => self.trust_anchors(class, &name.name),
            Kind::ClassSettings => {
                let settings = self.class_settings(class)?;
                let origins = self.class_origin(class).into_iter().collect();
                Some((Resource::ClassSettings(settings), origins))
            }
        }
    }

    /// The resources that must be acknowledged before the object is ready: by its class, and by those of
    /// all roots above it when others delegate to it.
    pub fn resources_of(&self, object: &Subject) -> Vec<(ClassName, ResourceName)> {
        let classes: BTreeSet<_> = self
            .roots_of(object)
            .iter()
            .filter_map(|root| self.class_of(root))
            .collect();
        let named = |class: &ClassName| {
            let mut names = self.resources_of_class(class);
            names.extend(match self.linked(object) {
                Some((facts, link)) => {
                    let hosts = self.served(object, link);
                    hosts
                        .flat_map(|host| self.host_resources(facts, link, host))
                        .collect()
                }
                None => self.child_resources(class, object),
            });
            names.sort();
            names.dedup();
            names
        };
        classes
            .into_iter()
            .flat_map(|class| {
                let names = named(class).into_iter();
                names.map(|name| (class.clone(), name))
            })
            .collect()
    }

    /// Resources of an object that others delegate to: the hostnames of the roots above it, and where its
    /// own requests go.
    fn child_resources(&self, class: &ClassName, subject: &Subject) -> Vec<ResourceName> {
        let (mut names, mut requirements) = (Vec::new(), None);
        for root in self.roots_of(subject) {
            if let Some((_, link)) = self.linked(&root).filter(|(_, link)| link.class == *class) {
                names.extend(self.served(&root, link).map(virtual_host));
                requirements = Some(&link.requirements);
            }
        }
        if !names.is_empty()
            && let (Some((object, routing)), Some(requirements)) =
                (self.routing(subject), requirements)
        {
            names.extend(self.backend_resources(object, routing, requirements));
        }
        names
    }

    /// The resources that every proxy of a class must acknowledge before the class is ready.
    pub fn resources_of_class(&self, class: &ClassName) -> Vec<ResourceName> {
        let listeners = LISTENERS.iter().map(|(name, ..)| listener_name(name));
        let default = self.serving.certificates(&Slot::of_class(class));
        listeners
            .chain([class_settings()])
            .chain(default.map(|(name, _)| name))
            .collect()
    }

    /// Resources of one hostname of an object, beyond the listeners, when the object serves it.
    pub(crate) fn host_resources(
        &self,
        object: &Exposure,
        link: &ResolvedRoot,
        host: &Hostname,
    ) -> Vec<ResourceName> {
        let slot = Slot::of_host(&link.class, host);
        let certificates = self.serving.certificates(&slot).map(|(name, _)| name);
        let mut names: Vec<_> = [virtual_host(host)]
            .into_iter()
            .chain(certificates)
            .collect();
        names.extend(self.backend_resources(object, &link.routing, &link.requirements));
        names.extend(self.solver_resources(&link.class, host));
        if let Ok(Some(client_ca)) = self.client_ca(link) {
            names.push(ResourceName {
                kind: Kind::TrustAnchors,
                name: client_ca.trust,
            });
        }
        names
    }

    /// Resources of the backends of an object, under the requirements of a class.
    pub(crate) fn backend_resources(
        &self,
        object: &Exposure,
        routing: &Routing,
        requirements: &BackendRequirements,
    ) -> Vec<ResourceName> {
        let mut names = Vec::new();
        for resolved in self.backends(object, routing, Some(requirements)).flatten() {
            names.push(ResourceName {
                kind: Kind::Endpoints,
                name: resolved.backend.endpoints_name(),
            });
            names.extend(resolved.authorities.as_ref().map(trust_anchors));
        }
        names
    }

    fn listener(&self, class: &ClassName, name: &str) -> Option<(Resource, Vec<Origin>)> {
        let origin = self.class_origin(class)?;
        let (name, port, protocol) = LISTENERS.into_iter().find(|(known, ..)| *known == name)?;
        let listener = Listener {
            name: name.to_owned(),
            port,
            protocol,
        };
        Some((Resource::Listener(listener), vec![origin]))
    }

    fn class_origin(&self, class: &ClassName) -> Option<Origin> {
        let facts = self.classes.get(class)?;
        Some(Origin {
            uid: facts.uid.clone(),
            generation: facts.generation,
        })
    }

    fn certificate(
        &self,
        class: &ClassName,
        name: &ResourceName,
    ) -> Option<(Resource, Vec<Origin>)> {
        let (mut found, mut origins) = (None, Vec::new());
        let mut look = |slot: &Slot, origin: Option<Origin>| {
            let mut served = self.serving.certificates(slot);
            if let Some((_, pair)) = served.find(|(served, _)| served == name) {
                origins.extend(origin);
                found = Some(pair);
            }
        };
        for subject in self.users.of_secret(&secret_of(&name.name)?) {
            if let Some((object, link)) = self
                .linked(subject)
                .filter(|(_, link)| link.class == *class)
            {
                for host in self.served(subject, link) {
                    look(&Slot::of_host(class, host), Some(origin(object)));
                }
            }
        }
        look(&Slot::of_class(class), self.class_origin(class));
        let pair = found?;
        let certificate = Certificate {
            name: name.name.clone(),
            chain_pem: pair.chain_pem.clone(),
            key_pem: pair.key_pem.clone(),
        };
        Some((Resource::Certificate(certificate), sorted(origins)))
    }

    fn trust_anchors(&self, class: &ClassName, name: &str) -> Option<(Resource, Vec<Origin>)> {
        let secret = secret_of(name)?;
        let users = self.serving_users(class, self.users.of_secret(&secret));
        let origins: Vec<_> = users
            .filter(|subject| self.trusts(subject, &secret))
            .filter_map(|subject| Some(origin(&self.entry(subject)?.object)))
            .collect();
        if origins.is_empty() {
            return None;
        }
        let anchors = TrustAnchors {
            ca_pem: self.serving.authorities(&secret)?.ok()?.ca_pem.clone(),
            name: name.to_owned(),
        };
        Some((Resource::TrustAnchors(anchors), sorted(origins)))
    }

    fn endpoints(&self, class: &ClassName, name: &str) -> Option<(Resource, Vec<Origin>)> {
        let (service, _) = name.rsplit_once(':')?;
        let (namespace, service) = service.split_once('/')?;
        let service = ObjectRef::new(namespace, service);
        let requirements = BackendRequirements::of(class, self.classes.get(class)?);
        let (mut found, mut origins) = (None, Vec::new());
        for subject in self.serving_users(class, self.users.of_service(&service)) {
            let Some((object, routing)) = self.routing(subject) else {
                continue;
            };
            let mut backends = self
                .backends(object, routing, Some(&requirements))
                .flatten();
            if let Some(used) = backends.find(|resolved| resolved.backend.endpoints_name() == name)
            {
                origins.push(origin(object));
                found = Some(used.backend);
            }
        }
        if found.is_none()
            && let Some((host, solver)) = self.solving(class, &service, name)
        {
            let servers = self.servers(class, &host);
            origins.extend(servers.map(|server| origin(server.object)));
            found = Some(solver);
        }
        let behind = self.services.behind(&found?, Some(&requirements));
        let set = EndpointSet {
            endpoints: behind.ready,
            external: behind.external,
            name: name.to_owned(),
        };
        Some((Resource::Endpoints(set), sorted(origins)))
    }

    /// Those of some objects that serve a hostname of the class, by themselves or under others.
    fn serving_users<'a>(
        &'a self,
        class: &'a ClassName,
        users: impl Iterator<Item = &'a Subject>,
    ) -> impl Iterator<Item = &'a Subject> {
        users.filter(move |subject| {
            self.roots_of(subject).iter().any(|root| {
                let link = self.linked(root).map(|(_, link)| link);
                link.is_some_and(|link| {
                    link.class == *class && self.served(root, link).next().is_some()
                })
            })
        })
    }

    /// Returns true if an object names the authorities in a Secret, and may.
    fn trusts(&self, subject: &Subject, secret: &ObjectRef) -> bool {
        let link = self
            .entry(subject)
            .and_then(|entry| entry.link.as_ref().ok());
        link.is_some_and(|link| link.authorities().contains(secret))
            && self
                .grants
                .permit(subject.namespace(), Referent::Secret, secret)
    }
}

fn trust_anchors(secret: &ObjectRef) -> ResourceName {
    ResourceName {
        kind: Kind::TrustAnchors,
        name: secret.to_string(),
    }
}

pub(crate) fn listener_name(name: &str) -> ResourceName {
    ResourceName {
        kind: Kind::Listener,
        name: name.to_owned(),
    }
}

fn origin(object: &Exposure) -> Origin {
    Origin {
        uid: object.uid.clone(),
        generation: object.generation,
    }
}

/// In one order, so that equal states are equal.
fn sorted(mut origins: Vec<Origin>) -> Vec<Origin> {
    origins.sort();
    origins.dedup();
    origins
}
