//! What happens to what comes in: no I/O, so that every order of events can be tried.

use super::report::{Changes, Row};
use super::table::Table;
use super::world::{Consequences, World};
use crate::files::{Folder, Key, Trouble, Update, field_in};
use jiff::Timestamp;
use portolan_core::Subject;
use portolan_discovery::delta::Batch;
use portolan_discovery::session;
use portolan_discovery::table::ResourceName;
use std::collections::BTreeSet;

/// The world and the table, kept in step.
pub(super) struct Engine {
    world: World,
    table: Table,
    troubles: BTreeSet<Trouble>,
    changes: Changes,
}

impl Engine {
    pub(super) fn new((world, consequences): (World, Consequences), now: Timestamp) -> Self {
        let mut engine = Self {
            world,
            table: Table::default(),
            troubles: BTreeSet::new(),
            changes: Changes::default(),
        };
        engine.follow(consequences, &Folder::default(), now);
        engine
    }

    /// The folder differs.
    pub(super) fn take_in(&mut self, update: Update, folder: &Folder, now: Timestamp) {
        let consequences = self.world.take_in(update.applied, update.gone, now);
        self.follow(consequences, folder, now);
        let mut troubles: BTreeSet<Trouble> = update.troubles.into_iter().collect();
        let (class, mistakes) = self.world.mistakes_of_class();
        let class = Key::expose_class(&class);
        let told = mistakes
            .iter()
            .filter_map(|told| folder.trouble(&class, told));
        troubles.extend(told);
        let before = std::mem::replace(&mut self.troubles, troubles);
        for solved in before.difference(&self.troubles) {
            // What was not told yet need not be taken back.
            if !self.changes.new_troubles.remove(solved) {
                self.changes.solved.insert(solved.clone());
            }
        }
        for new in self.troubles.difference(&before) {
            if !self.changes.solved.remove(new) {
                self.changes.new_troubles.insert(new.clone());
            }
        }
    }

    /// What the data plane is to be told now.
    pub(super) fn batch(&mut self) -> Option<Batch> {
        self.table.batch()
    }

    /// The data plane has applied a batch.
    pub(super) fn hear(
        &mut self,
        verdicts: Vec<session::Verdict>,
        removed: &[ResourceName],
        folder: &Folder,
        now: Timestamp,
    ) {
        let names = self.table.hear(verdicts, removed);
        self.judge_users(names, folder, now);
    }

    /// Clients are shown other certificates.
    pub(super) fn shown(&mut self, served: &[session::Served], folder: &Folder, now: Timestamp) {
        let names = self.table.shown(served);
        self.judge_users(names, folder, now);
    }

    /// Whether requests are taken may have changed.
    pub(super) fn set_ready(&mut self, ready: bool, folder: &Folder, now: Timestamp) {
        if self.table.set_ready(ready) {
            self.judge(self.world.objects(), folder, now);
        }
    }

    /// Time has passed.
    pub(super) fn wake(&mut self, folder: &Folder, now: Timestamp) {
        let consequences = self.world.take_time(now);
        self.follow(consequences, folder, now);
        self.judge(self.world.due(now), folder, now);
    }

    pub(super) fn wake_at(&self) -> Timestamp {
        self.world.wake_at()
    }

    /// Why a listener is not open.
    pub(super) fn refused_listener(&self) -> Option<&str> {
        self.table.refused_listener()
    }

    pub(super) fn has_news(&self) -> bool {
        !self.changes.is_empty() && self.table.is_told()
    }

    /// What changed since the last time.
    pub(super) fn news(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }

    fn follow(&mut self, consequences: Consequences, folder: &Folder, now: Timestamp) {
        self.table.want(consequences.resources);
        self.judge(consequences.objects, folder, now);
    }

    fn judge_users(&mut self, names: BTreeSet<ResourceName>, folder: &Folder, now: Timestamp) {
        let users = names
            .iter()
            .flat_map(|name| self.world.users(name))
            .collect();
        self.judge(users, folder, now);
    }

    fn judge(&mut self, objects: BTreeSet<Subject>, folder: &Folder, now: Timestamp) {
        for object in objects {
            let key = Key::exposed_port(object.object());
            let Some(place) = folder.place(&key) else {
                self.changes.objects.insert(object, None);
                continue;
            };
            let seen = self.table.observe(&self.world.resources_of(&object));
            let Some(status) = self.world.judge(&object, seen, now) else {
                continue;
            };
            let line = place.lines.of(field_in(&status.description));
            let row = Row {
                place: format!("{}:{line}", place.file),
                status,
            };
            self.changes.objects.insert(object, Some(row));
        }
    }
}

#[cfg(test)]
mod tests;
