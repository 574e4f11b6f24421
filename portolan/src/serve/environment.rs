//! Environment of the core for one class: the proxy, which is this process, and the time.
//!
//! Objects that the operator creates in a cluster (such as an Ingress) have no meaning here and count as
//! created. There is no cert-manager, so issuers are reported as unavailable.

use crate::files::{Key, Object};
use crate::store::{ObjectStore, RELEASE_NAMESPACE};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use portolan_core::{
    Affected as CoreAffected, Change, ClassName, Event, Index, ObjectRef, ObservedProxy, Reason,
    Subject, TicketKey, Uses, proxy_service,
};
use portolan_crds::ExposedPortStatus;
use portolan_discovery::delta::Update;
use portolan_discovery::table::{Resource, ResourceName};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Interval of clock updates of the core; ticket keys change twice a day.
const CLOCK_INTERVAL: SignedDuration = SignedDuration::from_hours(1);

/// Served class and ports.
#[derive(Clone, Debug)]
pub(crate) struct ServingConfig {
    pub(crate) class: ClassName,
    pub(crate) http: u16,
    pub(crate) https: u16,
    /// Address of the listeners for clients on this host.
    pub(crate) address: IpAddr,
}

/// The core and its environment.
pub(crate) struct Environment {
    store: ObjectStore,
    config: ServingConfig,
    uses: Uses,
    /// Times at which a status changes by time alone.
    due_at: BTreeMap<Subject, Timestamp>,
    /// Last clock update of the core.
    clock: Timestamp,
}

/// Effects of a change.
#[derive(Debug, Default)]
pub(crate) struct Affected {
    /// Objects whose status may change.
    pub(crate) objects: BTreeSet<Subject>,
    /// Resources to send to the data plane; `None` removes one.
    pub(crate) resources: BTreeMap<ResourceName, Option<Update>>,
}

impl Environment {
    /// Creates the environment with this process as the proxy. `tickets` seeds the keys of its TLS session
    /// tickets.
    pub(crate) fn new(
        config: ServingConfig,
        tickets: TicketKey,
        now: Timestamp,
    ) -> (Self, Affected) {
        let index = Index::new(RELEASE_NAMESPACE).with_loopback_endpoints();
        let (store, mut affected) = ObjectStore::new(index, config.class.clone(), now);
        let mut environment = Self {
            store,
            config,
            uses: Uses::default(),
            due_at: BTreeMap::new(),
            clock: now,
        };
        let (service, slice) = environment.proxies();
        affected.merge(environment.store.apply([
            Event::TicketKey(tickets),
            Event::CertManager(false),
            Event::ReferenceGrants(true),
            Event::Service(Change::Applied(Box::new(service))),
            Event::EndpointSlice(Change::Applied(Box::new(slice))),
        ]));
        let effects = environment.follow(affected);
        (environment, effects)
    }

    /// Applies changes of the folder.
    pub(crate) fn update(
        &mut self,
        applied: Vec<Object>,
        deleted: Vec<Key>,
        now: Timestamp,
    ) -> Affected {
        self.clock = now;
        let affected = self.store.update(applied, deleted, now);
        self.follow(affected)
    }

    /// Applies the passing of time: expired objects, and keys of session tickets.
    pub(crate) fn advance_clock(&mut self, now: Timestamp) -> Affected {
        self.clock = now;
        let affected = self.store.apply([Event::Now(now)]);
        self.follow(affected)
    }

    /// Returns the objects whose status depends on a resource.
    pub(crate) fn users(&self, name: &ResourceName) -> BTreeSet<Subject> {
        self.uses.of(&self.config.class, name).cloned().collect()
    }

    /// Returns the served class and the errors in its spec.
    pub(crate) fn class_errors(&self) -> (ObjectRef, Vec<String>) {
        let class = ObjectRef::cluster(self.config.class.as_str());
        let diagnostics = self.store.class_diagnostics(&class).into_iter();
        let errors = diagnostics.filter(|diagnostic| diagnostic.reason != Reason::SeveralDefaults);
        (class, errors.map(|diagnostic| diagnostic.message).collect())
    }

