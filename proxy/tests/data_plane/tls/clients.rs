//! Mutual TLS: who may come, who is refused by which alert, and what a connection is good for.

use super::only;
use crate::client::Client;
use crate::origin::Origin;
use crate::proxy::{Proxy, endpoints, forward, host_with, settings};
use portolan_discovery::table::{ClientCa, ClientCaMode, HostTls, Resource, TrustAnchors};
use rcgen::{
    CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, KeyPair, date_time_ymd,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, DigitallySignedStruct, HandshakeKind, SignatureScheme, SupportedProtocolVersion,
};
use std::sync::Arc;

/// Trusts any certificate whose key the peer holds.
#[derive(Debug)]
pub(super) struct Anybody(pub(super) WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0)
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

/// Certificate authority for clients or endpoints.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// Credentials of a client or an endpoint.
pub(super) type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl Authority {
    pub(super) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        // Authorities of one name would differ in their signatures only.
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    pub(super) fn resource(&self, name: &str) -> Resource {
        Resource::TrustAnchors(TrustAnchors {
            name: name.into(),
            ca_pem: self.0.pem(),
        })
    }

    fn client(&self, until: i32) -> Identity {
        self.identity("client.test", ExtendedKeyUsagePurpose::ClientAuth, until)
    }

    pub(super) fn identity(
        &self,
        name: &str,
        usage: ExtendedKeyUsagePurpose,
        until: i32,
    ) -> Identity {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![usage];
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        (vec![leaf.der().clone()], key)
    }
}

fn with(
    identity: &Identity,
    version: &'static SupportedProtocolVersion,
    proxy: &Proxy,
) -> ClientConfig {
    let (chain, key) = (identity.0.clone(), identity.1.clone_key());
    let builder = proxy.client_builder(&[version]);
    builder.with_client_auth_cert(chain, key).unwrap()
}

fn asking(name: &str, trust: &str, mode: ClientCaMode) -> Resource {
    let tls = HostTls {
        certificates: vec!["t/c".into()],
        client_ca: Some(ClientCa {
            trust: trust.into(),
            mode,
        }),
        ..HostTls::default()
    };
    host_with(name, Some(tls), forward("t/s:80"))
}

fn free(name: &str) -> Resource {
    let tls = HostTls {
        certificates: vec!["t/c".into()],
        ..HostTls::default()
    };
    host_with(name, Some(tls), forward("t/s:80"))
}

async fn serving(origin: &Origin, authority: &Authority) -> Proxy {
    let proxy = Proxy::unconfigured();
    let resources = vec![
        endpoints("t/s:80", &[origin.address]),
        proxy.certificate("t/c", &["*.example.test"]),
        authority.resource("t/ca"),
        asking("closed.example.test", "t/ca", ClientCaMode::Require),
        asking("asked.example.test", "t/ca", ClientCaMode::Optional),
        free("free.example.test"),
        settings(Some("t/c"), &[1]),
    ];
    proxy.open(resources).await
}

