//! Set of changed acknowledgements. A set, not a queue, so that a slow reader costs nothing.

use portolan_discovery::table::ResourceName;
use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// From here on it is cheaper to look at everything.
const MOST_NAMES: usize = 10_000;

/// Part of a class to reconcile again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The objects that these resources were compiled from.
    Names(BTreeSet<ResourceName>),
    /// Every object: a proxy came, went, or changed its readiness.
    Everything,
}

impl Scope {
    fn widen(&mut self, other: Self) {
        match (&mut *self, other) {
            (Self::Names(names), Self::Names(more)) => {
                names.extend(more);
                if names.len() > MOST_NAMES {
                    *self = Self::Everything;
                }
            }
            (_, Self::Everything) => *self = Self::Everything,
            (Self::Everything, Self::Names(_)) => {}
        }
    }
}

/// Changes that are not taken yet, by class.
#[derive(Debug, Default)]
pub(super) struct Changes {
    classes: Mutex<BTreeMap<String, Scope>>,
    filled: Notify,
}

impl Changes {
    pub(super) fn put(&self, class: &str, scope: Scope) {
        if scope == Scope::Names(BTreeSet::new()) {
            return;
        }
        let mut classes = self.classes.lock().unwrap_or_else(PoisonError::into_inner);
        match classes.get_mut(class) {
            Some(held) => held.widen(scope),
            None => {
                classes.insert(class.to_owned(), scope);
            }
        }
        drop(classes);
        self.filled.notify_one();
    }
}

/// The one receiver of changed acknowledgements.
#[derive(Debug)]
pub struct AckChanges(Arc<Changes>);

impl AckChanges {
    pub(super) fn of(changes: &Arc<Changes>) -> Self {
        Self(Arc::clone(changes))
    }

    /// Waits for changes and takes all that came since the last call, by class. Nothing is lost
    /// when the future is dropped.
    pub async fn changed(&mut self) -> BTreeMap<String, Scope> {
        loop {
            self.0.filled.notified().await;
            let mut classes = self
                .0
                .classes
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let taken = mem::take(&mut *classes);
            if !taken.is_empty() {
                return taken;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portolan_discovery::table::Kind;

    fn names(numbers: std::ops::Range<usize>) -> Scope {
        let name = |number: usize| ResourceName {
            kind: Kind::VirtualHost,
            name: number.to_string(),
        };
        Scope::Names(numbers.map(name).collect())
    }

    #[tokio::test]
    async fn merges_changes_between_two_reads() {
        let changes = Arc::new(Changes::default());
        let mut receiver = AckChanges::of(&changes);
        changes.put("public", names(0..2));
        changes.put("public", names(1..3));
        changes.put("private", Scope::Everything);
        let expected = [
            ("private".to_owned(), Scope::Everything),
            ("public".to_owned(), names(0..3)),
        ];
        assert_eq!(receiver.changed().await, expected.into());
    }

    #[tokio::test]
    async fn the_memory_of_a_slow_reader_is_bounded() {
        let changes = Arc::new(Changes::default());
        let mut receiver = AckChanges::of(&changes);
        changes.put("public", names(0..MOST_NAMES));
        changes.put("public", names(MOST_NAMES..MOST_NAMES + 1));
        changes.put("public", names(0..1));
        assert_eq!(receiver.changed().await["public"], Scope::Everything);
    }
}
