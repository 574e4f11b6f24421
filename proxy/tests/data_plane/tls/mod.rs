//! Certificates: chosen by name, swapped without a break, reported as they are presented.

mod clients;
mod hostile;
mod policy;
mod sessions;
mod upstream;

use crate::client::Client;
use crate::origin::Origin;
use crate::proxy::{Proxy, endpoints, host, tls_host};
use crate::soon;
use portolan_discovery::table::Resource;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, SupportedProtocolVersion};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// `unrecognized_name` on the wire: a fatal alert, 112.
const UNRECOGNIZED_NAME: &[u8] = &[21, 3, 3, 0, 2, 2, 112];

async fn shown(proxy: &Proxy, name: &str) -> String {
    let stream = proxy.handshake(name).await.unwrap();
    let leaf = stream.get_ref().1.peer_certificates().unwrap()[0].clone();
    hex::encode(Sha256::digest(&leaf))
}

/// A client that speaks only this version.
fn only(version: &'static SupportedProtocolVersion, proxy: &Proxy) -> ClientConfig {
    proxy.client_builder(&[version]).with_no_client_auth()
}

async fn shop_and_wildcard(origin: &Origin) -> Proxy {
    let proxy = Proxy::unconfigured();
    let resources = vec![
        endpoints("t/s:80", &[origin.address]),
        proxy.certificate("t/shop", &["shop.example.test"]),
        proxy.certificate("t/wild", &["*.example.test"]),
        tls_host("shop.example.test", Some("t/shop"), "t/s:80"),
        tls_host("*.example.test", Some("t/wild"), "t/s:80"),
        tls_host("pending.test", None, "t/s:80"),
        host("plain.test", "t/s:80"),
    ];
    proxy.open(resources).await
}

#[tokio::test]
async fn serves_https_and_forwards_the_scheme() {
    let origin = Origin::saying("hello").await;
    let proxy = shop_and_wildcard(&origin).await;
    let mut client = proxy.tls_client("shop.example.test").await;
    for _ in 0..2 {
        assert_eq!(client.get("shop.example.test").await.text(), "hello");
    }
    let request = &origin.requests()[1];
    assert_eq!(request.field("x-forwarded-proto"), Some("https"));
    assert_eq!(request.field("x-forwarded-port"), Some("443"));
    assert_eq!(origin.connections(), 1);
}

#[tokio::test]
async fn large_bodies_pass_tls_whole() {
    let body = crate::messages::pattern(3_000_000);
    let origin =
        Origin::start(|request| (crate::origin::ok(&request.body), crate::origin::Then::Keep))
            .await;
    let proxy = shop_and_wildcard(&origin).await;
    let stream = proxy.handshake("shop.example.test").await.unwrap();
    let (mut reader, mut writer) = tokio::io::split(stream);
    let length = body.len();
    let head = format!(
        "POST / HTTP/1.1\r\nHost: shop.example.test\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n"
    );
    let sent = body.clone();
    let sending = tokio::spawn(async move {
        writer.write_all(head.as_bytes()).await.unwrap();
        writer.write_all(&sent).await.unwrap();
        writer.flush().await.unwrap();
        writer
    });
    let mut received = Vec::new();
    let read = soon("the echo", reader.read_to_end(&mut received)).await;
    read.expect("a TLS stream ends with close_notify");
    sending.await.unwrap();
    assert!(received.ends_with(&body));
}

#[tokio::test]
async fn exact_wildcard_unknown_and_absent_names() {
    let origin = Origin::saying("hello").await;
    let proxy = shop_and_wildcard(&origin).await;
    assert_ne!(
        shown(&proxy, "shop.example.test").await,
        shown(&proxy, "blog.example.test").await
    );
    for name in [
        "other.test",
        "a.b.example.test",
        "plain.test",
        "pending.test",
    ] {
        let error = proxy.handshake(name).await.unwrap_err();
        assert!(
            error.to_string().contains("UnrecognisedName"),
            "{name}: {error}"
        );
    }
    let mut config = proxy.client_config();
    config.enable_sni = false;
    let name = ServerName::try_from("shop.example.test").unwrap();
    let stream = TcpStream::connect(proxy.https).await.unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let error = soon("a refusal", connector.connect(name, stream))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("UnrecognisedName"), "{error}");
}

#[tokio::test]
async fn an_unknown_name_is_refused_by_the_alert_and_nothing_else() {
    let origin = Origin::saying("hello").await;
    let proxy = shop_and_wildcard(&origin).await;
    let mut hello = rustls::ClientConnection::new(
        Arc::new(proxy.client_config()),
        ServerName::try_from("other.test").unwrap(),
    )
    .unwrap();
    let mut bytes = Vec::new();
    hello.write_tls(&mut bytes).unwrap();
    let mut client = Client::connect(proxy.https).await;
    // In two pieces: a ClientHello may be split anywhere.
    let (first, second) = bytes.split_at(20);
    client.send(first).await;
    client.send(second).await;
    assert_eq!(client.rest().await.0, UNRECOGNIZED_NAME);
}

