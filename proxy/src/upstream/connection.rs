//! A connection to an endpoint: a waiting one, or a new one.

use crate::worker::Worker;
use portolan_proxy_core::endpoint::{Endpoint, EndpointSet, InFlight};
use portolan_proxy_core::reason::Reason;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A connection that one request uses.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) stream: TcpStream,
    pub(crate) in_flight: InFlight,
    /// It carried a request before, and may have been closed since it was looked at.
    pub(crate) reused: bool,
}

/// A connection to one of the endpoints. One that does not take it is passed over once: nothing
/// of the request has been sent, so nothing can happen twice.
pub(crate) async fn connect(worker: &Worker, endpoints: &EndpointSet) -> Result<Upstream, Reason> {
    let first = endpoints
        .next(worker.index, None)
        .ok_or(Reason::NoReadyEndpoints)?;
    let reason = match waiting_or_new(worker, &first).await {
        Ok(upstream) => return Ok(upstream),
        Err(reason) => reason,
    };
    match endpoints.next(worker.index, Some(&first)) {
        Some(second) => waiting_or_new(worker, &second).await,
        None => Err(reason),
    }
}

/// A new connection to the endpoint of one that turned out to be closed.
pub(crate) async fn reconnect(worker: &Worker, stale: Upstream) -> Result<Upstream, Reason> {
    new(worker, stale.in_flight.endpoint()).await
}

async fn waiting_or_new(worker: &Worker, endpoint: &Arc<Endpoint>) -> Result<Upstream, Reason> {
    match worker.peers.waiting_connection(endpoint) {
        Some(stream) => {
            worker.cells.upstream_connections_reused.add(1);
            Ok(Upstream {
                stream,
                in_flight: InFlight::begin(endpoint),
                reused: true,
            })
        }
        None => new(worker, endpoint).await,
    }
}

async fn new(worker: &Worker, endpoint: &Arc<Endpoint>) -> Result<Upstream, Reason> {
    let in_flight = InFlight::begin(endpoint);
    let connecting = TcpStream::connect(endpoint.address());
    match timeout(worker.limits.connect, connecting).await {
        Ok(Ok(stream)) => {
            // Heads and last chunks are small and must not wait for one another (RFC 896).
            // Were it to fail, the connection is slow or gone, which the exchange will see.
            let _ = stream.set_nodelay(true);
            worker.cells.upstream_connections_opened.add(1);
            Ok(Upstream {
                stream,
                in_flight,
                reused: false,
            })
        }
        Ok(Err(_)) => {
            worker.cells.upstream_connect_failed.add(1);
            Err(Reason::ConnectFailed)
        }
        Err(_) => {
            worker.cells.upstream_connect_failed.add(1);
            Err(Reason::ConnectTimeout)
        }
    }
}
