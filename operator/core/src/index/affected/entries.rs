//! Inserts, replaces and removes exposures in the index, and marks everything affected.

use crate::event::Affected;
use crate::index::Index;
use crate::index::affected::expiry;
use crate::index::affected::mark::Claimants;
use crate::index::resolve::exposure::{Exposure, Link};
use crate::index::store::classes::Classes;
use crate::index::store::namespaces::Home;
use crate::names::{ClassName, Hostname};
use crate::subject::Subject;
use crate::validate::ValidationError;
use jiff::Timestamp;
use std::collections::BTreeSet;

/// Exposure with its link to class, hostnames and routes.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) object: Exposure,
    /// The class that it has, even when it cannot be linked there.
    pub(in crate::index) class: Option<ClassName>,
    /// When a Lease of it was renewed last, if it needs one.
    pub(in crate::index) renewed: Option<Timestamp>,
    pub(crate) link: Result<Link, Vec<ValidationError>>,
}

impl Entry {
    fn new(
        subject: &Subject,
        object: Exposure,
        renewed: Option<Timestamp>,
        classes: &Classes,
        home: Home<'_>,
        now: Timestamp,
    ) -> Self {
        Self {
            class: object
                .class(classes)
                .ok()
                .filter(|_| object.is_root())
                .cloned(),
            link: object.link(subject, renewed, classes, home, now),
            renewed,
            object,
        }
    }

    /// Compares both without their status.
    fn is_equivalent(&self, other: &Self) -> bool {
        self.object.same_spec(&other.object) && self.class == other.class && self.link == other.link
    }
}

impl Index {
    /// Takes in an object as it is now.
    pub(in crate::index) fn put(
        &mut self,
        subject: &Subject,
        object: Option<Exposure>,
        affected: &mut Affected,
    ) {
        if object.is_none() && !self.objects.contains_key(subject) {
            return;
        }
        affected.objects.insert(subject.clone());
        let entry = object.map(|object| self.entry_of(subject, object));
        if let Some((before, entry)) = self.objects.get_mut(subject).zip(entry.as_ref())
            && before.is_equivalent(entry)
        {
            // Only its status was written, perhaps with the class that it was given.
            self.users.leave(subject, before, &self.grants);
            self.ends.forget(subject, before);
            before.object = entry.object.clone();
            self.users.enter(subject, before, &self.grants);
            self.ends.note(subject, before);
            return;
        }
        self.replace(subject, entry, affected);
    }

    /// Links objects again, after something changed that they depend on.
    pub(in crate::index) fn relink(
        &mut self,
        concerned: BTreeSet<Subject>,
        affected: &mut Affected,
    ) {
        for subject in concerned {
            let Some(before) = self.objects.get(&subject) else {
                continue;
            };
            let entry = self.entry_of(&subject, before.object.clone());
            if !before.is_equivalent(&entry) {
                affected.objects.insert(subject.clone());
                self.replace(&subject, Some(entry), affected);
            }
        }
    }

    pub(in crate::index) fn entry_of(&self, subject: &Subject, object: Exposure) -> Entry {
        let renewed = expiry::renewed(&self.leases, subject, &object);
        let home = self.namespaces.home(subject.namespace());
        Entry::new(
            subject,
            object,
            renewed,
            &self.classes,
            home,
            self.serving.now,
        )
    }

    /// Puts an object in the place of what was there under its name, or nothing.
    ///
    /// The hostnames of both are marked before and after: the object that served one, and the one that does now,
    /// must be found. Claimants are disturbed only where the object comes first, before or after: else
    /// a namespace with a thousand claims on one name would have each of them checked a thousand times.
    pub(in crate::index) fn replace(
        &mut self,
        subject: &Subject,
        entry: Option<Entry>,
        affected: &mut Affected,
    ) {
        let entries = [self.objects.get(subject), entry.as_ref()];
        let hosts: BTreeSet<_> = entries
            .into_iter()
            .flatten()
            .flat_map(hostnames_of)
            .collect();
        let usage = self.usage(entries.into_iter().flatten());
        self.mark_replaced(subject, &hosts, affected);
        let mut primary = BTreeSet::new();
        if let Some(before) = self.objects.remove(subject) {
            primary.extend(self.primary_hostnames(subject, &before));
            affected.secrets |= self.users.leave(subject, &before, &self.grants);
            self.ends.forget(subject, &before);
            for host in hostnames_of(&before) {
                self.hostnames
                    .withdraw(&host, &before.object.claim(subject));
            }
        }
        if let Some(entry) = entry {
            affected.secrets |= self.users.enter(subject, &entry, &self.grants);
            self.ends.note(subject, &entry);
            if let Ok(Link::Root(link)) = &entry.link {
                for host in &link.hostnames {
                    self.hostnames
                        .claim(host, entry.object.claim(subject), link.class.clone());
                }
            }
            primary.extend(self.primary_hostnames(subject, &entry));
            self.objects.insert(subject.clone(), entry);
        }
        self.mark_replaced(subject, &hosts, affected);
        self.mark_hosts(&primary, Claimants::Recheck, affected);
        self.mark_used(usage, affected);
    }

    /// The hostnames for which an object comes first.
    fn primary_hostnames(&self, subject: &Subject, entry: &Entry) -> Vec<Hostname> {
        let Ok(Link::Root(link)) = &entry.link else {
            return Vec::new();
        };
        let claim = entry.object.claim(subject);
        let leads = |host: &&Hostname| self.hostnames.is_primary(&claim, &link.class, host);
        link.hostnames.iter().filter(leads).cloned().collect()
    }
}

fn hostnames_of(entry: &Entry) -> Vec<Hostname> {
    match &entry.link {
        Ok(Link::Root(link)) => link.hostnames.clone(),
        Ok(Link::Child(_)) | Err(_) => Vec::new(),
    }
}
