//! Endpoints that come, go, refuse, hang and lie.

use crate::messages::shop;
use crate::origin::{Origin, Then, ok};
use crate::protocols::each_protocol;
use crate::proxy::{Proxy, endpoints, host};
use crate::until;
use portolan_discovery::table::{
    Action, Backend, PathMatch, Resource, Route, UpstreamProtocol, VirtualHost,
};
use portolan_proxy::limits::Limits;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

/// An address without a listener.
async fn unused_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

async fn impatient(limits: Limits, origin: &Origin) -> Proxy {
    let resources = vec![
        endpoints("t/s:80", &[origin.address]),
        host("shop.test", "t/s:80"),
    ];
    Proxy::with_limits(limits).open(resources).await
}

each_protocol!(requests_take_turns);
async fn requests_take_turns() {
    let origins = [
        Origin::saying("a").await,
        Origin::saying("b").await,
        Origin::saying("c").await,
    ];
    let addresses: Vec<_> = origins.iter().map(|origin| origin.address).collect();
    let proxy = Proxy::serving(vec![
        endpoints("t/s:80", &addresses),
        host("shop.test", "t/s:80"),
    ])
    .await;
    let mut client = proxy.client().await;
    for _ in 0..9 {
        client.get("shop.test").await;
    }
    for origin in &origins {
        assert_eq!((origin.requests().len(), origin.connections()), (3, 1));
    }
}

#[tokio::test]
async fn backends_get_their_shares() {
    let (big, small) = (Origin::saying("big").await, Origin::saying("small").await);
    let backend = |endpoints: &str, weight| Backend {
        endpoints: endpoints.into(),
        weight,
        protocol: UpstreamProtocol::Http1,
        tls: None,
    };
    let action = Action::Forward {
        backends: vec![
            backend("t/b:80", 9),
            backend("t/s:80", 1),
            backend("t/0:80", 0),
        ],
    };
    let proxy = Proxy::serving(vec![
        endpoints("t/b:80", &[big.address]),
        endpoints("t/s:80", &[small.address]),
        endpoints("t/0:80", &[]),
        Resource::VirtualHost(VirtualHost {
            hostname: "shop.test".into(),
            tls: None,
            routes: vec![Route::new(PathMatch::Prefix("/".into()).into(), action)],
        }),
    ])
    .await;
    let mut client = proxy.client().await;
    for _ in 0..100 {
        assert_eq!(client.get("shop.test").await.status, 200);
    }
    assert!(
        (8..=12).contains(&small.requests().len()),
        "{}",
        small.requests().len()
    );
}

each_protocol!(an_endpoint_that_refuses_is_passed_over);
async fn an_endpoint_that_refuses_is_passed_over() {
    let origin = Origin::saying("hello").await;
    let set = endpoints("t/s:80", &[unused_address().await, origin.address]);
    let proxy = Proxy::serving(vec![set, host("shop.test", "t/s:80")]).await;
    let mut client = proxy.client().await;
    for _ in 0..4 {
        assert_eq!(client.get("shop.test").await.status, 200);
    }
}

each_protocol!(all_endpoints_refusing_is_502);
async fn all_endpoints_refusing_is_502() {
    let set = endpoints("t/s:80", &[unused_address().await, unused_address().await]);
    let proxy = Proxy::serving(vec![set, host("shop.test", "t/s:80")]).await;
    let mut client = proxy.client().await;
    for _ in 0..2 {
        let response = client.get("shop.test").await;
        assert_eq!((response.status, response.reason()), (502, "ConnectFailed"));
    }
}

#[tokio::test]
async fn removed_endpoints_finish_requests_and_get_no_new_ones() {
    let slow = Origin::start(|_| {
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel".to_vec(),
            Then::Hang,
        )
    })
    .await;
    let proxy = shop(&slow).await;
    let mut waiting = proxy.client().await;
    waiting
        .send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
        .await;
    slow.has_received(1).await;
    let fast = Origin::saying("hello").await;
    proxy
        .apply(vec![endpoints("t/shop:80", &[fast.address])])
        .await;
    assert_eq!(proxy.client().await.get("shop.test").await.text(), "hello");
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel";
    let begun = crate::soon("what has begun", waiting.exactly(head.len())).await;
    assert_eq!(begun.unwrap(), head.as_bytes());
    proxy.apply(vec![endpoints("t/shop:80", &[])]).await;
    let response = proxy.client().await.get("shop.test").await;
    assert_eq!(
        (response.status, response.reason()),
        (503, "NoReadyEndpoints")
    );
    assert_eq!((slow.requests().len(), fast.requests().len()), (1, 1));
    // Its pooled connection is of no use any more.
    fast.has_seen_the_end_of(1).await;
}

