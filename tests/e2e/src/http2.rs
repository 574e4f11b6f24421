//! An HTTP/2 client as browsers and gRPC have it: many requests at a time on one connection,
//! and a new connection after GOAWAY.

use crate::client::{Client, Response, leaf};
use anyhow::{Context, Result, bail, ensure};
use bytes::{Bytes, BytesMut};
use h2::client::SendRequest;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Method, Request};
use rustls::pki_types::{CertificateDer, ServerName};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::timeout;

/// Timeout of one whole exchange. A healthy one takes milliseconds.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// One connection.
#[derive(Clone)]
pub struct Session {
    sender: SendRequest<Bytes>,
    certificate: Option<CertificateDer<'static>>,
}

/// A call that is under way.
pub struct Call {
    /// The request body.
    pub sending: SendStream<Bytes>,
    /// The head of the response.
    pub head: http::Response<()>,
    /// The response body.
    pub body: RecvStream,
}

impl Client {
    /// Opens an HTTP/2 connection.
    ///
    /// # Errors
    /// When none can be had, the certificate is not good for the host, or ALPN chooses something else.
    pub async fn session(&self, at: SocketAddr, host: &str) -> Result<Session> {
        let client = self.with(|tls| tls.alpn_protocols = vec![b"h2".to_vec()]);
        let name = ServerName::try_from(host.to_owned())?;
        let stream = client.connect_tls(at, name).await?;
        let chosen = stream.get_ref().1.alpn_protocol();
        ensure!(chosen == Some(b"h2"), "ALPN chose {chosen:?}");
        let certificate = leaf(&stream);
        let (sender, connection) =
            timeout(REQUEST_TIMEOUT, h2::client::handshake(stream)).await??;
        // Ends when the sender is dropped; its error reaches the waiting request.
        tokio::spawn(connection);
        Ok(Session {
            sender,
            certificate,
        })
    }
}

impl Session {
    /// Asks for a path under a host, which need not be the one of the connection.
    ///
    /// # Errors
    /// When the connection or the stream ends before the answer does.
    pub async fn get(&self, host: &str, path: &str, fields: &[(&str, &str)]) -> Result<Response> {
        let request = request(Method::GET, host, path, fields)?;
        let exchange = async {
            let call = self.open(request, Bytes::new(), true).await?;
            let (body, _) = drain(call.body).await?;
            Ok(Response {
                status: call.head.status().as_u16(),
                headers: call.head.headers().clone(),
                body,
                certificate: self.certificate.clone(),
            })
        };
        timeout(REQUEST_TIMEOUT, exchange)
            .await
            .context("no answer")?
    }

    /// Opens a stream with what is to be sent first, and waits for the head of its response.
    ///
    /// # Errors
    /// When the connection or the stream ends before.
    pub async fn open(&self, request: Request<()>, first: Bytes, ends: bool) -> Result<Call> {
        let mut sender = self.sender.clone().ready().await?;
        let (response, mut sending) = sender.send_request(request, ends && first.is_empty())?;
        if !first.is_empty() {
            sending.send_data(first, ends)?;
        }
        let (parts, body) = response.await?.into_parts();
        let head = http::Response::from_parts(parts, ());
        Ok(Call {
            sending,
            head,
            body,
        })
    }
}

/// A request for a path under a host, with further fields.
///
/// # Errors
/// When one of them cannot be sent.
pub fn request(
    method: Method,
    host: &str,
    path: &str,
    fields: &[(&str, &str)],
) -> Result<Request<()>> {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("https://{host}{path}"));
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    Ok(request.body(())?)
}

/// Reads a body to its end, and the trailers behind it.
///
/// # Errors
/// When the stream ends before.
pub async fn drain(mut body: RecvStream) -> Result<(Bytes, HeaderMap)> {
    let mut bytes = BytesMut::new();
    while let Some(part) = body.data().await {
        let part = part?;
        body.flow_control().release_capacity(part.len())?;
        bytes.extend_from_slice(&part);
    }
    let trailers = body.trailers().await?.unwrap_or_default();
    Ok((bytes.freeze(), trailers))
}

/// A browser: keeps a connection while the server does, and repeats on a new one what the server
/// did not process (RFC 9113, 6.8).
pub struct Browser {
    client: Client,
    at: SocketAddr,
    host: String,
    session: Mutex<Option<Session>>,
}

impl Browser {
    /// At this address, for this host.
    pub fn new(client: Client, at: SocketAddr, host: &str) -> Self {
        Self {
            client,
            at,
            host: host.to_owned(),
            session: Mutex::new(None),
        }
    }

    /// Asks for a path; must be answered 200.
    ///
    /// # Errors
    /// When it is not.
    pub async fn get(&self, path: &str) -> Result<Response> {
        // GOAWAY may come twice in a row, when two proxies go.
        for _ in 0..5 {
            let session = self.session().await?;
            match session.get(&self.host, path, &[]).await {
                Ok(response) if response.status == 200 => return Ok(response),
                Ok(response) => bail!(
                    "{path}: {} {}",
                    response.status,
                    response.header("x-portolan-reason")
                ),
                Err(error) if was_not_processed(&error) => self.session.lock().await.take(),
                Err(error) => return Err(error.context(path.to_owned())),
            };
        }
        bail!("{path}: no connection stays")
    }

    async fn session(&self) -> Result<Session> {
        let mut kept = self.session.lock().await;
        if let Some(session) = kept.as_ref() {
            return Ok(session.clone());
        }
        let session = self.client.session(self.at, &self.host).await?;
        *kept = Some(session.clone());
        Ok(session)
    }
}

/// Returns true if the server did not process the request: GOAWAY or REFUSED_STREAM.
fn was_not_processed(error: &anyhow::Error) -> bool {
    let Some(error) = error.downcast_ref::<h2::Error>() else {
        return false;
    };
    let going_away = error.is_go_away() && error.reason() == Some(Reason::NO_ERROR);
    going_away || error.reason() == Some(Reason::REFUSED_STREAM)
}
