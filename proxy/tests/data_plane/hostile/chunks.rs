//! The chunked coding (RFC 9112 7.1) from a client: the grammar and nothing else.

use super::{SMUGGLED, all_broken_off, post};
use crate::messages::shop;
use crate::origin::Origin;

#[tokio::test]
async fn a_chunk_size_that_overflows_is_refused() {
    all_broken_off(&[
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "00000000000000005\r\nhello\r\n0\r\n\r\n",
        "fffffffffffffffff\r\n",
        "ffffffffffffffffffffffffffffffffff\r\n",
    ])
    .await;
}

#[tokio::test]
async fn a_chunk_size_that_is_no_hexadecimal_number_is_refused() {
    all_broken_off(&[
        "\r\nhello\r\n",
        "g\r\nhello\r\n",
        "+5\r\nhello\r\n",
        "-5\r\nhello\r\n",
        "0x5\r\nhello\r\n",
        "5h\r\nhello\r\n",
        "5.0\r\nhello\r\n",
        "1_0\r\n0123456789abcdef\r\n",
        "\u{ff15}\r\nhello\r\n",
        ";name=value\r\nhello\r\n",
        "5\0\r\nhello\r\n",
    ])
    .await;
}

#[tokio::test]
async fn spaces_around_a_chunk_size_are_refused() {
    all_broken_off(&[
        " 5\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "5\t\r\nhello\r\n0\r\n\r\n",
        "5 ;name\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0 \r\n\r\n",
        "5\r\nhello\r\n 0\r\n\r\n",
    ])
    .await;
}

#[tokio::test]
async fn line_ends_in_chunks_are_cr_lf() {
    all_broken_off(&[
        "5\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\r0\r\n\r\n",
        "5\r\nhello\r\n0\n\r\n",
        "5\r\nhello\r\n0\r\n\n",
        "5\r\nhello\r\n0\r\n\r\r",
        "5\r\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
    ])
    .await;
}

#[tokio::test]
async fn data_that_is_longer_or_shorter_than_its_chunk_is_refused() {
    all_broken_off(&[
        "5\r\nhelloX\r\n0\r\n\r\n",
        "5\r\nhell\r\n0\r\n\r\n",
        "4\r\nhello\r\n0\r\n\r\n",
        "0\r\nhello\r\n\r\n",
    ])
    .await;
}

#[tokio::test]
async fn oversized_and_unclean_extensions_are_refused() {
    let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(257));
    all_broken_off(&[
        long.as_str(),
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "5;a\rb\r\nhello\r\n0\r\n\r\n",
        "5;a\0b\r\nhello\r\n0\r\n\r\n",
        "5;a=\"\n\"\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0;a\nb\r\n\r\n",
    ])
    .await;
}

#[tokio::test]
async fn a_flood_of_framing_is_refused() {
    let extended = format!("1;{}\r\na\r\n", "x".repeat(250)).repeat(500);
    let trailers = format!("0\r\nX: {}\r\n\r\n", "y".repeat(9000));
    all_broken_off(&[extended, trailers]).await;
}

#[tokio::test]
async fn bad_trailers_are_refused() {
    all_broken_off(&[
        "0\r\nno field\r\n\r\n",
        "0\r\nX : y\r\n\r\n",
        "0\r\n: y\r\n\r\n",
        "0\r\nX: a\r\n b\r\n\r\n",
        "0\r\nX: a\0b\r\n\r\n",
        "0\r\nX: a\nY: b\r\n\r\n",
        "0\r\nX: a\rY: b\r\n\r\n",
        "0\r\nX: a\r\n\n",
        "0\r\nX\0: a\r\n\r\n",
    ])
    .await;
}

/// RFC 9110 6.5.1: a trailer never becomes a header, and never frames or routes anything.
#[tokio::test]
async fn trailers_smuggle_nothing() {
    let origin = Origin::saying("hello").await;
    let proxy = shop(&origin).await;
    let mut client = proxy.client().await;
    let trailers = "Content-Length: 500\r\nTransfer-Encoding: chunked\r\nHost: other.test\r\n\
        Connection: close\r\nX-Forwarded-For: 6.6.6.6\r\nx_forwarded_for: 6.6.6.6\r\n\
        Authorization: Basic eA==\r\nCookie: a=b\r\nExpect: tea\r\nUpgrade: h2c\r\n\
        X-Request-Id: mine\r\nGrpc-Status: 0\r\n";
    let body = format!("5\r\nhello\r\n0\r\n{trailers}\r\n");
    client
        .send(post("Transfer-Encoding: chunked") + &body + SMUGGLED)
        .await;
    // Behind a lawful body it is a request like any other, and neither eaten nor doubled.
    for _ in 0..2 {
        assert_eq!(client.response().await.status, 200);
    }
    let requests = origin.requests();
    assert_eq!(
        (requests.len(), requests[0].body.as_slice()),
        (2, &b"hello"[..])
    );
    assert_eq!(requests[0].trailers, "Grpc-Status: 0\r\n");
    assert!(!requests[0].head.contains("6.6.6.6"));
}

/// Odd but valid chunks pass and end where they say.
#[tokio::test]
async fn lawful_oddities_of_chunks_pass() {
    let origin = Origin::saying("hello").await;
    let proxy = shop(&origin).await;
    let mut client = proxy.client().await;
    let bodies = [
        "0000000000000005\r\nhello\r\n0\r\n\r\n",
        "5;a=b;c=\"d e\"\r\nhello\r\n0;last\r\n\r\n",
        "2\r\nhe\r\n3\r\nllo\r\n0000\r\n\r\n",
        "5\r\nhello\r\n0\r\nX-Sum: a: b\r\nX-Sum: c\r\n\r\n",
        "0\r\n\r\n",
    ];
    for body in bodies {
        client.send(post("Transfer-Encoding: Chunked") + body).await;
        assert_eq!(client.response().await.status, 200, "{body:?}");
    }
    let bodies = origin.requests().into_iter().map(|it| it.body);
    let expected: [&[u8]; 5] = [b"hello", b"hello", b"hello", b"hello", b""];
    assert_eq!(bodies.collect::<Vec<_>>(), expected);
}
