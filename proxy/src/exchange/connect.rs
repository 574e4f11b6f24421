//! A connection to an endpoint: which endpoint, and how one is made.

use crate::exchange::budget::RequestBudget;
use crate::host::Backend;
use crate::upstream::stream::Stream;
use crate::upstream::tls::Connector;
use crate::worker::Worker;
use portolan_proxy_core::endpoint::{Endpoint, InFlight};
use portolan_proxy_core::reason::Reason;
use portolan_proxy_core::retry::Failure;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// A connection, and that a request is under way on it.
#[derive(Debug)]
pub(crate) struct Connected {
    pub(crate) stream: Stream,
    pub(crate) in_flight: InFlight,
    /// It carried a request before, and may have been closed since it was looked at.
    pub(crate) reused: bool,
}

/// The way to an endpoint for one request, in a protocol.
pub(crate) trait Open: Sized {
    /// Over a connection that is there, or over a new one.
    async fn open(
        worker: &Rc<Worker>,
        endpoint: &Arc<Endpoint>,
        connector: Option<&Arc<Connector>>,
        budget: &RequestBudget<'_>,
    ) -> Result<Self, Reason>;

    /// To the same endpoint, when the connection turned out to be closed.
    async fn reopen(self, worker: &Rc<Worker>, budget: &RequestBudget<'_>) -> Result<Self, Reason>;
}

/// The way to one of the endpoints, to another than the one that `failed` where there is one.
pub(crate) async fn connect<U: Open>(
    worker: &Rc<Worker>,
    backend: &Backend,
    failed: Option<&Arc<Endpoint>>,
    budget: &mut RequestBudget<'_>,
) -> Result<U, Reason> {
    let endpoint = choose(worker, backend, failed).ok_or(Reason::NoReadyEndpoints)?;
    let opened = open(worker, backend, &endpoint, budget).await;
    passing_over(worker, backend, endpoint, opened, budget).await
}

/// The way to the same endpoint, whose connection turned out to be closed; to another one when it
/// takes no new one, since it may have closed the old one to end.
pub(crate) async fn reconnect<U: Open>(
    worker: &Rc<Worker>,
    backend: &Backend,
    endpoint: Arc<Endpoint>,
    closed: U,
    budget: &mut RequestBudget<'_>,
) -> Result<U, Reason> {
    let opened = closed.reopen(worker, budget).await;
    passing_over(worker, backend, endpoint, opened, budget).await
}

/// Passes over what takes no connection as long as another attempt is allowed.
async fn passing_over<U: Open>(
    worker: &Rc<Worker>,
    backend: &Backend,
    mut endpoint: Arc<Endpoint>,
    mut opened: Result<U, Reason>,
    budget: &mut RequestBudget<'_>,
) -> Result<U, Reason> {
    loop {
        let reason = match opened {
            Ok(upstream) => return Ok(upstream),
            Err(reason) => reason,
        };
        let next = choose(worker, backend, Some(&endpoint)).ok_or(reason)?;
        let failure = match Arc::ptr_eq(&next, &endpoint) {
            // Asking again would change nothing.
            true if reason == Reason::DeniedAddress => return Err(reason),
            true => Failure::Unreachable,
            false => Failure::Unsent,
        };
        if !budget.try_retry(failure, true) {
            return Err(reason);
        }
        pause(worker, budget).await;
        opened = open(worker, backend, &next, budget).await;
        endpoint = next;
    }
}

/// The endpoint whose turn it is, another than this one where there is one.
fn choose(
    worker: &Worker,
    backend: &Backend,
    not: Option<&Arc<Endpoint>>,
) -> Option<Arc<Endpoint>> {
    let next = |not| backend.endpoints.next(worker.index, not);
    next(not).or_else(|| next(None))
}

/// Waits before a retry, so that an endpoint that is overwhelmed does not get all of them at once.
pub(crate) async fn pause(worker: &Worker, budget: &RequestBudget<'_>) {
    if let Some(longest) = budget.longest_pause() {
        worker.counters.retries.add(1);
        sleep(longest.mul_f32(worker.chance())).await;
    }
}

async fn open<U: Open>(
    worker: &Rc<Worker>,
    backend: &Backend,
    endpoint: &Arc<Endpoint>,
    budget: &RequestBudget<'_>,
) -> Result<U, Reason> {
    // Of a waiting connection too: it may be older than the class's word.
    if worker.denied.contains(endpoint.address().ip()) {
        worker.counters.upstream_denied.add(1);
        return Err(Reason::DeniedAddress);
    }
    let connector = backend.tls.as_ref().map(|tls| tls.connector());
    U::open(worker, endpoint, connector.as_ref(), budget).await
}

/// A new connection.
pub(crate) async fn new(
    worker: &Worker,
    endpoint: &Arc<Endpoint>,
    connector: Option<&Arc<Connector>>,
    budget: &RequestBudget<'_>,
) -> Result<Connected, Reason> {
    let in_flight = InFlight::begin(endpoint);
    // Boxed: a request that finds a connection is not the larger for it.
    let connecting = Box::pin(async {
        let stream = connect_tcp(worker, endpoint).await?;
        Ok(match connector {
            None => Stream::Plain(stream),
            Some(connector) => Stream::Tls {
                stream: Box::new(connector.connect(endpoint, stream).await?),
                proved: Arc::clone(connector),
            },
        })
    });
    let connected = timeout(budget.for_connecting(), connecting).await;
    match connected.unwrap_or(Err(Reason::ConnectTimeout)) {
        Ok(stream) => {
            worker.counters.upstream_connections_opened.add(1);
            Ok(Connected {
                stream,
                in_flight,
                reused: false,
            })
        }
        Err(reason) => {
            let counters = &worker.counters;
            match reason {
                Reason::UpstreamCertificateInvalid | Reason::UpstreamTlsFailed => {
                    counters.upstream_tls_failed.add(1);
                }
                _ => counters.upstream_connect_failed.add(1),
            }
            Err(reason)
        }
    }
}

async fn connect_tcp(worker: &Worker, endpoint: &Endpoint) -> Result<TcpStream, Reason> {
    let connected = match TcpStream::connect(endpoint.address()).await {
        // Waiting connections give way to those that are needed now.
        Err(error) if is_out_of_descriptors(&error) && close_waiting(worker) => {
            TcpStream::connect(endpoint.address()).await
        }
        connected => connected,
    };
    match connected {
        // It would go round in circles until the descriptors are used up.
        Ok(stream) if worker.is_own(&stream, endpoint.address()) => Err(Reason::LoopDetected),
        Ok(stream) => {
            // Heads and last chunks are small and must not wait for one another (RFC 896).
            // Were it to fail, the connection is slow or gone, which the exchange will see.
            let _ = stream.set_nodelay(true);
            Ok(stream)
        }
        Err(error) if is_out_of_descriptors(&error) => Err(Reason::Overloaded),
        Err(_) => Err(Reason::ConnectFailed),
    }
}

/// Closes connections to endpoints that have no request. Returns whether there was any.
fn close_waiting(worker: &Worker) -> bool {
    worker.peers.close_waiting() | worker.http2_pool.close_idle()
}

/// Of this process or of the whole machine.
pub(crate) fn is_out_of_descriptors(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let code = error.raw_os_error();
    [Errno::MFILE, Errno::NFILE]
        .iter()
        .any(|errno| code == Some(errno.raw_os_error()))
}
