//! What must be sent to get a proxy from the state that it holds to the state that is wanted.
//!
//! Additions go in the order endpoints, certificates, virtual hosts, listeners; removals come
//! after all additions and in reverse. So a proxy that applies one batch after another never has
//! a virtual host that names something absent, provided that neither the held nor the wanted
//! state has one. (The order is the `Ord` of [`ResourceName`], kind first.)

use crate::table::{Origin, Resource, ResourceName};
use crate::version::Version;
use crate::weight::{self, weight};
use std::collections::{BTreeMap, BTreeSet};

/// A batch is cut before it would grow past this; a single larger resource travels alone.
pub const BATCH_BYTES: usize = 1024 * 1024;

/// A resource as it is sent: its content, the name of that content, and whom it was compiled from.
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
    /// Names the content.
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
    /// Added or replaced, in this order.
    pub upserts: Vec<Update>,
    /// Taken away afterwards, in this order.
    pub removals: Vec<ResourceName>,
    /// With this batch applied, the proxy has everything that was wanted when it was cut.
    pub end_of_snapshot: bool,
}

/// The names that a proxy holding `held` lacks, has in another version, or has too many.
pub fn difference(
    held: &BTreeMap<ResourceName, Version>,
    wanted: &BTreeMap<ResourceName, Update>,
) -> BTreeSet<ResourceName> {
    let lacking = wanted
        .iter()
        .filter(|(name, update)| held.get(*name) != Some(&update.version))
        .map(|(name, _)| name.clone());
    let surplus = held.keys().filter(|name| !wanted.contains_key(*name));
    lacking.chain(surplus.cloned()).collect()
}

/// Cuts the next batch off `pending`: names in, contents as they are wanted now.
///
/// What is taken leaves `pending`. Removals wait until no addition is pending any more, so that
/// nothing is taken away while a virtual host that names it may still be replaced.
pub fn next_batch(
    pending: &mut BTreeSet<ResourceName>,
    wanted: &BTreeMap<ResourceName, Update>,
) -> Batch {
    let mut batch = Batch::default();
    let mut room = Room(BATCH_BYTES);
    let additions: Vec<&Update> = pending.iter().filter_map(|name| wanted.get(name)).collect();
    let mut all_added = true;
    for update in additions {
        if !room.take(weight(update)) {
            all_added = false;
            break;
        }
        batch.upserts.push(update.clone());
    }
    for update in &batch.upserts {
        pending.remove(&update.resource.name());
    }
    while all_added && let Some(name) = pending.pop_last() {
        if !room.take(weight::name(&name)) {
            pending.insert(name);
            break;
        }
        batch.removals.push(name);
    }
    batch.end_of_snapshot = pending.is_empty();
    batch
}

/// All the batches from `held` to `wanted`; the last one ends the snapshot. Never empty: a proxy
/// that lacks nothing is told so.
pub fn between(
    held: &BTreeMap<ResourceName, Version>,
    wanted: &BTreeMap<ResourceName, Update>,
) -> Vec<Batch> {
    let mut pending = difference(held, wanted);
    let mut batches = vec![next_batch(&mut pending, wanted)];
    while !pending.is_empty() {
        batches.push(next_batch(&mut pending, wanted));
    }
    batches
}

/// The bytes that a batch may still take.
struct Room(usize);

impl Room {
    /// The first one always fits, so that a resource above the limit is sent at all.
    fn take(&mut self, weight: usize) -> bool {
        let fits = weight <= self.0 || self.0 == BATCH_BYTES;
        if fits {
            self.0 = self.0.saturating_sub(weight);
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::{closed_state, versions};
    use crate::table::{Certificate, Kind};
    use proptest::prelude::*;

    /// What a proxy holds, one operation at a time.
    #[derive(Clone, Debug, PartialEq, Eq)]
    struct Proxy(BTreeMap<ResourceName, Update>);

    impl Proxy {
        fn absent_reference(&self) -> Option<ResourceName> {
            let references = self.0.values().flat_map(|it| it.resource.references());
            references.into_iter().find(|it| !self.0.contains_key(it))
        }
    }

    proptest! {
        #[test]
        fn from_any_held_state_to_the_wanted_one_without_a_dangling_step(
            held in closed_state(), wanted in closed_state(),
        ) {
            let mut proxy = Proxy(held.clone());
            let batches = between(&versions(&held), &wanted);
            for batch in &batches {
                for update in &batch.upserts {
                    proxy.0.insert(update.resource.name(), update.clone());
                    prop_assert_eq!(proxy.absent_reference(), None);
                }
                for name in &batch.removals {
                    prop_assert!(proxy.0.remove(name).is_some(), "{} was not held", name);
                    prop_assert_eq!(proxy.absent_reference(), None);
                }
            }
            prop_assert_eq!(versions(&proxy.0), versions(&wanted));
            let ends: Vec<bool> = batches.iter().map(|batch| batch.end_of_snapshot).collect();
            prop_assert_eq!(ends.iter().filter(|end| **end).count(), 1);
            prop_assert_eq!(ends.last(), Some(&true));
        }

        #[test]
        fn nothing_equal_is_sent(held in closed_state(), wanted in closed_state()) {
            for batch in between(&versions(&held), &wanted) {
                for update in batch.upserts {
                    let before = held.get(&update.resource.name()).map(|it| it.version);
                    prop_assert_ne!(before, Some(update.version));
                }
            }
        }
    }

    fn certificate(number: usize, bytes: usize) -> (ResourceName, Update) {
        let resource = Resource::Certificate(Certificate {
            name: format!("team/cert-{number:03}"),
            chain_pem: "c".repeat(bytes),
            key_pem: String::new(),
        });
        (resource.name(), Update::new(resource, Vec::new()))
    }

    #[test]
    fn batches_stay_within_the_limit_and_a_larger_resource_travels_alone() {
        let mut wanted: BTreeMap<_, _> = (0..30).map(|n| certificate(n, 100_000)).collect();
        wanted.extend([certificate(999, 2 * BATCH_BYTES)]);
        let batches = between(&BTreeMap::new(), &wanted);
        let sent: usize = batches.iter().map(|batch| batch.upserts.len()).sum();
        assert_eq!(sent, 31);
        for batch in &batches {
            let bytes: usize = batch.upserts.iter().map(weight).sum();
            assert!(bytes <= BATCH_BYTES || batch.upserts.len() == 1, "{bytes}");
        }
        assert!((4..=5).contains(&batches.len()), "{}", batches.len());
    }

    #[test]
    fn a_removal_waits_for_additions_that_did_not_fit() {
        let (old, _) = certificate(900, 1);
        let held = BTreeMap::from([(old.clone(), Version([0; 16]))]);
        let wanted: BTreeMap<_, _> = (0..3).map(|n| certificate(n, BATCH_BYTES / 2)).collect();
        let batches = between(&held, &wanted);
        let (last, before) = batches.split_last().unwrap();
        assert!(before.iter().all(|batch| batch.removals.is_empty()));
        assert!(!before.is_empty());
        assert_eq!(last.removals, [old]);
    }

    #[test]
    fn a_proxy_that_lacks_nothing_is_told_so() {
        let batches = between(&BTreeMap::new(), &BTreeMap::new());
        assert_eq!(
            batches,
            [Batch {
                end_of_snapshot: true,
                ..Batch::default()
            }]
        );
    }

    #[test]
    fn kinds_are_ordered_as_they_must_be_added() {
        assert!(Kind::Endpoints < Kind::Certificate);
        assert!(Kind::Certificate < Kind::VirtualHost);
        assert!(Kind::VirtualHost < Kind::Listener);
    }
}
