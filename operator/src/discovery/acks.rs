//! What every connected proxy says that it serves: the half of Ready that only proxies know.
//!
//! Sessions write, status reads. Only connected proxies are here; a pod that is not has said
//! nothing to this process yet, whatever it serves.

use super::changes::{AckChanges, Changes, Scope};
use portolan_core::AckState;
use portolan_discovery::session::{Ack, Hello, PresentedCertificate, ProxyReport};
use portolan_discovery::table::{Kind, ResourceName};
use portolan_discovery::version::Version;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A proxy pod: the name says which, the UID that it is not its successor.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProxyPod {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
}

/// A connected proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// Which pod.
    pub pod: ProxyPod,
    /// What its `/readyz` says.
    pub ready: bool,
    /// How many resources it serves.
    pub resources: usize,
}

/// What the connected proxies of every class have acknowledged. Shared; every method is short.
#[derive(Debug, Default)]
pub struct Acks {
    state: Mutex<State>,
    changes: Arc<Changes>,
}

#[derive(Debug, Default)]
struct State {
    classes: BTreeMap<String, BTreeMap<ProxyPod, Said>>,
    sessions: u64,
}

/// Everything that one proxy said.
#[derive(Debug, Default)]
struct Said {
    session: u64,
    ready: bool,
    held: BTreeMap<ResourceName, Version>,
    refused: BTreeMap<ResourceName, (Version, String)>,
    served: BTreeMap<String, PresentedCertificate>,
}

impl Acks {
    /// The record, and the one receiver of what changes in it.
    pub fn new() -> (Arc<Self>, AckChanges) {
        let acks = Arc::new(Self::default());
        let changes = AckChanges::of(&acks.changes);
        (acks, changes)
    }

    /// What each connected proxy of the class says of this version of a resource.
    pub fn acknowledged(
        &self,
        class: &str,
        name: &ResourceName,
        version: Version,
    ) -> BTreeMap<ProxyPod, AckState> {
        self.each(class, |said| Some(said.verdict(name, version)))
    }

    /// The certificate that each connected proxy of the class was seen to present for a server
    /// name; a proxy that presents none is absent.
    pub fn served(
        &self,
        class: &str,
        server_name: &str,
    ) -> BTreeMap<ProxyPod, PresentedCertificate> {
        self.each(class, |said| said.served.get(server_name).cloned())
    }

    /// The connected proxies of a class.
    pub fn proxies(&self, class: &str) -> Vec<Proxy> {
        let state = self.lock();
        let said = state.classes.get(class).into_iter().flatten();
        said.map(|(pod, said)| Proxy {
            pod: pod.clone(),
            ready: said.ready,
            resources: said.held.len(),
        })
        .collect()
    }

    /// Begins the record of a proxy, which ends when the session is dropped. A second session of
    /// the same pod (its container restarted, and the old connection is not known dead) replaces
    /// the first, which from then on changes nothing.
    pub(super) fn begin(self: &Arc<Self>, hello: &Hello) -> Session {
        let pod = ProxyPod {
            name: hello.pod_name.clone(),
            uid: hello.pod_uid.clone(),
        };
        let mut state = self.lock();
        state.sessions += 1;
        let said = Said {
            session: state.sessions,
            held: hello.held.clone(),
            ..Said::default()
        };
        let session = Session {
            acks: Arc::clone(self),
            class: hello.class.clone(),
            pod: pod.clone(),
            id: said.session,
        };
        let proxies = state.classes.entry(hello.class.clone()).or_default();
        proxies.insert(pod, said);
        drop(state);
        self.changes.put(&hello.class, Scope::Everything);
        session
    }

    fn each<R>(&self, class: &str, look: impl Fn(&Said) -> Option<R>) -> BTreeMap<ProxyPod, R> {
        let state = self.lock();
        let said = state.classes.get(class).into_iter().flatten();
        said.filter_map(|(pod, said)| Some((pod.clone(), look(said)?)))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Said {
    fn verdict(&self, name: &ResourceName, version: Version) -> AckState {
        if self.held.get(name) == Some(&version) {
            return AckState::Acknowledged;
        }
        match self.refused.get(name) {
            Some((refused, reason)) if *refused == version => AckState::Refused(reason.clone()),
            _ => AckState::Behind,
        }
    }

    fn note_ack(&mut self, ack: &Ack) -> BTreeSet<ResourceName> {
        for verdict in &ack.verdicts {
            let name = verdict.name.clone();
            match &verdict.refused {
                None => {
                    self.refused.remove(&name);
                    self.held.insert(name, verdict.version);
                }
                Some(reason) => {
                    self.refused.insert(name, (verdict.version, reason.clone()));
                }
            }
        }
        for name in &ack.removed {
            self.held.remove(name);
            self.refused.remove(name);
        }
        let judged = ack.verdicts.iter().map(|verdict| &verdict.name);
        judged.chain(&ack.removed).cloned().collect()
    }

    fn note_report(&mut self, report: ProxyReport) -> Scope {
        let changed = report.served.iter().map(|served| &served.server_name);
        let hosts: BTreeSet<ResourceName> = changed
            .chain(&report.unserved)
            .map(|name| ResourceName {
                kind: Kind::VirtualHost,
                name: name.clone(),
            })
            .collect();
        for name in &report.unserved {
            self.served.remove(name);
        }
        for served in report.served {
            self.served.insert(served.server_name.clone(), served);
        }
        if std::mem::replace(&mut self.ready, report.ready) == report.ready {
            Scope::Names(hosts)
        } else {
            Scope::Everything
        }
    }
}

/// The right to write what one proxy says.
#[derive(Debug)]
pub(super) struct Session {
    acks: Arc<Acks>,
    class: String,
    pod: ProxyPod,
    id: u64,
}

impl Session {
    /// Notes verdicts and removals.
    pub(super) fn ack(&self, ack: &Ack) {
        self.change(|said| Scope::Names(said.note_ack(ack)));
    }

    /// Notes readiness and what is presented.
    pub(super) fn report(&self, report: ProxyReport) {
        self.change(|said| said.note_report(report));
    }

    /// Whether a newer session of the same pod has taken over.
    pub(super) fn is_replaced(&self) -> bool {
        let state = self.acks.lock();
        let said = state.classes.get(&self.class);
        said.and_then(|proxies| proxies.get(&self.pod))
            .is_none_or(|said| said.session != self.id)
    }

    fn change(&self, change: impl FnOnce(&mut Said) -> Scope) {
        let mut state = self.acks.lock();
        let proxies = state.classes.get_mut(&self.class);
        let said = proxies.and_then(|it| it.get_mut(&self.pod));
        let Some(said) = said.filter(|said| said.session == self.id) else {
            return;
        };
        let scope = change(said);
        drop(state);
        self.acks.changes.put(&self.class, scope);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let mut state = self.acks.lock();
        let Some(proxies) = state.classes.get_mut(&self.class) else {
            return;
        };
        if proxies.get(&self.pod).map(|said| said.session) != Some(self.id) {
            return;
        }
        proxies.remove(&self.pod);
        if proxies.is_empty() {
            state.classes.remove(&self.class);
        }
        drop(state);
        self.acks.changes.put(&self.class, Scope::Everything);
    }
}

#[cfg(test)]
#[path = "acks_tests.rs"]
mod tests;
