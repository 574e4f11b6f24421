//! Changes with time alone: expired objects, and those whose Lease was not renewed.

use crate::event::{Affected, Change};
use crate::index::resolve::exposure::Exposure;
use crate::index::store::leases::Leases;
use crate::index::{Entry, Index};
use crate::reason::Reason;
use crate::subject::Subject;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use portolan_crds::OnExpiry;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Included, Unbounded};

/// Time to renew a Lease after it lapsed, before the object is deleted.
const LEASE_GRACE: SignedDuration = SignedDuration::from_hours(1);

/// When objects end, those that have ended included: a clock may be put back.
#[derive(Debug, Default)]
pub(crate) struct ExpiryQueue(BTreeMap<Timestamp, BTreeSet<Subject>>);

impl ExpiryQueue {
    pub(in crate::index) fn note(&mut self, subject: &Subject, entry: &Entry) {
        for end in entry.ends() {
            self.0.entry(end).or_default().insert(subject.clone());
        }
    }

    pub(in crate::index) fn forget(&mut self, subject: &Subject, entry: &Entry) {
        for end in entry.ends() {
            if let Some(objects) = self.0.get_mut(&end) {
                objects.remove(subject);
                if objects.is_empty() {
                    self.0.remove(&end);
                }
            }
        }
    }

    /// Those for which it matters whether it is the one time or the other.
    fn between(&self, one: Timestamp, other: Timestamp) -> BTreeSet<Subject> {
        let span = (Excluded(one.min(other)), Included(one.max(other)));
        let ends = self.0.range(span);
        ends.flat_map(|(_, objects)| objects).cloned().collect()
    }
}

impl Entry {
    /// When its Lease lapses, as it was renewed last; `None`: it needs none.
    fn lease_expiry(&self) -> Option<Timestamp> {
        self.object.lease_expiry(self.renewed)
    }

    /// When the object is deleted because its Lease has lapsed: an hour later, of which people could
    /// read for an hour. A Lease that was deleted leaves no trace of when; the status has one.
    fn delete_after(&self) -> Option<Timestamp> {
        let lapse = self.lease_expiry()?;
        let mut conditions = self.object.reported.conditions.iter();
        let accepted = conditions
            .find(|condition| condition.type_ == "Accepted" && reports_end(&condition.reason))?;
        let from = lapse.max(accepted.last_transition_time.0);
        Some(from.saturating_add(LEASE_GRACE).unwrap_or(Timestamp::MAX))
    }

    /// Every moment at which it becomes something else.
    fn ends(&self) -> impl Iterator<Item = Timestamp> {
        let ends = [self.object.end(), self.lease_expiry(), self.delete_after()];
        ends.into_iter().flatten()
    }
}

fn reports_end(reason: &str) -> bool {
    [Reason::LeaseLapsed, Reason::Expired]
        .iter()
        .any(|ending| ending.as_str() == reason)
}

/// When one of the Leases of an object was renewed last, if it needs one.
pub(in crate::index) fn renewed(
    leases: &Leases,
    subject: &Subject,
    object: &Exposure,
) -> Option<Timestamp> {
    let Subject::ExposedPort(exposed_port) = subject else {
        return None;
    };
    leases
        .renewed(exposed_port)
        .filter(|_| object.needs_lease())
}

impl Index {
    /// The next moment at which time alone ends an object: apply [`crate::Event::Now`] then.
    pub fn changes_at(&self) -> Option<Timestamp> {
        let now = self.serving.now;
        let mut later = self.ends.0.range((Excluded(now), Unbounded));
        later.next().map(|(end, _)| *end)
    }

    /// The UID of an object that has ended and is to be deleted then.
    pub fn wants_deletion(&self, object: &Subject) -> Option<&str> {
        let entry = self.entry(object)?;
        let object = &entry.object;
        let over = |end: Option<Timestamp>| end.is_some_and(|end| end <= self.serving.now);
        let expired = over(object.end()) && object.on_expiry() == OnExpiry::Delete;
        (expired || over(entry.delete_after())).then_some(object.uid.as_str())
    }

    /// Time went on, or a clock was put right.
    pub(in crate::index) fn advance_clock(
        &mut self,
        before: Timestamp,
        now: Timestamp,
        affected: &mut Affected,
    ) {
        for subject in self.ends.between(before, now) {
            let Some(entry) = self.objects.get(&subject) else {
                continue;
            };
            let entry = self.entry_of(&subject, entry.object.clone());
            affected.objects.insert(subject.clone());
            self.replace(&subject, Some(entry), affected);
        }
    }

    /// A Lease was renewed in time in nearly every case: then only the next end is another.
    pub(in crate::index) fn apply_lease(&mut self, change: Change<Lease>, affected: &mut Affected) {
        for exposed_port in self.leases.apply(change) {
            let subject = Subject::ExposedPort(exposed_port);
            let Some(entry) = self.objects.get_mut(&subject) else {
                continue;
            };
            let renewed = renewed(&self.leases, &subject, &entry.object);
            if renewed == entry.renewed {
                continue;
            }
            let now = self.serving.now;
            let fresh = |entry: &Entry| entry.lease_expiry().is_none_or(|lapse| lapse > now);
            let was_fresh = fresh(entry);
            self.ends.forget(&subject, entry);
            entry.renewed = renewed;
            self.ends.note(&subject, entry);
            if !(was_fresh && fresh(entry)) {
                let object = entry.object.clone();
                let entry = self.entry_of(&subject, object);
                affected.objects.insert(subject.clone());
                self.replace(&subject, Some(entry), affected);
            }
        }
    }
}
