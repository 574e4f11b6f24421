//! Opens connections to endpoints over HTTP/2, one for all requests that wait for it.

use crate::clock;
use crate::exchange::budget::RequestBudget;
use crate::exchange::connect;
use crate::http2::driver;
use crate::http2::link::Link;
use crate::http2::{CONNECTION_WINDOW, SEND_BUFFER, STREAM_WINDOW};
use crate::upstream::http2_pool::{Found, Http2Connection, OpeningGuard, State, StreamPermit, key};
use crate::upstream::tls::Connector;
use crate::worker::Worker;
use bytes::Bytes;
use portolan_proxy_core::endpoint::Endpoint;
use portolan_proxy_core::reason::Reason;
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio::task::spawn_local;
use tokio::time::timeout;

/// Acquires a permit on a connection to the endpoint; also returns whether the connection was used before.
pub(crate) async fn acquire(
    worker: &Rc<Worker>,
    endpoint: &Arc<Endpoint>,
    connector: Option<&Arc<Connector>>,
    budget: &RequestBudget<'_>,
) -> Result<(StreamPermit, bool), Reason> {
    let key = key(endpoint, connector);
    let finding = async {
        loop {
            match worker.http2_pool.find(key, endpoint, connector) {
                Found::Permit(permit) => {
                    worker.counters.upstream_connections_reused.add(1);
                    return Ok((permit, true));
                }
                Found::Opening(opened) => opened.notified().await,
                Found::Nothing(opened) => {
                    // Waiting requests look again however this ends, also when it is cancelled.
                    let _guard = OpeningGuard {
                        pool: &worker.http2_pool,
                        key,
                        opened,
                    };
                    let connection = open(worker, endpoint, connector, budget).await?;
                    let permit = connection.permit();
                    worker.http2_pool.keep(key, connection);
                    return Ok((permit, false));
                }
            }
        }
    };
    let found = timeout(budget.for_connecting(), finding).await;
    found.unwrap_or(Err(Reason::ConnectTimeout))
}

/// Opens a connection, which is usable once the endpoint has sent its settings (RFC 9113 3.4): how
/// many streams it allows, and whether there are tunnels.
async fn open(
    worker: &Rc<Worker>,
    endpoint: &Arc<Endpoint>,
    connector: Option<&Arc<Connector>>,
    budget: &RequestBudget<'_>,
) -> Result<Http2Connection, Reason> {
    let connected = connect::new(worker, endpoint, connector, budget).await?;
    if !connected.stream.may_speak_http2() {
        worker.counters.upstream_tls_failed.add(1);
        return Err(Reason::UpstreamTlsFailed);
    }
    let link = Link::new(Rc::clone(worker), connected.stream, None);
    let (sender, connection) = h2::client::Builder::new()
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .handshake::<_, Bytes>(link.clone())
        .await
        .map_err(|_| Reason::UpstreamClosed)?;
    let state = Rc::new(State::new());
    let (settled, heard) = oneshot::channel();
    let driving = driver::drive(connection, link, Rc::clone(&state), settled);
    spawn_local(clock::once_a_poll(driving));
    match heard.await {
        Ok(()) => Ok(Http2Connection::new(sender, state)),
        Err(_) => Err(Reason::UpstreamClosed),
    }
}
