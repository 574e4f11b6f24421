//! How long a route lets things take.

use crate::client::Client;
use crate::origin::{Origin, Then};
use crate::protocols::each_protocol;
use crate::proxy::{Proxy, endpoints, routed};
use crate::{soon, until};
use portolan_discovery::table::{Retries, Timeouts};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const SHORT: Duration = Duration::from_millis(300);

async fn with(address: SocketAddr, timeouts: Timeouts, retries: Option<Retries>) -> Proxy {
    Proxy::serving(vec![
        endpoints("t/s:80", &[address]),
        routed("shop.test", "t/s:80", |route| {
            route.timeouts = timeouts;
            route.retries = retries;
        }),
    ])
    .await
}

each_protocol!(a_route_says_how_long_a_response_may_take);
async fn a_route_says_how_long_a_response_may_take() {
    let origin = Origin::start(|_| (Vec::new(), Then::Hang)).await;
    let timeouts = Timeouts {
        response: Some(SHORT),
        ..Timeouts::default()
    };
    let proxy = with(origin.address, timeouts, None).await;
    let response = proxy.client().await.get("shop.test").await;
    assert_eq!(
        (response.status, response.reason()),
        (504, "ResponseTimeout")
    );
}

each_protocol!(all_attempts_together_have_a_time);
async fn all_attempts_together_have_a_time() {
    let origin = Origin::start(|_| (Vec::new(), Then::Hang)).await;
    let timeouts = Timeouts {
        request: Some(SHORT),
        ..Timeouts::default()
    };
    let retries = Retries {
        count: 1000,
        per_try_timeout: Some(SHORT / 10),
        retry_on: Vec::new(),
    };
    let proxy = with(origin.address, timeouts, Some(retries)).await;
    let response = proxy.client().await.get("shop.test").await;
    assert_eq!(
        (response.status, response.reason()),
        (504, "DeadlineExceeded")
    );
    assert!(origin.requests().len() > 1);
}

#[tokio::test]
async fn long_transfers_outlive_the_request_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let timeouts = Timeouts {
        request: Some(SHORT),
        ..Timeouts::default()
    };
    let proxy = with(listener.local_addr().unwrap(), timeouts, None).await;
    let mut client = proxy.client().await;
    client
        .send("PUT / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    let (mut origin, _) = soon("the request", listener.accept()).await.unwrap();
    let mut buffer = [0; 4096];
    // One chunk after another has arrived at the other side, for longer than the time.
    let begun = Instant::now();
    while begun.elapsed() < 2 * SHORT {
        client.send("1\r\nx\r\n").await;
        let read = soon("a piece of the request", origin.read(&mut buffer));
        assert!(read.await.unwrap() > 0);
    }
    client.send("0\r\n\r\n").await;
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    origin.write_all(head.as_bytes()).await.unwrap();
    let begun = Instant::now();
    let mut pieces = 0;
    while begun.elapsed() < 2 * SHORT {
        origin.write_all(b"1\r\nx\r\n").await.unwrap();
        pieces += 1;
        let expected = "HTTP/1.1 200 OK\r\n".len() + pieces;
        soon("a piece of the response", client.has_at_least(expected)).await;
    }
    origin.write_all(b"0\r\n\r\n").await.unwrap();
    let response = client.response().await;
    assert_eq!((response.status, response.body.len()), (200, pieces));
}

#[tokio::test]
async fn a_route_says_how_long_a_body_may_be_silent() {
    let begun = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello";
    let origin = Origin::start(move |_| (begun.as_bytes().to_vec(), Then::Hang)).await;
    let timeouts = Timeouts {
        idle: Some(SHORT),
        ..Timeouts::default()
    };
    let proxy = with(origin.address, timeouts, None).await;
    let mut client: Client = proxy.client().await;
    client
        .send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
        .await;
    assert!(client.rest().await.1.is_err(), "not ended cleanly");
    origin.has_seen_the_end_of(1).await;
}

#[tokio::test]
async fn a_route_says_how_long_a_websocket_may_be_silent() {
    let origin = Origin::start(|_| {
        let switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                         Upgrade: websocket\r\n\
                         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        (switching.as_bytes().to_vec(), Then::Hang)
    })
    .await;
    let timeouts = Timeouts {
        idle: Some(SHORT),
        ..Timeouts::default()
    };
    let proxy = with(origin.address, timeouts, None).await;
    let mut client = proxy.client().await;
    client
        .send(
            "GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )
        .await;
    assert_eq!(client.response().await.status, 101);
    client.is_closed().await;
    until("the tunnel's end", || origin.connections() == 1).await;
    origin.has_seen_the_end_of(1).await;
}