    /// Returns every object.
    pub(crate) fn objects(&self) -> BTreeSet<Subject> {
        self.store.objects().cloned().collect()
    }

    /// Returns the resources that the status of an object depends on.
    pub(crate) fn resources_of(&self, object: &Subject) -> Vec<ResourceName> {
        let all = self.store.index.resources_of(object).into_iter();
        let here = all.filter(|(class, _)| *class == self.config.class);
        here.map(|(_, name)| name).collect()
    }

    /// Updates the status of an object; returns it if it changed.
    pub(crate) fn update_status(
        &mut self,
        object: &Subject,
        proxy: ObservedProxy,
        now: Timestamp,
    ) -> Option<ExposedPortStatus> {
        let index = &self.store.index;
        let here = index.class_of(object) == Some(&self.config.class);
        let proxies = here.then_some(proxy).into_iter().collect();
        let observed = self.store.observed(object, proxies);
        match index.recheck_at(object, &observed, now) {
            Some(at) => self.due_at.insert(object.clone(), at),
            None => self.due_at.remove(object),
        };
        let status = index.status(object, &observed, now)?;
        self.store.set_status(object, &status).then_some(status)
    }

    /// Returns the time of the next clock update: a certificate or object expires, or the interval is over.
    pub(crate) fn wake_at(&self) -> Timestamp {
        let interval = self.clock + CLOCK_INTERVAL;
        let due = self.due_at.values().min().copied();
        let times = due.into_iter().chain(self.store.index.changes_at());
        times.fold(interval, Timestamp::min)
    }

    /// Returns the objects whose status is due.
    pub(crate) fn due(&self, now: Timestamp) -> BTreeSet<Subject> {
        let due = self.due_at.iter().filter(|(_, at)| **at <= now);
        due.map(|(object, _)| object.clone()).collect()
    }

    fn follow(&mut self, affected: CoreAffected) -> Affected {
        let index = &self.store.index;
        for object in &affected.objects {
            self.uses.set(object, index.resources_of(object));
            if !self.store.has(object) {
                self.due_at.remove(object);
            }
        }
        let here = affected
            .resources
            .into_iter()
            .filter(|(class, _)| *class == self.config.class);
        let compiled = here.map(|(class, name)| {
            let content = index.resource(&class, &name);
            let update = content
                .map(|(resource, origins)| Update::new(self.with_own_ports(resource), origins));
            (name, update)
        });
        Affected {
            resources: compiled.collect(),
            objects: affected.objects,
        }
    }

    /// Replaces the ports of a listener by those of this process.
    fn with_own_ports(&self, mut resource: Resource) -> Resource {
        if let Resource::Listener(listener) = &mut resource {
            listener.port = match listener.name.as_str() {
                "https" => self.config.https,
                _ => self.config.http,
            };
        }
        resource
    }

    /// Returns the Service of the proxies of the class, with this process as its endpoint.
    fn proxies(&self) -> (Service, EndpointSlice) {
        let ObjectRef { namespace, name } = proxy_service(RELEASE_NAMESPACE, &self.config.class);
        let metadata = ObjectMeta {
            name: Some(name.clone()),
            namespace: Some(namespace),
            labels: Some([("kubernetes.io/service-name".to_owned(), name)].into()),
            ..ObjectMeta::default()
        };
        let mut service = Service {
            metadata: metadata.clone(),
            ..Service::default()
        };
        let spec = service.spec.get_or_insert_default();
        spec.cluster_ips = Some(vec![self.config.address.to_string()]);
        let slice = EndpointSlice {
            metadata,
            endpoints: Some(vec![k8s_openapi::api::discovery::v1::Endpoint {
                addresses: vec![self.config.address.to_string()],
                ..Default::default()
            }]),
            ..EndpointSlice::default()
        };
        (service, slice)
    }
}
