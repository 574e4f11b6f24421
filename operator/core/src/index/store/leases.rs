//! Leases that programs renew to keep an object alive, and when each was renewed last.
//!
//! Of a Lease no more is kept than this. It is believed no further than the API server saw it written:
//! `renewTime` comes from a program, whose clock may be wrong, and must not hold a name for ever.

use crate::EXPOSED_PORT;
use crate::event::Change;
use crate::names::ObjectRef;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use std::collections::{BTreeMap, BTreeSet};

/// The API server writes down whole seconds.
const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// Leases, and the objects that they keep alive.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    leases: BTreeMap<ObjectRef, Renewal>,
    /// By the object that they keep alive, with their names: the one that was renewed last stands last.
    renewals: BTreeMap<ObjectRef, BTreeSet<(Timestamp, String)>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Renewal {
    object: ObjectRef,
    at: Timestamp,
}

impl Leases {
    /// The objects that it may be about, before or after.
    pub(in crate::index) fn apply(&mut self, change: Change<Lease>) -> BTreeSet<ObjectRef> {
        let lease = change.reference();
        let after = match change {
            Change::Applied(lease) => read(*lease),
            Change::Deleted(_) => None,
        };
        let before = match &after {
            Some(after) => self.leases.insert(lease.clone(), after.clone()),
            None => self.leases.remove(&lease),
        };
        if before == after {
            return BTreeSet::new();
        }
        if let Some(Renewal { object, at }) = &before
            && let Some(renewals) = self.renewals.get_mut(object)
        {
            renewals.remove(&(*at, lease.name.clone()));
            if renewals.is_empty() {
                self.renewals.remove(object);
            }
        }
        if let Some(Renewal { object, at }) = &after {
            let renewals = self.renewals.entry(object.clone()).or_default();
            renewals.insert((*at, lease.name));
        }
        let both = before.into_iter().chain(after);
        both.map(|renewal| renewal.object).collect()
    }

    /// When a Lease of the object was renewed last.
    pub(in crate::index) fn renewed(&self, object: &ObjectRef) -> Option<Timestamp> {
        let (at, _) = self.renewals.get(object)?.last()?;
        Some(*at)
    }
}

/// `None` when it keeps nothing alive: it names no object, or was never acquired.
fn read(lease: Lease) -> Option<Renewal> {
    let metadata = lease.metadata;
    let named = |names: Option<BTreeMap<String, String>>| names?.remove(EXPOSED_PORT);
    // A name that is too long for a label stands in the annotation.
    let name = named(metadata.annotations).or_else(|| named(metadata.labels))?;
    let spec = lease.spec?;
    let renewed = spec.renew_time.or(spec.acquire_time)?.0;
    let written = metadata.managed_fields.into_iter().flatten();
    let written = written.filter_map(|entry| entry.time).map(|time| time.0);
    // `managedFields` may have been removed.
    let written = written
        .max()
        .or(metadata.creation_timestamp.map(|time| time.0))?;
    let bound = written.saturating_add(SECOND).unwrap_or(Timestamp::MAX);
    Some(Renewal {
        object: ObjectRef::new(metadata.namespace.unwrap_or_default(), name),
        at: renewed.min(bound),
    })
}
