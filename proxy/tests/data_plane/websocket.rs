//! WebSocket: a tunnel after a handshake that both sides agree on, and no other upgrade.

use crate::messages::shop;
use crate::origin::{Origin, Then};
use crate::soon;

/// Asks for `/chat` of the host, with the key of RFC 6455, 1.3.
pub(crate) const HANDSHAKE: &str = "GET /chat HTTP/1.1\r\nHost: shop.test\r\nConnection: keep-alive, Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

fn accepted(value: &'static str) -> impl Fn(&crate::origin::Received) -> (Vec<u8>, Then) {
    move |_| {
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {value}\r\n\r\nfirst frame"
        );
        (head.into_bytes(), Then::Hang)
    }
}

#[tokio::test]
async fn tunnel_forwards_early_bytes_and_ends_with_both_sides() {
    let origin = Origin::start(accepted("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")).await;
    let proxy = shop(&origin).await;
    let mut client = proxy.client().await;
    client.send(format!("{HANDSHAKE}ahead")).await;
    assert_eq!(client.response().await.status, 101);
    let frame = soon("the first frame", client.exactly(11)).await.unwrap();
    assert_eq!(frame, b"first frame");
    let request = &origin.requests()[0];
    assert_eq!(request.field("upgrade"), Some("websocket"));
    assert_eq!(request.field("connection"), Some("Upgrade"));
    let before = origin.bytes();
    client.send("x".repeat(100_000)).await;
    crate::until("the bytes of the tunnel", || {
        origin.bytes() >= before + 100_000
    })
    .await;
    drop(client);
    origin.has_seen_the_end_of(1).await;
}

#[tokio::test]
async fn an_answer_that_does_not_fit_opens_no_tunnel() {
    let origin = Origin::start(accepted("d3Jvbmc=")).await;
    let proxy = shop(&origin).await;
    let mut client = proxy.client().await;
    client.send(HANDSHAKE).await;
    assert_eq!(client.response().await.status, 502);
}

#[tokio::test]
async fn other_upgrades_are_not_passed_on() {
    let origin = Origin::saying("hello").await;
    let proxy = shop(&origin).await;
    let mut client = proxy.client().await;
    client
        .send(
            "GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: Upgrade, HTTP2-Settings\r\n\
             Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n",
        )
        .await;
    assert_eq!(client.response().await.text(), "hello");
    let head = origin.requests()[0].head.to_ascii_lowercase();
    assert!(
        !head.contains("upgrade") && !head.contains("http2-settings"),
        "{head}"
    );
}

/// A wish that is not well formed is no wish (RFC 9110 7.8): the request is served without it.
#[tokio::test]
async fn a_malformed_handshake_is_an_ordinary_request() {
    let origin = Origin::saying("hello").await;
    let proxy = shop(&origin).await;
    let mut client = proxy.client().await;
    let malformed = [
        HANDSHAKE.replace("Version: 13", "Version: 12"),
        HANDSHAKE.replace("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ="),
        HANDSHAKE.replace("Sec-WebSocket-Key", "X-Key"),
        HANDSHAKE.replace("GET", "DELETE"),
        HANDSHAKE.replace("keep-alive, Upgrade", "keep-alive"),
        HANDSHAKE.replace("\r\n\r\n", "\r\nSec-WebSocket-Version: 13\r\n\r\n"),
    ];
    for handshake in &malformed {
        client.send(handshake).await;
        assert_eq!(client.response().await.text(), "hello", "{handshake}");
    }
    let requests = origin.requests();
    assert_eq!(requests.len(), malformed.len());
    assert!(requests.iter().all(|it| it.field("upgrade").is_none()));
}
