//! Handshakes that no client means well.

use super::{UNRECOGNIZED_NAME, shop_and_wildcard};
use crate::client::Client;
use crate::origin::Origin;
use crate::proxy::{Proxy, endpoints, tls_host};
use portolan_proxy::limits::Limits;
use rustls::pki_types::ServerName;
use std::sync::Arc;
use std::time::Duration;

const CLIENT_HELLO: u8 = 1;
const HANDSHAKE: u8 = 22;
const ALERT: u8 = 21;
const FATAL: u8 = 2;

fn sized(length_bytes: usize, content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u32).to_be_bytes();
    [&length[4 - length_bytes..], content].concat()
}

fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &sized(2, content)].concat()
}

fn server_name(name: &str) -> Vec<u8> {
    let entry = [&[0][..], &sized(2, name.as_bytes())].concat();
    extension(0, &sized(2, &entry))
}

/// A ClientHello of an old version (RFC 5246 7.4.1.2), as a handshake message.
fn hello(version: [u8; 2], extensions: &[Vec<u8>]) -> Vec<u8> {
    let suites = sized(2, &[0xc0, 0x13, 0xc0, 0x2f, 0x00, 0x2f, 0x00, 0x0a]);
    let body = [
        &version[..],
        &[7; 32],
        &sized(1, &[]),
        &suites,
        &sized(1, &[0]),
        &sized(2, &extensions.concat()),
    ]
    .concat();
    [&[CLIENT_HELLO][..], &sized(3, &body)].concat()
}

fn record(content: &[u8]) -> Vec<u8> {
    [&[HANDSHAKE, 3, 1][..], &sized(2, content)].concat()
}

/// The description of the one fatal alert that is all that came.
fn fatal_alert(bytes: &[u8]) -> u8 {
    assert_eq!(
        (bytes.len(), bytes[0], bytes[5]),
        (7, ALERT, FATAL),
        "{bytes:?}"
    );
    bytes[6]
}

/// A ClientHello of a lawful client, as records.
fn lawful(proxy: &Proxy, name: &str) -> Vec<u8> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let config = Arc::new(proxy.client_config());
    let mut client = rustls::ClientConnection::new(config, name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

#[tokio::test]
async fn versions_before_1_2_are_refused_by_alert() {
    let origin = Origin::saying("hello").await;
    let proxy = shop_and_wildcard(&origin).await;
    let name = server_name("shop.example.test");
    // TLS 1.2 brought the signature algorithms; a client that speaks both sends them anyway.
    let algorithms = extension(13, &sized(2, &[4, 3, 4, 1]));
    for version in [[3, 0], [3, 1], [3, 2]] {
        let mut client = Client::connect(proxy.https).await;
        let with = [name.clone(), algorithms.clone()];
        client.send(record(&hello(version, &with))).await;
        assert_eq!(fatal_alert(&client.rest().await.0), 70, "protocol_version");
        let mut client = Client::connect(proxy.https).await;
        client
            .send(record(&hello(version, std::slice::from_ref(&name))))
            .await;
        let alert = fatal_alert(&client.rest().await.0);
        assert!([40, 70].contains(&alert), "{alert}");
    }
    assert_eq!(origin.connections(), 0);
}

#[tokio::test]
async fn a_client_hello_may_be_split_anywhere() {
    let origin = Origin::saying("hello").await;
    let proxy = shop_and_wildcard(&origin).await;
    let whole = lawful(&proxy, "other.test");
    let message = &whole[5..];
    // One record in many segments.
    let mut client = Client::connect(proxy.https).await;
    for piece in whole.chunks(50) {
        client.send(piece).await;
    }
    assert_eq!(client.rest().await.0, UNRECOGNIZED_NAME);
    // Many records.
    let mut client = Client::connect(proxy.https).await;
    for piece in message.chunks(7) {
        client.send(record(piece)).await;
    }
    assert_eq!(client.rest().await.0, UNRECOGNIZED_NAME);
    assert_eq!(origin.connections(), 0);
}

#[tokio::test]
async fn a_giant_client_hello_is_refused_before_it_is_read() {
    let origin = Origin::saying("hello").await;
    let proxy = shop_and_wildcard(&origin).await;
    // 16 MiB are announced, and sent for as long as anybody listens.
    let announced = [CLIENT_HELLO, 0xff, 0xff, 0xff];
    let mut client = Client::connect(proxy.https).await;
    let mut sent = 0;
    let mut piece = [&announced[..], &[0; 16_000]].concat();
    while sent < 16 << 20 && client.try_send(record(&piece)).await.is_ok() {
        sent += piece.len();
        piece.fill(0);
    }
    assert!(sent < 8 << 20, "{sent} bytes were taken");
    let (rest, _) = client.rest().await;
    assert!(rest.len() <= 7, "{rest:?}");
    assert_eq!(
        proxy
            .tls_client("shop.example.test")
            .await
            .get("shop.example.test")
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn a_flood_of_records_that_say_nothing_is_ended() {
    let origin = Origin::saying("hello").await;
    let proxy = shop_and_wildcard(&origin).await;
    let warning = [ALERT, 3, 1, 0, 2, 1, 90];
    let empty = record(&[]);
    for nothing in [&warning[..], &empty] {
        let mut client = Client::connect(proxy.https).await;
        let flood = nothing.repeat(1000);
        let mut sent = 0;
        while sent < 16 << 20 && client.try_send(&flood).await.is_ok() {
            sent += flood.len();
        }
        assert!(sent < 8 << 20, "{sent} bytes were taken");
    }
}

#[tokio::test]
async fn what_is_not_tls_is_ended_and_nothing_is_forwarded() {
    let origin = Origin::saying("hello").await;
    let proxy = shop_and_wildcard(&origin).await;
    let http = b"GET / HTTP/1.1\r\nHost: shop.example.test\r\n\r\n".to_vec();
    let sslv2 = [0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 16].to_vec();
    let heartbeat = vec![24, 3, 1, 0, 3, 1, 0x40, 0];
    for bytes in [http, sslv2, heartbeat, vec![0xff; 5000]] {
        let mut client = Client::connect(proxy.https).await;
        let _ = client.try_send(&bytes).await;
        let (rest, _) = client.rest().await;
        assert!(rest.is_empty() || fatal_alert(&rest) > 0);
    }
    assert_eq!(origin.connections(), 0);
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_closed() {
    let origin = Origin::saying("hello").await;
    let limits = Limits {
        head: Duration::from_millis(200),
        ..Limits::default()
    };
    let proxy = Proxy::with_limits(limits);
    let resources = vec![
        endpoints("t/s:80", &[origin.address]),
        proxy.certificate("t/c", &["shop.test"]),
        tls_host("shop.test", Some("t/c"), "t/s:80"),
    ];
    let proxy = proxy.open(resources).await;
    let whole = lawful(&proxy, "shop.test");
    // Nothing at all, half a ClientHello, and a whole one without what must follow.
    for begun in [0, whole.len() / 2, whole.len()] {
        let mut client = Client::connect(proxy.https).await;
        client.send(&whole[..begun]).await;
        let (rest, _) = client.rest().await;
        // A whole ClientHello is answered.
        assert_eq!(rest.is_empty(), begun < whole.len());
    }
    let at = crate::admin::admin(&proxy).await;
    let line = r#"handshakes_failed_total{class="public",reason="timeout"} 3"#;
    crate::soon("the count of time-outs", async {
        while !crate::admin::page(at, "/metrics").await.1.contains(line) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
