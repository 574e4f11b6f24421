//! A client outside of the cluster: connects to a given address, asks for a given host, and verifies the
//! certificate against the one authority that the test trusts.

use crate::echo::Echo;
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, HandshakeKind, RootCertStore};
use sha2::{Digest, Sha256};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Timeout of one whole exchange. A healthy one takes milliseconds.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// The most that is read of a raw answer.
const RAW_LIMIT: u64 = 1024 * 1024;

/// Scheme of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Unencrypted.
    Http,
    /// Over TLS, with the host as server name.
    Https,
}

/// A client that trusts one authority.
#[derive(Clone)]
pub struct Client {
    tls: Arc<ClientConfig>,
}

/// Response to a request.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// The server's certificate, for HTTPS.
    pub certificate: Option<CertificateDer<'static>>,
}

/// An HTTP/1.1 connection, for one request after another.
pub struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    host: String,
    certificate: Option<CertificateDer<'static>>,
    handshake: Option<HandshakeKind>,
}

impl Client {
    /// Creates a client that trusts these authorities, PEM.
    ///
    /// # Errors
    /// When there is no certificate in the text.
    pub fn with_roots(authorities: &[u8]) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        for authority in CertificateDer::pem_slice_iter(authorities) {
            roots.add(authority?)?;
        }
        ensure!(!roots.is_empty(), "no authority to trust");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        // A resumed session shows the certificate of the handshake that it began with.
        tls.resumption = Resumption::disabled();
        Ok(Self { tls: Arc::new(tls) })
    }

    /// Requests `/` over HTTPS.
    ///
    /// # Errors
    /// When no answer comes, or the certificate is not good for the host.
    pub async fn https(&self, at: SocketAddr, host: &str) -> Result<Response> {
        self.get(Scheme::Https, at, host, "/").await
    }

    /// Requests `/` over plaintext HTTP.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn http(&self, at: SocketAddr, host: &str) -> Result<Response> {
        self.get(Scheme::Http, at, host, "/").await
    }

    /// Requests a path on a connection of its own.
    ///
    /// # Errors
    /// When no answer comes, or the certificate is not good for the host.
    pub async fn get(
        &self,
        scheme: Scheme,
        at: SocketAddr,
        host: &str,
        path: &str,
    ) -> Result<Response> {
        let exchange = async {
            self.connect(scheme, at, host)
                .await?
                .request(Method::GET, path)
                .await
        };
        let response = timeout(REQUEST_TIMEOUT, exchange).await;
        response
            .map_err(|_| anyhow::anyhow!("no answer within {REQUEST_TIMEOUT:?}"))
            .and_then(|response| response)
            .with_context(|| format!("{scheme:?} {host}{path} at {at}"))
    }

    /// Returns the same client, keeping and resuming TLS sessions.
    #[must_use]
    pub fn resuming(&self) -> Self {
        self.with(|tls| tls.resumption = Resumption::in_memory_sessions(16))
    }

    /// Returns the same client with another TLS configuration.
    #[must_use]
    pub fn with(&self, change: impl FnOnce(&mut ClientConfig)) -> Self {
        let mut tls = ClientConfig::clone(&self.tls);
        change(&mut tls);
        Self { tls: Arc::new(tls) }
    }

    /// Opens a connection with TLS for a server name.
    ///
    /// # Errors
    /// When none can be had, or the certificate is not good for the name.
    pub async fn connect_tls(&self, at: SocketAddr, name: ServerName<'static>) -> Result<Secure> {
        let tcp = TcpStream::connect(at).await.context("connect")?;
        tcp.set_nodelay(true)?;
        let connecting = TlsConnector::from(self.tls.clone()).connect(name, tcp);
        timeout(REQUEST_TIMEOUT, connecting)
            .await
            .context("no handshake")?
            .context("TLS handshake")
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// When none can be had, or the certificate is not good for the host.
    pub async fn connect(&self, scheme: Scheme, at: SocketAddr, host: &str) -> Result<Connection> {
        let (sender, certificate, handshake) = match scheme {
            Scheme::Http => {
                let tcp = TcpStream::connect(at).await.context("connect")?;
                tcp.set_nodelay(true)?;
                (start_http1(tcp).await?, None, None)
            }
            Scheme::Https => {
                let name = ServerName::try_from(host.to_owned())?;
                let stream = self.connect_tls(at, name).await?;
                let (leaf, handshake) = (leaf(&stream), stream.get_ref().1.handshake_kind());
                (start_http1(stream).await?, leaf, handshake)
            }
        };
        Ok(Connection {
            sender,
            host: host.to_owned(),
            certificate,
            handshake,
        })
    }
}

