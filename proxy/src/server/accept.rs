//! New connections: from a listening socket to a task of their own, on the worker that has the
//! fewest.

use crate::clock;
use crate::exchange::connect::is_out_of_descriptors;
use crate::memory::MemoryPressure;
use crate::server::http1::{Connection, Served};
use crate::server::http2;
use crate::server::tls::{self, HandshakeResult};
use crate::worker::Worker;
use crate::worker::peers::AcceptedConnection;
use portolan_discovery::table::Protocol;
use rustix::net::{SocketFlags, acceptfrom_with};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream as StdStream};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

/// Pause after an error that will not go away by itself at once, such as no free descriptor:
/// connections that exist go on, new ones wait in the kernel.
const PAUSE: Duration = Duration::from_millis(50);

/// Memory counted for a connection, beside its buffers.
const CONNECTION: usize = 4 * 1024;
/// And what TLS needs: its keys and its own buffers.
const TLS: usize = 24 * 1024;

/// Accepts until `stop` is cancelled, then takes what the kernel has already accepted.
pub(super) async fn run(
    worker: Rc<Worker>,
    socket: TcpListener,
    protocol: Protocol,
    stop: CancellationToken,
) {
    let listener = match watch(socket) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "failed to register a listening socket"),
    };
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = next(&worker, &listener) => accepted,
        };
        match accepted {
            Ok((stream, client, room)) => {
                worker.counters.connections_accepted.add(1);
                if let Some(own) = worker.peers.place(stream, client, protocol, room) {
                    serve(&worker, own);
                }
            }
            Err(error) if concerns_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection, pausing");
                worker.counters.accept_pauses.add(1);
                if is_out_of_descriptors(&error) && !worker.peers.close_waiting() {
                    worker.shed();
                }
                sleep(PAUSE).await;
            }
        }
    }
    // A socket that is closed resets what the kernel has queued on it.
    while let Ok((stream, client)) = accept(listener.get_ref()) {
        worker.counters.connections_accepted.add(1);
        let accepted = AcceptedConnection {
            stream,
            client,
            protocol,
            active: worker.counters.open(),
            room: None,
        };
        serve(&worker, accepted);
    }
}

/// A listener of tokio would register what it accepts, before it is known which worker it is for.
#[expect(
    deprecated,
    reason = "unsound only for types that may close or change their descriptor, which a TcpListener \
              does not; its successor is unsafe whatever the type"
)]
fn watch(socket: TcpListener) -> io::Result<AsyncFd<TcpListener>> {
    AsyncFd::with_interest(socket, Interest::READABLE)
}

/// The next connection, once there is one and room for it.
async fn next(
    worker: &Worker,
    listener: &AsyncFd<TcpListener>,
) -> io::Result<(StdStream, SocketAddr, OwnedSemaphorePermit)> {
    loop {
        let mut ready = listener.readable().await?;
        if worker.memory.pressure() == MemoryPressure::Pause {
            worker.counters.accept_pauses.add(1);
            while worker.memory.pressure() == MemoryPressure::Pause {
                worker.shed();
                sleep(PAUSE).await;
            }
        }
        let room = room(worker).await?;
        // Nothing there: another look at the same queue was faster, or the client gave up.
        if let Ok(accepted) = ready.try_io(|listener| accept(listener.get_ref())) {
            let (stream, client) = accepted?;
            return Ok((stream, client, room));
        }
    }
}

/// A place for one more connection. When all are taken the kernel holds new connections until one
/// that exists ends; those that only wait are asked to, again and again, as they come to wait.
async fn room(worker: &Worker) -> io::Result<OwnedSemaphorePermit> {
    let free = Arc::clone(&worker.room).try_acquire_owned();
    if let Ok(free) = free {
        return Ok(free);
    }
    loop {
        worker.shed();
        let free = Arc::clone(&worker.room).acquire_owned();
        if let Ok(free) = timeout(PAUSE, free).await {
            return free.map_err(io::Error::other);
        }
    }
}

/// On no reactor yet: it may go to another worker.
fn accept(listener: &TcpListener) -> io::Result<(StdStream, SocketAddr)> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let (socket, client) = acceptfrom_with(listener, flags)?;
    let client = client.ok_or(io::ErrorKind::AddrNotAvailable)?;
    Ok((socket.into(), client.try_into()?))
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

/// Serves a connection that has been placed with this worker.
pub(super) fn serve(worker: &Rc<Worker>, accepted: AcceptedConnection) {
    let AcceptedConnection {
        stream,
        client,
        protocol,
        active,
        room,
    } = accepted;
    let stream = match TcpStream::from_std(stream) {
        Ok(stream) => stream,
        Err(error) => return tracing::warn!(%error, "failed to register a connection"),
    };
    let worker = Rc::clone(worker);
    let charge = worker.memory.charge(match protocol {
        Protocol::Http => CONNECTION,
        Protocol::Https => CONNECTION + TLS,
    });
    let client = client.ip().to_canonical().to_string().into();
    // As long as the connection is served.
    let held = (active, room, charge);
    match protocol {
        Protocol::Http => {
            spawn_local(clock::once_a_poll(plain(worker, stream, client, held)));
        }
        Protocol::Https => {
            spawn_local(clock::once_a_poll(secure(worker, stream, client, held)));
        }
    }
}

async fn plain<T>(worker: Rc<Worker>, stream: TcpStream, client: Rc<str>, _held: T) {
    let mut connection = Connection::new(worker, stream, client, None);
    match connection.serve().await {
        Served::All => {}
        // Boxed here and below, so that a connection of HTTP/1 is not the larger for it.
        Served::UpToHttp2 => Box::pin(connection.speak_http2()).await,
    }
}

async fn secure<T>(worker: Rc<Worker>, stream: TcpStream, client: Rc<str>, _held: T) {
    let handshake = Box::pin(tls::accept(&worker, stream)).await;
    match ClientProtocol::after(handshake, worker, client) {
        ClientProtocol::Http1(mut connection) => {
            connection.serve().await;
        }
        ClientProtocol::Http2(serving) => serving.await,
        ClientProtocol::Nothing => {}
    }
}

/// Protocol of a TLS client.
#[expect(
    clippy::large_enum_variant,
    reason = "it is taken apart at once; a box would be one more allocation for each connection"
)]
enum ClientProtocol {
    Http1(Connection<TlsStream<TcpStream>>),
    Http2(Pin<Box<dyn Future<Output = ()>>>),
    Nothing,
}

impl ClientProtocol {
    fn after(handshake: HandshakeResult, worker: Rc<Worker>, client: Rc<str>) -> Self {
        match handshake {
            // RFC 9113 3.2.
            Ok((stream, negotiated)) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
                let negotiated = Some(negotiated);
                let serving = http2::serve(worker, stream, None, client, negotiated);
                Self::Http2(Box::pin(serving))
            }
            Ok((stream, negotiated)) => {
                Self::Http1(Connection::new(worker, stream, client, Some(negotiated)))
            }
            Err(reason) => {
                tracing::debug!(%client, %reason, "TLS handshake failed");
                Self::Nothing
            }
        }
    }
}
