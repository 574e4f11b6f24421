//! The worker threads: each accepts connections, places them, and serves those that are its own.
//!
//! A connection is placed once, when it is accepted, with the worker that has the fewest.
//!
//! ```text
//! accept ─► tls ─► http1: one request after another     ─┐
//!            └──► http2 ─► http2_stream: a task for each ┴─► forward
//! updates: what the control thread sends, applied between two polls
//! ```

mod accept;
mod http1;
mod http1_reply;
mod http2;
mod http2_stream;
mod tls;
mod updates;

use crate::lifecycle::Phase;
use crate::worker::mail::WorkerUpdate;
use crate::worker::peers::AcceptedConnection;
use crate::worker::{Worker, WorkerConfig};
use anyhow::Context as _;
use std::rc::Rc;
use std::thread::JoinHandle;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, watch};

/// Inputs of a worker thread.
pub(crate) struct WorkerInputs {
    pub(crate) worker: WorkerConfig,
    pub(crate) updates: mpsc::Receiver<WorkerUpdate>,
    /// Connections that other workers accepted for this one.
    pub(crate) inbox: mpsc::Receiver<AcceptedConnection>,
    pub(crate) phase: watch::Receiver<Phase>,
}

/// Starts a worker on a thread of its own; the thread ends when the phase says so.
pub(crate) fn spawn(inputs: WorkerInputs) -> anyhow::Result<JoinHandle<()>> {
    let name = format!("worker-{}", inputs.worker.index);
    let runtime = move || {
        Builder::new_current_thread()
            .enable_all()
            .build_local(LocalOptions::default())
    };
    std::thread::Builder::new()
        .name(name)
        .spawn(move || match runtime() {
            Ok(runtime) => runtime.block_on(run(inputs)),
            // The mailbox closes, and the control thread says that the data plane is stopping.
            Err(error) => tracing::error!(%error, "failed to start the runtime of a worker"),
        })
        .context("starting a worker thread")
}

async fn run(inputs: WorkerInputs) {
    let worker = Rc::new(Worker::new(inputs.worker));
    updates::run_loop(&worker, inputs.updates, inputs.inbox, inputs.phase).await;
    worker.log.flush(&worker.counters);
}
