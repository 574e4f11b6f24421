//! TLS policy of a host: versions, protocols, signature algorithms, and clients without a server name.

use super::only;
use crate::origin::Origin;
use crate::proxy::{Proxy, endpoints, forward, host_with, settings, tls_host};
use portolan_discovery::table::{HostTls, Resource, TlsVersion};
use rcgen::{KeyPair, PKCS_RSA_SHA256};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ProtocolVersion, SignatureAlgorithm};
use std::sync::Arc;

fn host_of(name: &str, certificates: &[&str], tls: HostTls) -> Resource {
    let tls = HostTls {
        certificates: certificates.iter().map(ToString::to_string).collect(),
        ..tls
    };
    host_with(name, Some(tls), forward("t/s:80"))
}

fn versions(min: TlsVersion, max: TlsVersion) -> HostTls {
    HostTls {
        min_version: min,
        max_version: max,
        ..HostTls::default()
    }
}

/// Three hosts with one certificate and a policy each.
async fn three_policies(origin: &Origin) -> Proxy {
    use TlsVersion::{V1_2, V1_3};
    let proxy = Proxy::unconfigured();
    let resources = vec![
        endpoints("t/s:80", &[origin.address]),
        proxy.certificate("t/c", &["*.example.test"]),
        host_of("any.example.test", &["t/c"], HostTls::default()),
        host_of("other.example.test", &["t/c"], HostTls::default()),
        host_of("new.example.test", &["t/c"], versions(V1_3, V1_3)),
        host_of("old.example.test", &["t/c"], versions(V1_2, V1_2)),
    ];
    proxy.open(resources).await
}

#[tokio::test]
async fn each_host_has_its_oldest_and_newest_version() {
    let origin = Origin::saying("hello").await;
    let proxy = three_policies(&origin).await;
    let negotiated = async |config: ClientConfig, name: &str| {
        let stream = proxy.handshake_with(config, name).await;
        stream.map(|it| it.get_ref().1.protocol_version().unwrap())
    };
    let (tls12, tls13) = (ProtocolVersion::TLSv1_2, ProtocolVersion::TLSv1_3);
    for (name, version) in [("any", tls13), ("new", tls13), ("old", tls12)] {
        let name = format!("{name}.example.test");
        assert_eq!(
            negotiated(proxy.client_config(), &name).await.unwrap(),
            version
        );
    }
    for (config, name) in [(&TLS12, "new.example.test"), (&TLS13, "old.example.test")] {
        let error = negotiated(only(config, &proxy), name).await.unwrap_err();
        assert!(error.to_string().contains("ProtocolVersion"), "{error}");
    }
    assert_eq!(
        negotiated(only(&TLS12, &proxy), "any.example.test")
            .await
            .unwrap(),
        tls12
    );
}

#[tokio::test]
async fn host_with_other_versions_needs_another_connection() {
    let origin = Origin::saying("hello").await;
    let proxy = three_policies(&origin).await;
    let mut client = proxy.tls_client("any.example.test").await;
    assert_eq!(client.get("other.example.test").await.status, 200);
    assert_eq!(client.get("new.example.test").await.status, 421);
    assert_eq!(client.get("old.example.test").await.status, 421);
    assert_eq!(client.get("absent.test").await.status, 404);
    // Judged by what holds now: the host itself may have become stricter.
    let stricter = versions(TlsVersion::V1_3, TlsVersion::V1_3);
    proxy
        .apply(vec![host_of("any.example.test", &["t/c"], stricter)])
        .await;
    assert_eq!(client.get("any.example.test").await.status, 421);
    assert_eq!(client.get("other.example.test").await.status, 200);
}

#[tokio::test]
async fn versions_that_leave_nothing_to_speak_are_refused_by_field() {
    let origin = Origin::saying("hello").await;
    let proxy = three_policies(&origin).await;
    let none = versions(TlsVersion::V1_3, TlsVersion::V1_2);
    let verdicts = proxy
        .apply(vec![host_of("any.example.test", &["t/c"], none)])
        .await;
    let refused = verdicts[0].refused.as_ref().unwrap();
    assert!(refused.starts_with("tls.minVersion: "), "{refused}");
    assert!(
        proxy.handshake("any.example.test").await.is_ok(),
        "the old one stays"
    );
}

/// A client that can verify signatures by this kind of key only.
fn verifying(algorithm: SignatureAlgorithm) -> ClientConfig {
    let mut provider: CryptoProvider = aws_lc_rs::default_provider();
    let rsa = algorithm == SignatureAlgorithm::RSA;
    let all = provider.signature_verification_algorithms;
    let mapping: Vec<_> = all
        .mapping
        .iter()
        .filter(|(scheme, _)| format!("{scheme:?}").starts_with("RSA") == rsa)
        .copied()
        .collect();
    provider.signature_verification_algorithms.mapping = mapping.leak();
    let roots = rustls::RootCertStore::empty();
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mapping = config.crypto_provider().signature_verification_algorithms;
    config
        .dangerous()
        .set_certificate_verifier(Arc::new(super::clients::Anybody(mapping)));
    config
}

