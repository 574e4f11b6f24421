//! Children as last observed, from the watches and from the responses to writes.

use super::kind::{ChildId, ChildKind};
use crate::FIELD_MANAGER;
use crate::key::Key;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Observed object.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its metadata; of managed fields only those of our manager.
    pub metadata: ObjectMeta,
    /// All of it, without managed fields.
    pub manifest: Value,
}

impl Seen {
    /// Keeps of `object` what is looked at here.
    pub fn of<K: kube::Resource + Serialize>(object: &K) -> Self {
        let mut metadata = object.meta().clone();
        let mut managed = metadata.managed_fields.take().unwrap_or_default();
        managed.retain(is_ours);
        metadata.managed_fields = Some(managed);
        let mut manifest = serde_json::to_value(object).unwrap_or_default();
        if let Some(metadata) = manifest.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
        }
        Self { metadata, manifest }
    }

    /// Which object it is, as one of `kind`.
    pub fn id(&self, kind: ChildKind) -> ChildId {
        ChildId {
            kind,
            namespace: self.metadata.namespace.clone().unwrap_or_default(),
            name: self.metadata.name.clone().unwrap_or_default(),
        }
    }

    /// Returns true if the object with this UID controls it.
    pub fn is_of(&self, owner_uid: &str) -> bool {
        let references = self.metadata.owner_references.as_deref();
        let mut references = references.unwrap_or_default().iter();
        references.any(|it| it.controller == Some(true) && it.uid == owner_uid)
    }

    fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }

    /// Resource versions of one kind can be compared since Kubernetes 1.35 (KEP-5504), and could be in
    /// practice before. What is no number counts as newest, so that nothing is ever ignored for good.
    fn version(&self) -> u128 {
        let version = self.metadata.resource_version.as_deref();
        version
            .and_then(|text| text.parse().ok())
            .unwrap_or(u128::MAX)
    }
}

fn is_ours(entry: &ManagedFieldsEntry) -> bool {
    entry.manager.as_deref() == Some(FIELD_MANAGER)
}

/// All children that carry our label, by identity and by whom they belong to.
#[derive(Debug, Default)]
pub struct Children {
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    seen: HashMap<ChildId, Arc<Seen>>,
    of: HashMap<Key, BTreeSet<ChildId>>,
    /// What is being written now, and the UID under which it was seen to go meanwhile.
    writing: HashMap<ChildId, Option<String>>,
    /// What the server made of a write, when it is not what was written.
    settled: HashMap<ChildId, Settled>,
}

#[derive(Debug, PartialEq, Eq)]
struct Settled {
    digest: String,
    resource_version: Option<String>,
}

impl Children {
    /// The object as last seen.
    pub fn get(&self, id: &ChildId) -> Option<Arc<Seen>> {
        self.read().seen.get(id).cloned()
    }

    /// Everything that says it belongs to `key`, whether or not that is so.
    pub fn of(&self, key: &Key) -> Vec<(ChildId, Arc<Seen>)> {
        let inner = self.read();
        let ids = inner.of.get(key).into_iter().flatten();
        ids.filter_map(|id| Some((id.clone(), Arc::clone(inner.seen.get(id)?))))
            .collect()
    }

    /// Records an object; returns the keys of its current and previous owner.
    pub fn seen(&self, id: ChildId, seen: Seen) -> BTreeSet<Key> {
        self.write().put(id, seen)
    }

    /// Records that an object is gone, or no longer watched; returns the keys of its owner.
    pub fn gone(&self, id: &ChildId, uid: &str) -> BTreeSet<Key> {
        let mut inner = self.write();
        if let Some(gone) = inner.writing.get_mut(id) {
            *gone = Some(uid.to_owned());
        }
        match inner.seen.get(id) {
            Some(seen) if seen.uid() == uid => inner.take(id),
            // Another of that name is there by now.
            Some(_) | None => BTreeSet::new(),
        }
    }

    /// Announces a write, so that its response is not taken for newer than a deletion that overtook it.
    pub(super) fn writing(&self, id: &ChildId) -> Writing<'_> {
        self.write().writing.insert(id.clone(), None);
        Writing {
            children: self,
            id: id.clone(),
        }
    }

    /// Returns true if the object is unchanged since this digest was last written.
    ///
    /// Otherwise an object that the server or a webhook changes would be written in each reconcile, forever.
    pub(super) fn is_settled(&self, id: &ChildId, digest: &str, seen: &Seen) -> bool {
        self.read().settled.get(id).is_some_and(|settled| {
            settled.digest == digest && settled.resource_version == seen.metadata.resource_version
        })
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn put(&mut self, id: ChildId, seen: Seen) -> BTreeSet<Key> {
        if let Some(known) = self.seen.get(&id)
            && known.uid() == seen.uid()
            && known.version() > seen.version()
        {
            // Older than the answer to our own write.
            return BTreeSet::new();
        }
        let mut concerned = self.take(&id);
        if let Some(key) = Key::of_owner(&seen.metadata) {
            self.of.entry(key.clone()).or_default().insert(id.clone());
            concerned.insert(key);
        }
        self.seen.insert(id, Arc::new(seen));
        concerned
    }

    fn take(&mut self, id: &ChildId) -> BTreeSet<Key> {
        let Some(seen) = self.seen.remove(id) else {
            return BTreeSet::new();
        };
        let Some(key) = Key::of_owner(&seen.metadata) else {
            return BTreeSet::new();
        };
        if let Some(ids) = self.of.get_mut(&key) {
            ids.remove(id);
            if ids.is_empty() {
                self.of.remove(&key);
            }
        }
        BTreeSet::from([key])
    }
}

