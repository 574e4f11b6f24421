//! Endpoints that lie: what they send is judged as strictly as what clients send, and no byte of
//! one response ever stands in another.

use super::SMUGGLED;
use crate::messages::shop;
use crate::origin::{Origin, Then, ok};
use crate::soon;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// An origin whose every answer is this.
async fn saying(text: impl AsRef<[u8]>, then: Then) -> Origin {
    let text = text.as_ref().to_vec();
    Origin::start(move |_| (text.clone(), then)).await
}

/// Each is answered with 502, and its connection is not used again.
async fn all_malformed(responses: &[impl AsRef<[u8]>]) {
    for response in responses {
        let shown = response.as_ref().escape_ascii();
        let origin = saying(response, Then::Hang).await;
        let proxy = shop(&origin).await;
        let mut client = proxy.client().await;
        for connections in 1..=2 {
            let response = client.get("shop.test").await;
            assert_eq!(
                (response.status, response.reason()),
                (502, "MalformedResponse"),
                "{shown}"
            );
            assert_eq!(origin.connections(), connections, "{shown}");
        }
        origin.has_seen_the_end_of(2).await;
    }
}

/// A whole response with these field lines.
fn with(fields: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\nhello")
}

#[tokio::test]
async fn a_response_of_two_lengths_is_502() {
    all_malformed(&[
        with("Content-Length: 5\r\nContent-Length: 6"),
        with("Content-Length: 5, 5"),
        with("Content-Length: +5"),
        with("Content-Length: 0x5"),
        with("Content-Length: "),
        with("Content-Length: 99999999999999999999"),
        with("Content-Length: 5\r\nTransfer-Encoding: chunked"),
        with("Transfer-Encoding: chunked\r\nContent-Length: 5"),
        with("Transfer-Encoding: gzip"),
        with("Transfer-Encoding: gzip, chunked"),
        with("Transfer-Encoding: chunked, chunked"),
        with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into(),
    ])
    .await;
}

#[tokio::test]
async fn a_malformed_response_head_is_502() {
    all_malformed(&[
        &b"220 mail.test ESMTP\r\n\r\n"[..],
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 000 Zero\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 600 Odd\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 20 Short\r\n\r\n",
        b"HTTP/1.1 2000 Long\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"hello\r\n\r\n",
        b"\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        b"\x16\x03\x01\x00\x05hello\r\n\r\n",
    ])
    .await;
}

/// A header of the application that carries a line end must not become two for the client.
#[tokio::test]
async fn a_response_cannot_be_split() {
    all_malformed(&[
        with("X: a\rSet-Cookie: b=c\r\nContent-Length: 5"),
        with("X: a\nSet-Cookie: b=c\r\nContent-Length: 5"),
        with("X: a\0b\r\nContent-Length: 5"),
        with("X: a\r\n Set-Cookie: b=c\r\nContent-Length: 5"),
        with("X : a\r\nContent-Length: 5"),
        with(" X: a\r\nContent-Length: 5"),
        with("no field\r\nContent-Length: 5"),
        with("X\0: a\r\nContent-Length: 5"),
        "HTTP/1.1 200 O\rK\r\nContent-Length: 0\r\n\r\n".into(),
        "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello".into(),
        "HTTP/1.1 200 OK\r\nContent-Length: 5\n\r\nhello".into(),
    ])
    .await;
}

#[tokio::test]
async fn a_response_head_that_is_too_large_is_502() {
    let long = with(&format!("X: {}", "y".repeat(70_000)));
    let endless = format!("HTTP/1.1 200 {}", "O".repeat(70_000));
    let many = with(&format!("{}X: y", "X: y\r\n".repeat(100)));
    all_malformed(&[long, endless, many]).await;
}

#[tokio::test]
async fn rejects_an_unrequested_101_with_502() {
    let accept = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
    all_malformed(&[
        "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n".to_owned(),
        format!("HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: upgrade\r\n{accept}\r\n\r\n"),
        "HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n".to_owned(),
    ])
    .await;
}

#[tokio::test]
async fn a_storm_of_interim_responses_is_502() {
    for storm in [
        "HTTP/1.1 100 Continue\r\n\r\n".repeat(100_000),
        "HTTP/1.1 102 Processing\r\n\r\n".repeat(9) + &with("Content-Length: 5"),
    ] {
        let origin = saying(storm, Then::Hang).await;
        let proxy = shop(&origin).await;
        let mut client = proxy.client().await;
        client
            .send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
            .await;
        let mut interim = 0;
        let last = loop {
            let response = client.response().await;
            if response.status >= 200 {
                break response;
            }
            interim += 1;
        };
        assert_eq!((last.status, last.reason()), (502, "MalformedResponse"));
        assert!(interim <= 8, "{interim}");
        origin.has_seen_the_end_of(1).await;
    }
}

/// RFC 9112 6.3: no body follows, whatever the fields say or the endpoint sends.
#[tokio::test]
async fn a_body_where_none_may_be_never_reaches_anybody() {
    let poison = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
    let answers = [
        format!("HTTP/1.1 204 No Content\r\n\r\n{poison}"),
        format!(
            "HTTP/1.1 204 No Content\r\nContent-Length: {}\r\n\r\n{poison}",
            poison.len()
        ),
        format!("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n{poison}"),
        format!("HTTP/1.1 304 Not Modified\r\n\r\n{poison}"),
        format!(
            "HTTP/1.1 304 Not Modified\r\nContent-Length: {}\r\n\r\n{poison}",
            poison.len()
        ),
    ];
    for answer in answers {
        let origin = saying(&answer, Then::Keep).await;
        let proxy = shop(&origin).await;
        let mut client = proxy.client().await;
        for connections in 1..=3 {
            let response = client.get("shop.test").await;
            assert!(matches!(response.status, 204 | 304), "{answer:?}");
            assert_eq!(origin.connections(), connections, "{answer:?}");
        }
    }
}

