//! The children of one owner: each applied for itself, so that one that is refused holds up no other.

use super::witness::Witness;
use super::{Attempt, Reconciler};
use crate::apply::{Applied, Applier, ChildId, Desired, Owner, Standing, standing};
use crate::client::Trouble;
use crate::key::Key;
use portolan_core::{Child, ChildKey, ChildState};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;
use tracing::{debug, error};

/// How often an object that stands in the way is looked at.
const FOREIGN: Duration = Duration::from_secs(30);

/// What an owner should have.
pub(super) struct Family {
    key: Key,
    owner: Owner,
    desired: Vec<(ChildKey, Desired)>,
}

/// What became of each child.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    states: BTreeMap<ChildKey, ChildState>,
    /// The first trouble that is worth another attempt.
    trouble: Option<Trouble>,
}

impl Family {
    pub(super) fn of(key: &Key, owner: Owner, children: Vec<Child>) -> Self {
        let desired = children.into_iter().filter_map(|child| {
            let key = child.key();
            let desired = Desired::new(child.value);
            if desired.is_none() {
                error!(child = ?key, "of no kind that is written; this is a fault of Portolan");
            }
            Some((key, desired?))
        });
        Self {
            key: key.clone(),
            owner,
            desired: desired.collect(),
        }
    }

    /// Makes it what it should be: applies every child, and deletes what is desired no longer.
    pub(super) async fn keep(
        &self,
        context: &Reconciler,
        witness: &Witness<'_>,
        attempt: Attempt,
    ) -> Result<Outcomes, Trouble> {
        let outcomes = self.apply(&context.applier, witness, attempt).await?;
        if outcomes.has_foreign() {
            // Nobody tells us when a foreign object goes: it carries no label of ours.
            let again = Instant::now() + FOREIGN;
            context.queue.add_at(self.key.clone(), again);
        }
        self.prune(&context.applier).await?;
        Ok(outcomes)
    }

    /// Applies every child. An error means that nothing can be said yet: what passes by itself is
    /// no reason to change a status, unless it does not pass.
    async fn apply(
        &self,
        applier: &Applier,
        witness: &Witness<'_>,
        attempt: Attempt,
    ) -> Result<Outcomes, Trouble> {
        let mut outcomes = Outcomes::default();
        let mut passing = None;
        for (key, desired) in &self.desired {
            let state = match applier
                .apply(desired, &self.owner, witness.vouch(key))
                .await
            {
                Ok(Applied::InPlace) => ChildState::Applied,
                Ok(Applied::Foreign { of }) => {
                    debug!(child = %desired.id, of, "left alone: it is not ours");
                    ChildState::Foreign
                }
                Err(trouble @ Trouble::NotLeading) => return Err(trouble),
                Err(trouble @ Trouble::Passing { .. }) if attempt.is_patient() => {
                    passing.get_or_insert(trouble);
                    continue;
                }
                Err(trouble) => {
                    let told = ChildState::Failed(trouble.to_string());
                    outcomes.trouble.get_or_insert(trouble);
                    told
                }
            };
            outcomes.states.insert(key.clone(), state);
        }
        passing.map_or(Ok(outcomes), Err)
    }

    /// Deletes what is ours and desired no longer.
    pub(super) async fn prune(&self, applier: &Applier) -> Result<(), Trouble> {
        let desired: BTreeSet<&ChildId> = self.desired.iter().map(|(_, it)| &it.id).collect();
        for (id, seen) in applier.children().of(&self.key) {
            let ours = match standing(&seen.metadata, &self.owner) {
                Standing::Ours => !desired.contains(&id),
                Standing::Stray => true,
                Standing::Leftover | Standing::Foreign { .. } => false,
            };
            if ours {
                applier.remove(&id, &seen).await?;
            }
        }
        Ok(())
    }
}

impl Outcomes {
    pub(super) fn states(&self) -> BTreeMap<ChildKey, ChildState> {
        self.states.clone()
    }

    fn has_foreign(&self) -> bool {
        self.states.values().any(|it| *it == ChildState::Foreign)
    }

    /// How the pass ends: with what is worth another attempt, if anything.
    pub(super) fn trouble(self) -> Result<(), Trouble> {
        self.trouble.map_or(Ok(()), Err)
    }
}

/// Which object a child is.
pub(super) fn id(child: &Child) -> Option<ChildId> {
    ChildId::of(&child.value)
}
