//! A turnstile before Pebble, which knows no rate limits: whoever orders a certificate is told that there
//! were too many (RFC 8555, 6.6), and everything else passes.

use crate::pki::Pair;
use crate::visitor::Visitor;
use anyhow::{Context, Result};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// Where Pebble takes orders.
const ORDERS: &str = "/order-plz";

/// It ends with this value.
pub(super) struct Turnstile {
    /// Where it listens.
    pub(super) address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Turnstile {
    /// Listens where Pebble does, on another port; `visitor` trusts Pebble.
    pub(super) async fn before(pebble: SocketAddr, pair: &Pair, visitor: Visitor) -> Result<Self> {
        let chain = CertificateDer::pem_slice_iter(pair.certificate.as_bytes());
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes())?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain.collect::<Result<_, _>>()?, key)?;
        let tls = TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind((pebble.ip(), 0)).await?;
        let address = listener.local_addr()?;
        let visitor = Arc::new(visitor);
        let accepting = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                tokio::spawn(serve(tcp, tls.clone(), pebble, Arc::clone(&visitor)));
            }
        });
        Ok(Self { address, accepting })
    }
}

impl Drop for Turnstile {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// A client that goes away is nobody's trouble.
async fn serve(tcp: TcpStream, tls: TlsAcceptor, pebble: SocketAddr, visitor: Arc<Visitor>) {
    let Ok(stream) = tls.accept(tcp).await else {
        return;
    };
    let service = service_fn(|request| pass(request, pebble, &visitor));
    let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let _ = served.await;
}

/// The Host stays as it is, by which Pebble tells its own URLs.
async fn pass(
    request: Request<Incoming>,
    pebble: SocketAddr,
    visitor: &Visitor,
) -> Result<Response<Either<Full<Bytes>, Incoming>>> {
    if request.method() == Method::POST && request.uri().path() == ORDERS {
        return refused();
    }
    let name = ServerName::from(pebble.ip());
    let stream = TokioIo::new(visitor.secure(pebble, name).await?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
    tokio::spawn(connection);
    let answer = sender.send_request(request).await.context("Pebble")?;
    Ok(answer.map(Either::Right))
}

fn refused() -> Result<Response<Either<Full<Bytes>, Incoming>>> {
    let problem = json!({
        "type": "urn:ietf:params:acme:error:rateLimited",
        "detail": "too many certificates already issued for this domain",
        "status": 429,
    });
    let answer = Response::builder()
        .status(StatusCode::TOO_MANY_REQUESTS)
        .header(header::CONTENT_TYPE, "application/problem+json")
        .header(header::RETRY_AFTER, "3600");
    let body = Full::new(Bytes::from(problem.to_string()));
    Ok(answer.body(Either::Left(body))?)
}
