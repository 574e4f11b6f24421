//! What a cluster would be to the core: it gives objects a generation and a beginning, lets holds be
//! taken, keeps statuses. The core itself is the operator's, so names are judged by the same rules and
//! told in the same sentences.
//!
//! What the operator makes for an object in a cluster (an Ingress, say) has no meaning here and counts
//! as made. There is no cert-manager: an issuer is told to be of no use.

use super::files::{Key, Kind, Object};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use portolan_core::{
    Affected, Change, ChildState, ClassName, Event, HoldAction, Index, ObjectRef, Observed,
    ObservedProxy, TicketKey, Uses, proxy_service,
};
use portolan_crds::{ExposeClass, ExposeClassSpec, ExposedPort, ExposedPortStatus};
use portolan_discovery::delta::Update;
use portolan_discovery::table::{Resource, ResourceName};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Where the proxies of classes live in a cluster.
const RELEASE_NAMESPACE: &str = "portolan-system";

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
    index: Index,
    serving: Serving,
    /// With the status that was judged last.
    objects: BTreeMap<ObjectRef, ExposedPort>,
    classes: BTreeSet<ObjectRef>,
    generations: BTreeMap<Key, i64>,
    uses: Uses,
    /// When time alone changes a status.
    again: BTreeMap<ObjectRef, Timestamp>,
    /// The time that the core was told last.
    told: Timestamp,
}

/// What follows from a change.
#[derive(Debug, Default)]
pub(crate) struct Consequences {
    /// Whose status may differ.
    pub(crate) objects: BTreeSet<ObjectRef>,
    /// What the data plane is to be told; `None` takes it away.
    pub(crate) resources: BTreeMap<ResourceName, Option<Update>>,
}

impl World {
    /// With a class, since nothing can be exposed without one, and the proxy that this process is.
    /// The keys of its TLS session tickets come from `tickets`.
    pub(crate) fn new(
        serving: Serving,
        tickets: TicketKey,
        now: Timestamp,
    ) -> (Self, Consequences) {
        let mut world = Self {
            index: Index::new(RELEASE_NAMESPACE).with_loopback_endpoints(),
            serving,
            objects: BTreeMap::new(),
            classes: BTreeSet::new(),
            generations: BTreeMap::new(),
            uses: Uses::default(),
            again: BTreeMap::new(),
            told: now,
        };
        let (service, slice) = world.proxies();
        let events = [
            Event::Now(now),
            Event::TicketKey(tickets),
            Event::CertManager(false),
            Event::Service(Change::Applied(Box::new(service))),
            Event::EndpointSlice(Change::Applied(Box::new(slice))),
            world.built_in_class(),
        ];
        let consequences = world.apply(events);
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
        let mut events = vec![Event::Now(now)];
        let had_none = self.classes.is_empty();
        for key in gone {
            match key.kind {
                Kind::ExposedPort => drop(self.objects.remove(&key.object)),
                Kind::ExposeClass => drop(self.classes.remove(&key.object)),
                _ => {}
            }
            self.generations.remove(&key);
            events.push(key.gone());
        }
        for object in applied {
            events.push(self.stored(object).applied());
        }
        // Last, so that a class of its name in the folder is not taken away again.
        match (had_none, self.classes.is_empty()) {
            (true, false) if !self.classes.contains(&self.built_in()) => {
                events.push(Event::ExposeClass(Change::Deleted(self.built_in())));
            }
            (false, true) => events.push(self.built_in_class()),
            _ => {}
        }
        self.apply(events)
    }

    /// Takes in what became different by time alone: which keys tickets are made with.
    pub(crate) fn take_time(&mut self, now: Timestamp) -> Consequences {
        self.told = now;
        self.apply([Event::Now(now)])
    }

    /// The objects whose status depends on a resource.
    pub(crate) fn users(&self, name: &ResourceName) -> BTreeSet<ObjectRef> {
        self.uses.of(&self.serving.class, name).cloned().collect()
    }

    /// Every object.
    pub(crate) fn objects(&self) -> BTreeSet<ObjectRef> {
        self.objects.keys().cloned().collect()
    }

    /// The resources that the status of an object depends on.
    pub(crate) fn resources_of(&self, object: &ObjectRef) -> Vec<ResourceName> {
        let all = self.index.resources_of(object).into_iter();
        let here = all.filter(|(class, _)| *class == self.serving.class);
        here.map(|(_, name)| name).collect()
    }

