//! Who serves a connection, and what workers have in common.

use crate::admin::{admin, page};
use crate::client::Client;
use crate::messages::shop;
use crate::origin::{Origin, Then, ok};
use crate::soon;
use portolan_proxy::data_plane::Drain;
use std::net::SocketAddr;
use std::time::Duration;

/// The connections of each of the two workers.
async fn loads(admin: SocketAddr) -> [u64; 2] {
    let (_, metrics) = page(admin, "/metrics").await;
    ["0", "1"].map(|worker| {
        let name = format!(
            r#"portolan_proxy_worker_connections_active{{class="public",worker="{worker}"}} "#
        );
        let mut lines = metrics.lines().filter_map(|line| line.strip_prefix(&name));
        lines.next().unwrap().parse().unwrap()
    })
}

#[tokio::test]
async fn a_connection_goes_to_the_worker_that_has_the_fewest() {
    let origin = Origin::saying("hello").await;
    let proxy = shop(&origin).await;
    let admin = admin(&proxy).await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = proxy.client().await;
        // It has been placed when it has been answered.
        assert_eq!(client.get("shop.test").await.status, 200);
        clients.push(client);
    }
    // By chance, the kernel's choice alone would be as even as this once in six times.
    assert_eq!(loads(admin).await, [10, 10]);
    for client in &mut clients {
        assert_eq!(client.get("shop.test").await.status, 200);
    }
}

#[tokio::test]
async fn a_waiting_connection_to_an_endpoint_serves_every_worker() {
    let origin = Origin::saying("hello").await;
    let proxy = shop(&origin).await;
    let admin = admin(&proxy).await;
    let mut clients = [proxy.client().await, proxy.client().await];
    let idle = r#"upstream_connections_idle{class="public",endpoints="t/shop:80"} 1"#;
    for _ in 0..5 {
        for client in &mut clients {
            assert_eq!(client.get("shop.test").await.status, 200);
            // The response may be there a moment before the connection is free again.
            soon("a free connection", async {
                while !page(admin, "/metrics").await.1.contains(idle) {}
            })
            .await;
        }
    }
    assert_eq!(loads(admin).await, [1, 1], "one client at each worker");
    assert_eq!((origin.requests().len(), origin.connections()), (10, 1));
}

/// A connection that the kernel has accepted for a worker was promised to be served: by the time the
/// sockets close, whoever has sent a request gets its answer.
#[tokio::test]
async fn what_was_sent_before_the_end_is_answered() {
    let origin = Origin::start(|_| (ok(b"hello"), Then::Keep)).await;
    let proxy = shop(&origin).await;
    let mut clients = Vec::new();
    for _ in 0..100 {
        let mut client = Client::connect(proxy.http).await;
        client
            .send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
            .await;
        clients.push(client);
    }
    let draining = tokio::spawn(proxy.plane.drain(Drain {
        delay: Duration::ZERO,
        timeout: Duration::from_secs(20),
    }));
    for client in &mut clients {
        assert_eq!(client.response().await.text(), "hello");
    }
    drop(clients);
    assert!(soon("the end", draining).await.unwrap());
}
