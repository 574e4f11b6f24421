//! WebSocket over HTTP/2: extended CONNECT (RFC 8441), asked for and asked with.

use super::peers::{Asking, Call, Endpoint, piece, rest, shop_at};
use crate::protocols::run;
use crate::proxy::Proxy;
use crate::soon;
use crate::websocket::HANDSHAKE;
use bytes::Bytes;
use h2::ext::Protocol;
use h2::{Reason as Code, RecvStream, SendStream};
use http::Request;
use portolan_discovery::table::UpstreamProtocol::{Http1, Http2};
use portolan_proxy::limits::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Shorter than the time that a stream lingers before its reset.
fn lingering() -> Limits {
    Limits {
        linger: crate::DEADLINE * 10,
        ..Limits::default()
    }
}

fn connect(protocol: &'static str) -> Request<()> {
    Request::builder()
        .method("CONNECT")
        .uri("http://shop.test/chat")
        .header("sec-websocket-version", "13")
        .extension(Protocol::from_static(protocol))
        .body(())
        .unwrap()
}

/// A tunnel through the proxy, from a client to an endpoint of HTTP/2.
struct Tunnel {
    _client: Asking,
    up: SendStream<Bytes>,
    down: RecvStream,
    at_endpoint: Call,
    from_endpoint: SendStream<Bytes>,
}

async fn tunnel(proxy: &Proxy, endpoint: &mut Endpoint) -> Tunnel {
    let client = Asking::connect(proxy).await;
    client.may_open_tunnels().await;
    let (response, up) = client.begin(connect("websocket"), false).await;
    let mut at_endpoint = endpoint.call().await;
    let from_endpoint = at_endpoint.begin(200);
    let response = soon("a tunnel", response).await.unwrap();
    assert_eq!(response.status(), 200);
    Tunnel {
        _client: client,
        up,
        down: response.into_body(),
        at_endpoint,
        from_endpoint,
    }
}

#[tokio::test]
async fn a_tunnel_of_http2_is_closed_one_way_at_a_time() {
    run(Http2, Http2, async {
        let mut endpoint = Endpoint::start(100).await;
        let proxy = shop_at(endpoint.address, lingering()).await;
        let mut tunnel = tunnel(&proxy, &mut endpoint).await;
        let head = &tunnel.at_endpoint.head;
        assert_eq!(
            (head.method.as_str(), head.uri.path()),
            ("CONNECT", "/chat")
        );
        let protocol = head.extensions.get::<Protocol>().unwrap();
        assert_eq!(protocol.as_str(), "websocket");
        assert!(!head.headers.contains_key("sec-websocket-key"));
        tunnel
            .up
            .send_data(Bytes::from_static(b"going"), true)
            .unwrap();
        let (went_up, _) = rest(&mut tunnel.at_endpoint.body).await.unwrap();
        assert_eq!(went_up, b"going");
        tunnel
            .from_endpoint
            .send_data(Bytes::from_static(b"gone"), true)
            .unwrap();
        assert_eq!(rest(&mut tunnel.down).await.unwrap().0, b"gone");
    })
    .await;
}

#[tokio::test]
async fn a_tunnel_that_its_endpoint_resets_is_reset_at_once() {
    run(Http2, Http2, async {
        let mut endpoint = Endpoint::start(100).await;
        let proxy = shop_at(endpoint.address, lingering()).await;
        let mut tunnel = tunnel(&proxy, &mut endpoint).await;
        tunnel.from_endpoint.send_reset(Code::CONNECT_ERROR);
        let error = rest(&mut tunnel.down).await.unwrap_err();
        assert_eq!(error.reason(), Some(Code::CONNECT_ERROR));
    })
    .await;
}

