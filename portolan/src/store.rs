//! In-memory substitute for the API server: assigns uid, generation and creation time, stores statuses,
//! and grants hostname reservations. The core is that of the operator, so the same rules and messages
//! apply.

use crate::files::{Key, Kind, Object, bare_namespace};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use portolan_core::{
    Affected, Change, ChildState, ClassName, Diagnostic, Event, HoldAction, Index, ObjectRef,
    Observed, ObservedProxy, Subject,
};
use portolan_crds::{ExposeClass, ExposeClassSpec, ExposedPort, ExposedPortStatus};
use std::collections::{BTreeMap, BTreeSet};

/// Namespace of the proxies in a cluster.
pub(crate) const RELEASE_NAMESPACE: &str = "portolan-system";

/// The core and its objects.
pub(crate) struct ObjectStore {
    pub(crate) index: Index,
    /// Built-in class, used while there is no other.
    class: ClassName,
    /// With their last status.
    objects: BTreeMap<Subject, ExposedPort>,
    classes: BTreeSet<ObjectRef>,
    ingresses: BTreeSet<ObjectRef>,
    /// Namespaces of objects, and those that are objects themselves.
    namespaces: BTreeSet<String>,
    metadata: BTreeMap<Key, ObjectMeta>,
}

/// Server-side metadata of an existing object.
#[derive(Clone, Copy)]
struct ObjectMeta {
    generation: i64,
    created: Timestamp,
}

impl ObjectStore {
    /// Creates a store with nothing but the built-in class.
    pub(crate) fn new(index: Index, class: ClassName, now: Timestamp) -> (Self, Affected) {
        let mut store = Self {
            index,
            class,
            objects: BTreeMap::new(),
            classes: BTreeSet::new(),
            ingresses: BTreeSet::new(),
            namespaces: BTreeSet::new(),
            metadata: BTreeMap::new(),
        };
        let affected = store.apply([Event::Now(now), store.built_in_class()]);
        (store, affected)
    }

    /// Applies changes of objects.
    pub(crate) fn update(
        &mut self,
        applied: Vec<Object>,
        deleted: Vec<Key>,
        now: Timestamp,
    ) -> Affected {
        let mut events = vec![Event::Now(now)];
        let had_none = self.classes.is_empty();
        for key in deleted {
            match key.kind {
                Kind::ExposedPort => {
                    self.objects
                        .remove(&Subject::ExposedPort(key.object.clone()));
                }
                Kind::ExposeClass => drop(self.classes.remove(&key.object)),
                Kind::Ingress => drop(self.ingresses.remove(&key.object)),
                _ => {}
            }
            self.metadata.remove(&key);
            events.push(match key.kind {
                // It may still contain objects.
                Kind::Namespace => bare(&key.object.name),
                _ => key.deleted(),
            });
        }
        for object in applied {
            events.extend(self.add_namespace(&object.key()));
            events.push(self.stored(object, now).applied());
        }
        // Last, so that a class of the same name is not deleted again.
        match (had_none, self.classes.is_empty()) {
            (true, false) if !self.classes.contains(&self.built_in()) => {
                events.push(Event::ExposeClass(Change::Deleted(self.built_in())));
            }
            (false, true) => events.push(self.built_in_class()),
            _ => {}
        }
        self.apply(events)
    }

    /// Applies events that are not changes of objects.
    pub(crate) fn apply(&mut self, events: impl IntoIterator<Item = Event>) -> Affected {
        let mut affected = Affected::default();
        for event in events {
            affected.merge(self.index.apply(event));
        }
        self.settle_holds(&mut affected);
        affected
    }

    /// Returns the observed state of an object: every child counts as applied.
    pub(crate) fn observed(&self, object: &Subject, proxies: Vec<ObservedProxy>) -> Observed {
        let children = self.index.children(object).into_iter();
        let children = children.map(|child| (child.key(), ChildState::Applied));
        Observed {
            children: children.collect(),
            proxies,
        }
    }

