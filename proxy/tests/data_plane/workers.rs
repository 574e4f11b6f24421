//! Placement of connections, and state that workers share.

use crate::admin::{admin, page};
use crate::client::Client;
use crate::messages::shop;
use crate::origin::{Origin, Then, ok};
use crate::proxy::{Proxy, endpoints, host};
use crate::soon;
use portolan_proxy::data_plane::Drain;
use portolan_proxy::limits::Limits;
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
/// sockets close, every request that was sent gets its response.
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

/// A process that has used all of its memory takes on nothing, and says so.
#[tokio::test]
async fn without_memory_no_connection_is_accepted() {
    let proxy = Proxy::with(Limits::default(), 100, Some(1))
        .open(Vec::new())
        .await;
    let admin = admin(&proxy).await;
    let mut client = proxy.client().await;
    client
        .send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
        .await;
    let metrics = soon("the pause", async {
        loop {
            let (_, metrics) = page(admin, "/metrics").await;
            if metrics.contains(r#"accept_pauses_total{class="public"} 1"#) {
                return metrics;
            }
        }
    })
    .await;
    for line in [
        r#"portolan_proxy_overload_step{class="public"} 3"#,
        r#"portolan_proxy_memory_limit_bytes{class="public"} 1"#,
        r#"portolan_proxy_connections_accepted_total{class="public"} 0"#,
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}

/// However many connections wait, there is room for one that works; those with a request stay.
#[tokio::test]
async fn connections_that_wait_longest_give_way_to_new_ones() {
    let origin = Origin::start(|request| {
        if request.head.contains("/slow") {
            (Vec::new(), Then::Hang)
        } else {
            (ok(b"hello"), Then::Keep)
        }
    })
    .await;
    let resources = vec![
        endpoints("t/shop:80", &[origin.address]),
        host("shop.test", "t/shop:80"),
    ];
    let proxy = Proxy::with(Limits::default(), 100, None)
        .open(resources)
        .await;
    let admin = admin(&proxy).await;
    let mut busy = proxy.client().await;
    busy.send("GET /slow HTTP/1.1\r\nHost: shop.test\r\n\r\n")
        .await;
    origin.has_received(1).await;
    let mut idle = Vec::new();
    for _ in 0..99 {
        let mut client = proxy.client().await;
        assert_eq!(client.get("shop.test").await.status, 200);
        idle.push(client);
    }
    for _ in 0..3 {
        let mut client = proxy.client().await;
        assert_eq!(client.get("shop.test").await.status, 200);
    }
    // The worker that had no room chose among its own; the youngest is not among the oldest.
    let (_, metrics) = page(admin, "/metrics").await;
    let gone = r#"portolan_proxy_connections_shed_total{class="public"} 0"#;
    assert!(!metrics.contains(gone));
    assert_eq!(idle[98].get("shop.test").await.status, 200);
    let left = soon("a look at the busy one", async {
        tokio::time::timeout(Duration::from_millis(50), busy.rest()).await
    });
    assert!(left.await.is_err(), "still waiting for its answer");
}
