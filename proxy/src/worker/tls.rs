//! The TLS handshake: the certificate is chosen by server name, from the worker's own table.

use crate::host::Host;
use crate::worker::Worker;
use portolan_proxy_core::authority::Authority;
use std::io;
use std::sync::Arc;
use thiserror::Error;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

/// A fatal `unrecognized_name` (RFC 6066 3) in a record of its own (RFC 8446 5.1 and 6): content
/// type alert, legacy version 3.3, two bytes, level fatal, description 112. Before a certificate
/// is chosen nothing is encrypted, and rustls has no connection yet to send it.
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// Why there is no TLS connection.
#[derive(Debug, Error)]
pub(super) enum HandshakeError {
    #[error("it took too long")]
    Timeout,
    #[error("{0}")]
    Failed(#[from] io::Error),
    #[error("no server name was asked for")]
    NoName,
    #[error("nothing is served under the server name")]
    UnknownName,
}

/// Shakes hands within the time that a head may take. Gives the host whose certificate was shown.
pub(super) async fn accept(
    worker: &Worker,
    stream: TcpStream,
) -> Result<(TlsStream<TcpStream>, Arc<Host>), HandshakeError> {
    timeout(worker.limits.head, shake_hands(worker, stream))
        .await
        .unwrap_or(Err(HandshakeError::Timeout))
}

async fn shake_hands(
    worker: &Worker,
    stream: TcpStream,
) -> Result<(TlsStream<TcpStream>, Arc<Host>), HandshakeError> {
    let acceptor = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream);
    let mut start = acceptor.await?;
    let hello = start.client_hello();
    let found = match hello.server_name() {
        None => Err(HandshakeError::NoName),
        Some(name) => find(worker, name).ok_or(HandshakeError::UnknownName),
    };
    let (host, config) = match found {
        Ok(found) => found,
        Err(error) => {
            start.io.write_all(&UNRECOGNIZED_NAME).await?;
            start.io.shutdown().await?;
            return Err(error);
        }
    };
    Ok((start.into_stream(config).await?, host))
}

fn find(worker: &Worker, name: &str) -> Option<(Arc<Host>, Arc<rustls::ServerConfig>)> {
    let name = Authority::parse(name.as_bytes()).ok()?;
    let hosts = worker.hosts.borrow();
    let host = hosts.get(name.host())?;
    let config = host.certificate.as_ref()?.presented().config.clone();
    Some((Arc::clone(host), config))
}
