//! The TLS handshake: the termination is chosen by server name, from the worker's own table.

use crate::host::Negotiated;
use crate::telemetry::handshakes::{Done, Failure};
use crate::tls::is_own;
use crate::worker::Worker;
use portolan_proxy_core::authority::Authority;
use rustls::{HandshakeKind, ProtocolVersion, ServerConnection};
use std::io;
use std::sync::Arc;
use thiserror::Error;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::yield_now;
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
    #[error("handshake timed out")]
    Timeout,
    #[error("{0}")]
    Failed(#[from] io::Error),
    #[error("no server name requested")]
    NoName,
    #[error("unknown server name")]
    UnknownName,
}

/// How a handshake ended.
pub(super) type HandshakeResult = Result<(TlsStream<TcpStream>, Negotiated), HandshakeError>;

/// Shakes hands, once there are not too many others under way, within the time that a head may
/// take; counts how it ended.
pub(super) async fn accept(worker: &Worker, stream: TcpStream) -> HandshakeResult {
    let mut own = false;
    let handshaking = handshake(worker, stream, &mut own);
    let handshake = timeout(worker.limits.head, handshaking).await;
    let handshake = handshake.unwrap_or(Err(HandshakeError::Timeout));
    if !own {
        let handshakes = &worker.counters.handshakes;
        match &handshake {
            Ok((stream, _)) => handshakes.done(done(stream.get_ref().1)),
            Err(error) => handshakes.failed(error.failure()),
        }
    }
    handshake
}

/// `own` tells whether the client is the data plane itself.
async fn handshake(worker: &Worker, stream: TcpStream, own: &mut bool) -> HandshakeResult {
    let place = worker.handshakes.acquire().await;
    let _place = place.map_err(io::Error::other)?;
    let acceptor = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream);
    let mut start = acceptor.await?;
    let hello = start.client_hello();
    *own = hello
        .alpn()
        .is_some_and(|mut protocols| protocols.any(is_own));
    let found = match hello.server_name() {
        None => default_termination(worker).ok_or(HandshakeError::NoName),
        Some(name) => find(worker, name).ok_or(HandshakeError::UnknownName),
    };
    let negotiated = match found {
        Ok(negotiated) => negotiated,
        Err(error) => {
            start.io.write_all(&UNRECOGNIZED_NAME).await?;
            start.io.shutdown().await?;
            return Err(error);
        }
    };
    let turn = worker.tls.signing.acquire().await;
    let turn = turn.map_err(io::Error::other)?;
    // Signs at once, whatever the version.
    let handshaking = start.into_stream(Arc::clone(&negotiated.termination.config));
    // The others of this turn go first, and the sockets are looked at.
    yield_now().await;
    drop(turn);
    Ok((handshaking.await?, negotiated))
}

fn default_termination(worker: &Worker) -> Option<Negotiated> {
    let termination = worker.tls.default_termination()?;
    Some(Negotiated {
        host: None,
        termination,
    })
}

fn find(worker: &Worker, name: &str) -> Option<Negotiated> {
    let name = Authority::parse(name.as_bytes()).ok()?;
    let hosts = worker.hosts.borrow();
    let host = hosts.get(name.host())?;
    let termination = Arc::clone(host.tls.as_ref()?);
    Some(Negotiated {
        host: Some(Arc::clone(host)),
        termination,
    })
}

fn done(connection: &ServerConnection) -> Done {
    Done {
        tls13: connection.protocol_version() == Some(ProtocolVersion::TLSv1_3),
        resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
    }
}

