//! What changes with time alone: objects whose time is over.

use super::Index;
use super::link::Object;
use crate::event::Affected;
use crate::names::ObjectRef;
use jiff::Timestamp;
use portolan_crds::OnExpiry;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Included, Unbounded};

/// When objects end, those that have ended included: a clock may be put back.
#[derive(Debug, Default)]
pub(crate) struct Ends(BTreeMap<Timestamp, BTreeSet<ObjectRef>>);

impl Ends {
    pub(super) fn note(&mut self, me: &ObjectRef, object: &Object) {
        if let Some(end) = object.end() {
            self.0.entry(end).or_default().insert(me.clone());
        }
    }

    pub(super) fn forget(&mut self, me: &ObjectRef, object: &Object) {
        let Some(end) = object.end() else {
            return;
        };
        if let Some(objects) = self.0.get_mut(&end) {
            objects.remove(me);
            if objects.is_empty() {
                self.0.remove(&end);
            }
        }
    }

    /// Those for which it matters whether it is the one time or the other.
    fn between(&self, one: Timestamp, other: Timestamp) -> Vec<ObjectRef> {
        let span = (Excluded(one.min(other)), Included(one.max(other)));
        let ends = self.0.range(span);
        ends.flat_map(|(_, objects)| objects).cloned().collect()
    }
}

impl Index {
    /// The next moment at which time alone ends an object: tell [`crate::Event::Now`] then.
    pub fn changes_at(&self) -> Option<Timestamp> {
        let now = self.serving.now;
        let mut later = self.ends.0.range((Excluded(now), Unbounded));
        later.next().map(|(end, _)| *end)
    }

    /// The UID of an object that has ended and wants to be deleted then.
    pub fn wants_deletion(&self, object: &ObjectRef) -> Option<&str> {
        let object = &self.entry(object)?.object;
        let over = object.end().is_some_and(|end| end <= self.serving.now);
        (over && object.on_expiry() == OnExpiry::Delete).then_some(object.uid.as_str())
    }

    /// Time went on, or a clock was put right.
    pub(super) fn turn(&mut self, before: Timestamp, now: Timestamp, affected: &mut Affected) {
        for me in self.ends.between(before, now) {
            let Some(entry) = self.objects.get(&me) else {
                continue;
            };
            let entry = self.entry_of(&me, entry.object.clone());
            affected.objects.insert(me.clone());
            self.replace(&me, Some(entry), affected);
        }
    }
}
