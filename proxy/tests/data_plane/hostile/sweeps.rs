//! Ends at each byte: an endpoint that closes anywhere in its response, a client that leaves
//! anywhere in its request. What was cut short never passes for whole.

use super::post;
use crate::client::{Client, Response};
use crate::messages::shop;
use crate::origin::{Origin, Received, Then, ok};
use crate::proxy::Proxy;
use std::io;
use tokio::net::TcpStream;

/// An origin that cuts its response off before the byte that the path names, and answers every
/// other path whole.
async fn cutting(response: &'static str) -> Origin {
    Origin::start(move |request| match asked_cut(request) {
        Some(cut) => (response.as_bytes()[..cut].to_vec(), Then::Close),
        None => (ok(b"whole"), Then::Keep),
    })
    .await
}

fn asked_cut(request: &Received) -> Option<usize> {
    let path = request.head.split(' ').nth(1)?;
    path.strip_prefix("/cut/")?.parse().ok()
}

/// Asks for the response cut before this byte, on a connection of its own.
async fn cut_at(proxy: &Proxy, cut: usize) -> io::Result<Response> {
    let mut client = proxy.client().await;
    client
        .send(format!(
            "GET /cut/{cut} HTTP/1.1\r\nHost: shop.test\r\n\r\n"
        ))
        .await;
    let mut response = client.try_response(false).await?;
    while response.status < 200 {
        response = client.try_response(false).await?;
    }
    Ok(response)
}

/// Cuts `response` before each of its bytes: 502 within the head, a break within the body, and
/// the whole only when it was whole; another client is served between two cuts.
async fn sweep_response(response: &'static str) {
    let origin = cutting(response).await;
    let proxy = shop(&origin).await;
    let mut other = proxy.client().await;
    let last_head = response.rfind("HTTP/1.1").unwrap();
    let head_end = last_head + response[last_head..].find("\r\n\r\n").unwrap() + 4;
    for cut in 0..=response.len() {
        let got = cut_at(&proxy, cut).await;
        match got {
            Ok(whole) if cut == response.len() => assert_eq!(whole.text(), "hello"),
            Ok(answer) => {
                assert!(cut < head_end, "cut at {cut} passed for whole: {answer:?}");
                assert_eq!(answer.status, 502, "cut at {cut}");
                assert!(
                    matches!(answer.reason(), "UpstreamClosed" | "MalformedResponse"),
                    "cut at {cut}: {}",
                    answer.reason()
                );
            }
            Err(_) => assert!(cut >= head_end && cut < response.len(), "cut at {cut}"),
        }
        assert_eq!(other.get("shop.test").await.text(), "whole", "cut at {cut}");
    }
}

#[tokio::test]
async fn an_endpoint_closes_at_each_byte_of_a_response_with_a_length() {
    sweep_response("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhello").await;
}

#[tokio::test]
async fn an_endpoint_closes_at_each_byte_of_a_chunked_response() {
    sweep_response(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
         2\r\nhe\r\n3;a=b\r\nllo\r\n0\r\nX-Sum: 1\r\n\r\n",
    )
    .await;
}

#[tokio::test]
async fn an_endpoint_closes_at_each_byte_of_a_response_after_an_interim_one() {
    sweep_response(
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    )
    .await;
}

/// Cuts `request` before each of its bytes, by a polite end and by a reset: the origin never
/// sees a whole request but for a whole one, and keeps none that was begun.
async fn sweep_request(request: String, body: &[u8]) {
    let origin = Origin::saying("hello").await;
    let proxy = shop(&origin).await;
    for cut in 0..request.len() {
        let mut leaving = proxy.client().await;
        leaving.send(&request.as_bytes()[..cut]).await;
        leaving.finish().await;
        let (answer, _) = leaving.rest().await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
            "cut at {cut}: {answer}"
        );
        reset_after(&proxy, &request.as_bytes()[..cut]).await;
    }
    assert!(origin.requests().is_empty(), "{:?}", origin.requests());
    origin.has_seen_the_end_of(origin.connections()).await;
    let mut whole = proxy.client().await;
    whole.send(&request).await;
    assert_eq!(whole.response().await.text(), "hello");
    assert_eq!(origin.requests().len(), 1);
    assert_eq!(origin.requests()[0].body, body);
}

async fn reset_after(proxy: &Proxy, bytes: &[u8]) {
    let stream = TcpStream::connect(proxy.http).await.unwrap();
    stream.set_zero_linger().unwrap();
    Client::over(stream).send(bytes).await;
}

#[tokio::test]
async fn a_client_leaves_at_each_byte_of_a_request_with_a_length() {
    sweep_request(post("Content-Length: 5") + "hello", b"hello").await;
}

#[tokio::test]
async fn a_client_leaves_at_each_byte_of_a_chunked_request() {
    let chunks = "2\r\nhe\r\n3;a=b\r\nllo\r\n0\r\nX-Sum: 1\r\n\r\n";
    sweep_request(post("Transfer-Encoding: chunked") + chunks, b"hello").await;
}

/// Whatever pieces the bytes of a pipeline arrive in, they are the same requests.
#[tokio::test]
async fn a_pipeline_split_at_each_byte_is_the_same_requests() {
    let origin = Origin::start(|request| (ok(&request.body), Then::Keep)).await;
    let proxy = shop(&origin).await;
    let chunked = post("Transfer-Encoding: chunked") + "3\r\none\r\n0\r\n\r\n";
    let pipeline = chunked + &post("Content-Length: 3") + "two";
    for cut in 1..pipeline.len() {
        let mut client = proxy.client().await;
        let (front, back) = pipeline.split_at(cut);
        client.send(front).await;
        // What came may be answered before the rest comes; that must not matter.
        tokio::task::yield_now().await;
        client.send(back).await;
        for expected in ["one", "two"] {
            assert_eq!(client.response().await.text(), expected, "split at {cut}");
        }
    }
    assert_eq!(origin.requests().len(), 2 * (pipeline.len() - 1));
}
