//! Things by their namespace and name: what is looked for costs with the size of its namespace, not with
//! that of the cluster, and all of a namespace is found without looking at another one.

use crate::names::ObjectRef;
use std::collections::{BTreeMap, HashMap};

/// A map from names of objects.
#[derive(Debug)]
pub(in crate::index) struct ByNamespace<V>(HashMap<String, BTreeMap<ObjectRef, V>>);

impl<V> Default for ByNamespace<V> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<V> ByNamespace<V> {
    pub(in crate::index) fn get(&self, name: &ObjectRef) -> Option<&V> {
        self.0.get(&name.namespace)?.get(name)
    }

    pub(in crate::index) fn get_mut(&mut self, name: &ObjectRef) -> Option<&mut V> {
        self.0.get_mut(&name.namespace)?.get_mut(name)
    }

    /// With the name as it is kept here.
    pub(in crate::index) fn get_key_value(&self, name: &ObjectRef) -> Option<(&ObjectRef, &V)> {
        self.0.get(&name.namespace)?.get_key_value(name)
    }

    pub(in crate::index) fn contains_key(&self, name: &ObjectRef) -> bool {
        self.get(name).is_some()
    }

    /// What was there before.
    pub(in crate::index) fn insert(&mut self, name: ObjectRef, value: V) -> Option<V> {
        self.of(&name.namespace).insert(name, value)
    }

    /// What is there, or is from now on.
    pub(in crate::index) fn or_default(&mut self, name: ObjectRef) -> &mut V
    where
        V: Default,
    {
        self.of(&name.namespace).entry(name).or_default()
    }

    pub(in crate::index) fn remove(&mut self, name: &ObjectRef) -> Option<V> {
        let all = self.0.get_mut(&name.namespace)?;
        let removed = all.remove(name);
        if all.is_empty() {
            self.0.remove(&name.namespace);
        }
        removed
    }

    /// All of a namespace, in the order of their names.
    pub(in crate::index) fn within(
        &self,
        namespace: &str,
    ) -> impl Iterator<Item = (&ObjectRef, &V)> {
        self.0.get(namespace).into_iter().flatten()
    }

    fn of(&mut self, namespace: &str) -> &mut BTreeMap<ObjectRef, V> {
        self.0.entry(namespace.to_owned()).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_has_its_own_and_nothing_is_left_of_one_that_is_empty() {
        let mut map = ByNamespace::default();
        for (namespace, name) in [("a", "y"), ("ab", "x"), ("a", "x")] {
            map.insert(
                ObjectRef::new(namespace, name),
                format!("{namespace}{name}"),
            );
        }
        let names = |map: &ByNamespace<String>| {
            let all = map.within("a").map(|(it, _)| it.name.clone());
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
