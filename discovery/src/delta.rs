//! Updates, batches, and the difference between the state a proxy holds and the wanted state.
//!
//! Additions go in the order endpoints, certificates, virtual hosts, listeners; removals come
//! after all additions and in reverse. A proxy that applies one batch after another therefore
//! never has a virtual host that references a missing resource, provided that neither the held nor
//! the wanted state has one. (The order is the `Ord` of [`ResourceName`], kind first.)

use crate::table::{Origin, Resource, ResourceName};
use crate::version::Version;
use std::collections::{BTreeMap, BTreeSet};

/// A resource as it is sent: content, version, and the objects it was compiled from.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Update {
    /// The content.
    pub resource: Resource,
    /// [`Version::of`] the content.
    pub version: Version,
    /// The objects that it was compiled from.
    pub origins: Vec<Origin>,
}

impl Update {
    /// Computes the version of the content.
    pub fn new(resource: Resource, origins: Vec<Origin>) -> Self {
        Self {
            version: Version::of(&resource),
            resource,
            origins,
        }
    }
}

/// One step, small enough to be sent at once; applied in the order of its fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Resources to add or replace, in this order.
    pub upserts: Vec<Update>,
    /// Resources to remove afterwards, in this order.
    pub removals: Vec<ResourceName>,
    /// With this batch applied, the proxy has everything that was wanted when it was cut.
    pub end_of_snapshot: bool,
}

/// Returns the names that a proxy holding `held` is missing, has in another version, or should no
/// longer have.
pub fn difference(
    held: &BTreeMap<ResourceName, Version>,
    wanted: &BTreeMap<ResourceName, Update>,
) -> BTreeSet<ResourceName> {
    let missing = wanted
        .iter()
        .filter(|(name, update)| held.get(*name) != Some(&update.version))
        .map(|(name, _)| name.clone());
    let surplus = held.keys().filter(|name| !wanted.contains_key(*name));
    missing.chain(surplus.cloned()).collect()
}

#[cfg(test)]
mod tests {
    use crate::table::Kind;

    #[test]
    fn kinds_are_ordered_as_they_must_be_added() {
        assert!(Kind::Endpoints < Kind::Certificate);
        assert!(Kind::Certificate < Kind::VirtualHost);
        assert!(Kind::VirtualHost < Kind::Listener);
    }
}
