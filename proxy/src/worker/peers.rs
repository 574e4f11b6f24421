//! State that workers share with one another: how many connections each has, where to send one more,
//! and the connections to endpoints that it does not need now.

use crate::telemetry::counters::{Active, WorkerCounters};
use crate::upstream::pool::Pool;
use crate::upstream::stream::Stream;
use crate::upstream::tls::Connector;
use portolan_discovery::table::Protocol;
use portolan_proxy_core::endpoint::Endpoint;
use std::net::{SocketAddr, TcpStream as StdStream};
use std::sync::Arc;
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc};

/// How many connections may be on their way to a worker. The worker that accepts one more keeps it.
pub(crate) const INBOX: usize = 256;

/// A client's connection between being accepted and being served, on no reactor yet.
#[derive(Debug)]
pub(crate) struct AcceptedConnection {
    pub(crate) stream: StdStream,
    pub(crate) client: SocketAddr,
    pub(crate) protocol: Protocol,
    /// Counted where it will be served, from the moment that is decided.
    pub(crate) active: Active,
    /// Absent for those that a closing listener had already promised to take.
    pub(crate) room: Option<OwnedSemaphorePermit>,
}

/// State that one worker shares with the others.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) counters: Arc<WorkerCounters>,
    pub(crate) inbox: mpsc::Sender<AcceptedConnection>,
    pub(crate) pool: Arc<Pool>,
    /// Another worker needs room: idle connections should leave.
    pub(crate) shed_requested: Arc<Notify>,
}

/// All workers of a data plane, as one of them sees them.
#[derive(Clone, Debug)]
pub(crate) struct Peers {
    all: Arc<[Peer]>,
    own: usize,
}

impl Peers {
    /// The view of worker `own`.
    pub(crate) fn new(all: Arc<[Peer]>, own: usize) -> Self {
        Self { all, own }
    }

    /// The worker that has the fewest connections; the own one if no other has fewer.
    fn least_loaded(&self) -> usize {
        let loads = self.all.iter().map(|peer| peer.counters.active());
        least(loads, self.own)
    }

    /// Sends a connection to the least loaded worker. Returns it back when that is this one, or
    /// when the other takes no more.
    pub(crate) fn place(
        &self,
        stream: StdStream,
        client: SocketAddr,
        protocol: Protocol,
        room: OwnedSemaphorePermit,
    ) -> Option<AcceptedConnection> {
        let chosen = self.least_loaded();
        let peer = self.all.get(chosen)?;
        let accepted = AcceptedConnection {
            stream,
            client,
            protocol,
            active: peer.counters.open(),
            room: Some(room),
        };
        if chosen == self.own {
            return Some(accepted);
        }
        let sent = peer.inbox.try_send(accepted);
        let mut back = sent.err()?.into_inner();
        back.active = self.all.get(self.own)?.counters.open();
        Some(back)
    }

    /// Asks the other workers to have connections leave that only wait.
    pub(crate) fn request_shedding(&self) {
        for (index, peer) in self.all.iter().enumerate() {
            if index != self.own {
                peer.shed_requested.notify_one();
            }
        }
    }

    /// Closes all waiting connections of all workers. Returns whether there was one.
    pub(crate) fn close_waiting(&self) -> bool {
        let closed = self.all.iter().map(|peer| peer.pool.close_all());
        closed.fold(false, |any, closed| any | closed)
    }

    /// Takes a waiting connection to the endpoint, of this worker or, in plaintext, of another: the
    /// state of TLS cannot change over to another reactor.
    pub(crate) fn waiting_connection(
        &self,
        endpoint: &Arc<Endpoint>,
        connector: Option<&Arc<Connector>>,
    ) -> Option<Stream> {
        if endpoint.idle() == 0 {
            return None;
        }
        let own = self.all.get(self.own)?.pool.take(endpoint, connector);
        if connector.is_some() {
            return own;
        }
        own.or_else(|| {
            let (before, from_own) = self.all.split_at_checked(self.own)?;
            let others = from_own.iter().skip(1).chain(before);
            others
                .filter(|_| endpoint.idle() > 0)
                .find_map(|peer| peer.pool.give_away(endpoint))
                .map(Stream::Plain)
        })
    }
}

/// The index of the least number; `own` where it is one of them.
fn least(loads: impl Iterator<Item = u64>, own: usize) -> usize {
    loads
        .enumerate()
        .min_by_key(|(index, load)| (*load, *index != own))
        .map_or(own, |(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_keeps_what_no_other_would_serve_sooner() {
        let least = |loads: &[u64], own| least(loads.iter().copied(), own);
        assert_eq!(least(&[3, 3, 3], 2), 2);
        assert_eq!(least(&[3, 2, 3], 2), 1);
        assert_eq!(least(&[0, 0, 1], 2), 0);
        assert_eq!(least(&[], 0), 0);
    }
}