    /// Judges an object; gives its status when that differs from what it was.
    pub(crate) fn judge(
        &mut self,
        object: &ObjectRef,
        proxy: ObservedProxy,
        now: Timestamp,
    ) -> Option<ExposedPortStatus> {
        let children = self.index.children(object).into_iter();
        let here = self.index.class_of(object) == Some(&self.serving.class);
        let seen = Observed {
            children: children
                .map(|child| (child.key(), ChildState::Applied))
                .collect(),
            proxies: here.then_some(proxy).into_iter().collect(),
        };
        match self.index.judge_again_at(object, &seen, now) {
            Some(at) => self.again.insert(object.clone(), at),
            None => self.again.remove(object),
        };
        let status = self.index.status(object, &seen, now)?;
        let stored = self.objects.get_mut(object)?;
        if stored.status.as_ref() == Some(&status) {
            return None;
        }
        stored.status = Some(status.clone());
        let event = Event::ExposedPort(Change::Applied(Box::new(stored.clone())));
        // A status changes no meaning, as in a cluster, where it comes back by the watch.
        self.index.apply(event);
        Some(status)
    }

    /// When time is to be taken in again: a certificate expires, or the clock was not looked at for long.
    pub(crate) fn wake_at(&self) -> Timestamp {
        let look = self.told + LOOK_AT_CLOCK;
        let again = self.again.values().min();
        again.map_or(look, |again| look.min(*again))
    }

    /// Those whose time has come.
    pub(crate) fn due(&self, now: Timestamp) -> BTreeSet<ObjectRef> {
        let due = self.again.iter().filter(|(_, at)| **at <= now);
        due.map(|(object, _)| object.clone()).collect()
    }

    fn apply(&mut self, events: impl IntoIterator<Item = Event>) -> Consequences {
        let mut affected = Affected::default();
        for event in events {
            affected.merge(self.index.apply(event));
        }
        self.settle_holds(&mut affected);
        for object in &affected.objects {
            self.uses.set(object, self.index.resources_of(object));
            if !self.objects.contains_key(object) {
                self.again.remove(object);
            }
        }
        let here = affected
            .resources
            .into_iter()
            .filter(|(class, _)| *class == self.serving.class);
        let compiled = here.map(|(class, name)| {
            let content = self.index.resource(&class, &name);
            let update =
                content.map(|(resource, origins)| Update::new(self.here(resource), origins));
            (name, update)
        });
        Consequences {
            resources: compiled.collect(),
            objects: affected.objects,
        }
    }

    /// Holds are taken and given up at once: nobody else could take one.
    fn settle_holds(&mut self, affected: &mut Affected) {
        while let Some(hostname) = affected.holds.pop_first() {
            let event = match self.index.hold_action(&hostname) {
                Some(action @ HoldAction::Create { .. }) => {
                    let Some(hold) = action.hold(Timestamp::now()) else {
                        continue;
                    };
                    Event::HostnameHold(Change::Applied(Box::new(hold)))
                }
                Some(HoldAction::Delete { name, .. }) => {
                    Event::HostnameHold(Change::Deleted(ObjectRef::cluster(name)))
                }
                None => continue,
            };
            affected.merge(self.index.apply(event));
        }
    }

    /// The object as an API server would have stored it. Without a time of creation it is as old as
    /// can be, so that the name decides between two, and not who was read first.
    fn stored(&mut self, mut object: Object) -> Object {
        let key = object.key();
        let generation = self.generations.entry(key.clone()).or_default();
        *generation += 1;
        let metadata = object.metadata();
        metadata.generation = Some(*generation);
        metadata.deletion_timestamp = None;
        metadata.uid.get_or_insert_with(|| key.to_string());
        metadata
            .creation_timestamp
            .get_or_insert(Time(Timestamp::UNIX_EPOCH));
        match &mut object {
            Object::ExposedPort(it) => {
                it.status = self
                    .objects
                    .remove(&key.object)
                    .and_then(|before| before.status);
                self.objects.insert(key.object, it.as_ref().clone());
            }
            Object::ExposeClass(_) => drop(self.classes.insert(key.object)),
            _ => {}
        }
        object
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

    fn built_in(&self) -> ObjectRef {
        ObjectRef::cluster(self.serving.class.as_str())
    }

    /// What stands in when the folder has no class.
    fn built_in_class(&self) -> Event {
        let spec = ExposeClassSpec {
            default: true,
            ..ExposeClassSpec::default()
        };
        let mut class = ExposeClass::new(self.serving.class.as_str(), spec);
        class.metadata.uid = Some("built-in".to_owned());
        Event::ExposeClass(Change::Applied(Box::new(class)))
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
