//! Whether those can issue who are to certify hostnames: cert-manager's Issuers and ClusterIssuers. Of
//! external issuers nothing is known.

use super::Index;
use crate::event::{Affected, Change};
use crate::names::ObjectRef;
use crate::reason::Reason;
use portolan_crds::IssuerRef;
use portolan_crds::certmanager::{ClusterIssuer, Issuer, IssuerStatus};
use std::collections::{BTreeSet, HashMap};

/// Whose kinds are known here.
const GROUP: &str = "cert-manager.io";
/// What an issuer says may be a whole page; a status holds a sentence.
const WORDS_MAX: usize = 512;

/// Kinds of cert-manager's issuers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Scope {
    Namespace,
    Cluster,
}

/// One issuer, by its kind and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct IssuerName(Scope, ObjectRef);

/// What stands against issuing; `None`: nothing.
type Trouble = Option<String>;

/// Every issuer of cert-manager's, and whether the cluster knows such at all.
#[derive(Debug, Default)]
pub(crate) struct Issuers {
    known: BTreeSet<Scope>,
    issuers: HashMap<IssuerName, Trouble>,
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
    /// Why nobody can count on an issuer.
    fn trouble(&self, issuer: &IssuerRef, namespace: &str) -> Option<(Reason, String)> {
        let name = IssuerName::meant(issuer, namespace)?;
        if !self.known.contains(&name.0) {
            return None;
        }
        let IssuerRef {
            kind, name: called, ..
        } = issuer;
        match self.issuers.get(&name) {
            None => Some((
                Reason::IssuerNotFound,
                format!("there is no {kind} {called}; create it, or name one that exists"),
            )),
            Some(None) => None,
            Some(Some(words)) => Some((
                Reason::IssuerNotReady,
                format!("{kind} {called} is not ready: {words}"),
            )),
        }
    }

    /// Whether anything differs now.
    fn set(&mut self, name: IssuerName, now: Option<Trouble>) -> bool {
        match now {
            Some(now) => self.issuers.insert(name, now.clone()) != Some(now),
            None => self.issuers.remove(&name).is_some(),
        }
    }
}

fn read(status: Option<&IssuerStatus>) -> Trouble {
    let mut conditions = status.into_iter().flat_map(|it| &it.conditions);
    match conditions.find(|it| it.type_ == "Ready") {
        Some(ready) if ready.status == "True" => None,
        Some(ready) => Some(ready.message.chars().take(WORDS_MAX).collect()),
        None => Some("cert-manager has not looked at it yet".to_owned()),
    }
}

impl Index {
    pub(super) fn apply_issuer(&mut self, change: Change<Issuer>, affected: &mut Affected) {
        let name = IssuerName(Scope::Namespace, change.reference());
        let now = match change {
            Change::Applied(it) => Some(read(it.status.as_ref())),
            Change::Deleted(_) => None,
        };
        self.put_issuer(name, now, affected);
    }

    pub(super) fn apply_cluster_issuer(
        &mut self,
        change: Change<ClusterIssuer>,
        affected: &mut Affected,
    ) {
        let name = IssuerName(Scope::Cluster, change.reference());
        let now = match change {
            Change::Applied(it) => Some(read(it.status.as_ref())),
            Change::Deleted(_) => None,
        };
        self.put_issuer(name, now, affected);
    }

    fn put_issuer(&mut self, name: IssuerName, now: Option<Trouble>, affected: &mut Affected) {
        if self.issuers.set(name.clone(), now) {
            let users = self.users.of_issuer(&name).cloned().collect();
            affected.objects.extend(self.with_company(users));
        }
    }

    /// Whether the cluster knows Issuers.
    pub(super) fn know_issuers(&mut self, known: bool, affected: &mut Affected) {
        self.know(Scope::Namespace, known, affected);
    }

    /// Whether the cluster knows ClusterIssuers.
    pub(super) fn know_cluster_issuers(&mut self, known: bool, affected: &mut Affected) {
        self.know(Scope::Cluster, known, affected);
    }

    fn know(&mut self, scope: Scope, known: bool, affected: &mut Affected) {
        let differs = match known {
            true => self.issuers.known.insert(scope),
            false => self.issuers.known.remove(&scope),
        };
        if differs {
            let users = self.with_company(self.users.of_cert_manager());
            affected.objects.extend(users);
        }
    }

    /// Why nobody can count on an issuer that an object of a namespace names, or its class.
    pub(crate) fn issuer_trouble(
        &self,
        issuer: &IssuerRef,
        namespace: &str,
    ) -> Option<(Reason, String)> {
        self.issuers.trouble(issuer, namespace)
    }
}
