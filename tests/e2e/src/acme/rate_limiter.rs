//! Rate limiter in front of Pebble, which has none: every order of a certificate is rejected because there
//! were too many (RFC 8555, 6.6), and everything else passes.

use crate::client::Client;
use crate::pki::Pair;
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

/// Path of Pebble's new-order endpoint.
const ORDERS: &str = "/order-plz";

/// A listening rate limiter. Dropping it ends it.
pub(super) struct RateLimiter {
    /// Address on which it listens.
    pub(super) address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl RateLimiter {
    /// Listens where Pebble does, on another port; `client` trusts Pebble.
    pub(super) async fn start(pebble: SocketAddr, pair: &Pair, client: Client) -> Result<Self> {
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
        let client = Arc::new(client);
        let accepting = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                tokio::spawn(serve(tcp, tls.clone(), pebble, Arc::clone(&client)));
            }
        });
        Ok(Self { address, accepting })
    }
}

impl Drop for RateLimiter {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Serves one connection. A client that goes away is no error.
async fn serve(tcp: TcpStream, tls: TlsAcceptor, pebble: SocketAddr, client: Arc<Client>) {
    let Ok(stream) = tls.accept(tcp).await else {
        return;
    };
    let service = service_fn(|request| pass(request, pebble, &client));
    let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let _ = served.await;
}

/// Forwards a request. Keeps the Host, from which Pebble builds its own URLs.
async fn pass(
    request: Request<Incoming>,
    pebble: SocketAddr,
    client: &Client,
) -> Result<Response<Either<Full<Bytes>, Incoming>>> {
    if request.method() == Method::POST && request.uri().path() == ORDERS {
        return refused();
    }
    let name = ServerName::from(pebble.ip());
    let stream = TokioIo::new(client.connect_tls(pebble, name).await?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
    tokio::spawn(connection);
    let response = sender.send_request(request).await.context("Pebble")?;
    Ok(response.map(Either::Right))
}

fn refused() -> Result<Response<Either<Full<Bytes>, Incoming>>> {
    let problem = json!({
        "type": "urn:ietf:params:acme:error:rateLimited",
        "detail": "too many certificates already issued for this domain",
        "status": 429,
    });
    let response = Response::builder()
        .status(StatusCode::TOO_MANY_REQUESTS)
        .header(header::CONTENT_TYPE, "application/problem+json")
        .header(header::RETRY_AFTER, "3600");
    let body = Full::new(Bytes::from(problem.to_string()));
    Ok(response.body(Either::Left(body))?)
}