each_protocol!(a_removed_host_is_unknown);
async fn a_removed_host_is_unknown() {
    let origin = Origin::saying("hello").await;
    let proxy = shop(&origin).await;
    let mut client = proxy.client().await;
    assert_eq!(client.get("shop.test").await.status, 200);
    let gone = vec![
        host("shop.test", "").name(),
        endpoints("t/shop:80", &[]).name(),
    ];
    proxy.change(Vec::new(), gone).await;
    assert_eq!(client.get("shop.test").await.status, 404);
    assert!(
        !proxy
            .control
            .held()
            .keys()
            .any(|name| name.name == "shop.test")
    );
}

#[tokio::test]
async fn a_connection_that_the_endpoint_closed_is_not_used_again() {
    let origin = Origin::start(|_| (ok(b"hello"), Then::Close)).await;
    let proxy = shop(&origin).await;
    let mut client = proxy.client().await;
    for _ in 0..20 {
        let response = client.get("shop.test").await;
        // The close may still be under way; then the request was sent, and is not sent twice.
        assert!(response.status == 200 || response.reason() == "UpstreamClosed");
    }
    let answered = origin.requests().len();
    assert!(answered >= 10, "{answered}");
}

#[tokio::test]
async fn an_endpoint_that_says_it_closes_is_believed() {
    let origin = Origin::start(|_| {
        let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello";
        (head.as_bytes().to_vec(), Then::Close)
    })
    .await;
    let proxy = shop(&origin).await;
    let mut client = proxy.client().await;
    for _ in 0..5 {
        let response = client.get("shop.test").await;
        assert_eq!((response.status, response.field("connection")), (200, None));
    }
    assert_eq!(origin.connections(), 5);
}

each_protocol!(an_endpoint_that_closes_without_a_word_is_502);
async fn an_endpoint_that_closes_without_a_word_is_502() {
    let origin = Origin::start(|_| (Vec::new(), Then::Close)).await;
    let proxy = shop(&origin).await;
    let mut client = proxy.client().await;
    let response = client.get("shop.test").await;
    assert_eq!(
        (response.status, response.reason()),
        (502, "UpstreamClosed")
    );
    assert_eq!(
        origin.requests().len(),
        1,
        "a request that was sent is not sent again"
    );
}

each_protocol!(an_endpoint_that_does_not_answer_is_504_and_left);
async fn an_endpoint_that_does_not_answer_is_504_and_left() {
    let limits = Limits {
        response: Duration::from_millis(100),
        ..Limits::default()
    };
    let origin = Origin::start(|_| (Vec::new(), Then::Hang)).await;
    let proxy = impatient(limits, &origin).await;
    let mut client = proxy.client().await;
    let response = client.get("shop.test").await;
    assert_eq!(
        (response.status, response.reason()),
        (504, "ResponseTimeout")
    );
    origin.has_seen_the_end_of(1).await;
    assert_eq!(client.get("shop.test").await.status, 504);
}

#[tokio::test]
async fn an_endpoint_that_falls_silent_within_a_body_is_left_and_the_client_sees_the_break() {
    let limits = Limits {
        progress: Duration::from_millis(50),
        idle: Duration::from_millis(200),
        ..Limits::default()
    };
    let begun = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello";
    let origin = Origin::start(move |_| (begun.as_bytes().to_vec(), Then::Hang)).await;
    let proxy = impatient(limits, &origin).await;
    let mut client = proxy.client().await;
    client
        .send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
        .await;
    let (_, ended) = client.rest().await;
    assert!(ended.is_err());
    origin.has_seen_the_end_of(1).await;
}

each_protocol!(a_client_that_goes_away_takes_its_request_back);
async fn a_client_that_goes_away_takes_its_request_back() {
    let origin = Origin::start(|_| (Vec::new(), Then::Hang)).await;
    let proxy = shop(&origin).await;
    let stream = tokio::net::TcpStream::connect(proxy.http).await.unwrap();
    stream.set_zero_linger().unwrap();
    let mut client = crate::client::Client::over(stream);
    client
        .send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
        .await;
    origin.has_received(1).await;
    drop(client);
    origin.has_seen_the_end_of(1).await;
}

