//! Where a body ends (RFC 9112 6): one way to say it, and one number.

use super::{all_refused, all_refused_with, post};

#[tokio::test]
async fn content_length_with_transfer_encoding_is_refused() {
    all_refused(&[
        post("Content-Length: 5\r\nTransfer-Encoding: chunked"),
        post("Transfer-Encoding: chunked\r\nContent-Length: 5"),
        post("Content-Length: 0\r\nTransfer-Encoding: chunked"),
        post("Transfer-Encoding: identity\r\nContent-Length: 5"),
        post("Content-Length: 5\r\nX: y\r\nTransfer-encoding: CHUNKED"),
    ])
    .await;
}

#[tokio::test]
async fn differing_and_doubled_lengths_are_refused() {
    all_refused(&[
        post("Content-Length: 5\r\nContent-Length: 6"),
        post("Content-Length: 5\r\nContent-Length: 5"),
        post("Content-Length: 5\r\nCONTENT-LENGTH: 0"),
        post("Content-Length: 5, 5"),
        post("Content-Length: 5,6"),
        post("Content-Length: 5,"),
    ])
    .await;
}

#[tokio::test]
async fn odd_lengths_are_refused() {
    let values = [
        "+5", "-5", "-0", "0x5", "5h", "5;", "5.0", "5e0", "1 2", "1_0", "\"5\"", "\u{b}5",
        "\u{a0}5", "٥", "", " ", "five", "NaN",
    ];
    let attacks = values.map(|value| post(&format!("Content-Length: {value}")));
    all_refused(&attacks).await;
}

#[tokio::test]
async fn a_length_that_overflows_is_refused() {
    let values = [
        "9223372036854775808000",
        "18446744073709551615",
        "18446744073709551616",
        "18446744073709551621",
        "99999999999999999999999999999999999999999999999999",
    ];
    let attacks = values.map(|value| post(&format!("Content-Length: {value}")));
    all_refused(&attacks).await;
}

#[tokio::test]
async fn a_transfer_encoding_that_is_not_exactly_chunked_is_refused() {
    let values = [
        "xchunked",
        "chunkedx",
        "chunk",
        "identity",
        "gzip",
        "gzip, chunked",
        "chunked, identity",
        "chunked, gzip",
        "chunked, chunked",
        "chunked,",
        ", chunked",
        "\"chunked\"",
        "'chunked'",
        "chunked;q=1",
        "chunked chunked",
        "chun\tked",
        "\u{b}chunked",
        "chunked\u{c}",
        "chunked\u{a0}",
        "",
    ];
    let mut attacks = values
        .map(|it| post(&format!("Transfer-Encoding: {it}")))
        .to_vec();
    for fields in [
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\t: chunked",
        " Transfer-Encoding: chunked",
        "Transfer-Encoding:\r\n chunked",
        "Transfer-Encoding: chunked\r\n\t, identity",
        "X: y\r\n Transfer-Encoding: chunked",
        "Transfer-Encoding\0: chunked",
        "Transfer-Encoding: chunked\0",
        "Transfer-Encoding: chunked\rX: y",
        "X: y\nTransfer-Encoding: chunked",
        "X: y\rTransfer-Encoding: chunked",
    ] {
        attacks.push(post(fields));
    }
    all_refused(&attacks).await;
}

#[tokio::test]
async fn transfer_encoding_on_http_1_0_is_refused() {
    let head = "POST / HTTP/1.0\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n";
    all_refused(&[
        format!("{head}\r\n"),
        format!("{head}Connection: keep-alive\r\n\r\n"),
        format!("{head}Content-Length: 3\r\n\r\n"),
    ])
    .await;
}

/// RFC 9110 10.1.1: met, or refused; never passed on and never guessed at.
#[tokio::test]
async fn an_expectation_that_is_not_100_continue_is_refused() {
    let with = |value: &str| post(&format!("Expect: {value}\r\nContent-Length: 5"));
    all_refused_with(&[with("tea"), with("100"), with("")], 417).await;
    all_refused(&[
        with("100-continue, tea"),
        with("100-continue, 100-continue"),
        with("100-continue\r\nExpect: 100-continue"),
    ])
    .await;
}
