//! Reverse index from a resource to the exposures whose status depends on its acknowledgement.

use crate::names::ClassName;
use crate::subject::Subject;
use portolan_discovery::table::ResourceName;
use std::collections::{BTreeSet, HashMap};

type Resource = (ClassName, ResourceName);

/// Resources by object, and objects by resource.
#[derive(Debug, Default)]
pub struct Uses {
    by_object: HashMap<Subject, Vec<Resource>>,
    by_resource: HashMap<Resource, BTreeSet<Subject>>,
}

impl Uses {
    /// Replaces what an object needs.
    pub fn set(&mut self, object: &Subject, resources: Vec<Resource>) {
        for resource in self.by_object.remove(object).unwrap_or_default() {
            if let Some(objects) = self.by_resource.get_mut(&resource) {
                objects.remove(object);
                if objects.is_empty() {
                    self.by_resource.remove(&resource);
                }
            }
        }
        for resource in &resources {
            let objects = self.by_resource.entry(resource.clone()).or_default();
            objects.insert(object.clone());
        }
        if !resources.is_empty() {
            self.by_object.insert(object.clone(), resources);
        }
    }

    /// The objects that need a resource.
    pub fn of(
        &self,
        class: &ClassName,
        name: &ResourceName,
    ) -> impl Iterator<Item = &Subject> + use<'_> {
        let resource = (class.clone(), name.clone());
        self.by_resource.get(&resource).into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portolan_discovery::table::Kind;

    fn host(name: &str) -> Resource {
        let class = ClassName::parse("public").unwrap();
        let name = ResourceName {
            kind: Kind::VirtualHost,
            name: name.into(),
        };
        (class, name)
    }

    #[test]
    fn follows_every_change_and_leaves_nothing_behind() {
        let mut uses = Uses::default();
        let (one, other) = (
            Subject::exposed_port("n", "1"),
            Subject::exposed_port("n", "2"),
        );
        uses.set(&one, vec![host("a"), host("b")]);
        uses.set(&other, vec![host("b")]);
        let of = |uses: &Uses, resource: &Resource| {
            uses.of(&resource.0, &resource.1)
                .cloned()
                .collect::<Vec<_>>()
        };
        assert_eq!(of(&uses, &host("b")), [one.clone(), other.clone()]);
        uses.set(&one, vec![host("c")]);
        assert_eq!(of(&uses, &host("b")), std::slice::from_ref(&other));
        assert_eq!(of(&uses, &host("a")), []);
        uses.set(&one, Vec::new());
        uses.set(&other, Vec::new());
        assert!(uses.by_object.is_empty() && uses.by_resource.is_empty());
    }
}
