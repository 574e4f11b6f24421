//! How a data plane begins, takes its configuration, and ends.

use crate::client::Client;
use crate::messages::shop;
use crate::origin::{Origin, Then};
use crate::proxy::{Proxy, batch, endpoints, host, tls_host};
use crate::{soon, until};
use portolan_discovery::table::{Listener, Protocol, Resource};
use portolan_proxy::data_plane::Drain;
use portolan_proxy::limits::Limits;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;

#[tokio::test]
async fn nothing_opens_before_the_end_of_the_first_snapshot() {
    let origin = Origin::saying("hello").await;
    let proxy = Proxy::unconfigured();
    let resources = vec![
        endpoints("t/s:80", &[origin.address]),
        host("shop.test", "t/s:80"),
    ];
    let mut first = resources.clone();
    first.extend(proxy.listeners());
    let verdicts = soon(
        "applying",
        proxy.control.apply(batch(first, Vec::new(), false)),
    )
    .await;
    assert_eq!(verdicts.len(), 2, "listeners have no verdict yet");
    assert!(TcpStream::connect(proxy.http).await.is_err());
    assert!(!*proxy.control.readiness().borrow());
    let verdicts = soon(
        "applying",
        proxy.control.apply(batch(Vec::new(), Vec::new(), true)),
    )
    .await;
    assert_eq!(verdicts.len(), 2, "now they have");
    assert!(*proxy.control.readiness().borrow());
    assert_eq!(proxy.client().await.get("shop.test").await.status, 200);
    assert_eq!(proxy.control.held().len(), 4);
}

#[tokio::test]
async fn what_is_answered_for_is_served_by_every_worker() {
    let origin = Origin::saying("hello").await;
    let proxy = shop(&origin).await;
    for n in 0..20 {
        let name = format!("host-{n}.test");
        proxy.apply(vec![host(&name, "t/shop:80")]).await;
        // The kernel chooses the worker by the client's port.
        for _ in 0..4 {
            assert_eq!(proxy.client().await.get(&name).await.status, 200, "{name}");
        }
    }
}

#[tokio::test]
async fn rejects_only_the_listener_whose_port_is_in_use() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = Origin::saying("hello").await;
    let proxy = Proxy::unconfigured();
    let [http, _] = proxy.listeners();
    let https = Resource::Listener(Listener {
        name: "https".into(),
        port: taken.local_addr().unwrap().port(),
        protocol: Protocol::Https,
    });
    let resources = vec![
        endpoints("t/s:80", &[origin.address]),
        host("shop.test", "t/s:80"),
    ];
    let verdicts = proxy.apply([resources, vec![http, https]].concat()).await;
    let refused: Vec<_> = verdicts.iter().filter(|it| it.refused.is_some()).collect();
    assert_eq!((refused.len(), refused[0].name.name.as_str()), (1, "https"));
    assert_eq!(proxy.client().await.get("shop.test").await.status, 200);
    assert!(!*proxy.control.readiness().borrow());
}

#[tokio::test]
async fn rejects_a_host_with_missing_references_after_a_while() {
    let limits = Limits {
        warming: Duration::from_millis(300),
        ..Limits::default()
    };
    let origin = Origin::saying("hello").await;
    let proxy = Proxy::with_limits(limits).open(Vec::new()).await;
    let control = proxy.control.clone();
    let absent = batch(vec![host("shop.test", "t/s:80")], Vec::new(), true);
    let waiting = tokio::spawn(async move { control.apply(absent).await });
    // Another batch is served meanwhile.
    let other = vec![
        endpoints("t/o:80", &[origin.address]),
        host("other.test", "t/o:80"),
    ];
    proxy.apply(other).await;
    assert_eq!(proxy.client().await.get("other.test").await.status, 200);
    let verdicts = soon("the refusal", waiting).await.unwrap();
    let refused = verdicts[0].refused.as_ref().unwrap();
    assert!(refused.contains("Endpoints t/s:80"), "{refused}");
    // It is served as soon as it can be, and that is reported with the batch that made it so.
    let verdicts = proxy
        .apply(vec![endpoints("t/s:80", &[origin.address])])
        .await;
    let reported = verdicts
        .iter()
        .any(|it| it.name.name == "shop.test" && it.refused.is_none());
    assert!(reported, "{verdicts:?}");
    assert_eq!(proxy.client().await.get("shop.test").await.status, 200);
}

#[tokio::test]
async fn closed_listener_keeps_its_connections() {
    let origin = Origin::saying("hello").await;
    let proxy = shop(&origin).await;
    let mut client = proxy.client().await;
    assert_eq!(client.get("shop.test").await.status, 200);
    let [http, _] = proxy.listeners();
    proxy.change(Vec::new(), vec![http.name()]).await;
    closed(proxy.http).await;
    assert_eq!(client.get("shop.test").await.status, 200);
}

