//! Counters of a worker. Each worker has its own, written by it alone and read by the metrics page.

use crate::telemetry::counter::Counter;
use crate::telemetry::handshakes::Handshakes;
use std::sync::Arc;

/// Counters of one worker, on cache lines of their own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct WorkerCounters {
    /// Finished requests by the hundreds of their status: 1xx to 5xx.
    requests: [Counter; 5],
    pub(crate) connections_accepted: Counter,
    connections_active: Counter,
    pub(crate) connections_shed: Counter,
    pub(crate) accept_pauses: Counter,
    pub(crate) overload_refused: Counter,
    pub(crate) handshakes: Handshakes,
    pub(crate) upstream_connect_failed: Counter,
    pub(crate) upstream_tls_failed: Counter,
    pub(crate) upstream_denied: Counter,
    pub(crate) upstream_timed_out: Counter,
    pub(crate) upstream_malformed: Counter,
    pub(crate) upstream_closed: Counter,
    pub(crate) upstream_connections_opened: Counter,
    pub(crate) upstream_connections_reused: Counter,
    pub(crate) retries: Counter,
    pub(crate) clients_gone: Counter,
    pub(crate) bytes_received: Counter,
    pub(crate) bytes_sent: Counter,
    pub(crate) log_lines_dropped: Counter,
}

impl WorkerCounters {
    /// Counts a finished request.
    pub(crate) fn finished(&self, status: u16) {
        let hundreds = usize::from(status / 100).saturating_sub(1);
        if let Some(counter) = self.requests.get(hundreds) {
            counter.add(1);
        }
    }

    /// Finished requests, each with the hundreds of its status.
    pub(crate) fn requests(&self) -> impl Iterator<Item = (u8, u64)> {
        (1..)
            .zip(&self.requests)
            .map(|(hundreds, counter)| (hundreds, counter.get()))
    }

    /// Connections that are open.
    pub(crate) fn active(&self) -> u64 {
        self.connections_active.get()
    }

    /// Counts a connection until the guard is dropped.
    pub(crate) fn open(self: &Arc<Self>) -> Active {
        self.connections_active.add(1);
        Active(Arc::clone(self))
    }
}

/// A connection that is open.
#[derive(Debug)]
pub(crate) struct Active(Arc<WorkerCounters>);

impl Drop for Active {
    fn drop(&mut self) {
        self.0.connections_active.subtract(1);
    }
}
