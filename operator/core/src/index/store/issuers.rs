//! Readiness of cert-manager's Issuers and ClusterIssuers. External issuers are not watched.

use crate::event::{Affected, Change};
use crate::index::Index;
use crate::index::store::truncate;
use crate::names::ObjectRef;
use crate::reason::Reason;
use kube::core::object::HasStatus;
use portolan_crds::IssuerRef;
use portolan_crds::certmanager::IssuerStatus;
use std::collections::{BTreeSet, HashMap};

/// Whose kinds are known here.
const GROUP: &str = "cert-manager.io";

/// Kinds of cert-manager's issuers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::index) enum Scope {
    /// Issuer
    Namespace,
    /// ClusterIssuer
    Cluster,
}

/// One issuer, by its kind and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct IssuerName(Scope, ObjectRef);

/// Reason why an issuer cannot issue; `None`: it can.
type NotReady = Option<String>;

/// Every issuer of cert-manager's, and whether the cluster knows such at all.
#[derive(Debug, Default)]
pub(crate) struct Issuers {
    installed: BTreeSet<Scope>,
    issuers: HashMap<IssuerName, NotReady>,
}

impl IssuerName {
    /// Who is meant, when an object of a namespace says it; `None`: an external one.
    pub(crate) fn meant(by: &IssuerRef, namespace: &str) -> Option<Self> {
        if by.group != GROUP {
            return None;
        }
        match by.kind.as_str() {
            "Issuer" => Some(Self(Scope::Namespace, ObjectRef::new(namespace, &by.name))),
            "ClusterIssuer" => Some(Self(Scope::Cluster, ObjectRef::cluster(&by.name))),
            _ => None,
        }
    }
}

impl Issuers {
    /// Why an issuer that an object of a namespace names, or its class, cannot issue.
    pub(crate) fn trouble(&self, issuer: &IssuerRef, namespace: &str) -> Option<(Reason, String)> {
        let name = IssuerName::meant(issuer, namespace)?;
        if !self.installed.contains(&name.0) {
            return None;
        }
        let IssuerRef {
            kind,
            name: issuer_name,
            ..
        } = issuer;
        match self.issuers.get(&name) {
            None => Some((
                Reason::IssuerNotFound,
                format!("{kind} {issuer_name:?} not found; create it or name an existing one"),
            )),
            Some(None) => None,
            Some(Some(detail)) => Some((
                Reason::IssuerNotReady,
                format!("{kind} {issuer_name:?} is not ready: {detail}"),
            )),
        }
    }

    /// Returns true if anything differs now.
    fn set(&mut self, name: IssuerName, now: Option<NotReady>) -> bool {
        match now {
            Some(now) => self.issuers.insert(name, now.clone()) != Some(now),
            None => self.issuers.remove(&name).is_some(),
        }
    }
}

fn read(status: Option<&IssuerStatus>) -> NotReady {
    let mut conditions = status.into_iter().flat_map(|status| &status.conditions);
    match conditions.find(|condition| condition.type_ == "Ready") {
        Some(ready) if ready.status == "True" => None,
        Some(ready) => Some(truncate::truncate(&ready.message)),
        None => Some("not checked by cert-manager yet".to_owned()),
    }
}

impl Index {
    pub(in crate::index) fn apply_issuer<K>(
        &mut self,
        scope: Scope,
        change: Change<K>,
        affected: &mut Affected,
    ) where
        K: kube::Resource + HasStatus<Status = IssuerStatus>,
    {
        let name = IssuerName(scope, change.reference());
        let now = match change {
            Change::Applied(issuer) => Some(read(issuer.status())),
            Change::Deleted(_) => None,
        };
        if self.issuers.set(name.clone(), now) {
            let users = self.users.of_issuer(&name).cloned().collect();
            affected.objects.extend(self.with_cohosted(users));
        }
    }

    /// Takes in whether the cluster has such issuers.
    pub(in crate::index) fn set_issuers_installed(
        &mut self,
        scope: Scope,
        installed: bool,
        affected: &mut Affected,
    ) {
        let differs = if installed {
            self.issuers.installed.insert(scope)
        } else {
            self.issuers.installed.remove(&scope)
        };
        if differs {
            let users = self.with_cohosted(self.users.of_cert_manager());
            affected.objects.extend(users);
        }
    }
}
