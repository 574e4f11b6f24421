//! What the proxies of a class are told.

use crate::index::Index;
use crate::index::link::{Linked, Object};
use crate::index::services::{Backend, Unresolved};
use crate::index::serving::secret_of;
use crate::index::virtual_host;
use crate::names::{ClassName, Hostname, ObjectRef};
use portolan_discovery::table::Backend as WeightedEndpoints;
use portolan_discovery::table::{
    Action, Certificate, EndpointSet, HostTls, Kind, Listener, Origin, PathMatch, Protocol,
    Resource, ResourceName, Route, VirtualHost,
};

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
    /// What the proxies of a class are told under a name, and the objects that it was compiled from;
    /// `None` when there is no such resource, or no more.
    pub fn resource(
        &self,
        class: &ClassName,
        name: &ResourceName,
    ) -> Option<(Resource, Vec<Origin>)> {
        match name.kind {
            Kind::Listener => self.listener(class, &name.name),
            Kind::VirtualHost => self.virtual_host(class, &name.name),
            Kind::Certificate => self.certificate(class, name),
            Kind::Endpoints => self.endpoints(class, &name.name),
            // Nothing compiles to these yet.
            Kind::TrustAnchors | Kind::ClassSettings => None,
        }
    }

    /// The resources that must be acknowledged before the object is ready.
    pub fn resources_of(&self, object: &ObjectRef) -> Vec<(ClassName, ResourceName)> {
        let Some((facts, link)) = self.linked(object) else {
            return Vec::new();
        };
        let hosts = self.served(object, link);
        let own = hosts.flat_map(|host| self.host_resources(facts, link, host));
        let mut names: Vec<_> = self
            .resources_of_class(&link.class)
            .into_iter()
            .chain(own)
            .collect();
        names.sort();
        names.dedup();
        names
            .into_iter()
            .map(|name| (link.class.clone(), name))
            .collect()
    }

    /// The resources that every proxy of a class must acknowledge before the class is ready.
    pub fn resources_of_class(&self, _class: &ClassName) -> Vec<ResourceName> {
        LISTENERS
            .iter()
            .map(|(name, ..)| listener_name(name))
            .collect()
    }

    /// What one hostname of an object needs, beyond the listeners, when the object serves it.
    pub(crate) fn host_resources(
        &self,
        object: &Object,
        link: &Linked,
        host: &Hostname,
    ) -> Vec<ResourceName> {
        let certificate = self
            .serving
            .certificate(&link.class, host)
            .map(|(name, _)| name);
        let endpoints = self.backend(object, link).map(|backend| ResourceName {
            kind: Kind::Endpoints,
            name: backend.endpoints_name(),
        });
        let endpoints = endpoints.ok();
        [virtual_host(host)]
            .into_iter()
            .chain(certificate)
            .chain(endpoints)
            .collect()
    }

    fn listener(&self, class: &ClassName, name: &str) -> Option<(Resource, Vec<Origin>)> {
        let facts = self.classes.get(class)?;
        let (name, port, protocol) = LISTENERS.into_iter().find(|(known, ..)| *known == name)?;
        let listener = Listener {
            name: name.to_owned(),
            port,
            protocol,
        };
        let origin = Origin {
            uid: facts.uid.clone(),
            generation: facts.generation,
        };
        Some((Resource::Listener(listener), vec![origin]))
    }

    fn virtual_host(&self, class: &ClassName, name: &str) -> Option<(Resource, Vec<Origin>)> {
        let host = Hostname::parse(name).ok()?;
        let me = self.hostnames.server(class, &host)?;
        let (object, link) = self.linked(me)?;
        let action = match self.backend(object, link) {
            Ok(backend) => Action::Forward {
                backends: vec![WeightedEndpoints {
                    endpoints: backend.endpoints_name(),
                    weight: 1,
                    tls: None,
                }],
            },
            Err(unresolved) => Action::Unavailable {
                reason: unresolved.reason.to_string(),
            },
        };
        let certificate = || {
            self.serving
                .certificate(class, &host)
                .map(|(name, _)| name.name)
        };
        let host = VirtualHost {
            tls: link.terminates_tls().then(|| HostTls {
                certificates: certificate().into_iter().collect(),
                ..HostTls::default()
            }),
            routes: vec![Route::new(PathMatch::Prefix("/".to_owned()).into(), action)],
            hostname: host.as_str().to_owned(),
        };
        Some((Resource::VirtualHost(host), vec![origin(object)]))
    }

    fn certificate(
        &self,
        class: &ClassName,
        name: &ResourceName,
    ) -> Option<(Resource, Vec<Origin>)> {
        let (mut found, mut origins) = (None, Vec::new());
        for me in self.users.of_secret(&secret_of(&name.name)?) {
            let Some((object, link)) = self.linked(me).filter(|(_, link)| link.class == *class)
            else {
                continue;
            };
            let mut served = self
                .served(me, link)
                .filter_map(|host| self.serving.certificate(class, host));
            if let Some((_, pair)) = served.find(|(served, _)| served == name) {
                origins.push(origin(object));
                found = Some(pair);
            }
        }
        let pair = found?;
        let certificate = Certificate {
            name: name.name.clone(),
            chain_pem: pair.chain_pem.clone(),
            key_pem: pair.key_pem.clone(),
        };
        Some((Resource::Certificate(certificate), sorted(origins)))
    }

    fn endpoints(&self, class: &ClassName, name: &str) -> Option<(Resource, Vec<Origin>)> {
        let (service, _) = name.rsplit_once(':')?;
        let (namespace, service) = service.split_once('/')?;
        let (mut found, mut origins) = (None, Vec::new());
        for me in self.users.of_service(&ObjectRef::new(namespace, service)) {
            let Some((object, link)) = self.linked(me).filter(|(_, link)| link.class == *class)
            else {
                continue;
            };
            if self.served(me, link).next().is_none() {
                continue;
            }
            if let Ok(backend) = self.backend(object, link)
                && backend.endpoints_name() == name
            {
                origins.push(origin(object));
                found = Some(backend);
            }
        }
        let set = EndpointSet {
            endpoints: self.services.behind(&found?).ready,
            name: name.to_owned(),
            external: None,
        };
        Some((Resource::Endpoints(set), sorted(origins)))
    }

    /// Where the requests of an object go.
    pub(crate) fn backend(&self, object: &Object, link: &Linked) -> Result<Backend, Unresolved> {
        let owner = link.selector.as_ref().map(|_| object.uid.as_str());
        self.services.resolve(&link.service, &link.port, owner)
    }
}

pub(crate) fn listener_name(name: &str) -> ResourceName {
    ResourceName {
        kind: Kind::Listener,
        name: name.to_owned(),
    }
}

fn origin(object: &Object) -> Origin {
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
