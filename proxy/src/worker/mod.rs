//! A worker: the state that the tasks of one thread share.
//!
//! Nothing that a request touches is shared with another worker but immutable hosts, endpoints and
//! certificates. The thread itself, and what it does with updates and connections, is in `server`.

pub(crate) mod buffer;
pub(crate) mod idle;
pub(crate) mod linger;
pub(crate) mod mail;
pub(crate) mod peers;
pub(crate) mod tls;

use crate::host::Host;
use crate::lifecycle::Phase;
use crate::limits::Limits;
use crate::memory::{MemoryBudget, MemoryPressure, WorkerMemory};
use crate::telemetry::access_log::{AccessLog, LogSink};
use crate::telemetry::counters::WorkerCounters;
use crate::upstream::denied::Denied;
use crate::upstream::http2_pool::Http2Pool;
use crate::upstream::pool::Pool;
use buffer::Buffers;
use idle::Idle;
use peers::Peers;
use portolan_proxy_core::matcher::HostMap;
use portolan_proxy_core::reason::Reason;
use portolan_proxy_core::via::Pseudonym;
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore};

/// How many TLS handshakes a worker has under way; more wait their turn, within the time of a
/// handshake. Each holds buffers and costs a signature.
const HANDSHAKES: usize = 1024;
/// How many connections that wait are asked to leave at a time, when there is no room for new ones.
const LEAVING: usize = 32;

/// State that the tasks of one worker share.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) index: usize,
    pub(crate) hosts: RefCell<HostMap<Arc<Host>>>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) http2_pool: Http2Pool,
    pub(crate) peers: Peers,
    pub(crate) denied: Denied,
    pub(crate) buffers: Buffers,
    pub(crate) memory: Rc<WorkerMemory>,
    pub(crate) idle: Idle,
    pub(crate) counters: Arc<WorkerCounters>,
    pub(crate) log: AccessLog,
    pub(crate) limits: Limits,
    pub(crate) via: Pseudonym,
    /// The ports that this worker accepts on.
    pub(crate) ports: RefCell<Vec<u16>>,
    /// One permit for each connection that may be open, over all workers.
    pub(crate) room: Arc<Semaphore>,
    /// One permit for each TLS handshake that may be under way.
    pub(crate) handshakes: Semaphore,
    pub(crate) shed_requested: Arc<Notify>,
    pub(crate) tls: tls::HandshakeState,
    phase: Cell<Phase>,
    random: RefCell<fastrand::Rng>,
}

/// Configuration and shared handles of a worker.
pub(crate) struct WorkerConfig {
    pub(crate) index: usize,
    pub(crate) limits: Limits,
    pub(crate) memory: Arc<MemoryBudget>,
    pub(crate) via: Pseudonym,
    /// One permit for each connection that may be open, over all workers.
    pub(crate) room: Arc<Semaphore>,
    pub(crate) counters: Arc<WorkerCounters>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) peers: Peers,
    /// Another worker needs room.
    pub(crate) shed_requested: Arc<Notify>,
    pub(crate) denied: Denied,
    pub(crate) log: LogSink,
}

impl Worker {
    pub(crate) fn new(config: WorkerConfig) -> Self {
        let memory = Rc::new(WorkerMemory::new(config.memory));
        Self {
            index: config.index,
            hosts: RefCell::default(),
            pool: config.pool,
            http2_pool: Http2Pool::default(),
            peers: config.peers,
            denied: config.denied,
            buffers: Buffers::new(Rc::clone(&memory)),
            memory,
            idle: Idle::default(),
            counters: config.counters,
            log: config.log.worker_end(),
            limits: config.limits,
            via: config.via,
            ports: RefCell::default(),
            room: config.room,
            handshakes: Semaphore::new(HANDSHAKES),
            shed_requested: config.shed_requested,
            tls: tls::HandshakeState::default(),
            phase: Cell::new(Phase::Serving),
            random: RefCell::new(fastrand::Rng::new()),
        }
    }

    /// No shutdown has begun: connections may be kept.
    pub(crate) fn is_serving(&self) -> bool {
        self.phase.get() == Phase::Serving
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// Connections without a request are closed.
    pub(crate) fn is_closing(&self) -> bool {
        self.phase.get() >= Phase::Closing
    }

    /// Returns whether new requests are refused.
    pub(crate) fn is_overloaded(&self) -> bool {
        self.memory.pressure() >= MemoryPressure::Refuse
    }

    /// Has those connections leave that have waited longest for a request, or asks the other workers
    /// for that. Connections with a request stay.
    pub(crate) fn shed(&self) {
        if self.shed_idle() == 0 {
            self.peers.request_shedding();
        }
    }

    pub(crate) fn shed_idle(&self) -> usize {
        let leaving = self.idle.ask_longest(LEAVING);
        self.counters.connections_shed.add(leaving as u64);
        leaving
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        if self.is_closing() {
            self.idle.wake_all();
        }
    }

    /// Returns whether a connection leads to one of our own listeners: both its ends are this host, and the
    /// port is one that we listen on. Seldom more than a look at the port.
    pub(crate) fn is_own(&self, stream: &TcpStream, to: SocketAddr) -> bool {
        self.ports.borrow().contains(&to.port())
            && stream.local_addr().is_ok_and(|own| own.ip() == to.ip())
    }

    /// 128 random bits in hexadecimal. Names a request, guards nothing.
    pub(crate) fn new_request_id(&self, out: &mut String) {
        let id = self.random();
        let mut digits = [0; 32];
        // Two digits for each of sixteen bytes, all of them ASCII.
        if hex::encode_to_slice(id.to_be_bytes(), &mut digits).is_ok() {
            out.push_str(std::str::from_utf8(&digits).unwrap_or_default());
        }
    }

    /// 128 bits that guard nothing.
    pub(crate) fn random(&self) -> u128 {
        self.random.borrow_mut().u128(..)
    }

    /// At least nothing, less than one.
    pub(crate) fn chance(&self) -> f32 {
        self.random.borrow_mut().f32()
    }

    pub(crate) fn count_upstream_error(&self, reason: Reason) {
        match reason {
            Reason::ResponseTimeout | Reason::DeadlineExceeded => {
                self.counters.upstream_timed_out.add(1)
            }
            Reason::MalformedResponse => self.counters.upstream_malformed.add(1),
            Reason::UpstreamClosed => self.counters.upstream_closed.add(1),
            _ => {}
        }
    }
}

#[cfg(test)]
impl Worker {
    /// One of a test, without others.
    pub(crate) fn alone(memory: MemoryBudget) -> Self {
        let (inbox, _) = tokio::sync::mpsc::channel(1);
        let peer = peers::Peer {
            counters: Arc::default(),
            inbox,
            pool: Arc::default(),
            shed_requested: Arc::default(),
        };
        Self::new(WorkerConfig {
            index: 0,
            limits: Limits::default(),
            memory: Arc::new(memory),
            via: Pseudonym::default(),
            room: Arc::new(Semaphore::new(1)),
            counters: Arc::clone(&peer.counters),
            pool: Arc::clone(&peer.pool),
            shed_requested: Arc::clone(&peer.shed_requested),
            peers: Peers::new(Arc::new([peer]), 0),
            denied: Denied::new(portolan_proxy_core::cidr::Networks::default()),
            log: LogSink::start(crate::telemetry::access_log::AccessLogFormat::Off).unwrap(),
        })
    }
}
