//! Map by namespace and name: a lookup costs with the size of its namespace, not with
//! that of the cluster, and all of a namespace is found without looking at another one.

use crate::names::ObjectRef;
use crate::subject::Subject;
use std::collections::{BTreeMap, HashMap};

/// A key that lies in a namespace.
pub(in crate::index) trait Namespaced: Ord {
    /// `metadata.namespace`.
    fn namespace(&self) -> &str;
}

impl Namespaced for ObjectRef {
    fn namespace(&self) -> &str {
        &self.namespace
    }
}

impl Namespaced for Subject {
    fn namespace(&self) -> &str {
        self.namespace()
    }
}

/// Map from names, by namespace.
#[derive(Debug)]
pub(in crate::index) struct ByNamespace<K, V>(HashMap<String, BTreeMap<K, V>>);

impl<K, V> Default for ByNamespace<K, V> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Namespaced, V> ByNamespace<K, V> {
    pub(in crate::index) fn get(&self, name: &K) -> Option<&V> {
        self.0.get(name.namespace())?.get(name)
    }

    pub(in crate::index) fn get_mut(&mut self, name: &K) -> Option<&mut V> {
        self.0.get_mut(name.namespace())?.get_mut(name)
    }

    /// With the name as it is kept here.
    pub(in crate::index) fn get_key_value(&self, name: &K) -> Option<(&K, &V)> {
        self.0.get(name.namespace())?.get_key_value(name)
    }

    pub(in crate::index) fn contains_key(&self, name: &K) -> bool {
        self.get(name).is_some()
    }

    /// Inserts a value; returns the one before.
    pub(in crate::index) fn insert(&mut self, name: K, value: V) -> Option<V> {
        let all = self.of(name.namespace());
        all.insert(name, value)
    }

    /// Returns the value, inserting the default one if it is missing.
    pub(in crate::index) fn or_default(&mut self, name: K) -> &mut V
    where
        V: Default,
    {
        let all = self.of(name.namespace());
        all.entry(name).or_default()
    }

    pub(in crate::index) fn remove(&mut self, name: &K) -> Option<V> {
        let all = self.0.get_mut(name.namespace())?;
        let removed = all.remove(name);
        if all.is_empty() {
            self.0.remove(name.namespace());
        }
        removed
    }

    /// All of a namespace, in the order of their names.
    pub(in crate::index) fn within(&self, namespace: &str) -> impl Iterator<Item = (&K, &V)> {
        self.0.get(namespace).into_iter().flatten()
    }

    fn of(&mut self, namespace: &str) -> &mut BTreeMap<K, V> {
        self.0.entry(namespace.to_owned()).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_namespace_leaves_nothing_behind() {
        let mut map = ByNamespace::default();
        for (namespace, name) in [("a", "y"), ("ab", "x"), ("a", "x")] {
            map.insert(
                ObjectRef::new(namespace, name),
                format!("{namespace}{name}"),
            );
        }
        let names = |map: &ByNamespace<ObjectRef, String>| {
            let all = map.within("a").map(|(object, _)| object.name.clone());
            all.collect::<Vec<_>>()
        };
        assert_eq!(names(&map), ["x", "y"]);
        assert_eq!(map.remove(&ObjectRef::new("a", "x")).as_deref(), Some("ax"));
        assert_eq!(map.remove(&ObjectRef::new("a", "x")), None);
        assert_eq!(names(&map), ["y"]);
        map.remove(&ObjectRef::new("a", "y"));
        map.remove(&ObjectRef::new("ab", "x"));
        assert!(map.0.is_empty());
    }
}