/// The status of a request after a handshake, or the alert that came instead. With TLS 1.3 a client
/// has finished its handshake before the server has seen its certificate.
async fn tried(proxy: &Proxy, config: ClientConfig, name: &str) -> Result<u16, String> {
    let stream = proxy.handshake_with(config, name).await;
    let mut client = Client::over(stream.map_err(|error| error.to_string())?);
    let request = format!("GET / HTTP/1.1\r\nHost: {name}\r\n\r\n");
    // The alert may already be there.
    let _ = client.try_send(request).await;
    let response = client.try_response(false).await;
    response
        .map(|response| response.status)
        .map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_client_with_a_certificate_of_the_authority_is_served() {
    let origin = Origin::saying("hello").await;
    let authority = Authority::new("clients");
    let proxy = serving(&origin, &authority).await;
    let client = authority.client(2100);
    for version in [&TLS12, &TLS13] {
        for name in ["closed", "asked", "free"] {
            let name = format!("{name}.example.test");
            let config = with(&client, version, &proxy);
            assert_eq!(tried(&proxy, config, &name).await, Ok(200), "{name}");
        }
    }
}

#[tokio::test]
async fn expired_foreign_and_absent_client_certificates_are_refused_by_their_alerts() {
    let origin = Origin::saying("hello").await;
    let authority = Authority::new("clients");
    let proxy = serving(&origin, &authority).await;
    let expired = authority.client(2021);
    let foreign = Authority::new("foreign").client(2100);
    for version in [&TLS12, &TLS13] {
        for name in ["closed.example.test", "asked.example.test"] {
            for (identity, alert) in [(&expired, "CertificateExpired"), (&foreign, "UnknownCA")] {
                let config = with(identity, version, &proxy);
                let error = tried(&proxy, config, name).await.unwrap_err();
                assert!(error.contains(alert), "{name}: {error}");
            }
        }
        let absent = || only(version, &proxy);
        let error = tried(&proxy, absent(), "closed.example.test").await;
        let error = error.unwrap_err();
        assert!(error.contains("CertificateRequired"), "{error}");
        assert_eq!(tried(&proxy, absent(), "asked.example.test").await, Ok(200));
    }
    assert!(
        origin
            .requests()
            .iter()
            .all(|it| it.head.contains("asked."))
    );
    let at = crate::admin::admin(&proxy).await;
    let line = r#"handshakes_failed_total{class="public",reason="client_certificate"} 10"#;
    crate::soon("the count of refusals", async {
        while !crate::admin::page(at, "/metrics").await.1.contains(line) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn host_with_client_ca_needs_its_own_connection() {
    let origin = Origin::saying("hello").await;
    let authority = Authority::new("clients");
    let proxy = serving(&origin, &authority).await;
    let mut client = proxy.tls_client("free.example.test").await;
    let misdirected = client.get("closed.example.test").await;
    assert_eq!(
        (misdirected.status, misdirected.reason()),
        (421, "MisdirectedRequest")
    );
    assert_eq!(client.get("asked.example.test").await.status, 421);
    assert_eq!(client.get("free.example.test").await.status, 200);
    // Nor may a client that was asked go to a host that does not ask: it would be another policy.
    let config = with(&authority.client(2100), &TLS13, &proxy);
    let stream = proxy.handshake_with(config, "closed.example.test").await;
    let mut client = Client::over(stream.unwrap());
    assert_eq!(client.get("asked.example.test").await.status, 421);
    assert_eq!(client.get("closed.example.test").await.status, 200);
}

#[tokio::test]
async fn rejects_older_connections_once_client_ca_is_set() {
    let origin = Origin::saying("hello").await;
    let authority = Authority::new("clients");
    let proxy = serving(&origin, &authority).await;
    let mut client = proxy.tls_client("free.example.test").await;
    assert_eq!(client.get("free.example.test").await.status, 200);
    let asks = asking("free.example.test", "t/ca", ClientCaMode::Require);
    proxy.apply(vec![asks]).await;
    assert_eq!(client.get("free.example.test").await.status, 421);
}

#[tokio::test]
async fn other_authorities_let_other_clients_in_from_now_on() {
    let origin = Origin::saying("hello").await;
    let (former, next) = (Authority::new("former"), Authority::new("next"));
    let proxy = serving(&origin, &former).await;
    let (old, new) = (former.client(2100), next.client(2100));
    let name = "closed.example.test";
    let stream = proxy.handshake_with(with(&old, &TLS13, &proxy), name).await;
    let mut open = Client::over(stream.unwrap());
    assert_eq!(open.get(name).await.status, 200);
    let verdicts = proxy.apply(vec![next.resource("t/ca")]).await;
    assert_eq!(verdicts[0].refused, None);
    assert_eq!(open.get(name).await.status, 421, "let in by others");
    assert_eq!(
        tried(&proxy, with(&new, &TLS13, &proxy), name).await,
        Ok(200)
    );
    let error = tried(&proxy, with(&old, &TLS13, &proxy), name)
        .await
        .unwrap_err();
    assert!(error.contains("UnknownCA"), "{error}");
    // What cannot be read changes nothing.
    let bad = Resource::TrustAnchors(TrustAnchors {
        name: "t/ca".into(),
        ca_pem: String::new(),
    });
    let verdicts = proxy.apply(vec![bad]).await;
    let refused = verdicts[0].refused.as_ref().unwrap();
    assert!(refused.starts_with("ca.crt: "), "{refused}");
    assert_eq!(
        tried(&proxy, with(&new, &TLS13, &proxy), name).await,
        Ok(200)
    );
}

#[tokio::test]
async fn a_client_proves_who_it_is_each_time() {
    let origin = Origin::saying("hello").await;
    let authority = Authority::new("clients");
    let proxy = serving(&origin, &authority).await;
    for version in [&TLS12, &TLS13] {
        let config = Arc::new(with(&authority.client(2100), version, &proxy));
        for _ in 0..2 {
            let name = "closed.example.test";
            let stream = proxy
                .handshake_with(Arc::clone(&config), name)
                .await
                .unwrap();
            let kind = stream.get_ref().1.handshake_kind();
            assert_eq!(kind, Some(HandshakeKind::Full));
            assert_eq!(Client::over(stream).get(name).await.status, 200);
        }
    }
}

/// The data plane looks at what it shows although it has no certificate itself, and does not count
/// that as a failure.
#[tokio::test]
async fn reports_certificates_of_hosts_with_client_ca() {
    let origin = Origin::saying("hello").await;
    let authority = Authority::new("clients");
    let proxy = serving(&origin, &authority).await;
    let config = with(&authority.client(2100), &TLS13, &proxy);
    let stream = proxy
        .handshake_with(config, "closed.example.test")
        .await
        .unwrap();
    let leaf = stream.get_ref().1.peer_certificates().unwrap()[0].clone();
    let fingerprint = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&leaf));
    super::expect_reported(&proxy, "closed.example.test", &fingerprint).await;
    let at = crate::admin::admin(&proxy).await;
    let (_, metrics) = crate::admin::page(at, "/metrics").await;
    let line = r#"handshakes_failed_total{class="public",reason="client_certificate"} 0"#;
    assert!(metrics.contains(line), "{metrics}");
}