#[tokio::test]
async fn resets_a_tunnel_when_the_http1_connection_breaks() {
    run(Http2, Http1, async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let proxy = shop_at(address, lingering()).await;
        let client = Asking::connect(&proxy).await;
        client.may_open_tunnels().await;
        let (response, _up) = client.begin(connect("websocket"), false).await;
        let (mut origin, _) = soon("a connection", listener.accept()).await.unwrap();
        accept_handshake(&mut origin).await;
        let response = soon("a tunnel", response).await.unwrap();
        assert_eq!(response.status(), 200);
        let mut down = response.into_body();
        assert_eq!(&piece(&mut down).await[..], b"frame");
        // A close with no time to linger is a reset.
        origin.set_zero_linger().unwrap();
        drop(origin);
        let error = rest(&mut down).await.unwrap_err();
        assert_eq!(error.reason(), Some(Code::CANCEL));
    })
    .await;
}

/// Agrees to a handshake of HTTP/1.1, with a frame behind it.
async fn accept_handshake(origin: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = soon("a handshake", origin.read_u8()).await.unwrap();
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let key = head
        .lines()
        .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))
        .unwrap();
    let accept = portolan_proxy_core::websocket::accept_for(key.as_bytes());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\nframe"
    );
    origin.write_all(answer.as_bytes()).await.unwrap();
}

#[tokio::test]
async fn no_other_protocol_gets_a_tunnel() {
    run(Http2, Http2, async {
        let mut endpoint = Endpoint::start(100).await;
        let proxy = shop_at(endpoint.address, Limits::default()).await;
        let client = Asking::connect(&proxy).await;
        client.may_open_tunnels().await;
        let (response, _up) = client.begin(connect("connect-udp"), false).await;
        let response = soon("a refusal", response).await.unwrap();
        assert_eq!(response.status(), 405);
        assert!(!endpoint.has_more());
    })
    .await;
}

#[tokio::test]
async fn half_closed_http2_client_still_receives_from_http1() {
    run(Http2, Http1, async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = shop_at(listener.local_addr().unwrap(), lingering()).await;
        let client = Asking::connect(&proxy).await;
        client.may_open_tunnels().await;
        let (response, mut up) = client.begin(connect("websocket"), false).await;
        let (mut origin, _) = soon("a connection", listener.accept()).await.unwrap();
        accept_handshake(&mut origin).await;
        let mut down = soon("a tunnel", response).await.unwrap().into_body();
        up.send_data(Bytes::from_static(b"going"), true).unwrap();
        let mut went_up = Vec::new();
        soon("the end", origin.read_to_end(&mut went_up))
            .await
            .unwrap();
        assert_eq!(went_up, b"going");
        origin.write_all(b" gone").await.unwrap();
        drop(origin);
        assert_eq!(rest(&mut down).await.unwrap().0, b"frame gone");
    })
    .await;
}

#[tokio::test]
async fn a_client_of_http1_talks_with_an_endpoint_of_http2() {
    run(Http1, Http2, async {
        let mut endpoint = Endpoint::start(100).await;
        let proxy = shop_at(endpoint.address, lingering()).await;
        let mut client = proxy.client().await;
        client.send(format!("{HANDSHAKE}ahead")).await;
        let mut call = endpoint.call().await;
        assert_eq!(
            (call.head.method.as_str(), call.head.uri.path()),
            ("CONNECT", "/chat")
        );
        let protocol = call.head.extensions.get::<Protocol>().unwrap();
        assert_eq!(protocol.as_str(), "websocket");
        let mut from_endpoint = call.begin(200);
        let response = client.response().await;
        assert_eq!(response.status, 101);
        // That of the key in RFC 6455, 1.3: an endpoint of HTTP/2 says none.
        assert_eq!(
            response.field("sec-websocket-accept"),
            Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        );
        from_endpoint
            .send_data(Bytes::from_static(b"first"), false)
            .unwrap();
        let first = soon("a frame", client.exactly(5)).await.unwrap();
        assert_eq!(first, b"first");
        client.finish().await;
        let (went_up, _) = rest(&mut call.body).await.unwrap();
        assert_eq!(went_up, b"ahead");
        from_endpoint
            .send_data(Bytes::from_static(b"last"), true)
            .unwrap();
        assert_eq!(client.rest().await.0, b"last");
    })
    .await;
}
