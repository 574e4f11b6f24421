//! Desired configuration of the proxies: per class, the newest content of each resource.
//!
//! The model task writes, streams read. A stream learns only names; what stands behind a name is
//! read when it is sent, so a slow proxy gets the newest content and never a queue of old ones.

use portolan_discovery::delta::Update;
use portolan_discovery::table::{Origin, Resource, ResourceName};
use portolan_discovery::version::Version;
use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The new content of a resource and the objects that it was compiled from; `None` removes it.
pub type Content = Option<(Resource, Vec<Origin>)>;

/// The routing table of every class. Shared; every method is short and synchronous.
#[derive(Debug, Default)]
pub struct Table {
    classes: Mutex<BTreeMap<String, Class>>,
}

#[derive(Debug, Default)]
struct Class {
    entries: BTreeMap<ResourceName, Update>,
    mailboxes: BTreeMap<u64, Arc<Mailbox>>,
}

/// Names that changed since a stream last looked: bounded by the number of names.
#[derive(Debug, Default)]
struct Mailbox {
    names: Mutex<BTreeSet<ResourceName>>,
    filled: Notify,
}

impl Table {
    /// Sets one resource of a class. See [`Table::apply`].
    pub fn update(&self, class: &str, name: &ResourceName, content: Content) {
        self.apply(class, [(name.clone(), content)]);
    }

    /// Sets several resources of a class as one step: no stream sees some of them without the
    /// others. A virtual host and what it newly names belong into one step.
    ///
    /// Equal content causes no notification; its origins are still recorded.
    pub fn apply(&self, class: &str, changes: impl IntoIterator<Item = (ResourceName, Content)>) {
        let mut classes = self.lock();
        let entry = classes.entry(class.to_owned()).or_default();
        let changed: BTreeSet<ResourceName> = changes
            .into_iter()
            .filter_map(|(name, content)| entry.set(&name, content).then_some(name))
            .collect();
        if !changed.is_empty() {
            for mailbox in entry.mailboxes.values() {
                mailbox.put(&changed);
            }
        }
        forget_if_empty(&mut classes, class);
    }

    /// The version that proxies of a class shall have; `None` when they shall not have it at all.
    pub fn version(&self, class: &str, name: &ResourceName) -> Option<Version> {
        Some(self.lock().get(class)?.entries.get(name)?.version)
    }

    /// Listens to the changes of one class.
    pub(super) fn subscribe(self: &Arc<Self>, class: &str) -> Subscription {
        let mailbox = Arc::new(Mailbox::default());
        let mut classes = self.lock();
        let mailboxes = &mut classes.entry(class.to_owned()).or_default().mailboxes;
        let id = mailboxes.last_key_value().map_or(0, |(last, _)| last + 1);
        mailboxes.insert(id, Arc::clone(&mailbox));
        Subscription {
            table: Arc::clone(self),
            class: class.to_owned(),
            id,
            mailbox,
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Class>> {
        self.classes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Class {
    /// Whether the content is another one now.
    fn set(&mut self, name: &ResourceName, content: Content) -> bool {
        let Some((resource, origins)) = content else {
            return self.entries.remove(name).is_some();
        };
        let update = Update::new(resource, origins);
        let version = update.version;
        let before = self.entries.insert(name.clone(), update);
        before.is_none_or(|before| before.version != version)
    }
}

/// Removes a class without content and subscribers.
fn forget_if_empty(classes: &mut BTreeMap<String, Class>, name: &str) {
    let empty = |class: &Class| class.entries.is_empty() && class.mailboxes.is_empty();
    if classes.get(name).is_some_and(empty) {
        classes.remove(name);
    }
}

impl Mailbox {
    fn put(&self, names: &BTreeSet<ResourceName>) {
        let mut held = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        held.extend(names.iter().cloned());
        drop(held);
        self.filled.notify_one();
    }

    fn take(&self) -> BTreeSet<ResourceName> {
        mem::take(&mut self.names.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One stream's view of the table; it stops listening when dropped.
#[derive(Debug)]
pub(super) struct Subscription {
    table: Arc<Table>,
    class: String,
    id: u64,
    mailbox: Arc<Mailbox>,
}

impl Subscription {
    /// Waits for changed names and takes them. Nothing is lost when the future is dropped: between
    /// its last wait and its return it does not wait again.
    pub(super) async fn changed(&self) -> BTreeSet<ResourceName> {
        loop {
            self.mailbox.filled.notified().await;
            let names = self.mailbox.take();
            if !names.is_empty() {
                return names;
            }
        }
    }

    /// Looks at what the class wants now; the table is locked meanwhile.
    pub(super) fn wanted<R>(&self, look: impl FnOnce(&BTreeMap<ResourceName, Update>) -> R) -> R {
        let classes = self.table.lock();
        match classes.get(&self.class) {
            Some(class) => look(&class.entries),
            None => look(&BTreeMap::new()),
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut classes = self.table.lock();
        if let Some(class) = classes.get_mut(&self.class) {
            class.mailboxes.remove(&self.id);
        }
        forget_if_empty(&mut classes, &self.class);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portolan_discovery::table::EndpointSet;

    fn endpoints(name: &str) -> Resource {
        Resource::Endpoints(EndpointSet {
            name: name.into(),
            endpoints: Vec::new(),
            ..EndpointSet::default()
        })
    }

    fn origin(generation: i64) -> Vec<Origin> {
        vec![Origin {
            uid: "u".into(),
            generation,
        }]
    }

    fn name(name: &str) -> ResourceName {
        endpoints(name).name()
    }

    #[tokio::test]
    async fn notifies_a_stream_once_per_name_of_its_class() {
        let table = Arc::new(Table::default());
        let public = table.subscribe("public");
        table.update("private", &name("x"), Some((endpoints("x"), Vec::new())));
        table.update("public", &name("a"), Some((endpoints("a"), Vec::new())));
        table.update("public", &name("b"), Some((endpoints("b"), Vec::new())));
        table.update("public", &name("a"), None);
        assert_eq!(public.changed().await, [name("a"), name("b")].into());
        public.wanted(|wanted| assert_eq!(wanted.keys().collect::<Vec<_>>(), [&name("b")]));
    }

    #[tokio::test]
    async fn records_the_generation_of_equal_content_silently() {
        let table = Arc::new(Table::default());
        table.update("public", &name("a"), Some((endpoints("a"), origin(1))));
        let stream = table.subscribe("public");
        table.update("public", &name("a"), Some((endpoints("a"), origin(2))));
        table.update("public", &name("b"), Some((endpoints("b"), origin(1))));
        assert_eq!(stream.changed().await, [name("b")].into());
        stream.wanted(|wanted| assert_eq!(wanted[&name("a")].origins, origin(2)));
    }

    #[test]
    fn removes_an_empty_class_without_subscribers() {
        let table = Arc::new(Table::default());
        let stream = table.subscribe("public");
        table.update("public", &name("a"), Some((endpoints("a"), origin(1))));
        let wanted = table.version("public", &name("a"));
        assert_eq!(wanted, Some(Version::of(&endpoints("a"))));
        table.update("public", &name("a"), None);
        assert_eq!(table.version("public", &name("a")), None);
        drop(stream);
        assert!(table.lock().is_empty());
    }
}
