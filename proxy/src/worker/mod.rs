//! A worker: one thread with its own runtime, listeners, connections, pools and table.
//!
//! Nothing that a request touches is shared with another worker but immutable hosts, endpoints
//! and certificates; what changes arrives by mail and is applied between two polls. A connection
//! is placed once, when it is accepted, with the worker that has the fewest.

mod accept;
pub(crate) mod buffer;
pub(crate) mod idle;
mod mail;
pub(crate) mod peers;
mod tls;

pub(crate) use mail::{HostChange, Mail, OpenListener};

use crate::host::Host;
use crate::lifecycle::Phase;
use crate::limits::Limits;
use crate::telemetry::access_log::{AccessLog, LogSink};
use crate::telemetry::cells::Cells;
use crate::upstream::pool::Pool;
use anyhow::Context as _;
use buffer::Buffers;
use idle::Idle;
use peers::{Arrival, Peers};
use portolan_proxy_core::matcher::HostMap;
use portolan_proxy_core::reason::Reason;
use std::cell::{Cell, RefCell};
use std::fmt::Write as _;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{Semaphore, mpsc, watch};

/// What the tasks of one worker share.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) index: usize,
    pub(crate) hosts: RefCell<HostMap<Arc<Host>>>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) peers: Peers,
    pub(crate) buffers: Buffers,
    pub(crate) idle: Idle,
    pub(crate) cells: Arc<Cells>,
    pub(crate) log: AccessLog,
    pub(crate) limits: Limits,
    /// One permit for each connection that may be open, over all workers.
    room: Arc<Semaphore>,
    phase: Cell<Phase>,
    random: RefCell<fastrand::Rng>,
}

/// What a worker is started with.
pub(crate) struct Start {
    pub(crate) worker: Equipment,
    pub(crate) mail: mpsc::Receiver<Mail>,
    /// Connections that other workers accepted for this one.
    pub(crate) inbox: mpsc::Receiver<Arrival>,
    pub(crate) phase: watch::Receiver<Phase>,
}

/// What a worker gets from outside, and keeps.
pub(crate) struct Equipment {
    pub(crate) index: usize,
    pub(crate) limits: Limits,
    /// One permit for each connection that may be open, over all workers.
    pub(crate) room: Arc<Semaphore>,
    pub(crate) cells: Arc<Cells>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) peers: Peers,
    pub(crate) log: LogSink,
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
    mail::attend(&worker, start.mail, start.inbox, start.phase).await;
    worker.log.flush(&worker.cells);
}

impl Worker {
    pub(crate) fn new(equipment: Equipment) -> Self {
        Self {
            index: equipment.index,
            hosts: RefCell::default(),
            pool: equipment.pool,
            peers: equipment.peers,
            buffers: Buffers::default(),
            idle: Idle::default(),
            cells: equipment.cells,
            log: equipment.log.worker_end(),
            limits: equipment.limits,
            room: equipment.room,
            phase: Cell::new(Phase::Serving),
            random: RefCell::new(fastrand::Rng::new()),
        }
    }

    /// No shutdown has begun: connections may be kept.
    pub(crate) fn is_serving(&self) -> bool {
        self.phase.get() == Phase::Serving
    }

    /// Connections without a request are closed.
    pub(crate) fn is_closing(&self) -> bool {
        self.phase.get() >= Phase::Closing
    }

    fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        if self.is_closing() {
            self.idle.wake_all();
        }
    }

    /// 128 random bits in hexadecimal. Names a request, guards nothing.
    pub(crate) fn new_request_id(&self, out: &mut String) {
        let id = self.random.borrow_mut().u128(..);
        // Writing into a string cannot fail.
        let _ = write!(out, "{id:032x}");
    }

    /// At least nothing, less than one.
    pub(crate) fn chance(&self) -> f32 {
        self.random.borrow_mut().f32()
    }

    pub(crate) fn count_upstream_error(&self, reason: Reason) {
        match reason {
            Reason::ResponseTimeout | Reason::DeadlineExceeded => {
                self.cells.upstream_timed_out.add(1)
            }
            Reason::MalformedResponse => self.cells.upstream_malformed.add(1),
            Reason::UpstreamClosed => self.cells.upstream_closed.add(1),
            _ => {}
        }
    }
}
