//! A data plane in this process: its threads, how it starts and how it ends.

use crate::admin::Admin;
use crate::admin::metrics::Metrics;
use crate::control::listeners::Listeners;
use crate::control::table::Table;
use crate::control::thread::ControlThread;
use crate::control::{self, Control};
use crate::external::{Dns, Names};
use crate::lifecycle::Phase;
use crate::limits::Limits;
use crate::memory::{MemoryBudget, limit};
use crate::server::{self, WorkerInputs};
use crate::telemetry::access_log::{AccessLogFormat, LogSink};
use crate::telemetry::counters::WorkerCounters;
use crate::telemetry::inventory::Inventory;
use crate::upstream::denied::Denied;
use crate::worker::WorkerConfig;
use crate::worker::peers::{AcceptedConnection, INBOX, Peer, Peers};
use anyhow::Context as _;
use portolan_proxy_core::cidr::Networks;
use portolan_proxy_core::via::Pseudonym;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{Semaphore, mpsc, watch};

/// Settings of a data plane. Ports come with its listeners.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The ExposeClass that it serves; a label of its metrics.
    pub class: String,
    /// How many worker threads, at least one.
    pub workers: usize,
    /// On which addresses listeners open: one for each address family.
    pub addresses: Vec<IpAddr>,
    /// The port at which clients reach HTTPS, for redirects: in a cluster the Service's, which is
    /// not the listener's.
    pub https_port: u16,
    /// How long anything may take.
    pub limits: Limits,
    /// How many clients' connections may be open at a time, over all workers; more wait in the
    /// kernel.
    pub connections: usize,
    /// How much memory the process may use, in bytes; absent: without a bound.
    pub memory_limit: Option<u64>,
    /// Under which name requests say that they passed here (`Via`, RFC 9110 7.6.3).
    pub via: Pseudonym,
    /// Networks in which no endpoint is contacted, beside those that the class names.
    pub denied: Networks,
    /// Where external names are looked up; empty for those of `/etc/resolv.conf`.
    pub name_servers: Vec<SocketAddr>,
    /// Format of the access log.
    pub access_log: AccessLogFormat,
}

/// A running data plane.
#[derive(Debug)]
pub struct DataPlane {
    control: Control,
    phase: watch::Sender<Phase>,
    metrics: Metrics,
    workers: Vec<JoinHandle<()>>,
    control_thread: JoinHandle<()>,
}

/// How long ending takes.
#[derive(Clone, Copy, Debug)]
pub struct Drain {
    /// How long connections are still accepted, so that those who send clients here hear of the end.
    pub delay: Duration,
    /// How long requests under way may take after that.
    pub timeout: Duration,
}

