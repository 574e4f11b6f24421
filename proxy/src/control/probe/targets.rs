//! Targets of the probe, and when each is due.

use crate::tls::certificate::CertificateSlot;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::ops::Bound;
use std::sync::Arc;
use tokio::sync::Notify;

/// How many names have their turn at a time. A look costs a third of a millisecond of a core, both
/// sides together, so this is a third of a percent of one; ten thousand names have had their turn
/// after a quarter of an hour.
const IN_TURN: usize = 600;

/// Targets of the probe, shared by the control thread's tasks.
#[derive(Debug, Default)]
pub(crate) struct Targets {
    state: RefCell<State>,
    changed: Notify,
}

/// A name to ask for.
#[derive(Debug)]
pub(super) struct ProbeTarget {
    pub(super) hostname: String,
    /// Expected certificate.
    pub(super) certificate: Arc<CertificateSlot>,
    /// The finding holds for every name with this certificate.
    pub(super) for_all: bool,
}

#[derive(Debug, Default)]
struct State {
    listener: Option<SocketAddr>,
    /// The certificate of each host.
    hosts: BTreeMap<String, Arc<CertificateSlot>>,
    by_certificate: BTreeMap<String, BTreeSet<String>>,
    due: BTreeSet<String>,
    /// Certificates that were swapped.
    swapped: BTreeSet<String>,
    /// Hosts that are no more.
    gone: BTreeSet<String>,
    /// The name that had the last turn.
    last_turn: String,
}

impl Targets {
    /// Waits until there is something to look at, or to forget.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Where to knock.
    pub(crate) fn set_listener(&self, listener: Option<SocketAddr>) {
        let mut state = self.state.borrow_mut();
        if state.listener != listener {
            state.listener = listener;
            state.due = state.hosts.keys().cloned().collect();
            self.changed.notify_one();
        }
    }

    /// A host has a new version, perhaps with another certificate or none.
    pub(crate) fn set_host(&self, hostname: &str, certificate: Option<&Arc<CertificateSlot>>) {
        let mut state = self.state.borrow_mut();
        let former = state.hosts.get(hostname);
        let same = match (former, certificate) {
            (Some(former), Some(new)) => Arc::ptr_eq(former, new),
            (None, None) => true,
            _ => false,
        };
        if same {
            return;
        }
        state.remove(hostname);
        match certificate {
            Some(slot) => {
                let hosts = state.by_certificate.entry(slot.name().to_owned());
                hosts.or_default().insert(hostname.to_owned());
                state.hosts.insert(hostname.to_owned(), Arc::clone(slot));
                state.due.insert(hostname.to_owned());
                state.gone.remove(hostname);
            }
            None => {
                state.due.remove(hostname);
                state.gone.insert(hostname.to_owned());
            }
        }
        self.changed.notify_one();
    }

    /// A certificate was swapped.
    pub(crate) fn swapped(&self, certificate: &str) {
        let mut state = self.state.borrow_mut();
        if state.by_certificate.contains_key(certificate) {
            state.swapped.insert(certificate.to_owned());
            self.changed.notify_one();
        }
    }

    /// The next names, in order and around, are due.
    pub(super) fn next_in_turn(&self) {
        let mut state = self.state.borrow_mut();
        let after = (Bound::Excluded(&state.last_turn), Bound::Unbounded);
        let after = state.hosts.range::<String, _>(after);
        let around = state.hosts.range::<String, _>(..=&state.last_turn);
        let names: Vec<String> = after
            .chain(around)
            .take(IN_TURN)
            .map(|(name, _)| name.clone())
            .collect();
        if let Some(last) = names.last() {
            state.last_turn.clone_from(last);
        }
        state.due.extend(names);
    }

    /// Takes the next target: first one name for each certificate that was swapped, then the others.
    pub(super) fn take(&self) -> Option<(SocketAddr, ProbeTarget)> {
        let state = &mut *self.state.borrow_mut();
        let listener = state.listener?;
        while let Some(certificate) = state.swapped.pop_first() {
            let name = state.by_certificate.get(&certificate);
            let Some(hostname) = name.and_then(BTreeSet::first).cloned() else {
                continue;
            };
            state.due.remove(&hostname);
            if let Some(look) = state.look(hostname, true) {
                return Some((listener, look));
            }
        }
        while let Some(hostname) = state.due.pop_first() {
            if let Some(look) = state.look(hostname, false) {
                return Some((listener, look));
            }
        }
        None
    }

    /// The names that are no more since they were last asked for.
    pub(super) fn take_gone(&self) -> BTreeSet<String> {
        std::mem::take(&mut self.state.borrow_mut().gone)
    }

