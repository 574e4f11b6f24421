//! TLS to endpoints: what they are asked, what they must prove, and what is never shared.

use super::clients::{Authority, Identity};
use crate::client::Response;
use crate::origin::{Origin, Then};
use crate::proxy::{Proxy, endpoints, host_with};
use portolan_discovery::table::{Action, Backend, BackendTls, Resource, UpstreamProtocol};
use rcgen::ExtendedKeyUsagePurpose;
use rustls::version::{TLS12, TLS13};
use rustls::{HandshakeKind, ServerConfig, SupportedProtocolVersion};
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

fn speaking(identity: &Identity, versions: &[&'static SupportedProtocolVersion]) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(identity.0.clone(), identity.1.clone_key())
        .unwrap()
}

fn endpoint(authority: &Authority, name: &str, until: i32) -> Identity {
    authority.identity(name, ExtendedKeyUsagePurpose::ServerAuth, until)
}

async fn origin(identity: &Identity, then: Then) -> Origin {
    Origin::over_tls(speaking(identity, rustls::ALL_VERSIONS), "hello", then).await
}

fn tls(server_name: &str, trust: Option<&str>, subject: Option<&str>) -> BackendTls {
    BackendTls {
        server_name: server_name.into(),
        trust: trust.map(Into::into),
        subject_name: subject.map(Into::into),
    }
}

fn to(hostname: &str, tls: BackendTls) -> Resource {
    let backend = Backend {
        endpoints: "t/s:443".into(),
        weight: 1,
        protocol: UpstreamProtocol::Http1,
        tls: Some(tls),
    };
    let backends = vec![backend];
    host_with(hostname, None, Action::Forward { backends })
}

async fn serving(origin: &Origin, authority: &Authority, hosts: Vec<Resource>) -> Proxy {
    let mut resources = vec![
        endpoints("t/s:443", &[origin.address]),
        authority.resource("t/ca"),
    ];
    resources.extend(hosts);
    Proxy::serving(resources).await
}

async fn get(proxy: &Proxy, host: &str) -> Response {
    proxy.client().await.get(host).await
}

const NAME: &str = "blog.internal";

#[tokio::test]
async fn serves_an_endpoint_with_a_verified_name() {
    let authority = Authority::new("endpoints");
    let origin = origin(&endpoint(&authority, NAME, 2100), Then::Keep).await;
    let hosts = vec![to("shop.test", tls(NAME, Some("t/ca"), None))];
    let proxy = serving(&origin, &authority, hosts).await;
    let mut client = proxy.client().await;
    for _ in 0..3 {
        let response = client.get("shop.test").await;
        assert_eq!((response.status, response.text()), (200, "hello"));
    }
    assert_eq!(
        origin.handshakes(),
        [(NAME.to_owned(), HandshakeKind::Full)]
    );
    assert_eq!(
        origin.requests()[0].field("x-forwarded-proto"),
        Some("http")
    );
}

#[tokio::test]
async fn a_large_body_passes_both_ways() {
    let authority = Authority::new("endpoints");
    let identity = endpoint(&authority, NAME, 2100);
    let origin = origin(&identity, Then::Keep).await;
    let hosts = vec![to("shop.test", tls(NAME, Some("t/ca"), None))];
    let proxy = serving(&origin, &authority, hosts).await;
    let body = crate::messages::pattern(2_000_000);
    let mut client = proxy.client().await;
    let head = format!(
        "POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    client.send(head).await;
    client.send(&body).await;
    assert_eq!(client.response().await.status, 200);
    assert!(origin.requests()[0].body == body);
}

#[tokio::test]
async fn verifies_a_subject_other_than_the_server_name() {
    let authority = Authority::new("endpoints");
    let origin = origin(&endpoint(&authority, NAME, 2100), Then::Keep).await;
    let hosts = vec![
        to("right.test", tls("public.test", Some("t/ca"), Some(NAME))),
        to(
            "wrong.test",
            tls(NAME, Some("t/ca"), Some("other.internal")),
        ),
    ];
    let proxy = serving(&origin, &authority, hosts).await;
    assert_eq!(get(&proxy, "right.test").await.status, 200);
    assert_eq!(origin.handshakes()[0].0, "public.test");
    let refused = get(&proxy, "wrong.test").await;
    assert_eq!(
        (refused.status, refused.reason()),
        (502, "UpstreamCertificateInvalid")
    );
    assert_eq!(origin.requests().len(), 1);
}

#[tokio::test]
async fn an_endpoint_that_proves_nothing_gets_no_request() {
    let authority = Authority::new("endpoints");
    let foreign = Authority::new("foreign");
    let expired = endpoint(&authority, NAME, 2021);
    let unknown = endpoint(&foreign, NAME, 2100);
    let other = endpoint(&authority, "other.internal", 2100);
    let client = authority.identity(NAME, ExtendedKeyUsagePurpose::ClientAuth, 2100);
    for identity in [expired, unknown, other, client] {
        for version in [&TLS12, &TLS13] {
            let config = speaking(&identity, &[version]);
            let origin = Origin::over_tls(config, "hello", Then::Keep).await;
            let hosts = vec![to("shop.test", tls(NAME, Some("t/ca"), None))];
            let proxy = serving(&origin, &authority, hosts).await;
            let refused = get(&proxy, "shop.test").await;
            assert_eq!(
                (refused.status, refused.reason()),
                (502, "UpstreamCertificateInvalid")
            );
            assert_eq!(origin.requests().len(), 0);
            let at = crate::admin::admin(&proxy).await;
            let (_, metrics) = crate::admin::page(at, "/metrics").await;
            let none = r#"upstream_errors_total{class="public",error="tls"} 0"#;
            assert!(!metrics.contains(none), "{metrics}");
        }
    }
}

#[tokio::test]
async fn encrypts_without_verification_without_an_authority() {
    let unrelated = Authority::new("unrelated");
    let origin = origin(&endpoint(&unrelated, "any.internal", 2021), Then::Keep).await;
    let hosts = vec![to("shop.test", tls(NAME, None, None))];
    let proxy = serving(&origin, &unrelated, hosts).await;
    assert_eq!(get(&proxy, "shop.test").await.status, 200);
    assert_eq!(origin.handshakes().len(), 1);
}

#[tokio::test]
async fn never_contacts_a_backend_without_required_authority() {
    let authority = Authority::new("endpoints");
    let origin = origin(&endpoint(&authority, NAME, 2100), Then::Keep).await;
    let proxy = serving(&origin, &authority, Vec::new()).await;
    let unverifiable = to("shop.test", tls(NAME, None, Some(NAME)));
    let verdicts = proxy.apply(vec![unverifiable]).await;
    let refused = verdicts[0].refused.as_ref().unwrap();
    assert!(refused.starts_with("routes[0]: tls.ca: "), "{refused}");
    assert_eq!(get(&proxy, "shop.test").await.status, 404);
    assert_eq!(origin.connections(), 0);
}

#[tokio::test]
async fn an_endpoint_that_speaks_no_tls_is_502() {
    let authority = Authority::new("endpoints");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let plain = tokio::spawn(async move {
        let mut held = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let answer = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
            stream.write_all(answer).await.unwrap();
            held.push(stream);
        }
    });
    let resources = vec![
        endpoints("t/s:443", &[address]),
        authority.resource("t/ca"),
        to("shop.test", tls(NAME, Some("t/ca"), None)),
    ];
    let proxy = Proxy::serving(resources).await;
    let refused = get(&proxy, "shop.test").await;
    assert_eq!(
        (refused.status, refused.reason()),
        (502, "UpstreamTlsFailed")
    );
    plain.abort();
}

#[tokio::test]
async fn connections_are_not_shared_between_identities() {
    let authority = Authority::new("endpoints");
    let origin = origin(&endpoint(&authority, NAME, 2100), Then::Keep).await;
    let hosts = vec![
        to("one.test", tls(NAME, Some("t/ca"), None)),
        to("same.test", tls(NAME, Some("t/ca"), None)),
        to("two.test", tls("public.test", Some("t/ca"), Some(NAME))),
        to("three.test", tls(NAME, None, None)),
    ];
    let proxy = serving(&origin, &authority, hosts).await;
    // One connection, so that one worker serves all: over TLS each has a pool of its own.
    let mut client = proxy.client().await;
    for host in [
        "one.test",
        "same.test",
        "two.test",
        "three.test",
        "one.test",
    ] {
        assert_eq!(client.get(host).await.status, 200);
    }
    assert_eq!(origin.connections(), 3);
    let full = |(_, kind): &(String, HandshakeKind)| *kind == HandshakeKind::Full;
    assert!(origin.handshakes().iter().all(full), "nor are sessions");
}

#[tokio::test]
async fn the_session_of_an_endpoint_is_resumed() {
    let authority = Authority::new("endpoints");
    for version in [&TLS12, &TLS13] {
        let config = speaking(&endpoint(&authority, NAME, 2100), &[version]);
        let origin = Origin::over_tls(config, "hello", Then::Close).await;
        let hosts = vec![to("shop.test", tls(NAME, Some("t/ca"), None))];
        let proxy = serving(&origin, &authority, hosts).await;
        for _ in 0..2 {
            assert_eq!(get(&proxy, "shop.test").await.status, 200);
        }
        let kinds: Vec<_> = origin.handshakes().into_iter().map(|it| it.1).collect();
        assert_eq!(kinds, [HandshakeKind::Full, HandshakeKind::Resumed]);
    }
}

#[tokio::test]
async fn what_was_proved_to_other_authorities_is_worth_nothing() {
    let (former, next) = (Authority::new("former"), Authority::new("next"));
    let origin = origin(&endpoint(&former, NAME, 2100), Then::Keep).await;
    let hosts = vec![to("shop.test", tls(NAME, Some("t/ca"), None))];
    let proxy = serving(&origin, &former, hosts).await;
    let mut client = proxy.client().await;
    assert_eq!(client.get("shop.test").await.status, 200);
    proxy.apply(vec![next.resource("t/ca")]).await;
    let refused = client.get("shop.test").await;
    assert_eq!(
        (refused.status, refused.reason()),
        (502, "UpstreamCertificateInvalid")
    );
    proxy.apply(vec![former.resource("t/ca")]).await;
    assert_eq!(client.get("shop.test").await.status, 200);
}
