//! The control thread: takes batches, has them applied by every worker, and answers.

use crate::control::listeners::{Listeners, Opening};
use crate::control::probe::{self, Targets};
use crate::control::table::{Table, TableChanges};
use crate::control::{Batch, Command, ControlReceiver, ResourceAck, Update};
use crate::external::{self, Dns, Names};
use crate::lifecycle::Phase;
use crate::limits::Limits;
use crate::memory::{MemoryBudget, limit};
use crate::telemetry::inventory::Inventory;
use crate::upstream::denied::Denied;
use crate::worker::mail::{HostChange, OpenListener, WorkerUpdate};
use portolan_discovery::table::{Kind, Resource, ResourceName};
use portolan_discovery::version::Version;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep_until};

/// Interval at which the resident memory of the process is read.
const OBSERVED: Duration = Duration::from_secs(1);

/// The control thread and the handles that it works with.
pub(crate) struct ControlThread {
    pub(crate) receiver: ControlReceiver,
    pub(crate) table: Table,
    pub(crate) listeners: Listeners,
    pub(crate) workers: Vec<mpsc::Sender<WorkerUpdate>>,
    pub(crate) phase: watch::Receiver<Phase>,
    pub(crate) inventory: Arc<Inventory>,
    pub(crate) limits: Limits,
    pub(crate) memory: Arc<MemoryBudget>,
    pub(crate) names: Arc<Names>,
    /// An error when the host has no name service; then external names have no endpoints.
    pub(crate) dns: anyhow::Result<Dns>,
    pub(crate) denied: Denied,
}

/// State kept from batch to batch.
struct ControlState {
    /// The first snapshot has ended: listeners may open.
    synced: bool,
    /// Listeners that wait for that.
    deferred: BTreeMap<String, Update>,
    /// Listeners that could not be bound.
    unbound: BTreeMap<String, String>,
    /// Answers that wait for hosts that wait.
    parked: Vec<Parked>,
    targets: Rc<Targets>,
}

/// The answer to a batch with a host that names something absent.
struct Parked {
    answer: oneshot::Sender<Vec<ResourceAck>>,
    verdicts: Vec<ResourceAck>,
    hosts: BTreeMap<String, Version>,
    until: Instant,
}

