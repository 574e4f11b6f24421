//! Who gets which answer, before any endpoint is asked.

use crate::origin::Origin;
use crate::proxy::{Proxy, endpoints, forward, host, host_with, tls_host};
use portolan_discovery::table::{Action, PathMatch, Resource, Route, VirtualHost};

#[tokio::test]
async fn an_unknown_host_is_404_and_the_connection_goes_on() {
    let origin = Origin::saying("hello").await;
    let proxy = Proxy::serving(vec![
        endpoints("t/s:80", &[origin.address]),
        host("shop.test", "t/s:80"),
    ])
    .await;
    let mut client = proxy.client().await;
    let response = client.get("other.test").await;
    assert_eq!((response.status, response.reason()), (404, "UnknownHost"));
    assert_eq!(response.field("x-request-id").unwrap().len(), 32);
    assert_eq!(client.get("shop.test").await.status, 200);
    client.send("GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!(client.response().await.status, 404);
}

#[tokio::test]
async fn exact_comes_before_wildcard_and_a_wildcard_takes_one_label() {
    let (exact, wild) = (Origin::saying("exact").await, Origin::saying("wild").await);
    let proxy = Proxy::serving(vec![
        endpoints("t/e:80", &[exact.address]),
        endpoints("t/w:80", &[wild.address]),
        host("shop.example.test", "t/e:80"),
        host("*.example.test", "t/w:80"),
    ])
    .await;
    let mut client = proxy.client().await;
    assert_eq!(client.get("shop.example.test").await.text(), "exact");
    assert_eq!(client.get("Blog.Example.Test.:80").await.text(), "wild");
    assert_eq!(client.get("a.b.example.test").await.status, 404);
    assert_eq!(client.get("example.test").await.status, 404);
}

#[tokio::test]
async fn routes_are_taken_by_whole_segments_of_the_normalised_path() {
    let (blog, rest) = (Origin::saying("blog").await, Origin::saying("rest").await);
    let route = |prefix: &str, endpoints| {
        Route::new(PathMatch::Prefix(prefix.into()).into(), forward(endpoints))
    };
    let proxy = Proxy::serving(vec![
        endpoints("t/b:80", &[blog.address]),
        endpoints("t/r:80", &[rest.address]),
        Resource::VirtualHost(VirtualHost {
            hostname: "shop.test".into(),
            tls: None,
            routes: vec![route("/blog", "t/b:80"), route("/", "t/r:80")],
        }),
    ])
    .await;
    let mut client = proxy.client().await;
    for (path, taken) in [
        ("/blog/x", "blog"),
        ("/%62log", "blog"),
        ("/a/../blog", "blog"),
        ("/blogger", "rest"),
        ("/blog/../x", "rest"),
        ("/blog%2fx", "rest"),
        ("//blog", "rest"),
    ] {
        assert_eq!(
            client.get_path("shop.test", path).await.text(),
            taken,
            "{path}"
        );
    }
}

#[tokio::test]
async fn plain_http_is_redirected_once_there_is_a_certificate() {
    let origin = Origin::saying("hello").await;
    let proxy = Proxy::serving(vec![
        endpoints("t/s:80", &[origin.address]),
        tls_host("shop.test", None, "t/s:80"),
    ])
    .await;
    let mut client = proxy.client().await;
    let pending = client.get("shop.test").await;
    assert_eq!(
        (pending.status, pending.reason()),
        (503, "CertificatePending")
    );
    assert!(pending.field("retry-after").is_some());
    let certificate = proxy.certificate("t/c", &["shop.test"]);
    let with_tls = tls_host("shop.test", Some("t/c"), "t/s:80");
    proxy.apply(vec![certificate, with_tls]).await;
    let moved = client.get_path("SHOP.test:8080", "/a/../b?c=d").await;
    assert_eq!(moved.status, 301);
    assert_eq!(moved.field("location"), Some("https://shop.test/b?c=d"));
    client
        .send("POST //evil.test HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 0\r\n\r\n")
        .await;
    let moved = client.response().await;
    assert_eq!(moved.status, 308);
    assert_eq!(
        moved.field("location"),
        Some("https://shop.test//evil.test")
    );
    assert_eq!(origin.bytes(), 0);
}

#[tokio::test]
async fn a_route_that_cannot_be_resolved_says_why() {
    let action = Action::Unavailable {
        reason: "ServiceNotFound".into(),
    };
    let proxy = Proxy::serving(vec![host_with("shop.test", None, action)]).await;
    let response = proxy.client().await.get("shop.test").await;
    assert_eq!(
        (response.status, response.reason()),
        (503, "ServiceNotFound")
    );
}

#[tokio::test]
async fn nothing_ready_is_503_with_retry_after_and_a_head_gets_no_body() {
    let proxy = Proxy::serving(vec![endpoints("t/s:80", &[]), host("shop.test", "t/s:80")]).await;
    let mut client = proxy.client().await;
    let response = client.get("shop.test").await;
    assert_eq!(
        (response.status, response.reason()),
        (503, "NoReadyEndpoints")
    );
    assert!(response.field("retry-after").is_some());
    client
        .send("HEAD / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
        .await;
    assert_eq!(client.response_to_head().await.status, 503);
    assert_eq!(client.get("shop.test").await.status, 503);
}
