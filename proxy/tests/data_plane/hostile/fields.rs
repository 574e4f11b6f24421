//! Field lines and line ends (RFC 9112 2.2 and 5): one spelling, no byte that means a line end
//! to another one.

use super::{all_refused, get, refused};
use crate::messages::shop;
use crate::origin::Origin;

#[tokio::test]
async fn folded_fields_are_refused() {
    all_refused(&[
        get("X: a\r\n b"),
        get("X: a\r\n\tb"),
        get("X: a\r\n "),
        get("X:\r\n a"),
        get("X: a\r\n Content-Length: 5"),
        // A line of space before the first field: RFC 9112 2.2.
        "GET / HTTP/1.1\r\n Host: shop.test\r\nHost: shop.test\r\n\r\n".into(),
        "GET / HTTP/1.1\r\n\tX: y\r\nHost: shop.test\r\n\r\n".into(),
    ])
    .await;
}

#[tokio::test]
async fn a_space_before_the_colon_is_refused() {
    all_refused(&[
        get("X : y"),
        get("X\t: y"),
        get("Content-Length : 0"),
        get("Host : shop.test"),
        "GET / HTTP/1.1\r\nHost : shop.test\r\n\r\n".into(),
    ])
    .await;
}

#[tokio::test]
async fn what_is_no_field_is_refused() {
    all_refused(&[
        get("no field"),
        get(": y"),
        get(":"),
        get("X Y: z"),
        get("X(y): z"),
        get("\"X\": y"),
        get("X\u{e9}: y"),
        get("X\u{7f}: y"),
        get("X@: y"),
        get("X[0]: y"),
    ])
    .await;
}

#[tokio::test]
async fn controls_in_a_value_are_refused() {
    let controls = (0u8..32).chain([127]).filter(|byte| *byte != b'\t');
    let attacks: Vec<_> = controls
        .map(|control| get(&format!("X: a{}b", char::from(control))))
        .collect();
    all_refused(&attacks).await;
}

/// NUL, CR and LF, put anywhere into a lawful head, make it unlawful.
#[tokio::test]
async fn nul_cr_and_lf_are_refused_in_each_place() {
    let lawful =
        "POST /path?query HTTP/1.1\r\nHost: shop.test\r\nX-A: b\r\nContent-Length: 5\r\n\r\n";
    let origin = Origin::saying("hello").await;
    let proxy = shop(&origin).await;
    for at in 0..lawful.len() {
        for byte in [b'\0', b'\r', b'\n'] {
            if at == lawful.len() - 1 && byte == b'\n' {
                // Ends the head where it ends anyway; what is put in is the body.
                continue;
            }
            let mut attack = lawful.as_bytes().to_vec();
            attack.insert(at, byte);
            refused(&proxy, &attack, 400).await;
        }
    }
    assert_eq!(origin.bytes(), 0);
}

#[tokio::test]
async fn lines_that_end_otherwise_are_refused() {
    all_refused(&[
        "GET / HTTP/1.1\nHost: shop.test\n\n",
        "GET / HTTP/1.1\r\nHost: shop.test\n\r\n",
        "GET / HTTP/1.1\r\nHost: shop.test\r\n\n",
        "GET / HTTP/1.1\rHost: shop.test\r\r",
        "GET / HTTP/1.1\r\r\nHost: shop.test\r\n\r\n",
        "GET / HTTP/1.1\n\rHost: shop.test\n\r\n\r",
        "\nGET / HTTP/1.1\r\nHost: shop.test\r\n\r\n",
        "\r\n\r\nGET / HTTP/1.1\r\nHost: shop.test\r\n\r\n",
        " \r\nGET / HTTP/1.1\r\nHost: shop.test\r\n\r\n",
    ])
    .await;
}

#[tokio::test]
async fn what_is_not_http_is_refused() {
    all_refused(&[
        &b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n"[..],
        b"\x00\x00\x00\x00\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"EHLO shop.test\r\n\r\n",
        b"\xff\xfe\xfd\r\n\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET / HTTP/1.1\r\nHost: shop.test\r\n\r\n",
        b"{\"jsonrpc\": \"2.0\"}\r\n\r\n",
    ])
    .await;
}

/// RFC 9113 3.4: neither version of HTTP has an answer for it.
#[tokio::test]
async fn a_spoilt_preface_is_closed_on() {
    let origin = Origin::saying("hello").await;
    let proxy = shop(&origin).await;
    let mut client = proxy.client().await;
    client.send("INVALID CONNECTION PREFACE\r\n\r\n").await;
    client.is_closed().await;
    // Behind a request it is a request like any other.
    let mut client = proxy.client().await;
    client
        .send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\nINVALID CONNECTION PREFACE\r\n\r\n")
        .await;
    assert_eq!(client.response().await.status, 200);
    assert_eq!(client.response().await.status, 400);
    assert_eq!(origin.requests().len(), 1);
}

/// The white space that RFC 9112 5 allows around a value is not part of it.
#[tokio::test]
async fn white_space_around_a_value_is_taken_off() {
    let origin = Origin::saying("hello").await;
    let proxy = shop(&origin).await;
    let mut client = proxy.client().await;
    client
        .send("POST / HTTP/1.1\r\nHost:\t shop.test \r\nX:  a\tb \t\r\nContent-Length:5\t\r\n\r\nhello")
        .await;
    assert_eq!(client.response().await.status, 200);
    let request = &origin.requests()[0];
    assert_eq!(request.field("x"), Some("a\tb"));
    assert_eq!(request.field("content-length"), Some("5"));
    assert_eq!(request.body, b"hello");
}
