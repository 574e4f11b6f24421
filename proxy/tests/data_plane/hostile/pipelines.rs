//! Several requests on one connection: each answered in its turn, none after an end or an error.

use super::{SMUGGLED, get, post};
use crate::messages::shop;
use crate::origin::{Origin, Then, ok};

#[tokio::test]
async fn an_error_in_the_second_request_ends_the_connection_after_the_first() {
    let bad = [
        get("X : y"),
        post("Content-Length: 5\r\nTransfer-Encoding: chunked"),
        post("Transfer-Encoding: gzip"),
        "GET / HTTP/1.1\r\n\r\n".to_owned(),
        "nonsense\r\n\r\n".to_owned(),
    ];
    for bad in bad {
        let origin = Origin::saying("hello").await;
        let proxy = shop(&origin).await;
        let mut client = proxy.client().await;
        client
            .send(post("Content-Length: 5") + "hello" + &bad + SMUGGLED)
            .await;
        let first = client.response().await;
        assert_eq!((first.status, first.field("connection")), (200, None));
        let second = client.response().await;
        assert_eq!(
            (second.status, second.field("connection")),
            (400, Some("close"))
        );
        client.is_closed().await;
        let requests = origin.requests();
        assert_eq!(
            (requests.len(), &requests[0].body[..]),
            (1, &b"hello"[..]),
            "{bad:?}"
        );
    }
}

/// RFC 9112 9.6: nothing is processed after the request that closes.
#[tokio::test]
async fn nothing_is_read_behind_a_request_that_closes() {
    let closing = [
        get("Connection: close"),
        get("Connection: keep-alive, CLOSE"),
        get("Connection: keep-alive\r\nConnection: close"),
        "GET / HTTP/1.0\r\nHost: shop.test\r\n\r\n".to_owned(),
        "GET / HTTP/1.0\r\nHost: shop.test\r\nConnection: close, keep-alive\r\n\r\n".to_owned(),
    ];
    for closing in closing {
        let origin = Origin::saying("hello").await;
        let proxy = shop(&origin).await;
        let mut client = proxy.client().await;
        client.send(closing.clone() + SMUGGLED).await;
        let response = client.response().await;
        assert_eq!(
            (response.status, response.field("connection")),
            (200, Some("close"))
        );
        client.is_closed().await;
        assert_eq!(origin.requests().len(), 1, "{closing:?}");
    }
}

/// A body is a body, whatever it looks like.
#[tokio::test]
async fn a_body_that_looks_like_a_request_is_none() {
    let origin = Origin::start(|request| (ok(&request.body), Then::Keep)).await;
    let proxy = shop(&origin).await;
    let mut client = proxy.client().await;
    let length = SMUGGLED.len();
    let plain = post(&format!("Content-Length: {length}")) + SMUGGLED;
    let chunked =
        post("Transfer-Encoding: chunked") + &format!("{length:x}\r\n{SMUGGLED}\r\n0\r\n\r\n");
    let with_get = get(&format!("Content-Length: {length}")) + SMUGGLED;
    client.send([&*plain, &*chunked, &*with_get].concat()).await;
    for _ in 0..3 {
        assert_eq!(client.response().await.text(), SMUGGLED);
    }
    let requests = origin.requests();
    assert_eq!(requests.len(), 3);
    assert!(requests.iter().all(|it| !it.head.contains("/smuggled")));
}

/// The body that an answer of ours leaves unread is not the next request.
#[tokio::test]
async fn local_response_does_not_read_the_body_as_a_request() {
    let origin = Origin::saying("hello").await;
    let proxy = shop(&origin).await;
    let mut client = proxy.client().await;
    let unknown = post(&format!("Content-Length: {}", SMUGGLED.len())).replace("shop", "absent");
    client.send(unknown + SMUGGLED + SMUGGLED).await;
    let response = client.response().await;
    assert_eq!(
        (response.status, response.field("connection")),
        (404, Some("close"))
    );
    client.is_closed().await;
    assert_eq!(origin.bytes(), 0);
}

/// RFC 9112 6.3: without a length or a coding, a request has no body, whatever its method.
#[tokio::test]
async fn a_post_without_a_length_has_no_body() {
    let origin = Origin::start(|request| (ok(request.head.as_bytes()), Then::Keep)).await;
    let proxy = shop(&origin).await;
    let mut client = proxy.client().await;
    client.send(post("X: y") + SMUGGLED).await;
    assert!(client.response().await.text().starts_with("POST / "));
    assert!(client.response().await.text().starts_with("GET /smuggled "));
}

/// `printf … | nc -N`: nothing more will come, and what came is all answered.
#[tokio::test]
async fn a_half_closed_pipeline_is_answered_to_its_end() {
    let origin = Origin::saying("hello").await;
    let proxy = shop(&origin).await;
    for _ in 0..20 {
        let mut client = proxy.client().await;
        client.send(SMUGGLED.repeat(5)).await;
        client.finish().await;
        for _ in 0..5 {
            assert_eq!(client.response().await.text(), "hello");
        }
        client.is_closed().await;
    }
    assert_eq!(origin.requests().len(), 100);
}

#[tokio::test]
async fn an_upgrade_that_is_not_taken_leaves_the_next_request_alone() {
    let origin = Origin::saying("hello").await;
    let proxy = shop(&origin).await;
    let upgrades = [
        get(
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ),
        get("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk"),
        get("Connection: Upgrade\r\nUpgrade: TLS/1.0"),
    ];
    for upgrade in upgrades {
        let mut client = proxy.client().await;
        client.send(upgrade + SMUGGLED).await;
        for _ in 0..2 {
            let response = client.response().await;
            assert_eq!((response.status, response.text()), (200, "hello"));
        }
    }
    let requests = origin.requests();
    assert_eq!(requests.len(), 6);
    let second = requests.iter().skip(1).step_by(2);
    assert!(
        second
            .into_iter()
            .all(|it| it.head.starts_with("GET /smuggled "))
    );
}

/// The upstream message of a small request stays in proportion to it.
#[tokio::test]
async fn the_smallest_requests_do_not_swell_on_their_way() {
    let origin = Origin::saying("").await;
    let proxy = shop(&origin).await;
    let mut client = proxy.client().await;
    let smallest = "GET / HTTP/1.1\r\nHost:shop.test\r\n\r\n";
    client.send(smallest.repeat(1000)).await;
    for _ in 0..1000 {
        assert_eq!(client.response().await.status, 200);
    }
    assert_eq!(origin.requests().len(), 1000);
    assert!(
        origin.bytes() < 20 * 1000 * smallest.len(),
        "{}",
        origin.bytes()
    );
}
