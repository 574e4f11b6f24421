//! A connection to an endpoint: a waiting one, or a new one.

use crate::upstream::effort::Effort;
use crate::worker::Worker;
use portolan_proxy_core::endpoint::{Endpoint, EndpointSet, InFlight};
use portolan_proxy_core::reason::Reason;
use portolan_proxy_core::retry::Failure;
use std::io;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// A connection that one request uses.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) stream: TcpStream,
    pub(crate) in_flight: InFlight,
    /// It carried a request before, and may have been closed since it was looked at.
    pub(crate) reused: bool,
}

/// A connection to one of the endpoints, to another than the one that `failed` where there is one.
/// What does not take a connection is passed over as long as another attempt is allowed.
pub(crate) async fn connect(
    worker: &Worker,
    endpoints: &EndpointSet,
    failed: Option<&Arc<Endpoint>>,
    effort: &mut Effort<'_>,
) -> Result<Upstream, Reason> {
    let choose = |not: Option<&Arc<Endpoint>>| {
        let other = endpoints.next(worker.index, not);
        other.or_else(|| endpoints.next(worker.index, None))
    };
    let mut endpoint = choose(failed).ok_or(Reason::NoReadyEndpoints)?;
    loop {
        let reason = match waiting_or_new(worker, &endpoint, effort).await {
            Ok(upstream) => return Ok(upstream),
            Err(reason) => reason,
        };
        let next = choose(Some(&endpoint)).ok_or(reason)?;
        let failure = match Arc::ptr_eq(&next, &endpoint) {
            true => Failure::Unreachable,
            false => Failure::Unsent,
        };
        if !effort.once_more(failure, true) {
            return Err(reason);
        }
        pause(worker, effort).await;
        endpoint = next;
    }
}

/// A new connection to the endpoint of one that turned out to be closed.
pub(crate) async fn reconnect(
    worker: &Worker,
    stale: Upstream,
    effort: &Effort<'_>,
) -> Result<Upstream, Reason> {
    new(worker, stale.in_flight.endpoint(), effort).await
}

/// Waits before a retry, so that an endpoint that is overwhelmed does not get all of them at once.
pub(crate) async fn pause(worker: &Worker, effort: &Effort<'_>) {
    if let Some(longest) = effort.longest_pause() {
        worker.cells.retries.add(1);
        sleep(longest.mul_f32(worker.chance())).await;
    }
}

async fn waiting_or_new(
    worker: &Worker,
    endpoint: &Arc<Endpoint>,
    effort: &Effort<'_>,
) -> Result<Upstream, Reason> {
    match worker.peers.waiting_connection(endpoint) {
        Some(stream) => {
            worker.cells.upstream_connections_reused.add(1);
            Ok(Upstream {
                stream,
                in_flight: InFlight::begin(endpoint),
                reused: true,
            })
        }
        None => new(worker, endpoint, effort).await,
    }
}

async fn new(
    worker: &Worker,
    endpoint: &Arc<Endpoint>,
    effort: &Effort<'_>,
) -> Result<Upstream, Reason> {
    let in_flight = InFlight::begin(endpoint);
    let connecting = async {
        match TcpStream::connect(endpoint.address()).await {
            // Waiting connections give way to those that are needed now.
            Err(error) if is_out_of_descriptors(&error) && worker.peers.close_waiting() => {
                TcpStream::connect(endpoint.address()).await
            }
            connected => connected,
        }
    };
    let reason = match timeout(effort.for_connecting(), connecting).await {
        // It would go round in circles until the descriptors are used up.
        Ok(Ok(stream)) if worker.is_own(&stream, endpoint.address()) => Reason::LoopDetected,
        Ok(Ok(stream)) => {
            // Heads and last chunks are small and must not wait for one another (RFC 896).
            // Were it to fail, the connection is slow or gone, which the exchange will see.
            let _ = stream.set_nodelay(true);
            worker.cells.upstream_connections_opened.add(1);
            return Ok(Upstream {
                stream,
                in_flight,
                reused: false,
            });
        }
        Ok(Err(error)) if is_out_of_descriptors(&error) => Reason::Overloaded,
        Ok(Err(_)) => Reason::ConnectFailed,
        Err(_) => Reason::ConnectTimeout,
    };
    worker.cells.upstream_connect_failed.add(1);
    Err(reason)
}

/// Of this process or of the whole machine.
pub(crate) fn is_out_of_descriptors(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let code = error.raw_os_error();
    [Errno::MFILE, Errno::NFILE]
        .iter()
        .any(|errno| code == Some(errno.raw_os_error()))
}