impl ControlThread {
    /// Runs until every handle is dropped or the data plane stops.
    pub(crate) async fn run(mut self) {
        let targets = Rc::new(Targets::default());
        let served = self.receiver.served.clone();
        // Ends with this thread's runtime.
        drop(spawn_local(probe::run(
            Rc::clone(&targets),
            served,
            self.limits.probe,
        )));
        drop(spawn_local(observe(Arc::clone(&self.memory))));
        match self.dns {
            Ok(ref dns) => drop(spawn_local(external::run(
                Arc::clone(&self.names),
                dns.clone(),
                self.denied.clone(),
                Arc::clone(&self.inventory),
            ))),
            Err(ref error) => {
                tracing::warn!("failed to set up DNS, external names have no endpoints: {error:#}")
            }
        }
        let mut state = ControlState {
            synced: false,
            deferred: BTreeMap::new(),
            unbound: BTreeMap::new(),
            parked: Vec::new(),
            targets,
        };
        loop {
            let expiry = state.parked.iter().map(|parked| parked.until).min();
            let expired = async {
                match expiry {
                    Some(until) => sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                command = self.receiver.commands.recv() => match command {
                    Some(Command::Apply { batch, answer }) => {
                        self.apply(&mut state, batch, answer).await;
                    }
                    None => return,
                },
                () = expired => self.reject_expired(&mut state),
                changed = self.phase.changed() => {
                    let phase = changed.map_or(Phase::Stopped, |()| *self.phase.borrow_and_update());
                    self.update_readiness(&state, phase);
                    if phase == Phase::Stopped {
                        return;
                    }
                }
            }
        }
    }

    async fn apply(
        &mut self,
        state: &mut ControlState,
        batch: Batch,
        answer: oneshot::Sender<Vec<ResourceAck>>,
    ) {
        let (listeners, others): (Vec<Update>, Vec<Update>) = batch
            .upserts
            .into_iter()
            .partition(|update| matches!(update.resource, Resource::Listener(_)));
        let mut changes = self.table.apply(others, &batch.removals);
        state.synced |= batch.end_of_snapshot;
        for update in listeners {
            state.deferred.insert(update.resource.name().name, update);
        }
        let mut open: Vec<Vec<OpenListener>> = self.workers.iter().map(|_| Vec::new()).collect();
        if state.synced {
            for update in std::mem::take(&mut state.deferred).into_values() {
                let verdict = self.open(state, &update, &mut open);
                changes.verdicts.push(verdict);
            }
        }
        let close = self.close(state, &batch.removals);
        self.update_probe(state, &changes);
        let hosts = std::mem::take(&mut changes.hosts);
        self.send_update(hosts.into(), open, close).await;
        self.record_applied(&changes.verdicts, &batch.removals);
        // First: a caller that has the result may rely on `/readyz`.
        self.update_readiness(state, *self.phase.borrow());
        self.answer(state, changes, answer);
    }

    fn open(
        &mut self,
        state: &mut ControlState,
        update: &Update,
        open: &mut [Vec<OpenListener>],
    ) -> ResourceAck {
        let Resource::Listener(listener) = &update.resource else {
            return update.verdict(None);
        };
        match self.listeners.open(listener) {
            Ok(Opening::Unchanged) => {}
            Ok(Opening::Open(sockets)) => {
                for (worker, socket) in open.iter_mut().zip(sockets) {
                    worker.push(socket);
                }
            }
            Err(refusal) => {
                tracing::error!(listener = listener.name, "{refusal}");
                let unbound = &mut state.unbound;
                unbound.insert(listener.name.clone(), refusal.clone());
                return update.verdict(Some(refusal));
            }
        }
        state.unbound.remove(&listener.name);
        update.verdict(None)
    }

    fn close(&mut self, state: &mut ControlState, removals: &[ResourceName]) -> Vec<String> {
        let listeners = removals.iter().filter(|name| name.kind == Kind::Listener);
        let mut close = Vec::new();
        for ResourceName { name, .. } in listeners {
            state.deferred.remove(name);
            state.unbound.remove(name);
            if self.listeners.close(name) {
                close.push(name.clone());
            }
        }
        close
    }

    fn update_probe(&self, state: &ControlState, changes: &TableChanges) {
        for change in &changes.hosts {
            match change {
                HostChange::Set(host) => {
                    let hostname = host.policy.pattern.to_string();
                    let certificate = self.table.certificate_of(&hostname);
                    state.targets.set_host(&hostname, certificate);
                }
                HostChange::Remove(pattern) => {
                    state.targets.set_host(&pattern.to_string(), None);
                }
                HostChange::DefaultTermination(_) => {}
            }
        }
        for certificate in &changes.certificates {
            state.targets.swapped(certificate);
        }
        state.targets.set_listener(self.listeners.https_address());
    }

    /// Sends a change to every worker and waits until each has applied it.
    async fn send_update(
        &self,
        hosts: Arc<[HostChange]>,
        open: Vec<Vec<OpenListener>>,
        close: Vec<String>,
    ) {
        let mut applied = Vec::new();
        for (worker, open) in self.workers.iter().zip(open) {
            let (done, waiting) = oneshot::channel();
            let update = WorkerUpdate {
                hosts: Arc::clone(&hosts),
                open,
                close: close.clone(),
                applied: done,
            };
            // A worker that has ended has nothing to apply.
            if worker.send(update).await.is_ok() {
                applied.push(waiting);
            }
        }
        for waiting in applied {
            let _ = waiting.await;
        }
    }

    fn record_applied(&self, verdicts: &[ResourceAck], removals: &[ResourceName]) {
        self.receiver.held.change(|held| {
            for verdict in verdicts.iter().filter(|verdict| verdict.refused.is_none()) {
                held.insert(verdict.name.clone(), verdict.version);
            }
            for name in removals {
                held.remove(name);
            }
        });
        self.inventory.applied_now();
    }

    /// Answers with the verdicts of this batch, and hands verdicts on earlier hosts to the callers that
    /// wait for them; verdicts without a waiting caller come along with this one.
    fn answer(
        &self,
        state: &mut ControlState,
        changes: TableChanges,
        answer: oneshot::Sender<Vec<ResourceAck>>,
    ) {
        let mut own = Vec::new();
        for verdict in changes.verdicts {
            if let Some(verdict) = state.deliver(verdict) {
                own.push(verdict);
            }
        }
        state.parked.push(Parked {
            answer,
            verdicts: own,
            hosts: changes.waiting,
            until: Instant::now() + self.limits.warming,
        });
        state.send_complete();
    }

    fn reject_expired(&mut self, state: &mut ControlState) {
        let now = Instant::now();
        let expired = state.parked.iter().filter(|parked| parked.until <= now);
        let hosts: Vec<String> = expired
            .flat_map(|parked| parked.hosts.keys().cloned())
            .collect();
        for hostname in hosts {
            if let Some(verdict) = self.table.reject_waiting(&hostname) {
                state.deliver(verdict);
            }
        }
        // A host that is gone by now has had its verdict.
        for parked in &mut state.parked {
            if parked.until <= now {
                parked.hosts.clear();
            }
        }
        state.send_complete();
    }

    fn update_readiness(&self, state: &ControlState, phase: Phase) {
        let ready = state.synced && state.unbound.is_empty() && phase == Phase::Serving;
        self.receiver
            .readiness
            .send_if_modified(|now| std::mem::replace(now, ready) != ready);
    }
}

/// Reports the resident memory of the process to the memory budget, until the runtime ends.
async fn observe(budget: Arc<MemoryBudget>) {
    let mut each = tokio::time::interval(OBSERVED);
    loop {
        each.tick().await;
        if let Some(resident) = limit::resident() {
            budget.observe(resident);
        }
    }
}

impl ControlState {
    /// Returns a verdict to the answer that waits for it, or back.
    fn deliver(&mut self, verdict: ResourceAck) -> Option<ResourceAck> {
        let waits = |parked: &&mut Parked| {
            verdict.name.kind == Kind::VirtualHost
                && parked.hosts.get(&verdict.name.name) == Some(&verdict.version)
        };
        match self.parked.iter_mut().find(waits) {
            Some(parked) => {
                parked.hosts.remove(&verdict.name.name);
                parked.verdicts.push(verdict);
                None
            }
            None => Some(verdict),
        }
    }

    fn send_complete(&mut self) {
        let complete = |parked: &mut Parked| parked.hosts.is_empty();
        for parked in self.parked.extract_if(.., complete) {
            // The caller may have gone away.
            let _ = parked.answer.send(parked.verdicts);
        }
    }
}