each_protocol!(rejects_a_stalled_upload_with_408);
async fn rejects_a_stalled_upload_with_408() {
    let limits = Limits {
        progress: Duration::from_millis(100),
        ..Limits::default()
    };
    let origin = Origin::saying("hello").await;
    let proxy = impatient(limits, &origin).await;
    let mut client = proxy.client().await;
    client
        .send("POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 100\r\n\r\nhello")
        .await;
    let response = client.response().await;
    assert_eq!(
        (response.status, response.reason()),
        (408, "RequestTimeout")
    );
    client.is_closed().await;
    assert!(origin.requests().is_empty());
    until("the end of the request", || origin.connections() == 1).await;
    origin.has_seen_the_end_of(1).await;
}

#[tokio::test]
async fn a_slow_head_is_answered_with_408_and_an_idle_connection_is_closed() {
    let limits = Limits {
        head: Duration::from_millis(200),
        idle: Duration::from_millis(200),
        ..Limits::default()
    };
    let origin = Origin::saying("hello").await;
    let proxy = impatient(limits, &origin).await;
    let mut client = proxy.client().await;
    client.send("GET / HTTP/1.1\r\nHost:").await;
    let response = client.response().await;
    assert_eq!(
        (response.status, response.reason()),
        (408, "RequestTimeout")
    );
    proxy.client().await.is_closed().await;
}

/// Most clients cancel by closing, which looks like the half-close of one that still reads.
#[tokio::test]
async fn close_before_a_response_cancels_the_request() {
    let limits = Limits {
        response: Duration::from_secs(3600),
        linger: Duration::from_millis(200),
        ..Limits::default()
    };
    let origin = Origin::start(|_| (Vec::new(), Then::Hang)).await;
    let proxy = impatient(limits, &origin).await;
    let mut client = proxy.client().await;
    client
        .send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
        .await;
    origin.has_received(1).await;
    drop(client);
    origin.has_seen_the_end_of(1).await;
}

#[tokio::test]
async fn half_closed_client_gets_a_prompt_response() {
    let origin = Origin::saying("hello").await;
    let proxy = impatient(Limits::default(), &origin).await;
    let mut client = proxy.client().await;
    client
        .send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
        .await;
    client.finish().await;
    assert_eq!(client.response().await.text(), "hello");
    client.is_closed().await;
}

each_protocol!(an_upload_that_is_refused_early_gets_its_answer);
/// A reset while a client still writes can take the answer away from it.
async fn an_upload_that_is_refused_early_gets_its_answer() {
    let refused = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno";
    let origin = Origin::start_early(move |_| (refused.into(), Then::Close)).await;
    let limits = Limits {
        linger: Duration::from_secs(20),
        ..Limits::default()
    };
    let proxy = impatient(limits, &origin).await;
    let client = tokio::net::TcpStream::connect(proxy.http).await.unwrap();
    let (read, mut write) = client.into_split();
    let mut writing = tokio::spawn(async move {
        let length = 64 * 1024 * 1024;
        let head =
            format!("POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: {length}\r\n\r\n");
        write.write_all(head.as_bytes()).await.unwrap();
        write.write_all(&vec![0; length]).await
    });
    let mut read = BufReader::new(read);
    let mut status = String::new();
    crate::soon("the answer", read.read_line(&mut status))
        .await
        .unwrap();
    assert!(status.starts_with("HTTP/1.1 413 "), "{status}");
    // It is held up, not cut off.
    let cut_off = tokio::time::timeout(Duration::from_millis(300), &mut writing);
    assert!(cut_off.await.is_err());
    writing.abort();
}

#[tokio::test]
async fn a_request_that_goes_round_in_circles_is_508() {
    let origin = Origin::saying("hello").await;
    let proxy = impatient(Limits::default(), &origin).await;
    let mut client = proxy.client().await;
    let via = |passes| vec!["1.1 portolan"; passes].join(", ");
    for (passes, status) in [(4, 200), (5, 508)] {
        client
            .send(format!(
                "GET / HTTP/1.1\r\nHost: shop.test\r\nVia: {}\r\n\r\n",
                via(passes)
            ))
            .await;
        assert_eq!(client.response().await.status, status);
    }
    let received = &origin.requests()[0];
    assert_eq!(received.head.matches("1.1 portolan").count(), 5);
    // An endpoint that is the proxy itself is never asked.
    proxy.apply(vec![endpoints("t/s:80", &[proxy.http])]).await;
    let response = client.get("shop.test").await;
    assert_eq!((response.status, response.reason()), (508, "LoopDetected"));
}
