//! What a worker counts. Each has cells of its own, written by it alone and read when somebody asks.

use crate::telemetry::counter::Cell;
use crate::telemetry::handshakes::Handshakes;
use std::sync::Arc;

/// The cells of one worker, on cache lines of their own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Cells {
    /// Finished requests by the hundreds of their status: 1xx to 5xx.
    requests: [Cell; 5],
    pub(crate) connections_accepted: Cell,
    connections_active: Cell,
    pub(crate) connections_shed: Cell,
    pub(crate) accept_pauses: Cell,
    pub(crate) overload_refused: Cell,
    pub(crate) handshakes: Handshakes,
    pub(crate) upstream_connect_failed: Cell,
    pub(crate) upstream_tls_failed: Cell,
    pub(crate) upstream_denied: Cell,
    pub(crate) upstream_timed_out: Cell,
    pub(crate) upstream_malformed: Cell,
    pub(crate) upstream_closed: Cell,
    pub(crate) upstream_connections_opened: Cell,
    pub(crate) upstream_connections_reused: Cell,
    pub(crate) retries: Cell,
    pub(crate) clients_gone: Cell,
    pub(crate) bytes_received: Cell,
    pub(crate) bytes_sent: Cell,
    pub(crate) log_lines_dropped: Cell,
}

impl Cells {
    /// Counts a finished request.
    pub(crate) fn finished(&self, status: u16) {
        let hundreds = usize::from(status / 100).saturating_sub(1);
        if let Some(cell) = self.requests.get(hundreds) {
            cell.add(1);
        }
    }

    /// Finished requests, each with the hundreds of its status.
    pub(crate) fn requests(&self) -> impl Iterator<Item = (u8, u64)> {
        (1..)
            .zip(&self.requests)
            .map(|(hundreds, cell)| (hundreds, cell.get()))
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
pub(crate) struct Active(Arc<Cells>);

impl Drop for Active {
    fn drop(&mut self) {
        self.0.connections_active.subtract(1);
    }
}
