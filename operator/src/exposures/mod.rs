//! Metrics of every ExposedPort and every hostname of an Ingress.
//!
//! An object that changes replaces what is known of it, one that goes takes it away; a scrape writes out
//! what is there. So there are as many series as objects and hostnames, and no more for what once was.
//! Every replica keeps them, and the leader shows them: a new leader has them ready.

mod collector;

pub use collector::ExposureCollector;

use portolan_core::{ObjectMetrics, Subject};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// An object, and how it is.
#[derive(Debug)]
struct Exposure {
    subject: Subject,
    /// Of an Ingress as kubectl takes it, `ingress/shop`, which is no ExposedPort's name.
    name: String,
    metrics: ObjectMetrics,
}

impl Exposure {
    fn is_object(&self) -> bool {
        self.subject.ingress().is_none()
    }
}

/// All of them.
#[derive(Debug, Default)]
pub struct Exposures {
    known: RwLock<Snapshot>,
}

#[derive(Debug, Default)]
struct Snapshot {
    /// In order, so that each scrape has the order of the one before.
    exposures: BTreeMap<Subject, Arc<Exposure>>,
    /// Only classes that have any.
    classes: BTreeMap<String, Count>,
}

/// The exposures of a class.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    all: u32,
    /// Exposures that wait for its proxies.
    proxies_behind: u32,
}

impl Exposures {
    /// Takes in how an object is now; `None`: it is gone.
    pub fn set(&self, subject: &Subject, metrics: Option<ObjectMetrics>) {
        let mut known = self.write();
        known.remove(subject);
        if let Some(metrics) = metrics {
            known.insert(subject, metrics);
        }
    }

    /// Returns the content of a scrape. Shared, so that encoding does not block updates.
    fn shown(&self) -> (Vec<Arc<Exposure>>, BTreeMap<String, Count>) {
        let known = self.read();
        let exposures = known.exposures.values().cloned();
        (exposures.collect(), known.classes.clone())
    }

    /// What is known of an object.
    #[cfg(test)]
    pub(crate) fn of(&self, subject: &Subject) -> Option<ObjectMetrics> {
        let known = self.read();
        known.exposures.get(subject).map(|it| it.metrics.clone())
    }

    fn read(&self) -> RwLockReadGuard<'_, Snapshot> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Snapshot> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Snapshot {
    fn insert(&mut self, subject: &Subject, metrics: ObjectMetrics) {
        if !metrics.class.is_empty() {
            let count = self.classes.entry(metrics.class.clone()).or_default();
            count.all += 1;
            count.proxies_behind += u32::from(metrics.proxies_behind);
        }
        let exposure = Exposure {
            name: match subject {
                Subject::IngressHost { ingress, .. } => format!("ingress/{}", ingress.name),
                Subject::ExposedPort(object) => object.name.clone(),
            },
            subject: subject.clone(),
            metrics,
        };
        self.exposures.insert(subject.clone(), Arc::new(exposure));
    }

    fn remove(&mut self, subject: &Subject) {
        let Some(exposure) = self.exposures.remove(subject) else {
            return;
        };
        let ObjectMetrics {
            class,
            proxies_behind,
            ..
        } = &exposure.metrics;
        let Some(count) = self.classes.get_mut(class) else {
            return;
        };
        count.all = count.all.saturating_sub(1);
        count.proxies_behind = count
            .proxies_behind
            .saturating_sub(u32::from(*proxies_behind));
        if count.all == 0 {
            self.classes.remove(class);
        }
    }
}

#[cfg(test)]
mod tests;
