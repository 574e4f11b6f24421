//! A scripted client and a scripted endpoint over HTTP/2.

use crate::proxy::{Proxy, endpoints, host};
use crate::soon;
use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::server::{self, SendResponse};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response, request};
use portolan_proxy::limits::Limits;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// A proxy whose host `shop.test` goes to this address.
pub(super) async fn shop_at(address: SocketAddr, limits: Limits) -> Proxy {
    let resources = vec![
        endpoints("t/shop:80", &[address]),
        host("shop.test", "t/shop:80"),
    ];
    Proxy::with_limits(limits).open(resources).await
}

/// One connection of a client, by prior knowledge.
pub(super) struct Asking {
    requests: SendRequest<Bytes>,
    /// Ends with the connection.
    pub(super) connection: JoinHandle<Result<(), h2::Error>>,
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Asking {
    pub(super) async fn connect(proxy: &Proxy) -> Self {
        Self::over(TcpStream::connect(proxy.http).await.unwrap()).await
    }

    /// Over whatever carries bytes.
    pub(super) async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let shaking = h2::client::handshake(stream);
        let (requests, connection) = soon("a handshake", shaking).await.unwrap();
        Self {
            requests,
            connection: tokio::spawn(connection),
        }
    }

    /// Waits until the proxy takes no more requests, and says that it did nothing about them.
    pub(super) async fn receives_goaway(&self) {
        soon("the goodbye", async {
            loop {
                match self.requests.clone().ready().await {
                    Ok(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                    Err(error) => return assert!(error.is_go_away(), "{error}"),
                }
            }
        })
        .await;
    }

    /// Waits until the settings of the proxy allow extended CONNECT.
    pub(super) async fn may_open_tunnels(&self) {
        let allowed = || self.requests.is_extended_connect_protocol_enabled();
        crate::until("extended CONNECT", allowed).await;
    }

    pub(super) async fn begin(
        &self,
        request: Request<()>,
        ended: bool,
    ) -> (ResponseFuture, SendStream<Bytes>) {
        let ready = soon("a stream", self.requests.clone().ready()).await;
        ready.unwrap().send_request(request, ended).unwrap()
    }

    pub(super) async fn ask(&self, request: Request<()>) -> Answer {
        let (response, _) = self.begin(request, true).await;
        Answer::of(response).await.unwrap()
    }
}

/// A request for `/` of the host.
pub(super) fn to_shop(method: &str) -> request::Builder {
    Request::builder().method(method).uri("http://shop.test/")
}

/// A whole response.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) fields: HeaderMap,
    pub(super) body: Vec<u8>,
    pub(super) trailers: HeaderMap,
    /// In how many frames the body came.
    pub(super) frames: usize,
}

impl Answer {
    pub(super) async fn of(response: ResponseFuture) -> Result<Self, h2::Error> {
        let (head, mut stream) = soon("a response", response).await?.into_parts();
        let (body, frames) = rest(&mut stream).await?;
        let trailers = soon("trailers", stream.trailers()).await?;
        Ok(Self {
            status: head.status.as_u16(),
            fields: head.headers,
            body,
            trailers: trailers.unwrap_or_default(),
            frames,
        })
    }
}

/// Everything up to the end of a body, and in how many frames it came.
pub(super) async fn rest(stream: &mut RecvStream) -> Result<(Vec<u8>, usize), h2::Error> {
    let (mut body, mut frames) = (Vec::new(), 0);
    while let Some(data) = soon("the rest of a body", stream.data()).await {
        let data = data?;
        stream.flow_control().release_capacity(data.len()).unwrap();
        body.extend_from_slice(&data);
        frames += 1;
    }
    Ok((body, frames))
}

/// Something of a body.
pub(super) async fn piece(stream: &mut RecvStream) -> Bytes {
    let data = soon("a piece of a body", stream.data()).await;
    data.unwrap().unwrap()
}

/// An endpoint; each request that arrives is answered by the test itself.
pub(super) struct Endpoint {
    pub(super) address: SocketAddr,
    calls: mpsc::UnboundedReceiver<Call>,
    accepting: JoinHandle<()>,
}

/// A request at an endpoint.
pub(super) struct Call {
    /// Which connection it came over, counted from 0.
    pub(super) connection: usize,
    pub(super) head: request::Parts,
    pub(super) body: RecvStream,
    pub(super) respond: SendResponse<Bytes>,
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Endpoint {
    /// Takes so many requests at a time on a connection.
    pub(super) async fn start(streams: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, calls) = mpsc::unbounded_channel();
        let accepting = tokio::spawn(async move {
            for connection in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, streams, connection, tell.clone()));
            }
        });
        Self {
            address,
            calls,
            accepting,
        }
    }

    pub(super) async fn call(&mut self) -> Call {
        soon("a request", self.calls.recv()).await.unwrap()
    }

    /// Returns whether an unread request is there.
    pub(super) fn has_more(&mut self) -> bool {
        self.calls.try_recv().is_ok()
    }
}

async fn serve(
    stream: TcpStream,
    streams: u32,
    connection: usize,
    tell: mpsc::UnboundedSender<Call>,
) {
    let mut settings = server::Builder::new();
    settings
        .max_concurrent_streams(streams)
        .enable_connect_protocol();
    let mut serving = settings.handshake(stream).await.unwrap();
    // However it ends, the test says what should have been.
    while let Some(Ok((request, respond))) = serving.accept().await {
        let (head, body) = request.into_parts();
        let call = Call {
            connection,
            head,
            body,
            respond,
        };
        if tell.send(call).is_err() {
            return;
        }
    }
}

impl Call {
    /// Begins a response with this status.
    pub(super) fn begin(&mut self, status: u16) -> SendStream<Bytes> {
        let response = Response::builder().status(status).body(()).unwrap();
        self.respond.send_response(response, false).unwrap()
    }

    /// Answers with 200 and nothing else.
    pub(super) fn finish(mut self) {
        self.respond.send_response(Response::new(()), true).unwrap();
    }
}
