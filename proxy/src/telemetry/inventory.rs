//! Names and slots of what is applied, for the metrics page.

use crate::tls::certificate::CertificateSlot;
use portolan_proxy_core::endpoint::EndpointSet;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Result of one DNS lookup of an external name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LookupResult {
    Found,
    Absent,
    Failed,
}

/// Applied resources, for the metrics. Its labels are the names of
/// resources: as many as were applied, never more.
#[derive(Debug, Default)]
pub(crate) struct Inventory {
    certificates: Mutex<BTreeMap<String, Arc<CertificateSlot>>>,
    endpoints: Mutex<BTreeMap<String, Arc<EndpointSet>>>,
    /// Looks at DNS for external names: found, absent, failed.
    lookups: [AtomicU64; 3],
    /// When a batch was last applied, in seconds since 1970; 0 before the first.
    applied_at: AtomicU64,
}

impl Inventory {
    pub(crate) fn set_certificate(&self, name: &str, slot: Option<&Arc<CertificateSlot>>) {
        set(&self.certificates, name, slot);
    }

    pub(crate) fn set_endpoints(&self, name: &str, endpoints: Option<&Arc<EndpointSet>>) {
        set(&self.endpoints, name, endpoints);
    }

    pub(crate) fn count_lookup(&self, result: LookupResult) {
        let [found, absent, failed] = &self.lookups;
        let count = match result {
            LookupResult::Found => found,
            LookupResult::Absent => absent,
            LookupResult::Failed => failed,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts of the lookups by result: found, absent, failed.
    pub(crate) fn lookups(&self) -> [u64; 3] {
        self.lookups
            .each_ref()
            .map(|count| count.load(Ordering::Relaxed))
    }

    pub(crate) fn applied_now(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let seconds = now.map_or(0, |since| since.as_secs());
        self.applied_at.store(seconds, Ordering::Relaxed);
    }

    /// Time of the last applied batch, in seconds since 1970; 0 before the first.
    pub(crate) fn applied_at(&self) -> u64 {
        self.applied_at.load(Ordering::Relaxed)
    }

    /// Certificates by name.
    pub(crate) fn certificates(&self) -> MutexGuard<'_, BTreeMap<String, Arc<CertificateSlot>>> {
        lock(&self.certificates)
    }

    /// Endpoint sets by name.
    pub(crate) fn endpoints(&self) -> MutexGuard<'_, BTreeMap<String, Arc<EndpointSet>>> {
        lock(&self.endpoints)
    }
}

fn lock<T>(map: &Mutex<T>) -> MutexGuard<'_, T> {
    map.lock().unwrap_or_else(PoisonError::into_inner)
}

fn set<T>(map: &Mutex<BTreeMap<String, Arc<T>>>, name: &str, value: Option<&Arc<T>>) {
    let mut map = lock(map);
    match value {
        Some(value) => {
            map.insert(name.to_owned(), Arc::clone(value));
        }
        None => {
            map.remove(name);
        }
    }
}