#[tokio::test]
async fn a_host_with_another_certificate_needs_another_connection() {
    let origin = Origin::saying("hello").await;
    let proxy = shop_and_wildcard(&origin).await;
    let mut client = proxy.tls_client("blog.example.test").await;
    assert_eq!(client.get("blog.example.test").await.status, 200);
    // The same certificate: no other connection is needed.
    assert_eq!(client.get("news.example.test").await.status, 200);
    let misdirected = client.get("shop.example.test").await;
    assert_eq!(
        (misdirected.status, misdirected.reason()),
        (421, "MisdirectedRequest")
    );
    assert_eq!(client.get("plain.test").await.status, 421);
    assert_eq!(client.get("absent.test").await.status, 404);
    assert_eq!(client.get("blog.example.test").await.status, 200);
}

#[tokio::test]
async fn swaps_a_certificate_without_dropping_connections() {
    let origin = Origin::saying("hello").await;
    let proxy = shop_and_wildcard(&origin).await;
    let mut client = proxy.tls_client("shop.example.test").await;
    assert_eq!(client.get("shop.example.test").await.status, 200);
    let before = shown(&proxy, "shop.example.test").await;
    expect_reported(&proxy, "shop.example.test", &before).await;
    expect_reported(
        &proxy,
        "*.example.test",
        &shown(&proxy, "any.example.test").await,
    )
    .await;

    let renewed = proxy.certificate("t/shop", &["shop.example.test"]);
    let verdicts = proxy.apply(vec![renewed]).await;
    assert_eq!(verdicts[0].refused, None);
    let after = shown(&proxy, "shop.example.test").await;
    assert_ne!(before, after);
    expect_reported(&proxy, "shop.example.test", &after).await;
    assert_eq!(client.get("shop.example.test").await.status, 200);
    assert_eq!(origin.connections(), 1);
}

/// Waits until the data plane says that it shows this certificate under this name.
async fn expect_reported(proxy: &Proxy, name: &str, fingerprint: &str) {
    let mut served = proxy.control.served();
    let waiting = served.wait_for(|served| {
        let found = served.iter().find(|it| it.server_name == name);
        found.is_some_and(|it| it.fingerprint == fingerprint && it.not_after_unix > 0)
    });
    soon("the fingerprint that is reported", waiting)
        .await
        .unwrap();
}

#[tokio::test]
async fn stops_reporting_a_removed_host() {
    let origin = Origin::saying("hello").await;
    let proxy = shop_and_wildcard(&origin).await;
    let mut served = proxy.control.served();
    soon("both names", served.wait_for(|served| served.len() == 2))
        .await
        .unwrap();
    let gone = tls_host("shop.example.test", None, "").name();
    proxy.change(Vec::new(), vec![gone]).await;
    let only = |served: &Arc<Vec<_>>| served.len() == 1;
    soon("one name", served.wait_for(only)).await.unwrap();
}

#[tokio::test]
async fn rejects_a_mismatched_key_and_keeps_the_last_one() {
    let origin = Origin::saying("hello").await;
    let proxy = shop_and_wildcard(&origin).await;
    let before = shown(&proxy, "shop.example.test").await;
    let (one, other) = (
        proxy.certificate("t/shop", &["shop.example.test"]),
        proxy.certificate("t/shop", &["shop.example.test"]),
    );
    let (Resource::Certificate(mut bad), Resource::Certificate(other)) = (one, other) else {
        unreachable!();
    };
    bad.key_pem = other.key_pem;
    let verdicts = proxy.apply(vec![Resource::Certificate(bad)]).await;
    assert!(
        verdicts[0]
            .refused
            .as_ref()
            .unwrap()
            .starts_with("tls.key: ")
    );
    assert_eq!(shown(&proxy, "shop.example.test").await, before);
}

/// Says with `--nocapture` what a look costs, both sides together.
#[tokio::test]
async fn reports_a_thousand_names_and_their_swap() {
    let origin = Origin::saying("hello").await;
    let proxy = Proxy::unconfigured();
    let mut resources = vec![
        endpoints("t/s:80", &[origin.address]),
        proxy.certificate("t/wild", &["*.example.test"]),
    ];
    let name = |index| format!("host-{index}.example.test");
    resources.extend((0..1000).map(|index| tls_host(&name(index), Some("t/wild"), "t/s:80")));
    let began = std::time::Instant::now();
    let proxy = proxy.open(resources).await;
    let mut served = proxy.control.served();
    let all =
        |served: &Arc<Vec<portolan_proxy::control::PresentedCertificate>>| served.len() == 1000;
    soon("all names", served.wait_for(all)).await.unwrap();
    eprintln!("a thousand looks: {:?}", began.elapsed());

    let renewed = proxy.certificate("t/wild", &["*.example.test"]);
    let Resource::Certificate(certificate) = &renewed else {
        unreachable!();
    };
    let leaf = pem::parse(&certificate.chain_pem).unwrap();
    let fingerprint = hex::encode(Sha256::digest(leaf.contents()));
    let began = std::time::Instant::now();
    proxy.apply(vec![renewed]).await;
    let swapped = |served: &Arc<Vec<portolan_proxy::control::PresentedCertificate>>| {
        served.iter().all(|it| it.fingerprint == fingerprint)
    };
    soon("the swap", served.wait_for(swapped)).await.unwrap();
    eprintln!("a swap for a thousand names: {:?}", began.elapsed());
}
