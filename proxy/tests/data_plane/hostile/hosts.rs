//! The requested host (RFC 9112 3.2): named once, well formed, and the same in each place.

use super::{all_refused, post};
use crate::messages::shop;
use crate::origin::Origin;

fn for_host(line: &str) -> String {
    format!("GET / HTTP/1.1\r\n{line}\r\n")
}

#[tokio::test]
async fn a_missing_or_double_host_is_refused() {
    all_refused(&[
        for_host(""),
        for_host("X: y\r\n"),
        for_host("Host_: shop.test\r\n"),
        "GET http://shop.test/ HTTP/1.1\r\n\r\n".into(),
        for_host("Host: shop.test\r\nHost: shop.test\r\n"),
        for_host("Host: shop.test\r\nHost: other.test\r\n"),
        for_host("Host: shop.test\r\nhOST: shop.test\r\n"),
        post("Host: shop.test\r\nContent-Length: 0"),
        "GET / HTTP/1.0\r\nHost: shop.test\r\nHost: other.test\r\n\r\n".into(),
    ])
    .await;
}

#[tokio::test]
async fn a_malformed_host_is_refused() {
    let hosts = [
        "",
        " ",
        ".",
        "shop..test",
        ".shop.test",
        "shop.test:",
        "shop.test:0",
        "shop.test:x",
        "shop.test:+80",
        "shop.test:65536",
        "shop.test:80:80",
        "shop.test, other.test",
        "shop.test other.test",
        "shop.test/",
        "shop.test/path",
        "shop.test?x",
        "shop.test#x",
        "shop.test\\",
        "user@shop.test",
        "user:word@shop.test",
        "shop%2etest",
        "sh\u{f6}p.test",
        "[::1",
        "::1",
        "[::g]",
        "[::1]x",
        "[::1]:",
        "*.test",
        "<shop>.test",
    ];
    let attacks = hosts.map(|host| for_host(&format!("Host: {host}\r\n")));
    all_refused(&attacks).await;
}

/// Stricter than RFC 9112 3.2.2, which lets the target win: an endpoint may let the
/// field win.
#[tokio::test]
async fn an_absolute_target_that_disagrees_with_host_is_refused() {
    let asked = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: shop.test\r\n\r\n");
    all_refused(&[
        asked("http://other.test/"),
        asked("http://shop.test:81/"),
        asked("http://shop.test.evil.test/"),
        asked("http://user@shop.test/"),
        asked("http://shop.test@other.test/"),
        asked("http:///"),
        asked("http://"),
        asked("http://shop.test?x"),
        asked("https://other.test/"),
        asked("ftp://shop.test/"),
        asked("file:///etc/passwd"),
        asked("//other.test\\@shop.test/"),
        // HTTP/1.1 needs the field even so.
        "GET http://other.test/ HTTP/1.1\r\nHost:\r\n\r\n".into(),
    ])
    .await;
}

/// RFC 9112 3.2.2: read like the origin form; the scheme written there decides nothing.
#[tokio::test]
async fn an_absolute_target_that_agrees_is_passed_on_in_origin_form() {
    let origin = Origin::saying("hello").await;
    let proxy = shop(&origin).await;
    let mut client = proxy.client().await;
    for target in ["http://shop.test/a?b", "HTTPS://SHOP.test./a?b"] {
        client
            .send(format!("GET {target} HTTP/1.1\r\nHost: shop.test\r\n\r\n"))
            .await;
        assert_eq!(client.response().await.status, 200, "{target}");
    }
    for request in origin.requests() {
        assert!(request.head.starts_with("GET /a?b HTTP/1.1\r\n"));
        assert_eq!(request.field("host"), Some("shop.test"));
        assert_eq!(request.field("x-forwarded-proto"), Some("http"));
    }
}

/// Spellings of one name are one name, and the origin learns only that one.
#[tokio::test]
async fn a_host_is_brought_into_one_form() {
    let origin = Origin::saying("hello").await;
    let proxy = shop(&origin).await;
    let mut client = proxy.client().await;
    for host in ["shop.test", "SHOP.TEST", "shop.test.", "Shop.Test.:80"] {
        assert_eq!(client.get(host).await.status, 200, "{host}");
    }
    let hosts: Vec<_> = origin
        .requests()
        .iter()
        .map(|it| it.field("host").unwrap_or_default().to_owned())
        .collect();
    assert_eq!(
        hosts,
        ["shop.test", "shop.test", "shop.test", "shop.test:80"]
    );
}
