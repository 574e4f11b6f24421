//! Classes in use: those stay until the last object is gone, and report it.

use crate::IN_USE;
use crate::event::Affected;
use crate::index::resolve::exposure::Link;
use crate::index::{Entry, Index};
use crate::names::ClassName;
use crate::subject::Subject;
use std::collections::BTreeSet;

/// Which classes were used before a change.
pub(in crate::index) struct Usage(Vec<(ClassName, bool)>);

impl Index {
    /// Finalizers that a class should have; `None` when it has them.
    ///
    /// A class that objects use is not gone before them. One that is being deleted cannot be
    /// protected any more: the API server only allows its finalizers to be removed.
    pub fn finalizers(&self, class: &ClassName) -> Option<Vec<String>> {
        let facts = self.classes.get(class)?;
        let has = facts.finalizers.iter().any(|finalizer| finalizer == IN_USE);
        let mut finalizers = facts.finalizers.clone();
        match (has, self.is_used(class)) {
            (false, true) if !facts.leaving => finalizers.push(IN_USE.to_owned()),
            (true, false) => finalizers.retain(|finalizer| finalizer != IN_USE),
            _ => return None,
        }
        Some(finalizers)
    }

    /// Returns true if a class is being deleted and unused: then nothing is created for it any more.
    pub fn is_finished(&self, class: &ClassName) -> bool {
        let leaving = self.classes.get(class).is_some_and(|facts| facts.leaving);
        leaving && !self.is_used(class)
    }

    fn is_used(&self, class: &ClassName) -> bool {
        self.users.served_by(class).is_some()
    }

    /// To be taken before objects are put in one another's place.
    pub(in crate::index) fn usage<'a>(&self, entries: impl Iterator<Item = &'a Entry>) -> Usage {
        let classes: BTreeSet<_> = entries.filter_map(class_of).collect();
        let used = |class: &ClassName| (class.clone(), self.is_used(class));
        Usage(classes.into_iter().map(used).collect())
    }

    /// Marks the classes that have a first user now, or none; one that is being deleted names them.
    pub(in crate::index) fn mark_used(&self, before: Usage, affected: &mut Affected) {
        for (class, was_used) in before.0 {
            let leaving = self.classes.get(&class).is_some_and(|facts| facts.leaving);
            if leaving || was_used != self.is_used(&class) {
                affected.classes.insert(class);
            }
        }
    }

    /// Some of those that use a class, and how many there are.
    pub(crate) fn some_users_of(
        &self,
        class: &ClassName,
        some: usize,
    ) -> Option<(Vec<&Subject>, usize)> {
        let users = self.users.served_by(class)?;
        Some((users.iter().take(some).collect(), users.len()))
    }
}

fn class_of(entry: &Entry) -> Option<&ClassName> {
    match entry.link.as_ref().ok()? {
        Link::Root(root) => Some(&root.class),
        Link::Child(_) => None,
    }
}
