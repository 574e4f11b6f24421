//! The one task that changes the index, and what everybody else reads of it.
//!
//! Inputs are taken in batches. Within one write lock a batch changes the index *and* the discovery
//! table, so a reader of both under the read lock sees them agree: a status is never computed from a
//! version that the proxies have not been offered. Afterwards the keys of what is affected go into
//! the queue.
//!
//! Until every source has listed once nothing is offered to the proxies and nothing is written: half
//! of the cluster would compile to an incomplete configuration.

mod compile;
mod records;
mod secrets;
mod sync;

pub use records::{Record, Stored};

use crate::apply::Children;
use crate::discovery::{Scope, Table};
use crate::exposures::Exposures;
use crate::key::Key;
use crate::metrics::Metrics;
use crate::queue::Queue;
use crate::watch::{Input, PODS, Source};
use jiff::Timestamp;
use portolan_core::{Affected, ClassName, Event, Index, ObjectRef, ReportedStatus, Subject, Uses};
use portolan_discovery::table::Kind;
use records::Records;
use secrets::SecretSources;
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;
use sync::Sync;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tracing::info;

/// How many inputs are taken in at once; a reader waits for no more than these.
const BATCH: usize = 256;

/// How late what changes with time alone may be noticed.
const CLOCK: Duration = Duration::from_secs(60);

/// What is known, and where it goes.
pub struct Model {
    state: RwLock<State>,
    table: Arc<Table>,
    children: Arc<Children>,
    exposures: Arc<Exposures>,
    queue: Arc<Queue<Key>>,
    secrets: watch::Sender<BTreeSet<ObjectRef>>,
    pods: watch::Sender<bool>,
    synced: watch::Sender<bool>,
    metrics: Metrics,
}

/// Everything that changes with an input.
pub struct State {
    /// What the objects mean.
    pub index: Index,
    /// What is stored of objects and classes beside their spec.
    pub records: Records,
    uses: Uses,
    secret_sources: SecretSources,
    sync: Sync,
    /// What became of interest before everything was listed.
    pending: Affected,
}

/// Where the model's output goes.
pub struct Outputs {
    /// What proxies shall have.
    pub table: Arc<Table>,
    /// Children as last seen.
    pub children: Arc<Children>,
    /// The objects in numbers.
    pub exposures: Arc<Exposures>,
    /// What is to be looked at again.
    pub queue: Arc<Queue<Key>>,
    /// The Secrets that have to be watched by name.
    pub secrets: watch::Sender<BTreeSet<ObjectRef>>,
    /// Whether pods have to be watched.
    pub pods: watch::Sender<bool>,
    /// True from the moment when every source has listed once.
    pub synced: watch::Sender<bool>,
}

impl Model {
    /// Knows nothing yet. `sources` have to list before anything is believed.
    pub fn new(
        namespace: &str,
        sources: BTreeSet<Source>,
        outputs: Outputs,
        metrics: Metrics,
    ) -> Self {
        Self {
            state: RwLock::new(State {
                index: Index::new(namespace),
                records: Records::default(),
                uses: Uses::default(),
                secret_sources: SecretSources::default(),
                sync: Sync::new(sources),
                pending: Affected::default(),
            }),
            table: outputs.table,
            children: outputs.children,
            exposures: outputs.exposures,
            queue: outputs.queue,
            secrets: outputs.secrets,
            pods: outputs.pods,
            synced: outputs.synced,
            metrics,
        }
    }

    /// Takes in everything that the watches see, until they end.
    pub async fn run(&self, mut inputs: mpsc::Receiver<Input>) {
        let mut batch = Vec::with_capacity(BATCH);
        // Some results change with time alone, so the clock advances even without events.
        while timeout(self.patience(), inputs.recv_many(&mut batch, BATCH)).await != Ok(0) {
            for key in self.take_in(batch.drain(..), Timestamp::now()) {
                self.queue.add(key);
            }
        }
    }

    /// For how long nothing changes unless something happens.
    fn patience(&self) -> Duration {
        let Some(at) = self.read().index.changes_at() else {
            return CLOCK;
        };
        let until = at.duration_since(Timestamp::now());
        Duration::try_from(until).unwrap_or_default().min(CLOCK)
    }

