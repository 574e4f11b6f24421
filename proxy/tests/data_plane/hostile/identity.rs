//! The identity of the client: forwarded fields that it sends are not trusted.

use super::{all_refused, get, post};
use crate::messages::shop;
use crate::origin::{Origin, Received};

async fn forwarded(request: String) -> Received {
    let origin = Origin::saying("hello").await;
    let proxy = shop(&origin).await;
    let mut client = proxy.client().await;
    client.send(request).await;
    assert_eq!(client.response().await.status, 200);
    origin.requests().remove(0)
}

/// A CGI-like origin takes `X_Forwarded_For` for `X-Forwarded-For`.
#[tokio::test]
async fn lookalikes_with_underscores_are_dropped() {
    let lookalikes = [
        "X_Forwarded_For: 6.6.6.6",
        "X-Forwarded_For: 6.6.6.6",
        "x_forwarded_proto: 6.6.6.6",
        "X_Real_IP: 6.6.6.6",
        "X_Request_ID: 6.6.6.6",
        "Content_Length: 6666",
        "Transfer_Encoding: chunked; 6.6.6.6",
        "HTTP2_Settings: 6.6.6.6",
        "Keep_Alive: 6.6.6.6",
        "X_SSL_Client_Verify: 6.6.6.6",
        "Proxy_Connection: 6.6.6.6",
    ];
    let request = forwarded(get(&(lookalikes.join("\r\n") + "\r\nMy_Own: kept\r\n"))).await;
    assert!(!request.head.contains("6.6"), "{}", request.head);
    assert_eq!(request.field("my_own"), Some("kept"));
    assert!(request.body.is_empty());
}

#[tokio::test]
async fn spoofed_identities_are_dropped() {
    let spoofed = [
        "Forwarded: for=6.6.6.6;proto=https",
        "X-Forwarded-For: 6.6.6.6",
        "X-Forwarded-For: 6.6.6.7",
        "X-Forwarded-Proto: 6.6.6.6",
        "X-Forwarded-Host: 6.6.6.6",
        "X-Forwarded-Port: 6666",
        "X-Forwarded-Prefix: /6.6.6.6",
        "X-Forwarded-Client-Cert: By=6.6.6.6",
        "X-Real-IP: 6.6.6.6",
        "X-Request-ID: 6.6.6.6",
        "X-Envoy-Original-Path: /6.6.6.6",
        "X-SSL-Client-Verify: 6.6.6.6",
        "Proxy: http://6.6.6.6/",
        "X-Portolan-Reason: 6.6.6.6",
    ];
    let request = forwarded(get(&spoofed.join("\r\n"))).await;
    assert!(!request.head.contains("6.6"), "{}", request.head);
    assert_eq!(request.field("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(request.field("x-real-ip"), Some("127.0.0.1"));
    assert_eq!(request.field("x-forwarded-proto"), Some("http"));
    assert_eq!(request.field("x-forwarded-host"), Some("shop.test"));
    assert_eq!(request.field("x-forwarded-port"), Some("80"));
}

/// RFC 9110 7.6.1 lets a sender remove fields hop by hop; not those that protect.
#[tokio::test]
async fn connection_cannot_nominate_what_protects() {
    let names = [
        "Host",
        "Content-Length",
        "Transfer-Encoding",
        "Authorization",
        "Cookie",
        "Forwarded",
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "x-forwarded-host",
        "X_Forwarded_For",
        "X-Real-IP",
        "X-Request-ID",
        "X-SSL-Client-Verify",
    ];
    let mut attacks: Vec<_> = names
        .iter()
        .flat_map(|name| {
            [
                get(&format!("Connection: {name}")),
                get(&format!("Connection: keep-alive, ,{name} ,close")),
                get(&format!("Connection: keep-alive\r\nConnection: {name}")),
            ]
        })
        .collect();
    attacks.push(post("Connection: Content-Length\r\nContent-Length: 5"));
    attacks.push(get(&format!("Connection: {}", "x,".repeat(17))));
    all_refused(&attacks).await;
}

#[tokio::test]
async fn fields_of_one_hop_end_here() {
    let fields = [
        "Connection: X-Hop, Keep-Alive",
        "Connection: x-second",
        "X-Hop: hop",
        "X-Second: hop",
        "Keep-Alive: timeout=hop",
        "Proxy-Connection: hop",
        "TE: hop",
        "Upgrade: hop",
        "HTTP2-Settings: hop",
    ];
    let request = forwarded(get(&fields.join("\r\n"))).await;
    assert!(!request.head.contains("hop\r\n"), "{}", request.head);
    assert_eq!(request.field("connection"), None);
}
