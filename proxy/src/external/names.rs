//! Which names are followed, and the task that follows them.

use super::known::{AddressCache, Outcome};
use super::lookup::Dns;
use super::order::{has_route, order};
use crate::telemetry::inventory::Inventory;
use crate::upstream::denied::Denied;
use portolan_discovery::table::{Endpoint, ExternalName};
use portolan_proxy_core::endpoint::EndpointSet;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// So many names are looked up at a time; more wait.
const CONCURRENT: usize = 16;

/// The endpoint sets that are looked up. The table says which; [`run`] fills them.
#[derive(Debug, Default)]
pub(crate) struct Names {
    followed: Mutex<BTreeMap<String, Followed>>,
    changed: Notify,
}

#[derive(Debug)]
struct Followed {
    external: ExternalName,
    set: Arc<EndpointSet>,
}

impl Names {
    /// The endpoints of a set are the addresses of a name from now on.
    pub(crate) fn follow(&self, name: &str, external: &ExternalName, set: &Arc<EndpointSet>) {
        let followed = Followed {
            external: external.clone(),
            set: Arc::clone(set),
        };
        let before = self.lock().insert(name.to_owned(), followed);
        if before.is_none_or(|before| before.external != *external) {
            self.changed.notify_one();
        }
    }

    /// Stops following: the endpoints are listed elsewhere, or the set is gone.
    pub(crate) fn forget(&self, name: &str) {
        if self.lock().remove(name).is_some() {
            self.changed.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Followed>> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hosts(&self) -> BTreeSet<String> {
        let followed = self.lock();
        followed
            .values()
            .map(|followed| followed.external.host.clone())
            .collect()
    }

    /// Fills the sets that name this host.
    fn fill(&self, host: &str, addresses: &[IpAddr]) {
        for Followed { external, set } in self
            .lock()
            .values()
            .filter(|followed| followed.external.host == host)
        {
            let endpoint = |address: &IpAddr| Endpoint {
                address: SocketAddr::new(*address, external.port),
                uid: String::new(),
            };
            let members: Vec<Endpoint> = addresses.iter().map(endpoint).collect();
            set.replace(&members);
        }
    }
}

/// One name, while it is followed.
#[derive(Debug)]
struct Host {
    known: AddressCache,
    /// `None` while it is being looked up.
    due: Option<Instant>,
}

/// Follows the names for ever; ends with the runtime that it runs on.
pub(crate) async fn run(names: Arc<Names>, dns: Dns, denied: Denied, inventory: Arc<Inventory>) {
    let mut hosts: BTreeMap<String, Host> = BTreeMap::new();
    let mut looking: JoinSet<(String, Outcome)> = JoinSet::new();
    loop {
        look(&mut hosts, &mut looking, &dns);
        let busy = looking.len() >= CONCURRENT;
        let next = hosts.values().filter_map(|host| host.due).min();
        tokio::select! {
            () = names.changed.notified() => follow(&names, &mut hosts, &denied),
            Some(Ok((host, outcome))) = looking.join_next() => {
                inventory.count_lookup(outcome.result());
                // Else it is not followed any more.
                if let Some(followed) = hosts.get_mut(&host) {
                    followed.hear(&host, outcome);
                    names.fill(&host, &order(&followed.known.addresses, &denied, has_route));
                }
            }
            () = at(next), if !busy => {}
        }
    }
}

/// Begins to look up what is due, the longest overdue first.
fn look(hosts: &mut BTreeMap<String, Host>, looking: &mut JoinSet<(String, Outcome)>, dns: &Dns) {
    let now = Instant::now();
    let mut due: Vec<(Instant, String)> = hosts
        .iter()
        .filter_map(|(name, host)| Some((host.due.filter(|due| *due <= now)?, name.clone())))
        .collect();
    due.sort();
    due.truncate(CONCURRENT.saturating_sub(looking.len()));
    for (_, name) in due {
        if let Some(host) = hosts.get_mut(&name) {
            host.due = None;
        }
        let dns = dns.clone();
        looking.spawn(async move {
            let outcome = dns.look_up(&name).await;
            (name, outcome)
        });
    }
}

/// Takes in which names are followed now.
fn follow(names: &Names, hosts: &mut BTreeMap<String, Host>, denied: &Denied) {
    let wanted = names.hosts();
    hosts.retain(|name, _| wanted.contains(name));
    for name in wanted {
        let host = hosts.entry(name.clone()).or_insert_with(|| Host {
            known: AddressCache::default(),
            due: Some(Instant::now()),
        });
        // A second set with the same name need not wait.
        names.fill(&name, &order(&host.known.addresses, denied, has_route));
    }
}

impl Host {
    fn hear(&mut self, name: &str, outcome: Outcome) {
        if let Outcome::Failed { why } = &outcome
            && !self.known.is_failing()
        {
            let kept = self.known.addresses.len();
            tracing::warn!(name, why, kept, "failed to resolve external name, retrying");
        }
        let before = self.known.addresses.clone();
        self.due = Some(self.known.hear(outcome, Instant::now()));
        if self.known.addresses != before {
            tracing::info!(name, addresses = ?self.known.addresses, "resolved external name");
        }
    }
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