    /// Returns every ExposedPort.
    pub(crate) fn objects(&self) -> impl Iterator<Item = &Subject> {
        self.objects.keys()
    }

    /// Returns every ExposeClass except the built-in one.
    pub(crate) fn classes(&self) -> impl Iterator<Item = &ObjectRef> {
        self.classes.iter()
    }

    /// Returns every Ingress, of any class.
    pub(crate) fn ingresses(&self) -> impl Iterator<Item = &ObjectRef> {
        self.ingresses.iter()
    }

    /// Returns the problems of a class.
    pub(crate) fn class_diagnostics(&self, class: &ObjectRef) -> Vec<Diagnostic> {
        let class = ClassName::parse(&class.name);
        class
            .map(|class| self.index.class_diagnostics(&class))
            .unwrap_or_default()
    }

    /// Returns true if the object exists.
    pub(crate) fn has(&self, object: &Subject) -> bool {
        self.objects.contains_key(object)
    }

    /// Stores a status; returns true if it changed.
    pub(crate) fn set_status(&mut self, object: &Subject, status: &ExposedPortStatus) -> bool {
        let Some(stored) = self.objects.get_mut(object) else {
            return false;
        };
        if stored.status.as_ref() == Some(status) {
            return false;
        }
        stored.status = Some(status.clone());
        let event = Event::ExposedPort(Change::Applied(Box::new(stored.clone())));
        // Like the watch of a cluster; a status has no effect on others.
        self.index.apply(event);
        true
    }

    /// Returns the event for the namespace of an object, if it is new.
    fn add_namespace(&mut self, key: &Key) -> Option<Event> {
        let ObjectRef { namespace, name } = &key.object;
        if key.kind == Kind::Namespace {
            self.namespaces.insert(name.clone());
            return None;
        }
        let new = !namespace.is_empty() && self.namespaces.insert(namespace.clone());
        new.then(|| bare(namespace))
    }

    /// Reserves and releases hostnames at once: there is no competing operator.
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

    /// Returns the object as an API server would store it. Without a creation time, the epoch is used, so
    /// that the name decides between two objects rather than the order of reading; an object that
    /// expires after its creation is created when it is first read.
    fn stored(&mut self, mut object: Object, now: Timestamp) -> Object {
        let key = object.key();
        let new = ObjectMeta {
            generation: 0,
            created: now,
        };
        let meta = self.metadata.entry(key.clone()).or_insert(new);
        meta.generation += 1;
        let meta = *meta;
        let created = match &object {
            Object::ExposedPort(port) if port.spec.expires_after.is_some() => meta.created,
            _ => Timestamp::UNIX_EPOCH,
        };
        let metadata = object.metadata();
        metadata.generation = Some(meta.generation);
        metadata.deletion_timestamp = None;
        metadata.uid.get_or_insert_with(|| key.to_string());
        metadata.creation_timestamp.get_or_insert(Time(created));
        match &mut object {
            Object::ExposedPort(port) => {
                let subject = Subject::ExposedPort(key.object);
                let before = self.objects.remove(&subject);
                port.status = before.and_then(|before| before.status);
                self.objects.insert(subject, port.as_ref().clone());
            }
            Object::ExposeClass(_) => drop(self.classes.insert(key.object)),
            Object::Ingress(_) => drop(self.ingresses.insert(key.object)),
            _ => {}
        }
        object
    }

    fn built_in(&self) -> ObjectRef {
        ObjectRef::cluster(self.class.as_str())
    }

    fn built_in_class(&self) -> Event {
        let spec = ExposeClassSpec {
            default: true,
            ..ExposeClassSpec::default()
        };
        let mut class = ExposeClass::new(self.class.as_str(), spec);
        class.metadata.uid = Some("built-in".to_owned());
        Event::ExposeClass(Change::Applied(Box::new(class)))
    }
}

fn bare(namespace: &str) -> Event {
    Event::Namespace(Change::Applied(Box::new(bare_namespace(namespace))))
}