impl Connection {
    /// Returns true if a TLS session was resumed.
    pub fn is_resumed(&self) -> bool {
        self.handshake == Some(HandshakeKind::Resumed)
    }

    /// Sends one request and reads its response.
    ///
    /// # Errors
    /// When the connection ends before the answer does.
    pub async fn request(&mut self, method: Method, path: &str) -> Result<Response> {
        self.request_with(method, path, &[]).await
    }

    /// Sends one request with these header fields and reads its response.
    ///
    /// # Errors
    /// When the connection ends before the answer does.
    pub async fn request_with(
        &mut self,
        method: Method,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Result<Response> {
        let request = Request::builder().method(method).uri(path);
        let mut request = request.header(http::header::HOST, &self.host);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let request = request.body(Empty::new())?;
        self.sender
            .ready()
            .await
            .context("the connection was closed")?;
        let (head, body) = self
            .sender
            .send_request(request)
            .await
            .context("request")?
            .into_parts();
        Ok(Response {
            status: head.status.as_u16(),
            headers: head.headers,
            body: body.collect().await.context("body")?.to_bytes(),
            certificate: self.certificate.clone(),
        })
    }
}

impl Response {
    /// Parses the response of the echo application.
    ///
    /// # Errors
    /// When the response is not from it, or not 200.
    pub fn echo(&self) -> Result<Echo> {
        let body = String::from_utf8_lossy(&self.body);
        let reason = self.header("x-portolan-reason");
        ensure!(
            self.status == 200,
            "{} {reason:?}: {}",
            self.status,
            body.trim()
        );
        serde_json::from_str(&body).with_context(|| format!("not the echo application's: {body}"))
    }

    /// A header field, empty when there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// SHA-256 of the server's certificate in hex, as status.hostnames.certificate.servedFingerprint
    /// gives it.
    ///
    /// # Errors
    /// When there was no TLS.
    pub fn fingerprint(&self) -> Result<String> {
        let certificate = self
            .certificate
            .as_ref()
            .context("no certificate was shown")?;
        Ok(hex::encode(Sha256::digest(certificate)))
    }
}

/// A connection with TLS.
pub type Secure = TlsStream<TcpStream>;

/// The server's certificate.
pub fn leaf(stream: &Secure) -> Option<CertificateDer<'static>> {
    let chain = stream.get_ref().1.peer_certificates()?;
    chain.first().map(|leaf| leaf.clone().into_owned())
}

/// Sends bytes as they are and reads until the other side closes, or is silent for a second.
///
/// # Errors
/// When no connection can be had.
pub async fn raw(at: SocketAddr, bytes: &[u8]) -> Result<Vec<u8>> {
    let mut tcp = timeout(REQUEST_TIMEOUT, TcpStream::connect(at)).await??;
    tcp.write_all(bytes).await?;
    let mut response = Vec::new();
    let mut limited = (&mut tcp).take(RAW_LIMIT);
    while let Ok(read) = timeout(Duration::from_secs(1), limited.read_buf(&mut response)).await {
        // A reset after the answer is a way of closing, too.
        if read.unwrap_or(0) == 0 {
            break;
        }
    }
    Ok(response)
}

async fn start_http1<S>(stream: S) -> Result<SendRequest<Empty<Bytes>>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends when the sender is dropped; its error reaches the waiting request.
    tokio::spawn(connection);
    Ok(sender)
}
