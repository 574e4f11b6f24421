//! What an API server would be to the core: it gives objects a uid, a generation and a beginning, keeps
//! their statuses, and lets holds be taken. The core itself is the operator's, so objects are judged by
//! the same rules and told in the same sentences.

use crate::files::{Key, Kind, Object, bare_namespace};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use portolan_core::{
    Affected, Change, ChildState, ClassName, Diagnostic, Event, HoldAction, Index, ObjectRef,
    Observed, ObservedProxy,
};
use portolan_crds::{ExposeClass, ExposeClassSpec, ExposedPort, ExposedPortStatus};
use std::collections::{BTreeMap, BTreeSet};

/// Where the proxies of classes live in a cluster.
pub(crate) const RELEASE_NAMESPACE: &str = "portolan-system";

/// The core, and what is stored.
pub(crate) struct Store {
    pub(crate) index: Index,
    /// Stands in when no class is there, since nothing can be exposed without one.
    class: ClassName,
    /// With the status that was judged last.
    objects: BTreeMap<ObjectRef, ExposedPort>,
    classes: BTreeSet<ObjectRef>,
    ingresses: BTreeSet<ObjectRef>,
    /// Those that objects are in, and those that are objects themselves.
    namespaces: BTreeSet<String>,
    lives: BTreeMap<Key, Life>,
}

/// What an API server remembers of an object while it exists.
#[derive(Clone, Copy)]
struct Life {
    generation: i64,
    began: Timestamp,
}

impl Store {
    /// With nothing but a class.
    pub(crate) fn new(index: Index, class: ClassName, now: Timestamp) -> (Self, Affected) {
        let mut store = Self {
            index,
            class,
            objects: BTreeMap::new(),
            classes: BTreeSet::new(),
            ingresses: BTreeSet::new(),
            namespaces: BTreeSet::new(),
            lives: BTreeMap::new(),
        };
        let affected = store.apply([Event::Now(now), store.built_in_class()]);
        (store, affected)
    }

    /// Takes in what became different.
    pub(crate) fn take_in(
        &mut self,
        applied: Vec<Object>,
        gone: Vec<Key>,
        now: Timestamp,
    ) -> Affected {
        let mut events = vec![Event::Now(now)];
        let had_none = self.classes.is_empty();
        for key in gone {
            match key.kind {
                Kind::ExposedPort => drop(self.objects.remove(&key.object)),
                Kind::ExposeClass => drop(self.classes.remove(&key.object)),
                Kind::Ingress => drop(self.ingresses.remove(&key.object)),
                _ => {}
            }
            self.lives.remove(&key);
            events.push(match key.kind {
                // Objects may be in it still.
                Kind::Namespace => bare(&key.object.name),
                _ => key.gone(),
            });
        }
        for object in applied {
            events.extend(self.settle(&object.key()));
            events.push(self.stored(object, now).applied());
        }
        // Last, so that a class of its name among them is not taken away again.
        match (had_none, self.classes.is_empty()) {
            (true, false) if !self.classes.contains(&self.built_in()) => {
                events.push(Event::ExposeClass(Change::Deleted(self.built_in())));
            }
            (false, true) => events.push(self.built_in_class()),
            _ => {}
        }
        self.apply(events)
    }

    /// Takes in what the core is told beside objects.
    pub(crate) fn apply(&mut self, events: impl IntoIterator<Item = Event>) -> Affected {
        let mut affected = Affected::default();
        for event in events {
            affected.merge(self.index.apply(event));
        }
        self.settle_holds(&mut affected);
        affected
    }

    /// What is seen of an object beside its proxies: every child is stored as soon as it is wanted.
    pub(crate) fn seen(&self, object: &ObjectRef, proxies: Vec<ObservedProxy>) -> Observed {
        let children = self.index.children(object).into_iter();
        let children = children.map(|child| (child.key(), ChildState::Applied));
        Observed {
            children: children.collect(),
            proxies,
        }
    }

    /// Every ExposedPort.
    pub(crate) fn objects(&self) -> impl Iterator<Item = &ObjectRef> {
        self.objects.keys()
    }

    /// Every ExposeClass that somebody wrote.
    pub(crate) fn classes(&self) -> impl Iterator<Item = &ObjectRef> {
        self.classes.iter()
    }

    /// Every Ingress, whoever is to serve it.
    pub(crate) fn ingresses(&self) -> impl Iterator<Item = &ObjectRef> {
        self.ingresses.iter()
    }

    /// What stands against a class.
    pub(crate) fn complaints_of_class(&self, class: &ObjectRef) -> Vec<Diagnostic> {
        let class = ClassName::parse(&class.name);
        class
            .map(|class| self.index.class_diagnostics(&class))
            .unwrap_or_default()
    }

    /// Whether the object is there.
    pub(crate) fn has(&self, object: &ObjectRef) -> bool {
        self.objects.contains_key(object)
    }

    /// Keeps a status; gives whether it differs from the one before.
    pub(crate) fn keep(&mut self, object: &ObjectRef, status: &ExposedPortStatus) -> bool {
        let Some(stored) = self.objects.get_mut(object) else {
            return false;
        };
        if stored.status.as_ref() == Some(status) {
            return false;
        }
        stored.status = Some(status.clone());
        let event = Event::ExposedPort(Change::Applied(Box::new(stored.clone())));
        // A status changes no meaning, as in a cluster, where it comes back by the watch.
        self.index.apply(event);
        true
    }

    /// The namespace of an object, when nothing was in it so far.
    fn settle(&mut self, key: &Key) -> Option<Event> {
        let ObjectRef { namespace, name } = &key.object;
        if key.kind == Kind::Namespace {
            self.namespaces.insert(name.clone());
            return None;
        }
        let new = !namespace.is_empty() && self.namespaces.insert(namespace.clone());
        new.then(|| bare(namespace))
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
    /// can be, so that the name decides between two, and not who was read first; but what lives for a
    /// time from its creation is as old as the time when it was read first.
    fn stored(&mut self, mut object: Object, now: Timestamp) -> Object {
        let key = object.key();
        let newborn = Life {
            generation: 0,
            began: now,
        };
        let life = self.lives.entry(key.clone()).or_insert(newborn);
        life.generation += 1;
        let life = *life;
        let created = match &object {
            Object::ExposedPort(it) if it.spec.expires_after.is_some() => life.began,
            _ => Timestamp::UNIX_EPOCH,
        };
        let metadata = object.metadata();
        metadata.generation = Some(life.generation);
        metadata.deletion_timestamp = None;
        metadata.uid.get_or_insert_with(|| key.to_string());
        metadata.creation_timestamp.get_or_insert(Time(created));
        match &mut object {
            Object::ExposedPort(it) => {
                it.status = self
                    .objects
                    .remove(&key.object)
                    .and_then(|before| before.status);
                self.objects.insert(key.object, it.as_ref().clone());
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
