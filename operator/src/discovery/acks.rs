//! Acknowledgements and reports of every connected proxy: the half of Ready that only proxies know.
//!
//! Sessions write, status reads. Only connected proxies are here; of other pods this process knows nothing.

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
    /// Readiness as in its `/readyz`.
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
    classes: BTreeMap<String, BTreeMap<ProxyPod, ProxyState>>,
    sessions: u64,
}

/// Reported state of one proxy.
#[derive(Debug, Default)]
struct ProxyState {
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

    /// Returns the acknowledgement of each connected proxy of the class for this version of a resource.
    pub fn acknowledged(
        &self,
        class: &str,
        name: &ResourceName,
        version: Version,
    ) -> BTreeMap<ProxyPod, AckState> {
        self.each(class, |proxy| Some(proxy.ack_state(name, version)))
    }

    /// The certificate that each connected proxy of the class was seen to present for a server
    /// name; a proxy that presents none is absent.
    pub fn served(
        &self,
        class: &str,
        server_name: &str,
    ) -> BTreeMap<ProxyPod, PresentedCertificate> {
        self.each(class, |proxy| proxy.served.get(server_name).cloned())
    }

    /// The connected proxies of a class.
    pub fn proxies(&self, class: &str) -> Vec<Proxy> {
        let state = self.lock();
        let proxies = state.classes.get(class).into_iter().flatten();
        proxies
            .map(|(pod, proxy)| Proxy {
                pod: pod.clone(),
                ready: proxy.ready,
                resources: proxy.held.len(),
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
        let proxy = ProxyState {
            session: state.sessions,
            held: hello.held.clone(),
            ..ProxyState::default()
        };
        let session = Session {
            acks: Arc::clone(self),
            class: hello.class.clone(),
            pod: pod.clone(),
            id: proxy.session,
        };
        let proxies = state.classes.entry(hello.class.clone()).or_default();
        proxies.insert(pod, proxy);
        drop(state);
        self.changes.put(&hello.class, Scope::Everything);
        session
    }

    fn each<R>(
        &self,
        class: &str,
        look: impl Fn(&ProxyState) -> Option<R>,
    ) -> BTreeMap<ProxyPod, R> {
        let state = self.lock();
        let proxies = state.classes.get(class).into_iter().flatten();
        proxies
            .filter_map(|(pod, proxy)| Some((pod.clone(), look(proxy)?)))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ProxyState {
    fn ack_state(&self, name: &ResourceName, version: Version) -> AckState {
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
        let names = ack.verdicts.iter().map(|verdict| &verdict.name);
        names.chain(&ack.removed).cloned().collect()
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

/// Write access to the state of one proxy.
#[derive(Debug)]
pub(super) struct Session {
    acks: Arc<Acks>,
    class: String,
    pod: ProxyPod,
    id: u64,
}

impl Session {
    /// Records acknowledgements and removals.
    pub(super) fn ack(&self, ack: &Ack) {
        self.change(|proxy| Scope::Names(proxy.note_ack(ack)));
    }

    /// Records readiness and presented certificates.
    pub(super) fn report(&self, report: ProxyReport) {
        self.change(|proxy| proxy.note_report(report));
    }

    /// Returns true if a newer session of the same pod has taken over.
    pub(super) fn is_replaced(&self) -> bool {
        let state = self.acks.lock();
        let proxies = state.classes.get(&self.class);
        proxies
            .and_then(|proxies| proxies.get(&self.pod))
            .is_none_or(|proxy| proxy.session != self.id)
    }

    fn change(&self, change: impl FnOnce(&mut ProxyState) -> Scope) {
        let mut state = self.acks.lock();
        let proxies = state.classes.get_mut(&self.class);
        let proxy = proxies.and_then(|proxies| proxies.get_mut(&self.pod));
        let Some(proxy) = proxy.filter(|proxy| proxy.session == self.id) else {
            return;
        };
        let scope = change(proxy);
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
        if proxies.get(&self.pod).map(|proxy| proxy.session) != Some(self.id) {
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
