//! State of one proxy and the changes still to send to it. A synchronous state machine.
//!
//! It keeps names and versions only; contents are read from the table when a batch is cut, so that
//! of ten changes to a name while a batch was in flight the last one is sent, once.

use portolan_discovery::delta::{Update, difference};
use portolan_discovery::grpc::batch::next_batch;
use portolan_discovery::session::{Ack, Transaction};
use portolan_discovery::table::ResourceName;
use portolan_discovery::version::Version;
use std::collections::{BTreeMap, BTreeSet};

type Wanted = BTreeMap<ResourceName, Update>;

/// The state of one stream.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// What the proxy serves.
    held: BTreeMap<ResourceName, Version>,
    /// What it refused: not sent again until it changes, or the proxy follows again.
    refused: BTreeMap<ResourceName, Version>,
    /// Sent but not acknowledged; it may be loaded.
    unjudged: BTreeMap<ResourceName, Version>,
    /// What may differ. Empty while the proxy follows another operator.
    pending: BTreeSet<ResourceName>,
    following: bool,
    /// True if it was notified that it has everything.
    ended: bool,
    in_flight: Option<u64>,
    last_id: u64,
}

impl Outbox {
    pub(super) fn new(held: BTreeMap<ResourceName, Version>) -> Self {
        Self {
            held,
            ..Self::default()
        }
    }

    /// The proxy wants transactions from here, or no longer.
    pub(super) fn follow(&mut self, following: bool, wanted: &Wanted) {
        self.following = following;
        self.in_flight = None;
        self.refused.clear();
        self.unjudged.clear();
        self.ended = false;
        self.pending = if following {
            difference(&self.held, wanted)
        } else {
            BTreeSet::new()
        };
    }

    /// These names have other contents now.
    pub(super) fn changed(&mut self, names: BTreeSet<ResourceName>) {
        // Otherwise everything is compared when the proxy follows.
        if self.following {
            self.pending.extend(names);
        }
    }

    pub(super) fn acked(&mut self, ack: &Ack) {
        if ack.transaction.is_some() && ack.transaction == self.in_flight {
            self.in_flight = None;
        }
        for verdict in &ack.verdicts {
            let name = verdict.name.clone();
            if self.unjudged.get(&name) == Some(&verdict.version) {
                self.unjudged.remove(&name);
            }
            if verdict.refused.is_some() {
                self.refused.insert(name, verdict.version);
            } else {
                self.refused.remove(&name);
                self.held.insert(name, verdict.version);
            }
        }
        for name in &ack.removed {
            self.held.remove(name);
            self.refused.remove(name);
            self.unjudged.remove(name);
        }
    }

    /// The next transaction, unless one is in flight or there is nothing to say.
    pub(super) fn next(&mut self, epoch: u64, wanted: &Wanted) -> Option<Transaction> {
        if !self.following || self.in_flight.is_some() {
            return None;
        }
        let mut pending = std::mem::take(&mut self.pending);
        pending.retain(|name| self.differs(name, wanted.get(name)));
        if pending.is_empty() && self.ended {
            return None;
        }
        let batch = next_batch(&mut pending, wanted);
        self.pending = pending;
        self.ended = batch.end_of_snapshot;
        for update in &batch.upserts {
            self.unjudged.insert(update.resource.name(), update.version);
        }
        self.last_id += 1;
        self.in_flight = Some(self.last_id);
        Some(Transaction {
            id: self.last_id,
            epoch,
            batch,
        })
    }

    /// How many names are still to be sent or in flight.
    pub(super) fn waiting(&self) -> usize {
        self.pending.len() + self.unjudged.len()
    }

    fn differs(&self, name: &ResourceName, wanted: Option<&Update>) -> bool {
        match wanted {
            // What was sent last is what the proxy will have, whatever it held before.
            Some(update) => match self.unjudged.get(name) {
                Some(sent) => *sent != update.version,
                None => {
                    self.held.get(name) != Some(&update.version)
                        && self.refused.get(name) != Some(&update.version)
                }
            },
            None => self.held.contains_key(name) || self.unjudged.contains_key(name),
        }
    }
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