#[tokio::test]
async fn rsa_and_ecdsa_stand_side_by_side() {
    let origin = Origin::saying("hello").await;
    let proxy = Proxy::unconfigured();
    let rsa = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    let resources = vec![
        endpoints("t/s:80", &[origin.address]),
        proxy.certificate_for("t/rsa", &["shop.test"], &rsa),
        proxy.certificate("t/ecdsa", &["shop.test"]),
        host_of("shop.test", &["t/rsa", "t/ecdsa"], HostTls::default()),
    ];
    let proxy = proxy.open(resources).await;
    let leaf = async |config: ClientConfig| {
        let stream = proxy.handshake_with(config, "shop.test").await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].clone()
    };
    let with_rsa = leaf(verifying(SignatureAlgorithm::RSA)).await;
    let with_ecdsa = leaf(verifying(SignatureAlgorithm::ECDSA)).await;
    assert_ne!(with_rsa, with_ecdsa);
    assert_eq!(
        leaf(proxy.client_config()).await,
        with_ecdsa,
        "the cheaper one"
    );
    for version in [&TLS12, &TLS13] {
        assert_eq!(leaf(only(version, &proxy)).await, with_ecdsa);
    }
    // The first of the table is reported.
    let first = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&with_rsa));
    super::expect_reported(&proxy, "shop.test", &first).await;
}

#[tokio::test]
async fn negotiates_the_best_protocol_or_rejects() {
    let origin = Origin::saying("hello").await;
    let proxy = three_policies(&origin).await;
    let offering = |protocols: &[&str]| {
        let mut config = proxy.client_config();
        let protocols = protocols.iter().map(|it| it.as_bytes().to_vec());
        config.alpn_protocols = protocols.collect();
        config
    };
    for (offered, chosen) in [
        (&["http/1.1", "h2"][..], Some("h2")),
        (&["h2"], Some("h2")),
        (&["http/1.0"], Some("http/1.0")),
        (&["http/1.0", "http/1.1"], Some("http/1.1")),
        (&[], None),
    ] {
        let config = offering(offered);
        let stream = proxy
            .handshake_with(config, "any.example.test")
            .await
            .unwrap();
        let found = stream.get_ref().1.alpn_protocol();
        assert_eq!(found, chosen.map(str::as_bytes), "{offered:?}");
    }
    for offered in [&["h3"][..], &["http/2", "spdy/3"]] {
        let refused = proxy
            .handshake_with(offering(offered), "any.example.test")
            .await;
        let error = refused.unwrap_err().to_string();
        assert!(
            error.contains("NoApplicationProtocol"),
            "{offered:?}: {error}"
        );
    }
}

fn nameless(proxy: &Proxy) -> ClientConfig {
    let mut config = proxy.client_config();
    config.enable_sni = false;
    config
}

#[tokio::test]
async fn presents_the_default_certificate_without_server_name() {
    let origin = Origin::saying("hello").await;
    let proxy = three_policies(&origin).await;
    let anonymous = async || {
        proxy
            .handshake_with(nameless(&proxy), "a.example.test")
            .await
    };
    let error = anonymous().await.unwrap_err();
    assert!(error.to_string().contains("UnrecognisedName"), "{error}");

    let verdicts = proxy.apply(vec![settings(Some("t/c"), &[])]).await;
    assert_eq!(verdicts[0].refused, None);
    let mut client = crate::client::Client::over(anonymous().await.unwrap());
    assert_eq!(
        client.get("any.example.test").await.status,
        200,
        "the same certificate"
    );
    assert_eq!(
        client.get("new.example.test").await.status,
        421,
        "another policy"
    );
    assert_eq!(client.get("absent.test").await.status, 404);
    // An unknown name is still rejected.
    assert!(proxy.handshake("unknown.test").await.is_err());

    proxy
        .change(Vec::new(), vec![settings(None, &[]).name()])
        .await;
    assert!(anonymous().await.is_err());
}

#[tokio::test]
async fn host_with_own_certificate_needs_its_own_connection() {
    let origin = Origin::saying("hello").await;
    let proxy = three_policies(&origin).await;
    let own = proxy.certificate("t/own", &["own.test"]);
    let resources = vec![
        own,
        tls_host("own.test", Some("t/own"), "t/s:80"),
        settings(Some("t/c"), &[]),
    ];
    proxy.apply(resources).await;
    let stream = proxy
        .handshake_with(nameless(&proxy), "a.example.test")
        .await;
    let mut client = crate::client::Client::over(stream.unwrap());
    let misdirected = client.get("own.test").await;
    assert_eq!(
        (misdirected.status, misdirected.reason()),
        (421, "MisdirectedRequest")
    );
}

#[tokio::test]
async fn a_default_certificate_that_comes_later_is_shown_then() {
    let origin = Origin::saying("hello").await;
    let proxy = three_policies(&origin).await;
    let verdicts = proxy.apply(vec![settings(Some("t/later"), &[])]).await;
    let refused = verdicts[0].refused.as_ref().unwrap();
    assert!(
        refused.starts_with("defaultCertificate: t/later not found"),
        "{refused}"
    );
    let later = proxy.certificate("t/later", &["a.example.test"]);
    let verdicts = proxy.apply(vec![later]).await;
    let class = settings(None, &[]).name();
    let verdict = verdicts.iter().find(|it| it.name == class).unwrap();
    assert_eq!(verdict.refused, None);
    assert!(
        proxy
            .handshake_with(nameless(&proxy), "a.example.test")
            .await
            .is_ok()
    );
}
