//! Request lines, and the one form of a path: what is matched is what is forwarded.

use super::{all_refused, all_refused_with, refused};
use crate::messages::shop;
use crate::origin::Origin;
use crate::proxy::{Proxy, endpoints, tls_host};

fn asking(line: &str) -> String {
    format!("{line}\r\nHost: shop.test\r\n\r\n")
}

#[tokio::test]
async fn connect_and_trace_are_not_offered() {
    let lines = [
        "TRACE / HTTP/1.1",
        "TRACE * HTTP/1.1",
        "CONNECT shop.test:443 HTTP/1.1",
        "CONNECT / HTTP/1.1",
        "CONNECT 127.0.0.1:22 HTTP/1.1",
        "CONNECT shop.test:443 HTTP/1.0",
    ];
    all_refused_with(&lines.map(asking), 405).await;
}

#[tokio::test]
async fn a_malformed_request_line_is_refused() {
    let lines = [
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        " GET / HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET / HTTP/1.1\t",
        "GET /",
        "GET",
        "/ HTTP/1.1",
        "GET HTTP/1.1",
        "G(T / HTTP/1.1",
        "G\u{e9}T / HTTP/1.1",
        "\"GET\" / HTTP/1.1",
        "GET / / HTTP/1.1",
        "GET / HTTP/1.10",
        "GET / HTTP/01.1",
        "GET / HTTP/1",
        "GET / HTTP/11",
        "GET / http/1.1",
        "GET / HTTPS/1.1",
        "GET / ICY/1.1",
        "GET / HTTP/-1.1",
        "GET / HTTP/1,1",
    ];
    all_refused(&lines.map(asking)).await;
}

/// RFC 9110 15.6.6. HTTP/0.9 has no version at all and is a malformed line.
#[tokio::test]
async fn other_versions_are_refused() {
    let lines = ["GET / HTTP/2.0", "GET / HTTP/0.9", "GET / HTTP/9.9"];
    all_refused_with(&lines.map(asking), 505).await;
    all_refused(&["GET /\r\n\r\n", "GET /index.html\r\n\r\n"]).await;
}

/// RFC 9110 2.5, and RFC 9112 2.3 for what goes up. It is HTTP/1.1 in all that follows: Host, chunks, kept connections.
#[tokio::test]
async fn a_higher_minor_version_is_served_as_the_highest_that_is_known() {
    let origin = Origin::saying("hello").await;
    let proxy = shop(&origin).await;
    let mut client = proxy.client().await;
    for minor in 2..=9 {
        let body = "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        let line = format!("POST /{minor} HTTP/1.{minor}\r\nHost: shop.test\r\n");
        client.send(line + body).await;
        let response = client.response().await;
        assert_eq!((response.status, response.text()), (200, "hello"));
        assert!(response.head.starts_with("HTTP/1.1 "), "{}", response.head);
    }
    let requests = origin.requests();
    for (minor, request) in (2..=9).zip(&requests) {
        let line = format!("POST /{minor} HTTP/1.1\r\n");
        assert!(request.head.starts_with(&line), "{}", request.head);
        assert_eq!(request.body, b"abc");
    }
    assert_eq!(requests.len(), 8);
    refused(&proxy, b"GET / HTTP/1.2\r\n\r\n", 400).await;
}

#[tokio::test]
async fn a_target_in_no_known_form_is_refused() {
    let targets = [
        "shop",
        "*",
        "?x",
        "shop.test:80",
        "\\",
        "http:/shop.test/",
        "%2f",
    ];
    let attacks = targets.map(|target| asking(&format!("GET {target} HTTP/1.1")));
    all_refused(&attacks).await;
    all_refused(&[asking("POST * HTTP/1.1"), asking("OPTIONS ** HTTP/1.1")]).await;
}

#[tokio::test]
async fn bytes_that_a_path_may_not_have_are_refused() {
    let paths = [
        "/a\\b", "/\"", "/<", "/>", "/a#b", "/^", "/`", "/{", "/}", "/\u{e4}", "/\u{7f}", "/\u{1}",
        "/%", "/%2", "/%zz", "/%00", "/a%0", "/%u0041", "/?a#b", "/?\"", "/?\u{e4}", "/?<",
    ];
    let attacks = paths.map(|path| asking(&format!("GET {path} HTTP/1.1")));
    all_refused(&attacks).await;
}

/// No spelling reaches what the written path does not: what the origin gets is what was matched.
#[tokio::test]
async fn a_path_is_forwarded_in_the_one_form_that_was_matched() {
    let origin = Origin::saying("hello").await;
    let proxy = shop(&origin).await;
    let mut client = proxy.client().await;
    let spellings = [
        ("/a/../b", "/b"),
        ("/a/%2e%2E/b", "/b"),
        ("/a/.%2e/b", "/b"),
        ("/../../../etc/passwd", "/etc/passwd"),
        ("/a/..", "/"),
        ("/a/.", "/a/"),
        ("/%61dmin", "/admin"),
        ("//admin", "//admin"),
        ("/a//../admin", "/a/admin"),
        ("/a/..;/admin", "/a/..;/admin"),
        ("/a/..%2fadmin", "/a/..%2fadmin"),
        ("/a/..%5cadmin", "/a/..%5cadmin"),
        ("/a%252f%252e%252e/admin", "/a%252f%252e%252e/admin"),
        ("/a%0d%0aX:%20y", "/a%0d%0aX:%20y"),
        ("/a?/../b=%2e%2e", "/a?/../b=%2e%2e"),
    ];
    for (written, _) in spellings {
        assert_eq!(
            client.get_path("shop.test", written).await.status,
            200,
            "{written}"
        );
    }
    for (request, (written, forwarded)) in origin.requests().iter().zip(spellings) {
        assert_eq!(request.head.split(' ').nth(1), Some(forwarded), "{written}");
    }
}

/// Nothing of the client's spelling ends a line of ours.
#[tokio::test]
async fn a_redirect_cannot_be_split() {
    let origin = Origin::saying("hello").await;
    let proxy = Proxy::unconfigured();
    let resources = vec![
        endpoints("t/s:80", &[origin.address]),
        proxy.certificate("t/c", &["shop.test"]),
        tls_host("shop.test", Some("t/c"), "t/s:80"),
    ];
    let proxy = proxy.open(resources).await;
    let mut client = proxy.client().await;
    for path in [
        "/%0d%0aSet-Cookie:%20a=b",
        "/a%0aX:%20y?b=%0d%0a",
        "//other.test/%2e%2e",
    ] {
        let response = client.get_path("shop.test", path).await;
        assert_eq!(response.status, 301, "{path}");
        let location = response.field("location").expect(path);
        assert!(location.starts_with("https://shop.test/"), "{location}");
        assert_eq!(response.field("set-cookie"), None);
        assert_eq!(response.field("x"), None);
    }
    refused(
        &proxy,
        asking("GET /\rSet-Cookie:a HTTP/1.1").as_bytes(),
        400,
    )
    .await;
    assert_eq!(origin.bytes(), 0);
}
