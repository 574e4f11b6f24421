//! A visitor who speaks HTTP/2 as browsers and gRPC clients do: many requests at a time on one connection,
//! and a new connection once the server has said goodbye.

use crate::visitor::{Answer, Visitor, leaf};
use anyhow::{Context, Result, bail, ensure};
use bytes::{Bytes, BytesMut};
use h2::client::SendRequest;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Method, Request, Response};
use rustls::pki_types::{CertificateDer, ServerName};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::timeout;

/// For one whole exchange. A healthy one takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// One connection.
#[derive(Clone)]
pub struct Session {
    sender: SendRequest<Bytes>,
    certificate: Option<CertificateDer<'static>>,
}

/// A call that is under way.
pub struct Call {
    /// What is sent.
    pub sending: SendStream<Bytes>,
    /// The head of the response.
    pub head: Response<()>,
    /// Its body.
    pub body: RecvStream,
}

impl Visitor {
    /// Opens a connection that speaks HTTP/2.
    ///
    /// # Errors
    /// When none can be had, the certificate is not good for the host, or ALPN chooses something else.
    pub async fn session(&self, at: SocketAddr, host: &str) -> Result<Session> {
        let visitor = self.with(|tls| tls.alpn_protocols = vec![b"h2".to_vec()]);
        let name = ServerName::try_from(host.to_owned())?;
        let stream = visitor.secure(at, name).await?;
        let chosen = stream.get_ref().1.alpn_protocol();
        ensure!(chosen == Some(b"h2"), "ALPN chose {chosen:?}");
        let certificate = leaf(&stream);
        let (sender, connection) = timeout(PATIENCE, h2::client::handshake(stream)).await??;
        // Ends when the sender is dropped; its error reaches whoever waits for an answer.
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
    pub async fn get(&self, host: &str, path: &str, fields: &[(&str, &str)]) -> Result<Answer> {
        let request = request(Method::GET, host, path, fields)?;
        let exchange = async {
            let call = self.open(request, Bytes::new(), true).await?;
            let (body, _) = drain(call.body).await?;
            Ok(Answer {
                status: call.head.status().as_u16(),
                headers: call.head.headers().clone(),
                body,
                certificate: self.certificate.clone(),
            })
        };
        timeout(PATIENCE, exchange).await.context("no answer")?
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
        let head = Response::from_parts(parts, ());
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

/// A browser: keeps a connection while the server does, and asks again on a new one what the server
/// has said it did not process (RFC 9113, 6.8).
pub struct Browser {
    visitor: Visitor,
    at: SocketAddr,
    host: String,
    session: Mutex<Option<Session>>,
}

impl Browser {
    /// At this address, for this host.
    pub fn new(visitor: Visitor, at: SocketAddr, host: &str) -> Self {
        Self {
            visitor,
            at,
            host: host.to_owned(),
            session: Mutex::new(None),
        }
    }

    /// Asks for a path; must be answered 200.
    ///
    /// # Errors
    /// When it is not.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        // A goodbye may come twice in a row, when two proxies go.
        for _ in 0..5 {
            let session = self.session().await?;
            match session.get(&self.host, path, &[]).await {
                Ok(answer) if answer.status == 200 => return Ok(answer),
                Ok(answer) => bail!(
                    "{path}: {} {}",
                    answer.status,
                    answer.header("x-portolan-reason")
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
        let session = self.visitor.session(self.at, &self.host).await?;
        *kept = Some(session.clone());
        Ok(session)
    }
}

/// Whether the server has said that it did nothing about the request.
fn was_not_processed(error: &anyhow::Error) -> bool {
    let Some(error) = error.downcast_ref::<h2::Error>() else {
        return false;
    };
    let goodbye = error.is_go_away() && error.reason() == Some(Reason::NO_ERROR);
    goodbye || error.reason() == Some(Reason::REFUSED_STREAM)
}
