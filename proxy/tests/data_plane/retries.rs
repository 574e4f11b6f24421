//! More than one attempt: when, where, how often, and never twice what was done once.

use crate::client::Client;
use crate::messages::pattern;
use crate::origin::{Origin, Then, ok};
use crate::protocols::each_protocol;
use crate::proxy::{Proxy, endpoints, routed};
use portolan_discovery::table::{Retries, RetryOn};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const UNAVAILABLE: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy";

fn retries(count: u32, retry_on: &[RetryOn]) -> Option<Retries> {
    Some(Retries {
        count,
        per_try_timeout: None,
        retry_on: retry_on.to_vec(),
    })
}

async fn with(origins: &[&Origin], retries: Option<Retries>) -> Proxy {
    let addresses: Vec<_> = origins.iter().map(|origin| origin.address).collect();
    Proxy::serving(vec![
        endpoints("t/s:80", &addresses),
        routed("shop.test", "t/s:80", |route| route.retries = retries),
    ])
    .await
}

/// An origin that does this with every request.
async fn always(answer: &'static [u8], then: Then) -> Origin {
    Origin::start(move |_| (answer.to_vec(), then)).await
}

async fn echo() -> Origin {
    Origin::start(|request| (ok(&request.body), Then::Keep)).await
}

async fn post(client: &mut Client, body: &str) -> crate::client::Response {
    let length = body.len();
    client
        .send(format!(
            "POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
        .await;
    client.response().await
}

each_protocol!(a_failure_is_made_good_by_another_endpoint);
async fn a_failure_is_made_good_by_another_endpoint() {
    let answers: [(&[u8], Then); 3] = [
        (UNAVAILABLE, Then::Keep),
        (b"", Then::Close),
        (b"HTTP/1.1 200", Then::Close),
    ];
    for (answer, then) in answers {
        let (bad, good) = (always(answer, then).await, Origin::saying("hello").await);
        let proxy = with(&[&bad, &good], retries(1, &[])).await;
        let mut client = proxy.client().await;
        for _ in 0..6 {
            assert_eq!(client.get("shop.test").await.text(), "hello");
        }
        assert!(!bad.requests().is_empty());
        assert_eq!(good.requests().len(), 6);
    }
}

each_protocol!(without_retries_what_was_sent_is_not_sent_again);
async fn without_retries_what_was_sent_is_not_sent_again() {
    let (bad, good) = (always(b"", Then::Close).await, echo().await);
    let proxy = with(&[&bad, &good], None).await;
    for _ in 0..4 {
        let response = proxy.client().await.get("shop.test").await;
        assert!(response.status == 200 || response.reason() == "UpstreamClosed");
    }
    assert_eq!((bad.requests().len(), good.requests().len()), (2, 2));
}

each_protocol!(retries_non_idempotent_requests_only_when_configured);
async fn retries_non_idempotent_requests_only_when_configured() {
    let (bad, good) = (always(UNAVAILABLE, Then::Keep).await, echo().await);
    let proxy = with(&[&bad, &good], retries(3, &[])).await;
    let mut client = proxy.client().await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(post(&mut client, "hello").await.status);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 503, 503]);
    let proxy = with(&[&bad, &good], retries(1, &[RetryOn::ServerError])).await;
    let mut client = proxy.client().await;
    for _ in 0..4 {
        assert_eq!(post(&mut client, "hello").await.text(), "hello");
    }
}

each_protocol!(at_most_one_and_count_requests_reach_the_endpoints);
async fn at_most_one_and_count_requests_reach_the_endpoints() {
    let origin = always(UNAVAILABLE, Then::Keep).await;
    let proxy = with(&[&origin], retries(2, &[])).await;
    let mut client = proxy.client().await;
    let response = client.get("shop.test").await;
    // The last one's answer is the client's.
    assert_eq!((response.status, response.text()), (503, "busy"));
    assert_eq!(origin.requests().len(), 3);
}

each_protocol!(retries_short_bodies_only);
async fn retries_short_bodies_only() {
    for (length, chunked) in [(64 * 1024, false), (60_000, true), (64 * 1024 + 1, false)] {
        let (bad, good) = (always(UNAVAILABLE, Then::Keep).await, echo().await);
        let proxy = with(&[&bad, &good], retries(1, &[])).await;
        let body = pattern(length);
        let mut statuses = Vec::new();
        let mut client = proxy.client().await;
        for _ in 0..2 {
            let head = if chunked {
                format!("Transfer-Encoding: chunked\r\n\r\n{length:x}")
            } else {
                format!("Content-Length: {length}\r\n")
            };
            let mut request =
                format!("PUT / HTTP/1.1\r\nHost: shop.test\r\n{head}\r\n").into_bytes();
            request.extend_from_slice(&body);
            if chunked {
                request.extend_from_slice(b"\r\n0\r\n\r\n");
            }
            client.send(request).await;
            let response = client.response().await;
            statuses.push(response.status);
            assert!(response.status == 503 || response.body == body);
        }
        statuses.sort_unstable();
        let kept = length <= 64 * 1024;
        let expected = if kept { [200, 200] } else { [200, 503] };
        assert_eq!(statuses, expected, "{length}");
        let bodies = bad.requests().into_iter().map(|request| request.body);
        assert!(bodies.inspect(|it| assert!(*it == body)).count() > 0);
    }
}