/// A write that is under way.
#[derive(Debug)]
pub(super) struct Writing<'a> {
    children: &'a Children,
    id: ChildId,
}

impl Writing<'_> {
    /// Takes in the answer. `differs`: it is not what was written.
    pub(super) fn answered(self, answer: Seen, digest: &str, differs: bool) {
        let mut inner = self.children.write();
        let gone = inner.writing.get(&self.id).cloned().flatten();
        if gone.as_deref() == Some(answer.uid()) {
            return;
        }
        if differs {
            let settled = Settled {
                digest: digest.to_owned(),
                resource_version: answer.metadata.resource_version.clone(),
            };
            inner.settled.insert(self.id.clone(), settled);
        } else {
            inner.settled.remove(&self.id);
        }
        inner.put(self.id.clone(), answer);
    }

    /// Takes in that it was deleted.
    pub(super) fn deleted(self, uid: &str) {
        self.children.gone(&self.id, uid);
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.children.write().writing.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::api::DynamicObject;
    use serde_json::json;

    fn id() -> ChildId {
        ChildId {
            kind: ChildKind::Service,
            namespace: "team-a".into(),
            name: "shop".into(),
        }
    }

    fn seen(uid: &str, version: &str, owner: &str) -> Seen {
        let object = json!({"apiVersion": "v1", "kind": "Service", "metadata": {
            "name": "shop", "namespace": "team-a", "uid": uid, "resourceVersion": version,
            "ownerReferences": [{"apiVersion": "portolan.dev/v1alpha1", "kind": "ExposedPort", "name": owner, "uid": "o", "controller": true}],
            "managedFields": [{"manager": "kubectl"}, {"manager": "portolan"}]}});
        Seen::of(&serde_json::from_value::<DynamicObject>(object).unwrap())
    }

    fn version(children: &Children) -> Option<String> {
        children.get(&id())?.metadata.resource_version.clone()
    }

    #[test]
    fn ignores_an_event_older_than_our_write() {
        let children = Children::default();
        children.seen(id(), seen("1", "10", "shop"));
        let write = children.writing(&id());
        write.answered(seen("1", "12", "shop"), "d", false);
        assert!(children.seen(id(), seen("1", "11", "shop")).is_empty());
        assert_eq!(version(&children).as_deref(), Some("12"));
    }

    #[test]
    fn a_response_older_than_a_deletion_is_ignored() {
        let children = Children::default();
        let write = children.writing(&id());
        children.gone(&id(), "1");
        write.answered(seen("1", "12", "shop"), "d", false);
        assert_eq!(version(&children), None);
        assert!(children.read().writing.is_empty());
    }

    #[test]
    fn deletion_of_a_predecessor_keeps_the_successor() {
        let children = Children::default();
        children.seen(id(), seen("2", "20", "shop"));
        assert!(children.gone(&id(), "1").is_empty());
        assert_eq!(version(&children).as_deref(), Some("20"));
    }

    #[test]
    fn a_changed_owner_affects_both_owners() {
        let children = Children::default();
        children.seen(id(), seen("1", "10", "shop"));
        assert_eq!(children.seen(id(), seen("1", "11", "other")).len(), 2);
        assert_eq!(children.gone(&id(), "1").len(), 1);
        let inner = children.read();
        assert!(inner.of.is_empty() && inner.seen.is_empty());
    }

    #[test]
    fn a_write_changed_by_the_server_is_settled() {
        let children = Children::default();
        let write = children.writing(&id());
        write.answered(seen("1", "12", "shop"), "d", true);
        let now = children.get(&id()).unwrap();
        assert!(children.is_settled(&id(), "d", &now));
        assert!(
            !children.is_settled(&id(), "e", &now),
            "something else is desired"
        );
        assert!(!children.is_settled(&id(), "d", &seen("1", "13", "shop")));
    }

    #[test]
    fn keeps_only_our_managed_fields() {
        let seen = seen("1", "1", "shop");
        assert_eq!(seen.metadata.managed_fields.unwrap().len(), 1);
        assert_eq!(seen.manifest["metadata"].get("managedFields"), None);
    }
}
