//! Applies the children of one owner, each by itself, so that a rejected one does not block the others.

use super::owner_check::OwnerCheck;
use super::{Attempt, Reconciler};
use crate::apply::{Applied, Applier, ChildId, Desired, Owner, Standing, standing};
use crate::client::ApiError;
use crate::key::Key;
use portolan_core::{Child, ChildKey, ChildState};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;
use tracing::{debug, error};

/// Interval of the checks of a foreign object that is in the way.
const FOREIGN_INTERVAL: Duration = Duration::from_secs(30);

/// Desired children of one owner.
pub(super) struct ChildSet {
    key: Key,
    owner: Owner,
    desired: Vec<(ChildKey, Desired)>,
}

/// Result of each child.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    states: BTreeMap<ChildKey, ChildState>,
    /// First error to retry.
    error: Option<ApiError>,
}

impl ChildSet {
    pub(super) fn of(key: &Key, owner: Owner, children: Vec<Child>) -> Self {
        let desired = children.into_iter().filter_map(|child| {
            let key = child.key();
            let desired = Desired::new(child.value);
            if desired.is_none() {
                error!(child = ?key, "unknown kind of child; this is a bug in Portolan");
            }
            Some((key, desired?))
        });
        Self {
            key: key.clone(),
            owner,
            desired: desired.collect(),
        }
    }

    /// Applies every child, and deletes those that are no longer desired.
    pub(super) async fn reconcile(
        &self,
        context: &Reconciler,
        owner_check: &OwnerCheck<'_>,
        attempt: Attempt,
    ) -> Result<Outcomes, ApiError> {
        let outcomes = self.apply(&context.applier, owner_check, attempt).await?;
        if outcomes.has_foreign() {
            // Foreign objects have no label of Portolan, so they are not watched.
            let again = Instant::now() + FOREIGN_INTERVAL;
            context.queue.add_at(self.key.clone(), again);
        }
        self.prune(&context.applier).await?;
        Ok(outcomes)
    }

    /// Applies every child. Returns an error if the result is not known yet: a transient error does not change
    /// the status until its retries are used up.
    async fn apply(
        &self,
        applier: &Applier,
        owner_check: &OwnerCheck<'_>,
        attempt: Attempt,
    ) -> Result<Outcomes, ApiError> {
        let mut outcomes = Outcomes::default();
        let mut transient = None;
        for (key, desired) in &self.desired {
            let state = match applier
                .apply(desired, &self.owner, owner_check.ensure_alive(key))
                .await
            {
                Ok(Applied::InPlace) => ChildState::Applied,
                Ok(Applied::Foreign { of }) => {
                    debug!(child = %desired.id, of, "skipped child: an object with its name is not managed by Portolan");
                    ChildState::Foreign
                }
                Err(error @ ApiError::NotLeader) => return Err(error),
                Err(error @ ApiError::Transient { .. }) if attempt.may_retry() => {
                    transient.get_or_insert(error);
                    continue;
                }
                Err(error) => {
                    let state = ChildState::Failed(error.to_string());
                    outcomes.error.get_or_insert(error);
                    state
                }
            };
            outcomes.states.insert(key.clone(), state);
        }
        transient.map_or(Ok(outcomes), Err)
    }

    /// Deletes children that are no longer desired.
    pub(super) async fn prune(&self, applier: &Applier) -> Result<(), ApiError> {
        let desired: BTreeSet<&ChildId> = self.desired.iter().map(|(_, child)| &child.id).collect();
        for (id, seen) in applier.children().of(&self.key) {
            let is_obsolete = match standing(&seen.metadata, &self.owner) {
                Standing::Ours => !desired.contains(&id),
                Standing::Stray => true,
                Standing::Leftover | Standing::Foreign { .. } => false,
            };
            if is_obsolete {
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
        self.states
            .values()
            .any(|state| *state == ChildState::Foreign)
    }

    /// Returns the first error to retry, if any.
    pub(super) fn into_result(self) -> Result<(), ApiError> {
        self.error.map_or(Ok(()), Err)
    }
}

/// Returns the identity of a child.
pub(super) fn id(child: &Child) -> Option<ChildId> {
    ChildId::of(&child.value)
}