    /// What is known now; the table agrees with it for as long as the answer is held.
    pub fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the keys whose status may differ because of new acknowledgements of the proxies of a class.
    pub fn concerned(&self, class: &str, scope: &Scope) -> BTreeSet<Key> {
        let Some(class) = ClassName::parse(class) else {
            return BTreeSet::new();
        };
        let state = self.read();
        match scope {
            Scope::Everything => {
                let index = &state.index;
                let ingresses = state.records.ingresses.keys();
                let hosts = ingresses.flat_map(|it| index.hosts_of_ingress(it));
                let all = state.records.objects.keys().cloned();
                let all = all.map(Subject::ExposedPort).chain(hosts);
                all.filter(|object| index.class_of(object) == Some(&class))
                    .map(|object| Key::of_exposure(&object))
                    .chain([Key::Class(class.clone())])
                    .collect()
            }
            Scope::Names(names) => names
                .iter()
                .flat_map(|name| {
                    let of_class = (name.kind == Kind::Listener).then(|| Key::Class(class.clone()));
                    let users = state.uses.of(&class, name).map(Key::of_exposure);
                    users.chain(of_class).collect::<Vec<_>>()
                })
                .collect(),
        }
    }

    /// Stores the status of a hostname of an Ingress, which has no status in the cluster.
    pub fn remember(&self, host: &Subject, status: ReportedStatus) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.index.remember(host, status);
        self.exposures.set(host, state.index.metrics(host));
    }

    fn take_in(&self, inputs: impl Iterator<Item = Input>, now: Timestamp) -> BTreeSet<Key> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let mut keys = BTreeSet::new();
        let mut affected = state.index.apply(Event::Now(now));
        for input in inputs {
            match input {
                Input::Event(event) => affected.merge(state.apply(event)),
                Input::Secret(via, change) => {
                    if let Some(change) = state.secret_sources.merge(via, change) {
                        affected.merge(state.apply(Event::Secret(change)));
                    }
                }
                Input::Child(id, seen) => keys.extend(self.children.seen(id, *seen)),
                Input::ChildGone { id, uid } => keys.extend(self.children.gone(&id, &uid)),
                Input::Listed(PODS) => affected.merge(state.apply(Event::PodsListed(true))),
                Input::Listed(source) => state.sync.listed(source),
            }
        }
        self.follow_up(&mut state, affected, &mut keys);
        keys
    }

    /// Everything that has to happen before another task reads the index again.
    fn follow_up(&self, state: &mut State, affected: Affected, keys: &mut BTreeSet<Key>) {
        for object in &affected.objects {
            let resources = state.index.resources_of(object);
            state.uses.set(object, resources);
            self.exposures.set(object, state.index.metrics(object));
        }
        if affected.secrets {
            self.secrets
                .send_replace(state.index.referenced_secrets().clone());
        }
        let needed = state.index.needs_pods();
        self.pods
            .send_if_modified(|current| std::mem::replace(current, needed) != needed);
        state.pending.merge(affected);
        if !state
            .sync
            .is_complete(state.index.referenced_secrets(), state.index.lacks_pods())
        {
            return;
        }
        let affected = std::mem::take(&mut state.pending);
        compile::publish(
            &state.index,
            &affected.resources,
            &self.table,
            &self.metrics,
        );
        keys.extend(affected.objects.iter().map(Key::of_exposure));
        keys.extend(affected.ingresses.into_iter().map(Key::Ingress));
        keys.extend(affected.classes.into_iter().map(Key::Class));
        keys.extend(affected.holds.into_iter().map(Key::Hold));
        // Only after the table is complete, because discovery serves it from then on.
        self.synced.send_if_modified(|synced| {
            let first = !*synced;
            if first {
                info!("caches synced");
            }
            *synced = true;
            first
        });
    }
}

impl State {
    fn apply(&mut self, event: Event) -> Affected {
        self.records.note(&event);
        self.index.apply(event)
    }
}

#[cfg(test)]
mod tests;
