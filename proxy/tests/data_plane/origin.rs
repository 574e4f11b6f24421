//! A scripted origin that records its requests.

use crate::protocols::{self, Protocols};
use crate::until;
use portolan_discovery::table::UpstreamProtocol;
use rustls::{HandshakeKind, ServerConfig};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, ToSocketAddrs};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// One request as it arrived.
#[derive(Clone, Debug, Default)]
pub(crate) struct Received {
    /// The head with its empty line.
    pub(crate) head: String,
    /// Without its coding.
    pub(crate) body: Vec<u8>,
    /// The trailer lines of a chunked body.
    pub(crate) trailers: String,
}

impl Received {
    /// The value of a field, when there is exactly one.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let prefix = format!("{}: ", name.to_ascii_lowercase());
        let mut found = self
            .head
            .split("\r\n")
            .filter(|line| line.to_ascii_lowercase().starts_with(&prefix))
            .map(|line| &line[prefix.len()..]);
        found.next().filter(|_| found.next().is_none())
    }
}

/// Behaviour of the origin after its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// Reads the next request.
    Keep,
    /// Closes.
    Close,
    /// Does nothing until the other side closes.
    Hang,
}

/// Everything that happened at an origin.
#[derive(Debug, Default)]
struct Log {
    requests: Vec<Received>,
    /// Every byte, whole requests or not.
    bytes: usize,
    connections: usize,
    /// Connections that the other side has closed or reset.
    ended: usize,
    /// Server names that were asked for, and whether a session was resumed.
    handshakes: Vec<(String, HandshakeKind)>,
}

/// A running origin; it ends with this value.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    log: Arc<Mutex<Log>>,
    accepting: JoinHandle<()>,
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Origin {
    /// Answers each request, once it is whole, with what `answer` gives.
    pub(crate) async fn start(
        answer: impl Fn(&Received) -> (Vec<u8>, Then) + Send + Sync + 'static,
    ) -> Self {
        Self::serve("127.0.0.1:0", answer, false, None).await
    }

    /// Answers each request when its head is there; the body is left unread.
    pub(crate) async fn start_early(
        answer: impl Fn(&Received) -> (Vec<u8>, Then) + Send + Sync + 'static,
    ) -> Self {
        Self::serve("127.0.0.1:0", answer, true, None).await
    }

    /// Answers every request with 200 and this body.
    pub(crate) async fn saying(body: &'static str) -> Self {
        Self::start(move |_| (ok(body.as_bytes()), Then::Keep)).await
    }

    /// Speaks TLS, and answers every request with 200 and this body.
    pub(crate) async fn over_tls(config: ServerConfig, body: &'static str, then: Then) -> Self {
        let mut config = config;
        if Protocols::of_this_test().up == UpstreamProtocol::Http2 {
            config.alpn_protocols = vec![b"h2".to_vec()];
        }
        let tls = TlsAcceptor::from(Arc::new(config));
        Self::serve(
            "127.0.0.1:0",
            move |_| (ok(body.as_bytes()), then),
            false,
            Some(tls),
        )
        .await
    }

    /// The same at an address of loopback, which has more than one.
    pub(crate) async fn saying_at(ip: &str, port: u16, body: &'static str) -> Self {
        let answer = move |_: &Received| (ok(body.as_bytes()), Then::Keep);
        Self::serve((ip, port), answer, false, None).await
    }

    async fn serve(
        at: impl ToSocketAddrs,
        answer: impl Fn(&Received) -> (Vec<u8>, Then) + Send + Sync + 'static,
        early: bool,
        tls: Option<TlsAcceptor>,
    ) -> Self {
        let listener = TcpListener::bind(at).await.unwrap();
        let address = listener.local_addr().unwrap();
        let log = Arc::new(Mutex::new(Log::default()));
        let answer = Arc::new(answer);
        let shared = Arc::clone(&log);
        let protocol = Protocols::of_this_test().up;
        let accepting = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (log, answer) = (Arc::clone(&shared), Arc::clone(&answer));
                let tls = tls.clone();
                tokio::spawn(async move {
                    log.lock().unwrap().connections += 1;
                    let stream: Box<dyn Duplex> = match tls {
                        None => Box::new(stream),
                        Some(tls) => {
                            let Ok(stream) = tls.accept(stream).await else {
                                return;
                            };
                            let connection = stream.get_ref().1;
                            let name = connection.server_name().unwrap_or_default().to_owned();
                            let kind = connection.handshake_kind().unwrap();
                            log.lock().unwrap().handshakes.push((name, kind));
                            Box::new(stream)
                        }
                    };
                    let converse = move |stream| {
                        let mut conversation = Conversation {
                            stream,
                            buffer: Vec::new(),
                            log: Arc::clone(&log),
                        };
                        let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                        async move {
                            if conversation.hold(&*answer, early).await.is_none() {
                                log.lock().unwrap().ended += 1;
                            }
                        }
                    };
                    match protocol {
                        UpstreamProtocol::Http1 => converse(stream).await,
                        UpstreamProtocol::Http2 => {
                            let hear = |text| drop(tokio::spawn(converse(Box::new(text))));
                            protocols::origin(stream, hear).await;
                        }
                    }
                });
            }
        });
        Self {
            address,
            log,
            accepting,
        }
    }

    pub(crate) fn requests(&self) -> Vec<Received> {
        self.log.lock().unwrap().requests.clone()
    }

    pub(crate) fn handshakes(&self) -> Vec<(String, HandshakeKind)> {
        self.log.lock().unwrap().handshakes.clone()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.log.lock().unwrap().bytes
    }

    pub(crate) fn connections(&self) -> usize {
        self.log.lock().unwrap().connections
    }

    /// Waits until so many requests have arrived whole.
    pub(crate) async fn has_received(&self, count: usize) {
        until("requests at the origin", || self.requests().len() >= count).await;
    }

    /// Waits until so many connections were closed by the other side.
    pub(crate) async fn has_seen_the_end_of(&self, count: usize) {
        let ended = || self.log.lock().unwrap().ended >= count;
        until("connections closed towards the origin", ended).await;
    }
}

