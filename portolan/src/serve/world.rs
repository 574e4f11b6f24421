//! What surrounds the core of one class here: its proxies, which are this process, and the time.
//!
//! What the operator makes for an object in a cluster (an Ingress, say) has no meaning here and counts
//! as made. There is no cert-manager: an issuer is told to be of no use.

use crate::files::{Key, Object};
use crate::store::{RELEASE_NAMESPACE, Store};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use portolan_core::{
    Affected, Change, ClassName, Event, Index, ObjectRef, ObservedProxy, Reason, Subject,
    TicketKey, Uses, proxy_service,
};
use portolan_crds::ExposedPortStatus;
use portolan_discovery::delta::Update;
use portolan_discovery::table::{Resource, ResourceName};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// How often the core hears what time it is; the keys of tickets change twice a day.
const LOOK_AT_CLOCK: SignedDuration = SignedDuration::from_hours(1);

/// The class and the ports that are served.
#[derive(Clone, Debug)]
pub(crate) struct Serving {
    pub(crate) class: ClassName,
    pub(crate) http: u16,
    pub(crate) https: u16,
    /// Where clients on this host reach the listeners.
    pub(crate) address: IpAddr,
}

/// The core, and what surrounds it.
pub(crate) struct World {
    store: Store,
    serving: Serving,
    uses: Uses,
    /// When time alone changes a status.
    again: BTreeMap<Subject, Timestamp>,
    /// The time that the core was told last.
    told: Timestamp,
}

/// What follows from a change.
#[derive(Debug, Default)]
pub(crate) struct Consequences {
    /// Whose status may differ.
    pub(crate) objects: BTreeSet<Subject>,
    /// What the data plane is to be told; `None` takes it away.
    pub(crate) resources: BTreeMap<ResourceName, Option<Update>>,
}

impl World {
    /// With the proxy that this process is. The keys of its TLS session tickets come from `tickets`.
    pub(crate) fn new(
        serving: Serving,
        tickets: TicketKey,
        now: Timestamp,
    ) -> (Self, Consequences) {
        let index = Index::new(RELEASE_NAMESPACE).with_loopback_endpoints();
        let (store, mut affected) = Store::new(index, serving.class.clone(), now);
        let mut world = Self {
            store,
            serving,
            uses: Uses::default(),
            again: BTreeMap::new(),
            told: now,
        };
        let (service, slice) = world.proxies();
        affected.merge(world.store.apply([
            Event::TicketKey(tickets),
            Event::CertManager(false),
            Event::ReferenceGrants(true),
            Event::Service(Change::Applied(Box::new(service))),
            Event::EndpointSlice(Change::Applied(Box::new(slice))),
        ]));
        let consequences = world.follow(affected);
        (world, consequences)
    }

    /// Takes in what became different in the folder.
    pub(crate) fn take_in(
        &mut self,
        applied: Vec<Object>,
        gone: Vec<Key>,
        now: Timestamp,
    ) -> Consequences {
        self.told = now;
        let affected = self.store.take_in(applied, gone, now);
        self.follow(affected)
    }

    /// Takes in what became different by time alone: which objects have ended, and which keys tickets are
    /// made with.
    pub(crate) fn take_time(&mut self, now: Timestamp) -> Consequences {
        self.told = now;
        let affected = self.store.apply([Event::Now(now)]);
        self.follow(affected)
    }

    /// The objects whose status depends on a resource.
    pub(crate) fn users(&self, name: &ResourceName) -> BTreeSet<Subject> {
        self.uses.of(&self.serving.class, name).cloned().collect()
    }

    /// The class that is served, and what of it is not in force.
    pub(crate) fn mistakes_of_class(&self) -> (ObjectRef, Vec<String>) {
        let class = ObjectRef::cluster(self.serving.class.as_str());
        let diagnostics = self.store.complaints_of_class(&class).into_iter();
        let mistakes = diagnostics.filter(|it| it.reason != Reason::SeveralDefaults);
        (class, mistakes.map(|it| it.message).collect())
    }

    /// Every object.
    pub(crate) fn objects(&self) -> BTreeSet<Subject> {
        self.store.objects().cloned().collect()
    }

    /// The resources that the status of an object depends on.
    pub(crate) fn resources_of(&self, object: &Subject) -> Vec<ResourceName> {
        let all = self.store.index.resources_of(object).into_iter();
        let here = all.filter(|(class, _)| *class == self.serving.class);
        here.map(|(_, name)| name).collect()
    }

    /// Judges an object; gives its status when that differs from what it was.
    pub(crate) fn judge(
        &mut self,
        object: &Subject,
        proxy: ObservedProxy,
        now: Timestamp,
    ) -> Option<ExposedPortStatus> {
        let index = &self.store.index;
        let here = index.class_of(object) == Some(&self.serving.class);
        let proxies = here.then_some(proxy).into_iter().collect();
        let seen = self.store.seen(object, proxies);
        match index.recheck_at(object, &seen, now) {
            Some(at) => self.again.insert(object.clone(), at),
            None => self.again.remove(object),
        };
        let status = index.status(object, &seen, now)?;
        self.store.keep(object, &status).then_some(status)
    }

    /// When time is to be taken in again: a certificate or an object expires, or the clock was not looked at for long.
    pub(crate) fn wake_at(&self) -> Timestamp {
        let look = self.told + LOOK_AT_CLOCK;
        let again = self.again.values().min().copied();
        let times = again.into_iter().chain(self.store.index.changes_at());
        times.fold(look, Timestamp::min)
    }

    /// Those whose time has come.
    pub(crate) fn due(&self, now: Timestamp) -> BTreeSet<Subject> {
        let due = self.again.iter().filter(|(_, at)| **at <= now);
        due.map(|(object, _)| object.clone()).collect()
    }

    fn follow(&mut self, affected: Affected) -> Consequences {
        let index = &self.store.index;
        for object in &affected.objects {
            self.uses.set(object, index.resources_of(object));
            if !self.store.has(object) {
                self.again.remove(object);
            }
        }
        let here = affected
            .resources
            .into_iter()
            .filter(|(class, _)| *class == self.serving.class);
        let compiled = here.map(|(class, name)| {
            let content = index.resource(&class, &name);
            let update =
                content.map(|(resource, origins)| Update::new(self.here(resource), origins));
            (name, update)
        });
        Consequences {
            resources: compiled.collect(),
            objects: affected.objects,
        }
    }

    /// The resource as this process serves it: on its own ports.
    fn here(&self, mut resource: Resource) -> Resource {
        if let Resource::Listener(listener) = &mut resource {
            listener.port = match listener.name.as_str() {
                "https" => self.serving.https,
                _ => self.serving.http,
            };
        }
        resource
    }

    /// The Service before the proxies of the class, and this process as its endpoint.
    fn proxies(&self) -> (Service, EndpointSlice) {
        let ObjectRef { namespace, name } = proxy_service(RELEASE_NAMESPACE, &self.serving.class);
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
        spec.cluster_ips = Some(vec![self.serving.address.to_string()]);
        let slice = EndpointSlice {
            metadata,
            endpoints: Some(vec![k8s_openapi::api::discovery::v1::Endpoint {
                addresses: vec![self.serving.address.to_string()],
                ..Default::default()
            }]),
            ..EndpointSlice::default()
        };
        (service, slice)
    }
}