    /// The names that are shown a certificate.
    pub(super) fn names_of(&self, certificate: &str) -> BTreeSet<String> {
        let state = self.state.borrow();
        let names = state.by_certificate.get(certificate);
        names.cloned().unwrap_or_default()
    }

    /// A look led to nothing and must be done again.
    pub(super) fn again(&self, look: ProbeTarget) {
        let mut state = self.state.borrow_mut();
        if look.for_all {
            state.swapped.insert(look.certificate.name().to_owned());
        }
        if state.hosts.contains_key(&look.hostname) {
            state.due.insert(look.hostname);
        }
    }
}

impl State {
    fn look(&self, hostname: String, for_all: bool) -> Option<ProbeTarget> {
        let certificate = Arc::clone(self.hosts.get(&hostname)?);
        Some(ProbeTarget {
            hostname,
            certificate,
            for_all,
        })
    }

    fn remove(&mut self, hostname: &str) {
        if let Some(former) = self.hosts.remove(hostname)
            && let Some(hosts) = self.by_certificate.get_mut(former.name())
        {
            hosts.remove(hostname);
            if hosts.is_empty() {
                self.by_certificate.remove(former.name());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::certificate::Presented;
    use crate::tls::provider;
    use portolan_discovery::table;

    fn slot(name: &str) -> Arc<CertificateSlot> {
        let issued = rcgen::generate_simple_self_signed(["a".to_owned()]).unwrap();
        let certificate = table::Certificate {
            name: name.into(),
            chain_pem: issued.cert.pem(),
            key_pem: issued.signing_key.serialize_pem(),
        };
        let presented = Presented::parse(&certificate, provider()).unwrap();
        Arc::new(CertificateSlot::new(name, presented))
    }

    fn listening() -> Targets {
        let targets = Targets::default();
        targets.set_listener(Some("127.0.0.1:443".parse().unwrap()));
        targets
    }

    fn taken(targets: &Targets) -> Vec<(String, bool)> {
        let next = || Some(targets.take()?.1).map(|look| (look.hostname, look.for_all));
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn probes_new_names_and_changed_certificates() {
        let (one, two) = (slot("t/one"), slot("t/two"));
        let targets = listening();
        targets.set_host("a.test", Some(&one));
        assert_eq!(taken(&targets), [("a.test".to_owned(), false)]);
        targets.set_host("a.test", Some(&one));
        assert!(taken(&targets).is_empty());
        targets.set_host("a.test", Some(&two));
        assert_eq!(taken(&targets).len(), 1);
        targets.set_host("a.test", None);
        assert!(taken(&targets).is_empty());
        assert_eq!(targets.take_gone().len(), 1);
    }

    #[test]
    fn one_name_speaks_for_a_swapped_certificate() {
        let slot = slot("t/wild");
        let targets = listening();
        for name in ["a.test", "b.test", "c.test"] {
            targets.set_host(name, Some(&slot));
        }
        assert_eq!(taken(&targets).len(), 3);
        targets.swapped("t/wild");
        targets.swapped("t/absent");
        assert_eq!(taken(&targets), [("a.test".to_owned(), true)]);
        assert_eq!(targets.names_of("t/wild").len(), 3);
    }

    #[test]
    fn a_look_that_failed_is_done_again_for_all() {
        let slot = slot("t/wild");
        let targets = listening();
        targets.set_host("a.test", Some(&slot));
        taken(&targets);
        targets.swapped("t/wild");
        let (_, look) = targets.take().unwrap();
        targets.again(look);
        assert_eq!(taken(&targets), [("a.test".to_owned(), true)]);
    }

    #[test]
    fn every_name_has_its_turn() {
        let slot = slot("t/wild");
        let targets = listening();
        for index in 0..2 * IN_TURN + 1 {
            targets.set_host(&format!("{index}.test"), Some(&slot));
        }
        taken(&targets);
        let mut seen = BTreeSet::new();
        for _ in 0..3 {
            targets.next_in_turn();
            let names = taken(&targets);
            assert_eq!(names.len(), IN_TURN);
            seen.extend(names);
        }
        assert_eq!(seen.len(), 2 * IN_TURN + 1);
    }

    #[test]
    fn nothing_is_looked_at_before_there_is_a_listener() {
        let slot = slot("t/wild");
        let targets = Targets::default();
        targets.set_host("a.test", Some(&slot));
        assert!(targets.take().is_none());
        targets.set_listener(Some("127.0.0.1:443".parse().unwrap()));
        assert_eq!(taken(&targets).len(), 1);
    }
}
