//! Consent to references from other namespaces: ReferenceGrants of the Gateway API.
//!
//! A reference is judged as the right of the namespace that it stands in, before anything is looked up, so
//! that no namespace learns what another one has.

use crate::event::{Affected, Change};
use crate::index::Index;
use crate::index::unresolved::Unresolved;
use crate::names::ObjectRef;
use crate::reason::Reason;
use portolan_crds::GROUP;
use portolan_crds::gateway::ReferenceGrant;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Kinds that objects of ours refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Referent {
    Secret,
    Service,
}

impl fmt::Display for Referent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Secret => "Secret",
            Self::Service => "Service",
        })
    }
}

/// Every consent that was given.
#[derive(Debug, Default)]
pub(crate) struct Grants {
    /// ReferenceGrants are installed in the cluster.
    installed: bool,
    /// By the namespace of the grant, then by its name.
    grants: BTreeMap<String, BTreeMap<String, Grant>>,
}

/// ReferenceGrant, as far as it concerns ExposedPorts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Grant {
    /// The namespaces whose ExposedPorts may refer.
    from: BTreeSet<String>,
    /// Objects that they may refer to; all of a kind where there is no name.
    to: BTreeSet<(Referent, Option<String>)>,
}

impl Grants {
    /// Returns true if ExposedPorts of a namespace may refer to something.
    pub(crate) fn permit(&self, from: &str, kind: Referent, to: &ObjectRef) -> bool {
        let grants = self.grants.get(&to.namespace);
        let mut grants = grants.into_iter().flat_map(BTreeMap::values);
        to.namespace == from
            || grants.any(|grant| {
                let named = |name| grant.to.contains(&(kind, name));
                grant.from.contains(from) && (named(None) || named(Some(to.name.clone())))
            })
    }

    fn get(&self, name: &ObjectRef) -> Option<&Grant> {
        self.grants.get(&name.namespace)?.get(&name.name)
    }

    fn set(&mut self, name: &ObjectRef, grant: Option<Grant>) {
        let of_namespace = self.grants.entry(name.namespace.clone()).or_default();
        match grant {
            Some(grant) => of_namespace.insert(name.name.clone(), grant),
            None => of_namespace.remove(&name.name),
        };
        if of_namespace.is_empty() {
            self.grants.remove(&name.namespace);
        }
    }
}

impl Index {
    /// That an object of a namespace may refer to something; `at` is the field that does.
    pub(crate) fn consent(
        &self,
        from: &str,
        kind: Referent,
        to: &ObjectRef,
        at: &str,
    ) -> Result<(), Unresolved> {
        if self.grants.permit(from, kind, to) {
            return Ok(());
        }
        let there = &to.namespace;
        let missing = if self.grants.installed {
            format!(
                "no ReferenceGrant in that namespace allows it; create one in namespace {there:?} for ExposedPorts of namespace {from:?}"
            )
        } else {
            "ReferenceGrants are not installed; install the Gateway API CustomResourceDefinitions"
                .to_owned()
        };
        let target = to.to_string();
        Err(Unresolved {
            reason: Reason::RefNotPermitted,
            message: format!(
                "{at}: Forbidden: {kind} {target:?} is in another namespace, and {missing}, or name a {kind} in namespace {from:?}"
            ),
        })
    }

    pub(in crate::index) fn apply_grant(
        &mut self,
        change: Change<ReferenceGrant>,
        affected: &mut Affected,
    ) {
        let name = change.reference();
        let now = match change {
            Change::Applied(grant) => Some(read(&grant)),
            Change::Deleted(_) => None,
        };
        let before = self.grants.get(&name);
        if before == now.as_ref() {
            return;
        }
        let named = [before, now.as_ref()];
        let named = named.into_iter().flatten().flat_map(|grant| &grant.from);
        let named: BTreeSet<_> = named.cloned().collect();
        let referring = self.users.referring_into(&name.namespace);
        let concerned = referring.filter(|subject| named.contains(subject.namespace()));
        let concerned: BTreeSet<_> = concerned.cloned().collect();
        let company = self.with_cohosted(concerned.clone());
        self.mark_objects(&company, affected);
        for subject in &concerned {
            if let Some(entry) = self.objects.get(subject) {
                affected.secrets |= self.users.leave(subject, entry, &self.grants);
            }
        }
        self.grants.set(&name, now);
        for subject in &concerned {
            if let Some(entry) = self.objects.get(subject) {
                affected.secrets |= self.users.enter(subject, entry, &self.grants);
            }
        }
        self.mark_objects(&company, affected);
    }

    /// Takes in whether ReferenceGrants are installed, which messages on missing ones depend on.
    pub(in crate::index) fn set_grants_installed(
        &mut self,
        installed: bool,
        affected: &mut Affected,
    ) {
        if std::mem::replace(&mut self.grants.installed, installed) != installed {
            affected.objects = self.with_cohosted(self.users.of_other_namespaces());
        }
    }
}

fn read(grant: &ReferenceGrant) -> Grant {
    let from = grant.spec.from.iter();
    let from = from.filter(|from| from.group == GROUP && from.kind == "ExposedPort");
    let to = grant.spec.to.iter().filter(|to| to.group.is_empty());
    Grant {
        from: from.map(|from| from.namespace.clone()).collect(),
        to: to
            .filter_map(|to| {
                let kind = match to.kind.as_str() {
                    "Secret" => Referent::Secret,
                    "Service" => Referent::Service,
                    _ => return None,
                };
                // An empty name stands for all, as an absent one does.
                Some((kind, to.name.clone().filter(|name| !name.is_empty())))
            })
            .collect(),
    }
}
