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
use crate::worker::mail::Mail;
use crate::worker::peers::Arrival;
use crate::worker::{Equipment, Worker};
use anyhow::Context as _;
use std::rc::Rc;
use std::thread::JoinHandle;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, watch};

/// What a worker is started with.
pub(crate) struct Start {
    pub(crate) worker: Equipment,
    pub(crate) mail: mpsc::Receiver<Mail>,
    /// Connections that other workers accepted for this one.
    pub(crate) inbox: mpsc::Receiver<Arrival>,
    pub(crate) phase: watch::Receiver<Phase>,
}

/// Starts a worker on a thread of its own; the thread ends when the phase says so.
pub(crate) fn spawn(start: Start) -> anyhow::Result<JoinHandle<()>> {
    let name = format!("worker-{}", start.worker.index);
    let runtime = move || {
        Builder::new_current_thread()
            .enable_all()
            .build_local(LocalOptions::default())
    };
    std::thread::Builder::new()
        .name(name)
        .spawn(move || match runtime() {
            Ok(runtime) => runtime.block_on(run(start)),
            // The mailbox closes, and the control thread says that the data plane is stopping.
            Err(error) => tracing::error!(%error, "a worker cannot start its runtime"),
        })
        .context("starting a worker thread")
}

async fn run(start: Start) {
    let worker = Rc::new(Worker::new(start.worker));
    updates::attend(&worker, start.mail, start.inbox, start.phase).await;
    worker.log.flush(&worker.cells);
}