each_protocol!(an_attempt_has_a_time_of_its_own);
async fn an_attempt_has_a_time_of_its_own() {
    let (slow, good) = (always(b"", Then::Hang).await, Origin::saying("hello").await);
    let policy = Retries {
        count: 1,
        per_try_timeout: Some(Duration::from_millis(100)),
        retry_on: Vec::new(),
    };
    let proxy = with(&[&slow, &good], Some(policy)).await;
    let mut client = proxy.client().await;
    for _ in 0..2 {
        assert_eq!(client.get("shop.test").await.text(), "hello");
    }
    slow.has_seen_the_end_of(1).await;
}

#[tokio::test]
async fn what_has_begun_to_be_answered_is_not_sent_again() {
    let begun = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello";
    let hinted = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    for answer in [&begun[..], hinted] {
        let origin = always(answer, Then::Close).await;
        let proxy = with(&[&origin], retries(3, &[RetryOn::Reset])).await;
        let mut client = proxy.client().await;
        client
            .send("GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n")
            .await;
        let (bytes, ended) = client.rest().await;
        let text = String::from_utf8(bytes).unwrap();
        assert!(ended.is_err() || text.contains("UpstreamClosed"), "{text}");
        assert_eq!(origin.requests().len(), 1);
    }
}

each_protocol!(retries_cannot_become_a_flood);
async fn retries_cannot_become_a_flood() {
    let origin = always(UNAVAILABLE, Then::Keep).await;
    let proxy = with(&[&origin], retries(5, &[])).await;
    let mut client = proxy.client().await;
    let (count, begun) = (200, Instant::now());
    for _ in 0..count {
        assert_eq!(client.get("shop.test").await.status, 503);
    }
    let earned = begun.elapsed().as_millis() as usize / 100 + 10;
    let seen = origin.requests().len();
    assert!(seen <= count + count / 5 + earned, "{seen}");
    assert!(seen > count + count / 10, "{seen}");
}

each_protocol!(sends_100_continue_once);
async fn sends_100_continue_once() {
    let stumbled = AtomicBool::new(false);
    let origin = Origin::start(move |request| {
        if stumbled.swap(true, Ordering::Relaxed) {
            (ok(&request.body), Then::Keep)
        } else {
            (UNAVAILABLE.to_vec(), Then::Keep)
        }
    })
    .await;
    let proxy = with(&[&origin], retries(1, &[])).await;
    let mut client = proxy.client().await;
    client
        .send(
            "PUT / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 5\r\n\
             Expect: 100-continue\r\n\r\n",
        )
        .await;
    assert_eq!(client.response().await.status, 100);
    client.send("hello").await;
    let response = client.response().await;
    assert_eq!((response.status, response.text()), (200, "hello"));
    assert_eq!(origin.requests().len(), 2);
}

/// As an endpoint does that is being replaced: it closes what it takes for idle, while a request is on
/// its way (RFC 9112 9.3.1).
#[tokio::test]
async fn retries_idempotent_requests_on_a_closed_connection() {
    let heard = AtomicUsize::new(0);
    let origin = Origin::start(move |_| match heard.fetch_add(1, Ordering::Relaxed) {
        1 | 3 => (Vec::new(), Then::Close),
        _ => (ok(b"hello"), Then::Keep),
    })
    .await;
    let proxy = with(&[&origin], None).await;
    let mut client = proxy.client().await;
    assert_eq!(client.get("shop.test").await.status, 200);
    assert_eq!(client.get("shop.test").await.status, 200);
    assert_eq!((origin.requests().len(), origin.connections()), (3, 2));
    let refused = post(&mut client, "").await;
    assert_eq!((refused.status, refused.reason()), (502, "UpstreamClosed"));
    assert_eq!(origin.requests().len(), 4);
}

/// A first connection that is closed says something of the endpoint, and not of how long it was idle.
#[tokio::test]
async fn a_request_on_a_new_connection_is_not_sent_again() {
    let origin = always(b"", Then::Close).await;
    let proxy = with(&[&origin], None).await;
    let mut client = proxy.client().await;
    assert_eq!(client.get("shop.test").await.status, 502);
    assert_eq!(origin.requests().len(), 1);
}
