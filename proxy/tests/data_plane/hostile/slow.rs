//! Clients and endpoints that take their time: each wait has an end, and an end of one is no
//! trouble of another. Sleeps here are an attacker's pace, never a wait for something.

use super::{get, post};
use crate::client::Client;
use crate::messages::shop;
use crate::origin::{Origin, Then, ok};
use crate::proxy::{Proxy, endpoints, host};
use crate::{soon, until};
use portolan_proxy::limits::Limits;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const PACE: Duration = Duration::from_millis(10);

async fn shop_with(limits: Limits, origin: &Origin) -> Proxy {
    let resources = vec![
        endpoints("t/s:80", &[origin.address]),
        host("shop.test", "t/s:80"),
    ];
    Proxy::with_limits(limits).open(resources).await
}

/// Sends byte after byte until it is answered or cut off, and gives the answer's status.
async fn drip(proxy: &Proxy, begun: &str, rest: &[u8]) -> u16 {
    let stream = TcpStream::connect(proxy.http).await.unwrap();
    let (reader, mut writer) = stream.into_split();
    let (begun, rest) = (begun.to_owned(), rest.to_vec());
    let dripping = tokio::spawn(async move {
        if writer.write_all(begun.as_bytes()).await.is_err() {
            return;
        }
        for byte in rest.iter().cycle() {
            tokio::time::sleep(PACE).await;
            if writer.write_all(&[*byte]).await.is_err() {
                return;
            }
        }
    });
    let mut client = Client::over(tokio::io::join(reader, tokio::io::sink()));
    let response = client.response().await;
    dripping.abort();
    response.status
}

/// The limit is for the whole head: bytes that keep coming do not move it.
#[tokio::test]
async fn a_dripping_head_is_408_however_steadily_it_drips() {
    let limits = Limits {
        head: Duration::from_millis(300),
        ..Limits::default()
    };
    let origin = Origin::saying("hello").await;
    let proxy = shop_with(limits, &origin).await;
    assert_eq!(drip(&proxy, "G", b"E").await, 408, "the method");
    assert_eq!(drip(&proxy, "GET /", b"a").await, 408, "the target");
    let line = "GET / HTTP/1.1\r\nHost: shop.test\r\n";
    assert_eq!(drip(&proxy, line, b"X: y\r\n").await, 408, "the fields");
    assert_eq!(origin.bytes(), 0);
}

#[tokio::test]
async fn a_dripping_body_is_408_and_its_request_ends() {
    let limits = Limits {
        progress: Duration::from_millis(200),
        least_progress: 1024,
        ..Limits::default()
    };
    let origin = Origin::saying("hello").await;
    let proxy = shop_with(limits, &origin).await;
    let with_length = post("Content-Length: 100000");
    assert_eq!(drip(&proxy, &with_length, b"a").await, 408);
    let chunked = post("Transfer-Encoding: chunked");
    assert_eq!(drip(&proxy, &chunked, b"1\r\na\r\n").await, 408);
    assert!(origin.requests().is_empty());
    origin.has_seen_the_end_of(2).await;
}

/// A client that does not read holds no endpoint for ever.
#[tokio::test]
async fn a_client_that_does_not_read_is_left_and_so_is_its_endpoint() {
    let limits = Limits {
        progress: Duration::from_millis(200),
        ..Limits::default()
    };
    let body = vec![b'x'; 64 * 1024 * 1024];
    let origin = Origin::start(move |_| (ok(&body), Then::Keep)).await;
    let proxy = shop_with(limits, &origin).await;
    let mut client = proxy.client().await;
    client.send(get("X: y")).await;
    origin.has_seen_the_end_of(1).await;
    assert!(client.rest().await.1.is_err(), "the client sees the break");
}

/// Bytes sent ahead of a response stay with its sender once a little of it was read.
#[tokio::test]
async fn a_client_that_sends_ahead_is_not_read_without_bound() {
    let origin = Origin::start(|_| (Vec::new(), Then::Hang)).await;
    let proxy = shop(&origin).await;
    let stream = TcpStream::connect(proxy.http).await.unwrap();
    let (_reader, mut writer) = stream.into_split();
    let sent = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&sent);
    let sending = tokio::spawn(async move {
        let block = get("X: y").repeat(1000);
        while writer.write_all(block.as_bytes()).await.is_ok() {
            counting.fetch_add(block.len(), Ordering::Relaxed);
        }
    });
    origin.has_received(1).await;
    // Until it is stuck: nothing more was taken for a while.
    let mut before = usize::MAX;
    soon("the sender to be stuck", async {
        while std::mem::replace(&mut before, sent.load(Ordering::Relaxed))
            != sent.load(Ordering::Relaxed)
        {
            tokio::time::sleep(20 * PACE).await;
        }
    })
    .await;
    // The kernel's own buffers, on both sides, are most of it.
    assert!(before < 24 * 1024 * 1024, "{before} bytes were taken");
    assert_eq!(origin.requests().len(), 1);
    sending.abort();
}

#[tokio::test]
async fn many_idle_and_slow_clients_leave_room_for_another() {
    let origin = Origin::saying("hello").await;
    let proxy = shop(&origin).await;
    let mut clients = Vec::new();
    for n in 0..300 {
        let mut client = proxy.client().await;
        match n % 3 {
            0 => {}
            1 => client.send("GET / HTTP/1.1\r\nHost:").await,
            _ => client.send(post("Content-Length: 9") + "slow").await,
        }
        clients.push(client);
    }
    until("the slow requests at the origin", || {
        origin.connections() == 100
    })
    .await;
    let mut client = proxy.client().await;
    for _ in 0..10 {
        assert_eq!(client.get("shop.test").await.text(), "hello");
    }
    drop(clients);
    origin.has_seen_the_end_of(100).await;
}
