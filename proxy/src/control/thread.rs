//! The control thread: takes batches, has them applied by every worker, and answers.

use crate::control::listeners::{Listeners, Opening};
use crate::control::probe::{self, Targets};
use crate::control::table::{Step, Table};
use crate::control::{Batch, Command, Ends, ResourceAck, Update};
use crate::external::{self, Dns, Names};
use crate::lifecycle::Phase;
use crate::limits::Limits;
use crate::memory::{Ledger, limit};
use crate::telemetry::inventory::Inventory;
use crate::upstream::denied::Denied;
use crate::worker::mail::{HostChange, Mail, OpenListener};
use portolan_discovery::table::{Kind, Resource, ResourceName};
use portolan_discovery::version::Version;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep_until};

/// How often it is looked at what the process has in memory.
const OBSERVED: Duration = Duration::from_secs(1);

/// What the control thread works with.
pub(crate) struct Keeper {
    pub(crate) ends: Ends,
    pub(crate) table: Table,
    pub(crate) listeners: Listeners,
    pub(crate) workers: Vec<mpsc::Sender<Mail>>,
    pub(crate) phase: watch::Receiver<Phase>,
    pub(crate) inventory: Arc<Inventory>,
    pub(crate) limits: Limits,
    pub(crate) memory: Arc<Ledger>,
    pub(crate) names: Arc<Names>,
    /// An error when the host has no name service; then external names have no endpoints.
    pub(crate) dns: anyhow::Result<Dns>,
    pub(crate) denied: Denied,
}

/// What it remembers from batch to batch.
struct Memory {
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

impl Keeper {
    /// Works until nobody can ask for anything any more or the data plane stops.
    pub(crate) async fn run(mut self) {
        let targets = Rc::new(Targets::default());
        let served = self.ends.served.clone();
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
            Err(ref error) => tracing::warn!("external names have no endpoints: {error:#}"),
        }
        let mut memory = Memory {
            synced: false,
            deferred: BTreeMap::new(),
            unbound: BTreeMap::new(),
            parked: Vec::new(),
            targets,
        };
        loop {
            let expiry = memory.parked.iter().map(|parked| parked.until).min();
            let expired = async {
                match expiry {
                    Some(until) => sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                command = self.ends.commands.recv() => match command {
                    Some(Command::Apply { batch, answer }) => {
                        self.apply(&mut memory, batch, answer).await;
                    }
                    None => return,
                },
                () = expired => self.refuse_expired(&mut memory),
                changed = self.phase.changed() => {
                    let phase = changed.map_or(Phase::Stopped, |()| *self.phase.borrow_and_update());
                    self.judge_readiness(&memory, phase);
                    if phase == Phase::Stopped {
                        return;
                    }
                }
            }
        }
    }

    async fn apply(
        &mut self,
        memory: &mut Memory,
        batch: Batch,
        answer: oneshot::Sender<Vec<ResourceAck>>,
    ) {
        let (listeners, others): (Vec<Update>, Vec<Update>) = batch
            .upserts
            .into_iter()
            .partition(|update| matches!(update.resource, Resource::Listener(_)));
        let mut step = self.table.apply(others, &batch.removals);
        memory.synced |= batch.end_of_snapshot;
        for update in listeners {
            memory.deferred.insert(update.resource.name().name, update);
        }
        let mut open: Vec<Vec<OpenListener>> = self.workers.iter().map(|_| Vec::new()).collect();
        if memory.synced {
            for update in std::mem::take(&mut memory.deferred).into_values() {
                let verdict = self.open(memory, &update, &mut open);
                step.verdicts.push(verdict);
            }
        }
        let close = self.close(memory, &batch.removals);
        self.tell_probe(memory, &step);
        let hosts = std::mem::take(&mut step.hosts);
        self.mail(hosts.into(), open, close).await;
        self.hold(&step.verdicts, &batch.removals);
        // First: whoever has the answer may rely on what `/readyz` says.
        self.judge_readiness(memory, *self.phase.borrow());
        self.answer(memory, step, answer);
    }