#[tokio::test]
async fn a_drain_ends_every_request_and_no_connection_too_early() {
    let origin = Origin::start(|request| {
        if request.head.contains("/slow") {
            (Vec::new(), Then::Hang)
        } else {
            (crate::origin::ok(b"hello"), Then::Keep)
        }
    })
    .await;
    let proxy = shop(&origin).await;
    let (http, mut ready) = (proxy.http, proxy.control.readiness());
    let mut idle = proxy.client().await;
    assert_eq!(idle.get("shop.test").await.field("connection"), None);
    let mut draining = tokio::spawn(proxy.plane.drain(Drain {
        delay: Duration::from_millis(1500),
        timeout: Duration::from_secs(10),
    }));
    soon("unreadiness", ready.wait_for(|ready| !ready))
        .await
        .unwrap();
    // New clients still come, are served, and are asked to come back elsewhere.
    let mut late = Client::connect(http).await;
    let response = late.get("shop.test").await;
    assert_eq!(
        (response.status, response.field("connection")),
        (200, Some("close"))
    );
    late.is_closed().await;
    assert!(!draining.is_finished());
    // The one that waited is closed, politely, only after the delay.
    assert!(idle.rest().await.1.is_ok());
    assert!(soon("the end", &mut draining).await.unwrap());
    assert!(TcpStream::connect(http).await.is_err());
}

#[tokio::test]
async fn a_request_under_way_is_waited_for() {
    let origin = Origin::start(|request| (crate::origin::ok(&request.body), Then::Keep)).await;
    let proxy = shop(&origin).await;
    let http = proxy.http;
    let mut client = proxy.client().await;
    client
        .send("PUT / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 4\r\n\r\nla")
        .await;
    until("the request at the origin", || origin.bytes() > 0).await;
    let draining = tokio::spawn(proxy.plane.drain(Drain {
        delay: Duration::ZERO,
        timeout: Duration::from_secs(20),
    }));
    closed(http).await;
    assert!(!draining.is_finished());
    client.send("te").await;
    assert_eq!(client.response().await.text(), "late");
    assert!(soon("the end", draining).await.unwrap());
}

/// Waits until connections are refused there.
async fn closed(at: SocketAddr) {
    soon("the port to close", async {
        while TcpStream::connect(at).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_does_not_end_is_cut_off_at_the_end_of_the_drain() {
    let origin = Origin::start(|_| (Vec::new(), Then::Hang)).await;
    let proxy = shop(&origin).await;
    let mut client = proxy.client().await;
    client
        .send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
        .await;
    origin.has_received(1).await;
    let drain = Drain {
        delay: Duration::ZERO,
        timeout: Duration::from_millis(100),
    };
    assert!(!soon("the end", proxy.plane.drain(drain)).await);
    client.is_closed().await;
}

#[tokio::test]
async fn a_change_under_load_fails_no_request() {
    let origins = [Origin::saying("a").await, Origin::saying("b").await];
    let proxy = Proxy::unconfigured();
    let certificate = proxy.certificate("t/c", &["shop.test"]);
    let proxy = proxy
        .open(vec![
            endpoints("t/s:80", &[origins[0].address]),
            certificate,
            tls_host("shop.test", Some("t/c"), "t/s:80"),
            host("plain.test", "t/s:80"),
        ])
        .await;
    let stop = Arc::new(AtomicBool::new(false));
    let load: Vec<_> = (0..4)
        .map(|_| {
            let (at, stop) = (proxy.http, stop.clone());
            tokio::spawn(async move {
                let mut client = Client::connect(at).await;
                let mut served = 0;
                while !stop.load(Ordering::Relaxed) {
                    let response = client.get("plain.test").await;
                    assert_eq!(response.status, 200, "{}", response.head);
                    served += 1;
                }
                served
            })
        })
        .collect();
    let mut kept = proxy.tls_client("shop.test").await;
    for n in 0..30 {
        let set = endpoints("t/s:80", &[origins[n % 2].address]);
        let renewed = proxy.certificate("t/c", &["shop.test"]);
        let verdicts = proxy.apply(vec![set, renewed]).await;
        assert!(verdicts.iter().all(|it| it.refused.is_none()));
        assert_eq!(kept.get("shop.test").await.status, 200);
        assert_eq!(
            proxy
                .tls_client("shop.test")
                .await
                .get("shop.test")
                .await
                .status,
            200
        );
    }
    stop.store(true, Ordering::Relaxed);
    for client in load {
        assert!(soon("the load", client).await.unwrap() > 0);
    }
}
