//! Handles events. Without I/O, so that every order of events can be tested.

use super::environment::{Affected, Environment};
use super::report::{Changes, Row};
use super::table::Table;
use crate::files::{Diagnostic, Folder, Key, Update, field_in};
use jiff::Timestamp;
use portolan_core::Subject;
use portolan_discovery::delta::Batch;
use portolan_discovery::session;
use portolan_discovery::table::ResourceName;
use std::collections::BTreeSet;

/// Environment and table, kept consistent.
pub(super) struct Engine {
    environment: Environment,
    table: Table,
    diagnostics: BTreeSet<Diagnostic>,
    changes: Changes,
}

impl Engine {
    pub(super) fn new((environment, affected): (Environment, Affected), now: Timestamp) -> Self {
        let mut engine = Self {
            environment,
            table: Table::default(),
            diagnostics: BTreeSet::new(),
            changes: Changes::default(),
        };
        engine.follow(affected, &Folder::default(), now);
        engine
    }

    /// Applies changes of the folder.
    pub(super) fn update(&mut self, update: Update, folder: &Folder, now: Timestamp) {
        let affected = self.environment.update(update.applied, update.deleted, now);
        self.follow(affected, folder, now);
        let mut diagnostics: BTreeSet<Diagnostic> = update.diagnostics.into_iter().collect();
        let (class, messages) = self.environment.class_errors();
        let class = Key::expose_class(&class);
        let of_class = messages
            .iter()
            .filter_map(|message| folder.diagnostic(&class, message));
        diagnostics.extend(of_class);
        let before = std::mem::replace(&mut self.diagnostics, diagnostics);
        for diagnostic in before.difference(&self.diagnostics) {
            // An error that was not reported yet need not be resolved.
            if !self.changes.errors.remove(diagnostic) {
                self.changes.resolved.insert(diagnostic.clone());
            }
        }
        for diagnostic in self.diagnostics.difference(&before) {
            if !self.changes.resolved.remove(diagnostic) {
                self.changes.errors.insert(diagnostic.clone());
            }
        }
    }

    /// Returns the next batch for the data plane.
    pub(super) fn batch(&mut self) -> Option<Batch> {
        self.table.batch()
    }

    /// Records that the data plane has applied a batch.
    pub(super) fn record_acks(
        &mut self,
        acks: Vec<session::ResourceAck>,
        removed: &[ResourceName],
        folder: &Folder,
        now: Timestamp,
    ) {
        let names = self.table.record_acks(acks, removed);
        self.update_users(names, folder, now);
    }

    /// Records the certificates that the data plane presents.
    pub(super) fn record_certificates(
        &mut self,
        served: &[session::PresentedCertificate],
        folder: &Folder,
        now: Timestamp,
    ) {
        let names = self.table.record_certificates(served);
        self.update_users(names, folder, now);
    }

    /// Records the readiness of the data plane.
    pub(super) fn set_ready(&mut self, ready: bool, folder: &Folder, now: Timestamp) {
        if self.table.set_ready(ready) {
            self.update_statuses(self.environment.objects(), folder, now);
        }
    }

    /// Applies the passing of time.
    pub(super) fn wake(&mut self, folder: &Folder, now: Timestamp) {
        let affected = self.environment.advance_clock(now);
        self.follow(affected, folder, now);
        self.update_statuses(self.environment.due(now), folder, now);
    }

    /// Returns the time of the next [`Self::wake`].
    pub(super) fn wake_at(&self) -> Timestamp {
        self.environment.wake_at()
    }

    /// Returns the error of a listener.
    pub(super) fn listener_error(&self) -> Option<&str> {
        self.table.listener_error()
    }

    /// Returns true if there are changes to report, and none is waiting for the data plane.
    pub(super) fn has_changes(&self) -> bool {
        !self.changes.is_empty() && self.table.is_sent()
    }

    /// Returns the changes since the last call.
    pub(super) fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }

    fn follow(&mut self, affected: Affected, folder: &Folder, now: Timestamp) {
        self.table.want(affected.resources);
        self.update_statuses(affected.objects, folder, now);
    }

    fn update_users(&mut self, names: BTreeSet<ResourceName>, folder: &Folder, now: Timestamp) {
        let users = names
            .iter()
            .flat_map(|name| self.environment.users(name))
            .collect();
        self.update_statuses(users, folder, now);
    }

    fn update_statuses(&mut self, objects: BTreeSet<Subject>, folder: &Folder, now: Timestamp) {
        for object in objects {
            let key = Key::exposed_port(object.object());
            let Some(location) = folder.location(&key) else {
                self.changes.objects.insert(object, None);
                continue;
            };
            let observed = self.table.observe(&self.environment.resources_of(&object));
            let Some(status) = self.environment.update_status(&object, observed, now) else {
                continue;
            };
            let line = location.lines.of(field_in(&status.description));
            let row = Row {
                location: format!("{}:{line}", location.file),
                status,
            };
            self.changes.objects.insert(object, Some(row));
        }
    }
}

#[cfg(test)]
mod tests;
