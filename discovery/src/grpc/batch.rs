//! Cuts the difference between two states into transactions of bounded size.
//!
//! Sizes are those of the protobuf messages themselves, so a new field needs no entry here.

use super::generated as proto;
use crate::delta::{Batch, Update, difference};
use crate::table::ResourceName;
use crate::version::Version;
use prost::Message;
use std::collections::{BTreeMap, BTreeSet};

/// Size in bytes above which no further resource joins a batch; a single larger resource travels
/// alone.
pub const BATCH_BYTES: usize = 1024 * 1024;

/// Cuts the next batch off `pending`: takes names, adds their contents as they are wanted now.
///
/// The names taken leave `pending`. Removals wait until no addition is pending any more, so that
/// nothing is removed while a virtual host that references it may still be replaced.
pub fn next_batch(
    pending: &mut BTreeSet<ResourceName>,
    wanted: &BTreeMap<ResourceName, Update>,
) -> Batch {
    let mut batch = Batch::default();
    let mut budget = ByteBudget(BATCH_BYTES);
    let additions: Vec<&Update> = pending.iter().filter_map(|name| wanted.get(name)).collect();
    let mut all_added = true;
    for update in additions {
        if !budget.take(upsert_encoded_size(update)) {
            all_added = false;
            break;
        }
        batch.upserts.push(update.clone());
    }
    for update in &batch.upserts {
        pending.remove(&update.resource.name());
    }
    while all_added && let Some(name) = pending.pop_last() {
        if !budget.take(removal_encoded_size(&name)) {
            pending.insert(name);
            break;
        }
        batch.removals.push(name);
    }
    batch.end_of_snapshot = pending.is_empty();
    batch
}

/// Returns all the batches from `held` to `wanted`; the last one ends the snapshot. Never empty: a
/// proxy that has everything gets one empty batch that ends its snapshot.
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

/// Bytes that an update adds to a transaction, with its framing.
fn upsert_encoded_size(update: &Update) -> usize {
    proto::Transaction {
        upserts: vec![update.clone().into()],
        ..proto::Transaction::default()
    }
    .encoded_len()
}

/// Bytes that a removal adds to a transaction, with its framing.
fn removal_encoded_size(name: &ResourceName) -> usize {
    proto::Transaction {
        removals: vec![name.clone().into()],
        ..proto::Transaction::default()
    }
    .encoded_len()
}

/// Bytes that a batch may still take.
struct ByteBudget(usize);

impl ByteBudget {
    /// Takes the bytes if they fit. The first resource always fits, so that one above the limit is
    /// sent at all.
    fn take(&mut self, encoded_size: usize) -> bool {
        let fits = encoded_size <= self.0 || self.0 == BATCH_BYTES;
        if fits {
            self.0 = self.0.saturating_sub(encoded_size);
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::{closed_state, versions};
    use crate::session::Transaction;
    use crate::table::{Certificate, Resource};
    use proptest::prelude::*;

    /// Resources that a proxy holds, changed one operation at a time.
    #[derive(Clone, Debug, PartialEq, Eq)]
    struct Proxy(BTreeMap<ResourceName, Update>);

    impl Proxy {
        fn absent_reference(&self) -> Option<ResourceName> {
            let references = self
                .0
                .values()
                .flat_map(|update| update.resource.references());
            references
                .into_iter()
                .find(|name| !self.0.contains_key(name))
        }
    }

    proptest! {
        #[test]
        fn no_step_leaves_a_dangling_reference(
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
        fn equal_resources_are_not_sent(held in closed_state(), wanted in closed_state()) {
            for batch in between(&versions(&held), &wanted) {
                for update in batch.upserts {
                    let before = held.get(&update.resource.name()).map(|update| update.version);
                    prop_assert_ne!(before, Some(update.version));
                }
            }
        }
    }

    proptest! {
        #[test]
        fn sizes_add_up_to_the_transaction(state in closed_state()) {
            let batch = Batch {
                removals: state.keys().cloned().collect(),
                upserts: state.into_values().collect(),
                end_of_snapshot: false,
            };
            let upserts: usize = batch.upserts.iter().map(upsert_encoded_size).sum();
            let removals: usize = batch.removals.iter().map(removal_encoded_size).sum();
            let message = proto::Transaction::from(Transaction { id: 0, epoch: 0, batch });
            prop_assert_eq!(message.encoded_len(), upserts + removals);
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
    fn batches_stay_within_the_limit_or_hold_one_resource() {
        let mut wanted: BTreeMap<_, _> = (0..30).map(|n| certificate(n, 100_000)).collect();
        wanted.extend([certificate(999, 2 * BATCH_BYTES)]);
        let batches = between(&BTreeMap::new(), &wanted);
        let sent: usize = batches.iter().map(|batch| batch.upserts.len()).sum();
        assert_eq!(sent, 31);
        for batch in &batches {
            let bytes: usize = batch.upserts.iter().map(upsert_encoded_size).sum();
            assert!(bytes <= BATCH_BYTES || batch.upserts.len() == 1, "{bytes}");
        }
        assert!((4..=5).contains(&batches.len()), "{}", batches.len());
    }

    #[test]
    fn removals_wait_for_additions_that_did_not_fit() {
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
    fn an_up_to_date_proxy_gets_an_empty_snapshot() {
        let batches = between(&BTreeMap::new(), &BTreeMap::new());
        assert_eq!(
            batches,
            [Batch {
                end_of_snapshot: true,
                ..Batch::default()
            }]
        );
    }
}