impl DataPlane {
    /// Starts the threads. Nothing is served before the first snapshot came through [`Self::control`].
    ///
    /// # Errors
    /// A thread or the TLS library cannot be started.
    pub fn start(settings: Settings) -> anyhow::Result<Self> {
        let log = LogSink::start(settings.access_log).context("starting the access log")?;
        let (control, receiver) = control::channel();
        let (phase, phases) = watch::channel(Phase::Serving);
        let workers = settings.workers.max(1);
        let inventory = Arc::new(Inventory::default());
        let memory = Arc::new(MemoryBudget::new(settings.memory_limit));
        if let Some(resident) = limit::resident() {
            memory.observe(resident);
        }
        let denied = Denied::new(settings.denied);
        let names = Arc::new(Names::default());
        let metrics = Metrics {
            class: settings.class,
            workers: (0..workers)
                .map(|_| Arc::new(WorkerCounters::default()))
                .collect(),
            held: Arc::clone(&receiver.held),
            inventory: Arc::clone(&inventory),
            memory: Arc::clone(&memory),
            ready: control.readiness(),
        };
        let room = Arc::new(Semaphore::new(
            settings.connections.min(Semaphore::MAX_PERMITS),
        ));
        let (peers, inboxes): (Vec<Peer>, Vec<_>) = metrics.workers.iter().map(peer).unzip();
        let peers: Arc<[Peer]> = peers.into();
        let mut threads = Vec::new();
        let mut update_senders = Vec::new();
        for (index, (peer, inbox)) in peers.iter().zip(inboxes).enumerate() {
            // One change at a time: the control thread waits for it before it sends the next.
            let (sender, updates) = mpsc::channel(1);
            update_senders.push(sender);
            threads.push(server::spawn(WorkerInputs {
                worker: WorkerConfig {
                    index,
                    limits: settings.limits,
                    memory: Arc::clone(&memory),
                    via: settings.via.clone(),
                    room: Arc::clone(&room),
                    counters: Arc::clone(&peer.counters),
                    pool: Arc::clone(&peer.pool),
                    peers: Peers::new(Arc::clone(&peers), index),
                    shed_requested: Arc::clone(&peer.shed_requested),
                    denied: denied.clone(),
                    log: log.clone(),
                },
                updates,
                inbox,
                phase: phases.clone(),
            })?);
        }
        let control_thread = ControlThread {
            receiver,
            table: Table::new(
                workers,
                settings.https_port,
                Arc::clone(&inventory),
                denied.clone(),
                Arc::clone(&names),
            ),
            names,
            dns: Dns::new(&settings.name_servers),
            denied,
            listeners: Listeners::new(settings.addresses, workers),
            workers: update_senders,
            phase: phases,
            inventory,
            limits: settings.limits,
            memory,
        };
        Ok(Self {
            control,
            phase,
            metrics,
            workers: threads,
            control_thread: spawn_control_thread(control_thread)?,
        })
    }

    /// The handle that configures it.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Serves `/metrics`, `/livez` and `/readyz` for ever.
    pub fn admin(&self, listener: TcpListener) -> impl Future<Output = ()> + Send + use<> {
        Admin {
            metrics: self.metrics.clone(),
            ready: self.control.readiness(),
            phase: self.phase.subscribe(),
        }
        .serve(listener)
    }

    /// Ends: unready at once; still accepting for `delay`; then requests under way get `timeout`
    /// to end. Returns whether all did.
    pub async fn drain(self, drain: Drain) -> bool {
        self.phase.send_replace(Phase::Draining);
        tokio::time::sleep(drain.delay).await;
        self.phase.send_replace(Phase::Closing);
        // Each ends by itself once it has taken in what the kernel had accepted and has served it.
        let ended = async {
            while !self.workers.iter().all(JoinHandle::is_finished) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let all_ended = tokio::time::timeout(drain.timeout, ended).await.is_ok();
        self.phase.send_replace(Phase::Stopped);
        let mut threads = self.workers;
        threads.push(self.control_thread);
        let joined = tokio::task::spawn_blocking(move || {
            threads.into_iter().all(|thread| thread.join().is_ok())
        });
        all_ended && joined.await.unwrap_or(false)
    }
}

fn peer(counters: &Arc<WorkerCounters>) -> (Peer, mpsc::Receiver<AcceptedConnection>) {
    let (sender, inbox) = mpsc::channel(INBOX);
    let peer = Peer {
        counters: Arc::clone(counters),
        inbox: sender,
        pool: Arc::default(),
        shed_requested: Arc::default(),
    };
    (peer, inbox)
}

fn spawn_control_thread(control_thread: ControlThread) -> anyhow::Result<JoinHandle<()>> {
    let runtime = || {
        Builder::new_current_thread()
            .enable_all()
            .build_local(LocalOptions::default())
    };
    std::thread::Builder::new()
        .name("control".into())
        .spawn(move || match runtime() {
            Ok(runtime) => runtime.block_on(control_thread.run()),
            Err(error) => {
                tracing::error!(%error, "failed to start the runtime of the control thread")
            }
        })
        .context("starting the control thread")
}
