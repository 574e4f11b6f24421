//! A client over HTTP/2 that does nothing wrong, for tests that judge single answers: the crate
//! `h2`, a connection at a time.

use crate::proxy::Proxy;
use crate::{DEADLINE, PLAIN_HOST, TLS_HOST};
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, StatusCode};
use rustls::pki_types::ServerName;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Either transport.
pub trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Transport for S {}

/// Opens HTTP/2 connections: with prior knowledge over plaintext, by ALPN over TLS.
#[derive(Clone)]
pub struct Connector {
    address: SocketAddr,
    tls: Option<TlsConnector>,
}

impl Connector {
    /// A door of this proxy.
    ///
    /// # Errors
    /// Never in practice: its certificate authority can be trusted.
    pub fn of(proxy: &Proxy, tls: bool) -> Result<Self> {
        if !tls {
            let address = proxy.http;
            return Ok(Self { address, tls: None });
        }
        let mut config = proxy.authority.client_config()?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self {
            address: proxy.https,
            tls: Some(TlsConnector::from(Arc::new(config))),
        })
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// When it cannot be opened, or something else than `h2` is chosen.
    pub async fn open(&self) -> Result<Box<dyn Transport>> {
        timeout(DEADLINE, self.opening())
            .await
            .context("connecting")?
    }

    async fn opening(&self) -> Result<Box<dyn Transport>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else {
            return Ok(Box::new(stream));
        };
        let name = ServerName::try_from(TLS_HOST)?;
        let stream = tls.connect(name, stream).await?;
        let chosen = stream.get_ref().1.alpn_protocol();
        ensure!(chosen == Some(b"h2"), "{chosen:?} was chosen");
        Ok(Box::new(stream))
    }
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its fields.
    pub fields: HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
    /// The trailers.
    pub trailers: HeaderMap,
}

/// A connection.
#[derive(Debug)]
pub struct Client {
    requests: SendRequest<Bytes>,
    origin: String,
    connection: JoinHandle<Result<(), h2::Error>>,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Client {
    /// Opens one.
    ///
    /// # Errors
    /// As [`Connector::open`].
    pub async fn connect(proxy: &Proxy, tls: bool) -> Result<Self> {
        Self::through(&Connector::of(proxy, tls)?).await
    }

    /// Opens one through this door.
    ///
    /// # Errors
    /// As [`Connector::open`].
    pub async fn through(connector: &Connector) -> Result<Self> {
        let stream = connector.open().await?;
        let (requests, connection) = timeout(DEADLINE, h2::client::handshake(stream)).await??;
        Ok(Self {
            requests,
            origin: match connector.tls {
                Some(_) => format!("https://{TLS_HOST}"),
                None => format!("http://{PLAIN_HOST}"),
            },
            connection: tokio::spawn(connection),
        })
    }

    /// A request for a path of the host.
    pub fn request(&self, method: &str, path: &str) -> http::request::Builder {
        Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.origin))
    }

    /// Begins a request. The caller decides if a body follows.
    ///
    /// # Errors
    /// When the connection is not good for another one.
    pub async fn begin(
        &mut self,
        request: Request<()>,
        ended: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>)> {
        let ready = timeout(DEADLINE, self.requests.clone().ready()).await;
        let mut requests = ready.context("another stream")??;
        Ok(requests.send_request(request, ended)?)
    }

    /// Sends a request without a body, and takes its answer.
    ///
    /// # Errors
    /// When none comes, or not whole.
    pub async fn asks(&mut self, request: Request<()>) -> Result<Answer> {
        let (response, _) = self.begin(request, true).await?;
        whole(response).await
    }

    /// Sends a request with this body, and takes its answer.
    ///
    /// # Errors
    /// As [`Self::asks`].
    pub async fn sends(&mut self, request: Request<()>, body: Bytes) -> Result<Answer> {
        let (response, mut stream) = self.begin(request, false).await?;
        stream.send_data(body, true)?;
        whole(response).await
    }
}

/// Reads an answer to its end.
///
/// # Errors
/// When it does not come whole.
pub async fn whole(response: ResponseFuture) -> Result<Answer> {
    let reading = async {
        let (head, mut stream) = response.await?.into_parts();
        let body = body(&mut stream).await?;
        let trailers = stream.trailers().await?.unwrap_or_default();
        Ok(Answer {
            status: head.status,
            fields: head.headers,
            body,
            trailers,
        })
    };
    timeout(DEADLINE, reading).await.context("an answer")?
}

async fn body(stream: &mut RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut body = Vec::new();
    while let Some(data) = stream.data().await {
        let data = data?;
        stream.flow_control().release_capacity(data.len())?;
        body.extend_from_slice(&data);
    }
    Ok(body)
}
