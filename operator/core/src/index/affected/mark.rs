//! Marks what a change affects: exposures to check again, and resources that proxies may need.

use crate::event::Affected;
use crate::index::Index;
use crate::index::resource_names::class_settings;
use crate::index::resource_names::virtual_host;
use crate::names::{ClassName, Hostname, ObjectRef};
use crate::subject::Subject;
use std::collections::BTreeSet;

/// Treatment of the claimants of a marked hostname.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::index) enum Claimants {
    Keep,
    Recheck,
}

impl Index {
    /// Marks what an object serves as it stands, by itself or under others, whose routes those outdo,
    /// and every exposure that it is related to.
    pub(in crate::index) fn mark_replaced(
        &self,
        subject: &Subject,
        hosts: &BTreeSet<Hostname>,
        affected: &mut Affected,
    ) {
        self.mark_hosts(hosts, Claimants::Keep, affected);
        let concerned = self.delegating_to(subject);
        self.mark_objects(&concerned, affected);
        for object in &concerned {
            affected.objects.extend(self.overridden_by(object));
        }
        affected.objects.extend(self.delegated_to_by(subject));
    }

    /// Marks hostnames, those below a wildcard among them, and perhaps every claimant of them and
    /// every resource that depends on them.
    pub(in crate::index) fn mark_hosts<'a>(
        &self,
        hosts: impl IntoIterator<Item = &'a Hostname>,
        rivals: Claimants,
        affected: &mut Affected,
    ) {
        for host in hosts {
            for host in self.hostnames.depending(host) {
                affected.holds.insert(host.clone());
                for class in self.hostnames.classes(host) {
                    let name = virtual_host(host);
                    affected.resources.insert((class.clone(), name));
                    if rivals == Claimants::Recheck {
                        for holder in self.hostnames.holders(class, host) {
                            self.mark_host_of(holder, host, affected);
                        }
                    }
                }
                if rivals == Claimants::Recheck {
                    let claimants = self.hostnames.claimants(host);
                    affected
                        .objects
                        .extend(claimants.map(|(object, _)| object.clone()));
                }
            }
        }
    }

    /// Marks objects, and the resources that depend on them.
    pub(in crate::index) fn mark_objects(
        &self,
        objects: &BTreeSet<Subject>,
        affected: &mut Affected,
    ) {
        for subject in objects {
            affected.objects.insert(subject.clone());
            for root in self.roots_of(subject) {
                let Some((_, link)) = self.linked(&root) else {
                    continue;
                };
                for host in self.served(&root, link) {
                    self.mark_host_of(&root, host, affected);
                }
            }
        }
    }

    /// Marks the resources of a hostname that an object serves, and of those below it.
    pub(in crate::index) fn mark_host_of(
        &self,
        subject: &Subject,
        host: &Hostname,
        affected: &mut Affected,
    ) {
        if let Some((object, link)) = self.linked(subject) {
            let mut names = self.host_resources(object, link, host);
            for below in self.descendants(subject) {
                if let Some((object, routing)) = self.routing(&below) {
                    names.extend(self.backend_resources(object, routing, &link.requirements));
                }
            }
            let class = &link.class;
            affected
                .resources
                .extend(names.into_iter().map(|name| (class.clone(), name)));
        }
    }

    /// Marks classes, and what holds for every host of theirs.
    pub(in crate::index) fn mark_classes(
        &self,
        classes: &BTreeSet<ClassName>,
        affected: &mut Affected,
    ) {
        for class in classes {
            affected.classes.insert(class.clone());
            for name in self.resources_of_class(class) {
                affected.resources.insert((class.clone(), name));
            }
        }
    }

    pub(in crate::index) fn mark_all_settings(&self, affected: &mut Affected) {
        for class in self.classes.names() {
            affected.resources.insert((class.clone(), class_settings()));
        }
    }

    /// Marks a class and its objects: the Service before the proxies has their addresses, and shows
    /// whether they are reachable.
    pub(in crate::index) fn mark_class_of(&self, service: &ObjectRef, affected: &mut Affected) {
        if let Some(class) = self.proxy_services.get(service) {
            affected.classes.insert(class.clone());
            affected.objects.extend(self.users.of_class(class).cloned());
        }
    }
}
