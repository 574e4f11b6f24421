//! New connections: from a listening socket to a task of their own.

use crate::http1::connection::Connection;
use crate::worker::{Worker, tls};
use portolan_discovery::table::Protocol;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::spawn_local;
use tokio_util::sync::CancellationToken;

/// Pause after an error that will not go away by itself at once, such as no free descriptor:
/// connections that exist go on, new ones wait in the kernel.
const PAUSE: Duration = Duration::from_millis(50);

/// Accepts until told to stop, then what has already been promised.
pub(super) async fn run(
    worker: Rc<Worker>,
    socket: std::net::TcpListener,
    protocol: Protocol,
    stop: CancellationToken,
) {
    let listener = match TcpListener::from_std(socket) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "a listening socket cannot be watched"),
    };
    loop {
        let accepting = async {
            // Full: the kernel holds new connections until one that exists ends.
            let room = Arc::clone(&worker.room).acquire_owned().await;
            (room, listener.accept().await)
        };
        let (room, accepted) = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = accepting => accepted,
        };
        match accepted {
            Ok((stream, peer)) => serve(&worker, stream, peer, protocol, room.ok()),
            Err(error) if concerns_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "connections cannot be accepted now");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    // A socket that is closed resets what the kernel has queued on it.
    let Ok(listener) = listener.into_std() else {
        return;
    };
    while let Ok((stream, peer)) = listener.accept() {
        let nonblocking = stream.set_nonblocking(true);
        if let Ok(stream) = nonblocking.and_then(|()| TcpStream::from_std(stream)) {
            serve(&worker, stream, peer, protocol, None);
        }
    }
}

/// The client gave up between its handshake and our accept (accept(2), RETURN VALUE).
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

fn serve(
    worker: &Rc<Worker>,
    stream: TcpStream,
    peer: SocketAddr,
    protocol: Protocol,
    room: Option<OwnedSemaphorePermit>,
) {
    let worker = Rc::clone(worker);
    let active = worker.cells.open();
    // Responses are written whole and must not wait for acknowledgements (RFC 896). Were it to
    // fail, the connection is gone, which its task will see.
    let _ = stream.set_nodelay(true);
    spawn_local(async move {
        let cells = Arc::clone(&worker.cells);
        let client = peer.ip().to_canonical().to_string();
        match protocol {
            Protocol::Http => {
                Connection::new(worker, stream, client, None).serve().await;
            }
            Protocol::Https => match Box::pin(tls::accept(&worker, stream)).await {
                Ok((stream, host)) => {
                    let connection = Connection::new(worker, stream, client, Some(host));
                    connection.serve().await;
                }
                Err(reason) => {
                    cells.handshakes_failed.add(1);
                    tracing::debug!(%client, %reason, "a TLS handshake failed");
                }
            },
        }
        drop((active, room));
    });
}
