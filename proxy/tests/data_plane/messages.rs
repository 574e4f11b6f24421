//! Lawful messages of every shape pass whole, in both directions.

use crate::client::Client;
use crate::origin::{Origin, Then, ok};
use crate::protocols::{Protocols, each_protocol};
use crate::proxy::{Proxy, endpoints, host};
use portolan_discovery::table::UpstreamProtocol;

/// A data plane that serves `shop.test` from one origin.
pub(crate) async fn shop(origin: &Origin) -> Proxy {
    let resources = vec![
        endpoints("t/shop:80", &[origin.address]),
        host("shop.test", "t/shop:80"),
    ];
    Proxy::serving(resources).await
}

/// Bytes in which a lost, doubled or moved block shows.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length as u32)
        .flat_map(u32::to_le_bytes)
        .take(length)
        .collect()
}

each_protocol!(both_sides_keep_their_connections);
async fn both_sides_keep_their_connections() {
    let origin = Origin::saying("hello").await;
    let proxy = shop(&origin).await;
    let mut client = proxy.client().await;
    for _ in 0..3 {
        let response = client.get("shop.test").await;
        assert_eq!((response.status, response.text()), (200, "hello"));
    }
    assert_eq!((origin.requests().len(), origin.connections()), (3, 1));
}

#[tokio::test]
async fn sets_forwarded_fields_and_drops_those_of_the_client() {
    let origin = Origin::saying("hello").await;
    let proxy = shop(&origin).await;
    let mut client = proxy.client().await;
    client
        .send(
            "GET /a/%2e%2e/b?q=1 HTTP/1.1\r\nHost: SHOP.test\r\nX-Forwarded-For: 6.6.6.6\r\n\
             X_Forwarded_Proto: https\r\nX-Request-Id: mine\r\nX-Real-IP: 6.6.6.6\r\n\
             Connection: X-Hop\r\nX-Hop: 1\r\nAccept: */*\r\n\r\n",
        )
        .await;
    assert_eq!(client.response().await.status, 200);
    let request = &origin.requests()[0];
    assert!(
        request
            .head
            .starts_with("GET /b?q=1 HTTP/1.1\r\nHost: shop.test\r\n")
    );
    assert_eq!(request.field("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(request.field("x-real-ip"), Some("127.0.0.1"));
    assert_eq!(request.field("x-forwarded-proto"), Some("http"));
    assert_eq!(request.field("x-forwarded-port"), Some("80"));
    assert_eq!(request.field("accept"), Some("*/*"));
    assert_eq!(request.field("x-request-id").unwrap().len(), 32);
    for absent in ["X_Forwarded", "X-Hop", "6.6.6.6"] {
        assert!(!request.head.contains(absent), "{absent}");
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let origin = Origin::start(|request| {
        let path = request.head.split(' ').nth(1).unwrap();
        (ok(path.as_bytes()), Then::Keep)
    })
    .await;
    let proxy = shop(&origin).await;
    let mut client = proxy.client().await;
    let requests: String = (0..50)
        .map(|n| format!("GET /{n} HTTP/1.1\r\nHost: shop.test\r\n\r\n"))
        .collect();
    client.send(requests).await;
    for n in 0..50 {
        assert_eq!(client.response().await.text(), format!("/{n}"));
    }
}

#[tokio::test]
async fn a_head_that_arrives_byte_by_byte_is_read() {
    let origin = Origin::saying("hello").await;
    let proxy = shop(&origin).await;
    let mut client = proxy.client().await;
    for byte in b"\r\nGET / HTTP/1.1\r\nHost: shop.test\r\n\r\n" {
        client.send([*byte]).await;
    }
    assert_eq!(client.response().await.status, 200);
}

#[tokio::test]
async fn a_large_head_passes_whole() {
    let origin = Origin::saying("hello").await;
    let proxy = shop(&origin).await;
    let mut client = proxy.client().await;
    let value = "v".repeat(50_000);
    client
        .send(format!(
            "GET / HTTP/1.1\r\nHost: shop.test\r\nX-Long: {value}\r\n\r\n"
        ))
        .await;
    assert_eq!(client.response().await.status, 200);
    assert_eq!(origin.requests()[0].field("x-long"), Some(value.as_str()));
    assert_eq!(client.get("shop.test").await.status, 200);
}

each_protocol!(large_bodies_pass_whole_both_ways);
async fn large_bodies_pass_whole_both_ways() {
    let origin = Origin::start(|request| (ok(&request.body), Then::Keep)).await;
    let proxy = shop(&origin).await;
    let body = pattern(8 * 1024 * 1024);
    let mut client = proxy.client().await;
    let head = format!(
        "POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    client.send(head).await;
    client.send(&body).await;
    assert!(client.response().await.body == body);
    assert_eq!(client.get("shop.test").await.status, 200);
}

#[tokio::test]
async fn chunked_bodies_pass_both_ways_with_their_trailers() {
    let origin = Origin::start(|request| {
        let mut out = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for part in request.body.chunks(1000) {
            out.extend_from_slice(format!("{:X}\r\n", part.len()).as_bytes());
            out.extend_from_slice(part);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(format!("0\r\n{}\r\n", request.trailers).as_bytes());
        (out, Then::Keep)
    })
    .await;
    let proxy = shop(&origin).await;
    let body = pattern(300_000);
    let mut client = proxy.client().await;
    client
        .send("POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    for part in body.chunks(7777) {
        client
            .send(format!("{:x};name=value\r\n", part.len()))
            .await;
        client.send(part).await;
        client.send("\r\n").await;
    }
    client
        .send("0\r\nX-Sum: 1\r\nContent-Length: 9\r\n\r\n")
        .await;
    let response = client.response().await;
    assert!(response.body == body);
    assert_eq!(response.field("x-sum"), Some("1"));
    assert_eq!(origin.requests()[0].trailers, "X-Sum: 1\r\n");
    assert_eq!(client.get("shop.test").await.status, 200);
}

#[tokio::test]
async fn a_stream_reaches_the_client_while_it_is_written() {
    let origin = Origin::start(|_| {
        let first = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
        (first.as_bytes().to_vec(), Then::Hang)
    })
    .await;
    let proxy = shop(&origin).await;
    let mut client = proxy.client().await;
    client
        .send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
        .await;
    let expected = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0005\r\nhello\r\n";
    let arrived = crate::soon("the first chunk", client.exactly(expected.len())).await;
    assert_eq!(String::from_utf8(arrived.unwrap()).unwrap(), expected);
}

#[tokio::test]
async fn responses_without_a_body_have_none() {
    let origin = Origin::start(|request| {
        let head = match request.head.split(' ').nth(1).unwrap() {
            "/204" => "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
            "/304" => "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
            _ => "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        };
        (head.as_bytes().to_vec(), Then::Keep)
    })
    .await;
    let proxy = shop(&origin).await;
    let mut client = proxy.client().await;
    client
        .send("HEAD / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
        .await;
    let response = client.response_to_head().await;
    assert_eq!(response.field("content-length"), Some("5"));
    assert_eq!(
        client
            .get_path("shop.test", "/204")
            .await
            .field("content-length"),
        None
    );
    let unchanged = client.get_path("shop.test", "/304").await;
    assert_eq!(unchanged.field("content-length"), Some("5"));
    assert_eq!(origin.connections(), 1);
}

#[tokio::test]
async fn delimits_a_response_that_ends_by_close() {
    let origin = Origin::start(|_| (b"HTTP/1.1 200 OK\r\n\r\nhello".to_vec(), Then::Close)).await;
    let proxy = shop(&origin).await;
    let mut client = proxy.client().await;
    for _ in 0..2 {
        let response = client.get("shop.test").await;
        assert_eq!(response.field("transfer-encoding"), Some("chunked"));
        assert_eq!(response.text(), "hello");
    }
    assert_eq!(origin.connections(), 2);
}

#[tokio::test]
async fn http_1_0_gets_no_chunks_and_a_close() {
    let origin = Origin::start(|_| {
        let chunked =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
        (chunked.as_bytes().to_vec(), Then::Keep)
    })
    .await;
    let proxy = shop(&origin).await;
    let mut client = proxy.client().await;
    client
        .send("GET / HTTP/1.0\r\nHost: shop.test\r\n\r\n")
        .await;
    let response = client.response().await;
    assert_eq!(response.field("transfer-encoding"), None);
    assert_eq!(response.field("connection"), Some("close"));
    assert_eq!(response.text(), "hello");
}

#[tokio::test]
async fn http_1_0_may_ask_to_be_kept() {
    let origin = Origin::saying("hello").await;
    let proxy = shop(&origin).await;
    let mut client = proxy.client().await;
    for _ in 0..2 {
        client
            .send("GET / HTTP/1.0\r\nHost: shop.test\r\nConnection: keep-alive\r\n\r\n")
            .await;
        let response = client.response().await;
        assert_eq!(response.field("connection"), Some("keep-alive"));
    }
    client
        .send("GET / HTTP/1.0\r\nHost: shop.test\r\n\r\n")
        .await;
    assert_eq!(client.response().await.text(), "hello");
    client.is_closed().await;
}

#[tokio::test]
async fn a_client_that_asks_to_close_is_closed() {
    let origin = Origin::saying("hello").await;
    let proxy = shop(&origin).await;
    let mut client = proxy.client().await;
    client
        .send("GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n")
        .await;
    assert_eq!(client.response().await.field("connection"), Some("close"));
    client.is_closed().await;
}

#[tokio::test]
async fn a_half_closed_client_gets_its_response() {
    let origin = Origin::saying("hello").await;
    let proxy = shop(&origin).await;
    let mut client = proxy.client().await;
    client
        .send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
        .await;
    client.finish().await;
    assert_eq!(client.response().await.text(), "hello");
    client.is_closed().await;
}

each_protocol!(sends_100_continue_after_choosing_an_endpoint);
async fn sends_100_continue_after_choosing_an_endpoint() {
    let origin = Origin::start(|request| (ok(&request.body), Then::Keep)).await;
    let proxy = shop(&origin).await;
    let mut client = proxy.client().await;
    client
        .send(
            "PUT / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 5\r\n\
             Expect: 100-continue\r\n\r\n",
        )
        .await;
    assert_eq!(client.response().await.status, 100);
    client.send("hello").await;
    assert_eq!(client.response().await.text(), "hello");
    assert_eq!(origin.requests()[0].field("expect"), None);
}

#[tokio::test]
async fn answers_expect_100_for_unknown_hosts_at_once() {
    let origin = Origin::saying("hello").await;
    let proxy = shop(&origin).await;
    let mut client = proxy.client().await;
    client
        .send(
            "PUT / HTTP/1.1\r\nHost: other.test\r\nContent-Length: 5\r\n\
             Expect: 100-continue\r\n\r\n",
        )
        .await;
    assert_eq!(client.response().await.status, 404);
    client.is_closed().await;
}

#[tokio::test]
async fn interim_responses_pass_and_a_storm_of_them_does_not() {
    let origin = Origin::start(|request| {
        let count = request.head.split(' ').nth(1).unwrap()[1..]
            .parse()
            .unwrap();
        let mut out = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(count);
        out.push_str("HTTP/1.1 100 Continue\r\n\r\n");
        out.push_str("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
        (out.into_bytes(), Then::Keep)
    })
    .await;
    let proxy = shop(&origin).await;
    let mut client = proxy.client().await;
    let first = client.get_path("shop.test", "/2").await;
    assert_eq!((first.status, first.field("link")), (103, Some("</a>")));
    assert_eq!(client.response().await.status, 103);
    assert_eq!(client.response().await.text(), "hello");
    client
        .send("GET /8 HTTP/1.1\r\nHost: shop.test\r\n\r\n")
        .await;
    let mut response = client.response().await;
    while response.status == 103 {
        response = client.response().await;
    }
    assert_eq!(
        (response.status, response.reason()),
        (502, "MalformedResponse")
    );
}

each_protocol!(an_early_response_reaches_a_client_that_is_still_sending);
async fn an_early_response_reaches_a_client_that_is_still_sending() {
    let refusal = "HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig";
    let origin = Origin::start_early(move |_| (refusal.as_bytes().to_vec(), Then::Close)).await;
    let proxy = shop(&origin).await;
    let mut client = proxy.client().await;
    client
        .send("POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 1000000\r\n\r\n0123456789")
        .await;
    let response = client.response().await;
    assert_eq!((response.status, response.text()), (413, "big"));
    // Over HTTP/2 it is the stream that ends.
    if Protocols::of_this_test().down == UpstreamProtocol::Http1 {
        assert_eq!(response.field("connection"), Some("close"));
    }
    client.is_closed().await;
}

#[tokio::test]
async fn cookies_stay_apart_and_our_reason_cannot_be_forged() {
    let origin = Origin::start(|_| {
        let head = "HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\
            X-Portolan-Reason: Forged\r\nContent-Length: 0\r\n\r\n";
        (head.as_bytes().to_vec(), Then::Keep)
    })
    .await;
    let proxy = shop(&origin).await;
    let response = proxy.client().await.get("shop.test").await;
    assert!(
        response
            .head
            .contains("Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n")
    );
    assert_eq!(response.reason(), "");
}

each_protocol!(many_clients_at_once_get_their_own_answers);
async fn many_clients_at_once_get_their_own_answers() {
    let origin = Origin::start(|request| {
        let path = request.head.split(' ').nth(1).unwrap();
        (ok(path.as_bytes()), Then::Keep)
    })
    .await;
    let proxy = shop(&origin).await;
    let at = proxy.http;
    let clients = (0..32).map(|client| {
        tokio::spawn(async move {
            let mut connection = Client::connect(at).await;
            for n in 0..20 {
                let path = format!("/{client}/{n}");
                assert_eq!(connection.get_path("shop.test", &path).await.text(), path);
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
}
