//! The handle that configures a running data plane and reports its state.
//!
//! A source of configuration (the discovery subscriber, a snapshot file, a test) holds a
//! [`Control`] and sends it batches. One control thread compiles them, every worker applies
//! them, and only then does [`Control::apply`] answer. Batches and verdicts are those of discovery;
//! what is done with them is in the modules below.

mod credentials;
pub(crate) mod listeners;
pub(crate) mod probe;
pub(crate) mod table;
pub(crate) mod thread;

pub use portolan_discovery::delta::{Batch, Update};
pub use portolan_discovery::session::{PresentedCertificate, ResourceAck};
use portolan_discovery::table::ResourceName;
use portolan_discovery::version::Version;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{mpsc, oneshot, watch};

/// How many batches may wait for the control thread before [`Control::apply`] itself waits.
const COMMAND_QUEUE: usize = 16;

/// Commands to the control thread.
#[derive(Debug)]
pub(crate) enum Command {
    /// Apply a batch, then answer.
    Apply {
        batch: Batch,
        answer: oneshot::Sender<Vec<ResourceAck>>,
    },
}

/// A handle on a running data plane; clones are the same data plane.
#[derive(Clone, Debug)]
pub struct Control {
    commands: mpsc::Sender<Command>,
    held: Arc<Held>,
    served: watch::Receiver<Arc<Vec<PresentedCertificate>>>,
    readiness: watch::Receiver<bool>,
}

impl Control {
    /// Applies a batch. Answers when every worker serves by it, the listeners are bound and the
    /// certificates parsed; with one verdict for each upsert, refused ones included. Until the first
    /// batch that ends a snapshot no listener opens and the proxy is not ready.
    ///
    /// A verdict that could not be given with its own batch (a listener before the end of the
    /// snapshot, a host that waited for something it names) comes with the answer to a later one.
    ///
    /// A host that names something absent delays the answer until the absent arrives (with
    /// another call), at most 5 s.
    pub async fn apply(&self, batch: Batch) -> Vec<ResourceAck> {
        let stopped: Vec<ResourceAck> = batch.upserts.iter().map(not_applied).collect();
        let (answer, verdicts) = oneshot::channel();
        let command = Command::Apply { batch, answer };
        if self.commands.send(command).await.is_err() {
            return stopped;
        }
        verdicts.await.unwrap_or(stopped)
    }

    /// Returns the applied resources, by name and version.
    pub fn held(&self) -> BTreeMap<ResourceName, Version> {
        self.held.snapshot()
    }

    /// Certificates that clients are presented, checked again after each certificate swap and every minute.
    pub fn served(&self) -> watch::Receiver<Arc<Vec<PresentedCertificate>>> {
        self.served.clone()
    }

    /// Readiness as `/readyz` reports it.
    pub fn readiness(&self) -> watch::Receiver<bool> {
        self.readiness.clone()
    }
}

fn not_applied(update: &Update) -> ResourceAck {
    update.verdict(Some("the data plane is shutting down".to_owned()))
}

/// Names and versions of what is applied: written by the control thread, read by its handles.
#[derive(Debug, Default)]
pub(crate) struct Held(Mutex<BTreeMap<ResourceName, Version>>);

impl Held {
    fn snapshot(&self) -> BTreeMap<ResourceName, Version> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn change<R>(
        &self,
        change: impl FnOnce(&mut BTreeMap<ResourceName, Version>) -> R,
    ) -> R {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The control thread's ends of what a [`Control`] holds.
#[derive(Debug)]
pub(crate) struct ControlReceiver {
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) held: Arc<Held>,
    pub(crate) served: watch::Sender<Arc<Vec<PresentedCertificate>>>,
    pub(crate) readiness: watch::Sender<bool>,
}

/// A handle, and what the control thread works with.
pub(crate) fn channel() -> (Control, ControlReceiver) {
    let (command_sender, commands) = mpsc::channel(COMMAND_QUEUE);
    let (served_sender, served) = watch::channel(Arc::default());
    let (readiness_sender, readiness) = watch::channel(false);
    let held = Arc::new(Held::default());
    let control = Control {
        commands: command_sender,
        held: Arc::clone(&held),
        served,
        readiness,
    };
    let receiver = ControlReceiver {
        commands,
        held,
        served: served_sender,
        readiness: readiness_sender,
    };
    (control, receiver)
}