#[tokio::test]
async fn a_body_in_answer_to_head_never_reaches_anybody() {
    let poison = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
    let answers = [
        format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{poison}",
            poison.len()
        ),
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{poison}"),
        format!("HTTP/1.1 200 OK\r\n\r\n{poison}"),
    ];
    for answer in answers {
        let origin = saying(&answer, Then::Keep).await;
        let proxy = shop(&origin).await;
        let mut client = proxy.client().await;
        for connections in 1..=3 {
            client
                .send("HEAD / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
                .await;
            let response = client.response_to_head().await;
            assert_eq!(
                (response.status, origin.connections()),
                (200, connections),
                "{answer:?}"
            );
        }
    }
}

/// A length is exact: missing bytes are a break, surplus bytes are discarded.
#[tokio::test]
async fn a_wrong_length_is_a_break_or_a_closed_connection() {
    let short = saying(
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
        Then::Close,
    )
    .await;
    let proxy = shop(&short).await;
    let mut client = proxy.client().await;
    client
        .send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
        .await;
    assert!(client.rest().await.1.is_err());

    let long = saying(
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhello",
        Then::Keep,
    )
    .await;
    let proxy = shop(&long).await;
    let mut client = proxy.client().await;
    for connections in 1..=3 {
        assert_eq!(client.get("shop.test").await.text(), "hell");
        assert_eq!(long.connections(), connections);
    }
}

#[tokio::test]
async fn a_broken_chunk_in_a_response_is_a_break() {
    for body in [
        "5\r\nhelloX",
        "5\r\nhello\r\ng\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\n\n",
        "5\r\nhello\r\n0\r\nno field\r\n\r\n",
        "5\r\nhello\r\n0\r\nX: a\0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
    ] {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let origin = saying(head.to_owned() + body, Then::Hang).await;
        let proxy = shop(&origin).await;
        let mut client = proxy.client().await;
        client
            .send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
            .await;
        client.send(SMUGGLED).await;
        assert!(client.rest().await.1.is_err(), "{body:?}");
        assert_eq!(origin.requests().len(), 1);
        origin.has_seen_the_end_of(1).await;
    }
}

#[tokio::test]
async fn bytes_behind_a_response_never_reach_the_next_client() {
    let surplus = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello\
        HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
    let origin = saying(surplus, Then::Keep).await;
    let proxy = shop(&origin).await;
    let mut client = proxy.client().await;
    for _ in 0..3 {
        assert_eq!(client.get("shop.test").await.text(), "hello");
    }
    assert_eq!(origin.connections(), 3);
}

/// The endpoint may answer before it has read; the rest of the body is no request.
#[tokio::test]
async fn an_early_response_leaves_neither_side_to_be_used_again() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly";
    let origin = Origin::start_early(move |_| (answer.as_bytes().to_vec(), Then::Hang)).await;
    let proxy = shop(&origin).await;
    for connections in 1..=2 {
        let mut client = proxy.client().await;
        client
            .send("POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 1000\r\n\r\nbegun")
            .await;
        let response = client.response().await;
        assert_eq!(
            (response.status, response.field("connection")),
            (200, Some("close"))
        );
        let _ = client.try_send(SMUGGLED).await;
        client.is_closed().await;
        assert_eq!(
            (origin.connections(), origin.requests().len()),
            (connections, connections)
        );
    }
    origin.has_seen_the_end_of(2).await;
}

/// Once part of a response went down nothing of ours may follow it.
#[tokio::test]
async fn a_broken_interim_response_never_turns_into_the_final_one() {
    let begun = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nX : y\r\n\r\n";
    let origin = saying(begun, Then::Hang).await;
    let proxy = shop(&origin).await;
    let mut client = proxy.client().await;
    client
        .send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
        .await;
    assert_eq!(client.response().await.status, 103);
    let last = client.response().await;
    assert_eq!((last.status, last.reason()), (502, "MalformedResponse"));
    origin.has_seen_the_end_of(1).await;
    assert_eq!(client.get("shop.test").await.status, 103);
}

/// Bytes that an endpoint sends after its response are discarded: the next request goes
/// elsewhere. (Else it would get the poison as its answer.)
#[tokio::test]
async fn discards_unsolicited_upstream_bytes() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let origin = tokio::spawn(async move {
        let mut kept = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            answer_one(&mut stream).await;
            let poison = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
            stream.write_all(poison).await.unwrap();
            kept.push(stream);
        }
    });
    let proxy = crate::proxy::Proxy::serving(vec![
        crate::proxy::endpoints("t/shop:80", &[address]),
        crate::proxy::host("shop.test", "t/shop:80"),
    ])
    .await;
    let mut client = proxy.client().await;
    for _ in 0..50 {
        assert_eq!(client.get("shop.test").await.text(), "hello");
    }
    origin.abort();
}

async fn answer_one(stream: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let count = soon("a request", stream.read_buf(&mut head)).await.unwrap();
        assert!(count > 0);
    }
    stream.write_all(&ok(b"hello")).await.unwrap();
}