    fn open(
        &mut self,
        memory: &mut Memory,
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
                let unbound = &mut memory.unbound;
                unbound.insert(listener.name.clone(), refusal.clone());
                return update.verdict(Some(refusal));
            }
        }
        memory.unbound.remove(&listener.name);
        update.verdict(None)
    }

    fn close(&mut self, memory: &mut Memory, removals: &[ResourceName]) -> Vec<String> {
        let listeners = removals.iter().filter(|name| name.kind == Kind::Listener);
        let mut close = Vec::new();
        for ResourceName { name, .. } in listeners {
            memory.deferred.remove(name);
            memory.unbound.remove(name);
            if self.listeners.close(name) {
                close.push(name.clone());
            }
        }
        close
    }

    fn tell_probe(&self, memory: &Memory, step: &Step) {
        for change in &step.hosts {
            match change {
                HostChange::Set(host) => {
                    let hostname = host.policy.pattern.to_string();
                    let certificate = self.table.certificate_of(&hostname);
                    memory.targets.set_host(&hostname, certificate);
                }
                HostChange::Remove(pattern) => {
                    memory.targets.set_host(&pattern.to_string(), None);
                }
                HostChange::Unnamed(_) => {}
            }
        }
        for certificate in &step.certificates {
            memory.targets.swapped(certificate);
        }
        memory.targets.set_listener(self.listeners.https_address());
    }

    /// Sends a change to every worker and waits until each has applied it.
    async fn mail(
        &self,
        hosts: Arc<[HostChange]>,
        open: Vec<Vec<OpenListener>>,
        close: Vec<String>,
    ) {
        let mut applied = Vec::new();
        for (worker, open) in self.workers.iter().zip(open) {
            let (done, waiting) = oneshot::channel();
            let mail = Mail {
                hosts: Arc::clone(&hosts),
                open,
                close: close.clone(),
                applied: done,
            };
            // A worker that has ended has nothing to apply.
            if worker.send(mail).await.is_ok() {
                applied.push(waiting);
            }
        }
        for waiting in applied {
            let _ = waiting.await;
        }
    }

    fn hold(&self, verdicts: &[ResourceAck], removals: &[ResourceName]) {
        self.ends.held.change(|held| {
            for verdict in verdicts.iter().filter(|verdict| verdict.refused.is_none()) {
                held.insert(verdict.name.clone(), verdict.version);
            }
            for name in removals {
                held.remove(name);
            }
        });
        self.inventory.applied_now();
    }

    /// Answers with the verdicts of this batch, and hands verdicts on earlier hosts to whoever
    /// waits for them; what nobody waits for comes along with this answer.
    fn answer(&self, memory: &mut Memory, step: Step, answer: oneshot::Sender<Vec<ResourceAck>>) {
        let mut own = Vec::new();
        for verdict in step.verdicts {
            if let Some(verdict) = memory.deliver(verdict) {
                own.push(verdict);
            }
        }
        memory.parked.push(Parked {
            answer,
            verdicts: own,
            hosts: step.waiting,
            until: Instant::now() + self.limits.warming,
        });
        memory.answer_complete();
    }

    fn refuse_expired(&mut self, memory: &mut Memory) {
        let now = Instant::now();
        let expired = memory.parked.iter().filter(|parked| parked.until <= now);
        let hosts: Vec<String> = expired
            .flat_map(|parked| parked.hosts.keys().cloned())
            .collect();
        for hostname in hosts {
            if let Some(verdict) = self.table.give_up(&hostname) {
                memory.deliver(verdict);
            }
        }
        // A host that is gone by now has had its verdict.
        for parked in &mut memory.parked {
            if parked.until <= now {
                parked.hosts.clear();
            }
        }
        memory.answer_complete();
    }

    fn judge_readiness(&self, memory: &Memory, phase: Phase) {
        let ready = memory.synced && memory.unbound.is_empty() && phase == Phase::Serving;
        self.ends
            .readiness
            .send_if_modified(|now| std::mem::replace(now, ready) != ready);
    }
}

/// Tells the ledger what the process has in memory, for ever.
async fn observe(ledger: Arc<Ledger>) {
    let mut each = tokio::time::interval(OBSERVED);
    loop {
        each.tick().await;
        if let Some(resident) = limit::resident() {
            ledger.observe(resident);
        }
    }
}

impl Memory {
    /// Gives a verdict to the answer that waits for it, or back.
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

    fn answer_complete(&mut self) {
        let complete = |parked: &mut Parked| parked.hosts.is_empty();
        for parked in self.parked.extract_if(.., complete) {
            // Whoever asked may have gone away.
            let _ = parked.answer.send(parked.verdicts);
        }
    }
}
