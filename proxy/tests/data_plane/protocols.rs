//! The four pairs of protocols: HTTP/1 or HTTP/2 with the client, HTTP/1 or HTTP/2 with the
//! endpoint. A test is written once, with a client and an origin that speak text; what stands between
//! them and the proxy here turns the text into HTTP/2 and back: hyper, which the proxy has no part in.

use crate::soon;
use http::{HeaderValue, Request, Response, Uri, Version, header};
use hyper::body::Incoming;
use hyper::client::conn::{http1 as http1_client, http2 as http2_client};
use hyper::server::conn::{http1 as http1_server, http2 as http2_server};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use portolan_discovery::table::UpstreamProtocol;
use std::cell::Cell;
use std::future::Future;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, duplex};

/// Protocols of one test: with the client and with the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Protocols {
    pub(crate) down: UpstreamProtocol,
    pub(crate) up: UpstreamProtocol,
}

thread_local! {
    // A test and all that it starts for itself run on one thread.
    static PROTOCOLS: Cell<Protocols> = const {
        Cell::new(Protocols { down: UpstreamProtocol::Http1, up: UpstreamProtocol::Http1 })
    };
}

impl Protocols {
    /// Returns the protocols of the running test.
    pub(crate) fn of_this_test() -> Self {
        PROTOCOLS.get()
    }
}

/// Runs a test with one pair of protocols.
pub(crate) async fn run(
    down: UpstreamProtocol,
    up: UpstreamProtocol,
    test: impl Future<Output = ()>,
) {
    PROTOCOLS.set(Protocols { down, up });
    test.await;
}

/// Makes four tests of the function of this name.
macro_rules! each_protocol {
    ($name:ident) => {
        mod $name {
            use portolan_discovery::table::UpstreamProtocol::{Http1, Http2};

            #[tokio::test]
            async fn http1_to_http1() {
                crate::protocols::run(Http1, Http1, super::$name()).await;
            }

            #[tokio::test]
            async fn http1_to_http2() {
                crate::protocols::run(Http1, Http2, super::$name()).await;
            }

            #[tokio::test]
            async fn http2_to_http1() {
                crate::protocols::run(Http2, Http1, super::$name()).await;
            }

            #[tokio::test]
            async fn http2_to_http2() {
                crate::protocols::run(Http2, Http2, super::$name()).await;
            }
        }
    };
}
pub(crate) use each_protocol;

/// How much of a message waits between text and frames.
const PIPE: usize = 64 * 1024;

/// Text to say over `stream` as a client of HTTP/2 does.
pub(crate) async fn client(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    secure: bool,
) -> DuplexStream {
    let shaking = http2_client::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (sender, connection) = soon("the preface", shaking).await.unwrap();
    let ask = service_fn(move |mut request: Request<Incoming>| {
        let mut sender = sender.clone();
        let host = request.headers_mut().remove(header::HOST).unwrap();
        let target = request.uri().path_and_query().unwrap().clone();
        *request.uri_mut() = Uri::builder()
            .scheme(if secure { "https" } else { "http" })
            .authority(host.as_bytes())
            .path_and_query(target)
            .build()
            .unwrap();
        *request.version_mut() = Version::HTTP_2;
        async move { sender.send_request(request).await.map(as_http1) }
    });
    let (near, far) = duplex(PIPE);
    tokio::spawn(async move {
        let talking = http1_server::Builder::new()
            .auto_date_header(false)
            .serve_connection(TokioIo::new(far), ask);
        // The two end with each other.
        tokio::select! {
            _ = connection => {}
            _ = talking => {}
        }
    });
    near
}

/// Text for an origin to hear and to answer, of what comes over `stream` as HTTP/2: a conversation for
/// each request.
pub(crate) async fn origin(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    hear: impl Fn(DuplexStream),
) {
    let relay = service_fn(|mut request: Request<Incoming>| {
        let (near, far) = duplex(PIPE);
        hear(far);
        let authority = request.uri().authority().unwrap().as_str();
        let host = HeaderValue::from_str(authority).unwrap();
        request.headers_mut().insert(header::HOST, host);
        let target = request.uri().path_and_query().unwrap().clone();
        *request.uri_mut() = target.into();
        *request.version_mut() = Version::HTTP_11;
        async move {
            let shaking = http1_client::Builder::new()
                .title_case_headers(true)
                .handshake(TokioIo::new(near));
            let (mut sender, connection) = shaking.await?;
            tokio::spawn(connection);
            let response: Response<Incoming> = sender.send_request(request).await?;
            Ok::<_, hyper::Error>(response)
        }
    });
    let serving = http2_server::Builder::new(TokioExecutor::new())
        .auto_date_header(false)
        .enable_connect_protocol()
        .serve_connection(TokioIo::new(stream), relay);
    // However it ends, the test says what should have been.
    let _ = serving.await;
}

fn as_http1(mut response: Response<Incoming>) -> Response<Incoming> {
    *response.version_mut() = Version::HTTP_11;
    response
}
