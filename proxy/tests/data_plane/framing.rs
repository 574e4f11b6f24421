//! What two readers could read differently is refused, the connection closed, nothing forwarded
//! (`faults.md`, "Framing").

use crate::messages::shop;
use crate::origin::{Origin, Then};
use crate::proxy::Proxy;

/// What follows every attack: a request that must never be seen as one.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: shop.test\r\n\r\n";

async fn refused(proxy: &Proxy, attack: &str, status: u16) {
    let mut client = proxy.client().await;
    // The refusal may close the connection while the rest is being sent.
    let _ = client.try_send(attack.as_bytes()).await;
    let _ = client.try_send(SMUGGLED).await;
    let response = client.response().await;
    assert_eq!(response.status, status, "{attack:?}");
    assert_eq!(response.field("connection"), Some("close"), "{attack:?}");
    assert!(!response.reason().is_empty(), "{attack:?}");
    client.is_closed().await;
}

#[tokio::test]
async fn malformed_heads_are_refused_with_nothing_forwarded() {
    let origin = Origin::saying("hello").await;
    let proxy = shop(&origin).await;
    let post = |fields: &str| format!("POST / HTTP/1.1\r\nHost: shop.test\r\n{fields}\r\n\r\n");
    let lengths = [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: +5",
        "Content-Length: 5, 5",
        "Content-Length: 0x5",
        "Content-Length: 99999999999999999999",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding:\u{b}chunked",
        "X: a\r\n Transfer-Encoding: chunked",
        "X: a\0b",
        "X: a\rb",
        "X: a\nTransfer-Encoding: chunked",
        "Connection: host",
        "Connection: X-Forwarded-For",
        "Expect: 100-continue, tea",
        "Host: shop.test",
    ];
    for fields in lengths {
        refused(&proxy, &post(fields), 400).await;
    }
    for attack in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: shop.test\r\nHost: other.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: shop.test:x\r\n\r\n",
        "GET http://other.test/ HTTP/1.1\r\nHost: shop.test\r\n\r\n",
        "GET / HTTP/1.1\nHost: shop.test\n\n",
        "GET /a\\b HTTP/1.1\r\nHost: shop.test\r\n\r\n",
        "GET /%00 HTTP/1.1\r\nHost: shop.test\r\n\r\n",
        "GET /%zz HTTP/1.1\r\nHost: shop.test\r\n\r\n",
        "GET /a#b HTTP/1.1\r\nHost: shop.test\r\n\r\n",
        "GET shop HTTP/1.1\r\nHost: shop.test\r\n\r\n",
        "POST / HTTP/1.0\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n",
        "\r\n\r\nGET / HTTP/1.1\r\nHost: shop.test\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{0}\r\n",
    ] {
        refused(&proxy, attack, 400).await;
    }
    refused(&proxy, "TRACE / HTTP/1.1\r\nHost: shop.test\r\n\r\n", 405).await;
    refused(
        &proxy,
        "CONNECT shop.test:443 HTTP/1.1\r\nHost: shop.test\r\n\r\n",
        405,
    )
    .await;
    refused(&proxy, "PRI * HTTP/2.0\r\n\r\n", 505).await;
    refused(&proxy, &post("Expect: tea\r\nContent-Length: 1"), 417).await;
    assert_eq!(origin.bytes(), 0);
}

#[tokio::test]
async fn overlong_heads_have_their_own_answers() {
    let origin = Origin::saying("hello").await;
    let proxy = shop(&origin).await;
    let target = format!(
        "GET /{} HTTP/1.1\r\nHost: shop.test\r\n\r\n",
        "a".repeat(20_000)
    );
    refused(&proxy, &target, 414).await;
    let many = "X: y\r\n".repeat(100);
    let many = format!("GET / HTTP/1.1\r\nHost: shop.test\r\n{many}\r\n");
    refused(&proxy, &many, 431).await;
    let long = "y".repeat(70_000);
    let long = format!("GET / HTTP/1.1\r\nHost: shop.test\r\nX: {long}\r\n\r\n");
    refused(&proxy, &long, 431).await;
    assert_eq!(origin.bytes(), 0);
}

#[tokio::test]
async fn a_broken_chunk_ends_the_request_on_both_sides() {
    for chunks in [
        "5\r\nhelloX",
        "g\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\n\n",
    ] {
        let origin = Origin::saying("hello").await;
        let proxy = shop(&origin).await;
        let head = "POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n";
        refused(&proxy, &format!("{head}{chunks}"), 400).await;
        assert!(origin.requests().is_empty(), "{chunks:?}");
        if origin.connections() > 0 {
            origin.has_seen_the_end_of(1).await;
        }
    }
}

#[tokio::test]
async fn malformed_responses_are_answered_with_502_and_their_connection_is_not_used_again() {
    let responses = [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello",
        "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
        "HTTP/1.1 200 OK\r\nX : y\r\n\r\n",
        "HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
        "220 mail.test ESMTP\r\n\r\n",
    ];
    for text in responses {
        let origin = Origin::start(move |_| (text.as_bytes().to_vec(), Then::Hang)).await;
        let proxy = shop(&origin).await;
        let mut client = proxy.client().await;
        for connections in 1..=2 {
            let response = client.get("shop.test").await;
            assert_eq!(
                (response.status, response.reason()),
                (502, "MalformedResponse")
            );
            assert_eq!(origin.connections(), connections, "{text:?}");
        }
    }
}

#[tokio::test]
async fn what_was_cut_short_never_ends_cleanly() {
    for text in [
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX",
    ] {
        let origin = Origin::start(move |_| (text.as_bytes().to_vec(), Then::Close)).await;
        let proxy = shop(&origin).await;
        for version in ["1.1", "1.0"] {
            let mut client = proxy.client().await;
            client
                .send(format!("GET / HTTP/{version}\r\nHost: shop.test\r\n\r\n"))
                .await;
            let (_, ended) = client.rest().await;
            assert!(ended.is_err(), "{version}: {text:?} must end in a reset");
        }
    }
}

#[tokio::test]
async fn bytes_behind_a_response_never_reach_the_next_client() {
    let surplus = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello\
        HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
    let origin = Origin::start(move |_| (surplus.as_bytes().to_vec(), Then::Keep)).await;
    let proxy = shop(&origin).await;
    let mut client = proxy.client().await;
    for _ in 0..3 {
        assert_eq!(client.get("shop.test").await.text(), "hello");
    }
    assert_eq!(origin.connections(), 3);
}