impl HandshakeError {
    fn failure(&self) -> Failure {
        use rustls::Error;
        let error = match self {
            Self::Timeout => return Failure::Timeout,
            Self::NoName => return Failure::NoServerName,
            Self::UnknownName => return Failure::UnknownServerName,
            Self::Failed(error) => error,
        };
        let inner = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<Error>());
        match inner {
            None => Failure::Closed,
            Some(Error::InvalidCertificate(_) | Error::NoCertificatesPresented) => {
                Failure::ClientCertificate
            }
            Some(Error::PeerIncompatible(_) | Error::NoApplicationProtocol) => {
                Failure::Incompatible
            }
            Some(Error::AlertReceived(_)) => Failure::RefusedByClient,
            Some(_) => Failure::Malformed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryBudget;
    use crate::tls::certificate::{CertificateSlot, Presented};
    use crate::tls::provider;
    use crate::tls::termination::{Termination, Terminations, Versions};
    use crate::worker::tls::SIGNATURES_PER_TURN;
    use portolan_discovery::table::HostTls;
    use rustls::pki_types::{PrivateKeyDer, ServerName};
    use rustls::sign::{CertifiedKey, Signer, SigningKey};
    use rustls::{ClientConfig, ClientConnection, RootCertStore};
    use rustls::{SignatureAlgorithm, SignatureScheme};
    use std::io::Write;
    use std::net::{Ipv4Addr, TcpListener};
    use std::os::unix::net::UnixStream as StdUnixStream;
    use std::rc::Rc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::io::AsyncReadExt;
    use tokio::net::UnixStream;
    use tokio::runtime::{Builder, LocalOptions};
    use tokio::task::spawn_local;

    /// Fewer than the tasks that the runtime runs before it looks at its sockets by itself.
    const CLIENTS: usize = 32;

    /// Counts its signatures. During the first, another client's request arrives.
    #[derive(Clone, Debug)]
    struct Key {
        key: Arc<dyn SigningKey>,
        signed: Arc<AtomicUsize>,
        request: Arc<StdUnixStream>,
    }

    #[derive(Debug)]
    struct Signing {
        signer: Box<dyn Signer>,
        key: Key,
    }

    impl SigningKey for Key {
        fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
            let signer = self.key.choose_scheme(offered)?;
            let key = self.clone();
            Some(Box::new(Signing { signer, key }))
        }

        fn algorithm(&self) -> SignatureAlgorithm {
            self.key.algorithm()
        }
    }

    impl Signer for Signing {
        fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
            if self.key.signed.fetch_add(1, Ordering::Relaxed) == 0 {
                (&*self.key.request).write_all(b"G").unwrap();
            }
            self.signer.sign(message)
        }

        fn scheme(&self) -> SignatureScheme {
            self.signer.scheme()
        }
    }

    /// Builds a termination with this key.
    fn termination(
        signed: &Arc<AtomicUsize>,
        request: StdUnixStream,
    ) -> Result<Termination, rustls::Error> {
        let issued = rcgen::generate_simple_self_signed(["shop.test".to_owned()]).unwrap();
        let der = PrivateKeyDer::try_from(issued.signing_key.serialize_der()).unwrap();
        let key = Key {
            key: provider().key_provider.load_private_key(der)?,
            signed: Arc::clone(signed),
            request: Arc::new(request),
        };
        let certified = CertifiedKey::new(vec![issued.cert.der().clone()], Arc::new(key));
        let presented = Presented {
            certified: Arc::new(certified),
            not_after_unix: 0,
        };
        let slots = Arc::new([Arc::new(CertificateSlot::new("t/c", presented))]);
        let versions = Versions::from(&HostTls::default());
        let made = Terminations::default().make(None, versions, None, slots);
        Ok(made.unwrap())
    }

    /// ClientHello without a server name.
    fn hello() -> Result<Vec<u8>, rustls::Error> {
        let config = ClientConfig::builder_with_provider(Arc::clone(provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        let name = ServerName::from(std::net::IpAddr::from(Ipv4Addr::LOCALHOST));
        let mut hello = Vec::new();
        let mut connection = ClientConnection::new(Arc::new(config), name)?;
        connection.write_tls(&mut hello).unwrap();
        Ok(hello)
    }

    /// All say hello before the worker looks. Were there no bound it would answer them all, one
    /// signature after another, before it saw that a request has come.
    #[test]
    fn a_request_waits_for_a_few_signatures_and_not_for_all() {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build_local(LocalOptions::default())
            .unwrap();
        let signed = Arc::new(AtomicUsize::new(0));
        let (sender, receiver) = StdUnixStream::pair().unwrap();
        receiver.set_nonblocking(true).unwrap();
        let hello = hello().unwrap();
        let worker = Rc::new(Worker::alone(MemoryBudget::new(None)));
        let termination = termination(&signed, sender).unwrap();
        worker
            .tls
            .set_default_termination(Some(Arc::new(termination)));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        runtime.block_on(async {
            let mut request = UnixStream::from_std(receiver).unwrap();
            let served = spawn_local(async move { request.read_u8().await });
            let mut clients = Vec::new();
            for _ in 0..CLIENTS {
                let mut client =
                    std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                client.write_all(&hello).unwrap();
                clients.push(client);
                let (near, _) = listener.accept().unwrap();
                near.set_nonblocking(true).unwrap();
                let near = TcpStream::from_std(near).unwrap();
                let worker = Rc::clone(&worker);
                spawn_local(async move { accept(&worker, near).await.map(drop) });
            }
            served.await.unwrap().unwrap();
            let before = signed.load(Ordering::Relaxed);
            assert!(before <= 2 * SIGNATURES_PER_TURN, "{before} signatures");
            // Every client is served.
            let all = async {
                while signed.load(Ordering::Relaxed) < CLIENTS {
                    yield_now().await;
                }
            };
            timeout(worker.limits.head, all).await.unwrap();
        });
    }
}