/// A 200 with a body of known length.
pub(crate) fn ok(body: &[u8]) -> Vec<u8> {
    let mut out = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    out.extend_from_slice(body);
    out
}

trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Duplex for S {}

struct Conversation {
    stream: Box<dyn Duplex>,
    buffer: Vec<u8>,
    log: Arc<Mutex<Log>>,
}

impl Conversation {
    /// `None` when the other side ended it.
    async fn hold(
        &mut self,
        answer: &(dyn Fn(&Received) -> (Vec<u8>, Then) + Send + Sync),
        early: bool,
    ) -> Option<()> {
        loop {
            let request = self.request(early).await?;
            let (bytes, then) = answer(&request);
            self.log.lock().unwrap().requests.push(request);
            self.stream.write_all(&bytes).await.ok()?;
            match then {
                Then::Keep => {}
                Then::Close => return Some(()),
                Then::Hang => loop {
                    self.more().await?;
                },
            }
        }
    }

    async fn more(&mut self) -> Option<()> {
        let count = self.stream.read_buf(&mut self.buffer).await.ok()?;
        self.log.lock().unwrap().bytes += count;
        (count > 0).then_some(())
    }

    async fn request(&mut self, early: bool) -> Option<Received> {
        let mut received = Received {
            head: String::from_utf8(self.line_end(b"\r\n\r\n").await?).unwrap(),
            ..Received::default()
        };
        if early {
            return Some(received);
        }
        if received.field("transfer-encoding") == Some("chunked") {
            loop {
                let line = String::from_utf8(self.line_end(b"\r\n").await?).unwrap();
                let size = usize::from_str_radix(line.trim_end(), 16).unwrap();
                if size == 0 {
                    break;
                }
                received.body.extend(self.exactly(size).await?);
                assert_eq!(self.exactly(2).await?, b"\r\n");
            }
            loop {
                let line = String::from_utf8(self.line_end(b"\r\n").await?).unwrap();
                if line == "\r\n" {
                    break;
                }
                received.trailers.push_str(&line);
            }
        } else if let Some(length) = received.field("content-length") {
            received.body = self.exactly(length.parse().unwrap()).await?;
        }
        Some(received)
    }

    async fn line_end(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            let found = self.buffer.windows(end.len()).position(|it| it == end);
            if let Some(at) = found {
                return Some(self.buffer.drain(..at + end.len()).collect());
            }
            self.more().await?;
        }
    }

    async fn exactly(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < count {
            self.more().await?;
        }
        Some(self.buffer.drain(..count).collect())
    }
}
