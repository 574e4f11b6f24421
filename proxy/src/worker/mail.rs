//! Updates from the control thread to a worker.

use crate::host::Host;
use crate::tls::termination::Termination;
use portolan_discovery::table::Protocol;
use portolan_proxy_core::authority::HostPattern;
use std::net::TcpListener;
use std::sync::Arc;
use tokio::sync::oneshot;

/// A change, applied as a whole between two polls.
#[derive(Debug)]
pub(crate) struct WorkerUpdate {
    pub(crate) hosts: Arc<[HostChange]>,
    pub(crate) open: Vec<OpenListener>,
    /// Names of listeners.
    pub(crate) close: Vec<String>,
    pub(crate) applied: oneshot::Sender<()>,
}

/// One part of a change.
#[derive(Debug)]
pub(crate) enum HostChange {
    Set(Arc<Host>),
    Remove(HostPattern),
    /// TLS termination for clients that send no server name, if any.
    DefaultTermination(Option<Arc<Termination>>),
}

/// The worker's own sockets of a listener, bound.
#[derive(Debug)]
pub(crate) struct OpenListener {
    pub(crate) name: String,
    pub(crate) protocol: Protocol,
    pub(crate) sockets: Vec<TcpListener>,
}
