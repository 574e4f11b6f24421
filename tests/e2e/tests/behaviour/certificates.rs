//! The certificate presented to a client, and session resumption at another proxy.

use anyhow::{Context, Result, ensure};
use http::Method;
use portolan_e2e::client::{Client, Scheme, leaf};
use portolan_e2e::exposed::{KIND, exposed_echo};
use portolan_e2e::pki::{Authority, Pair, tls_secret};
use portolan_e2e::proxies::ProxyPod;
use portolan_e2e::wait::{LATER, SOON, eventually};
use portolan_e2e::{ISSUER, test_env};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, RootCertStore, SignatureScheme};
use serde_json::json;
use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Verifies as usual, and offers some signature schemes only.
#[derive(Debug)]
struct Only(Arc<WebPkiServerVerifier>, Vec<SignatureScheme>);

impl ServerCertVerifier for Only {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        stapled: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.0.verify_server_cert(leaf, others, name, stapled, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, leaf, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, leaf, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.1.clone()
    }
}

fn client_with_schemes(authority: &Authority, schemes: &[SignatureScheme]) -> Result<Client> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes())?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
    let only = Arc::new(Only(verifier, schemes.to_vec()));
    Ok(authority
        .http_client()?
        .with(|tls| tls.dangerous().set_certificate_verifier(only)))
}

fn der(pair: &Pair) -> Result<CertificateDer<'static>> {
    Ok(CertificateDer::from_pem_slice(pair.certificate.as_bytes())?)
}

#[tokio::test]
async fn selects_the_certificate_by_signature_scheme() -> Result<()> {
    test_env("rsa", async |env| {
        let cluster = &env.cluster;
        let namespace = env.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        let host = env.host("shop");
        let authority = Authority::new()?;
        let (ecdsa, rsa) = (authority.issue(&[&host])?, authority.issue_rsa(&[&host])?);
        cluster
            .apply(&tls_secret(&namespace, "ecdsa", &ecdsa))
            .await?;
        cluster.apply(&tls_secret(&namespace, "rsa", &rsa)).await?;
        let tls = json!({"secret": {"name": "ecdsa"}, "additionalSecrets": [{"name": "rsa"}]});
        cluster
            .apply(&exposed_echo(
                &namespace,
                "shop",
                &[&host],
                json!({"tls": tls}),
            ))
            .await?;
        let exposed = cluster.ready(&namespace, "shop", LATER).await?;
        let modern = [SignatureScheme::ECDSA_NISTP256_SHA256];
        let old = [
            SignatureScheme::RSA_PSS_SHA256,
            SignatureScheme::RSA_PKCS1_SHA256,
        ];
        for (schemes, shown) in [(&modern[..], &ecdsa), (&old[..], &rsa)] {
            let client = client_with_schemes(&authority, schemes)?;
            for entrypoint in cluster.entrypoints(&exposed).await? {
                let response = client.https(entrypoint.https, &host).await?;
                ensure!(
                    response.certificate == Some(der(shown)?),
                    "{schemes:?} at {}",
                    entrypoint.what
                );
                response.echo()?;
            }
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn handshake_without_sni_gets_the_default_certificate() -> Result<()> {
    test_env("default", async |env| {
        let cluster = &env.cluster;
        let namespace = env.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        let class = env.own_class(1).await?;
        let host = env.host("shop");
        cluster
            .apply(&exposed_echo(
                &namespace,
                "shop",
                &[&host],
                json!({"className": class}),
            ))
            .await?;
        let exposed = cluster.ready(&namespace, "shop", LATER).await?;
        let addresses = exposed.addresses();
        let address = addresses.first().context("no address")?;
        let ip: IpAddr = address.parse()?;
        let at = SocketAddr::new(ip, 443);
        let authority = Authority::new()?;
        let client = authority.http_client()?;
        // A client sends no address as server name (RFC 6066, 3).
        let nameless = async || {
            client
                .connect_tls(at, ServerName::IpAddress(ip.into()))
                .await
        };
        ensure!(
            nameless().await.is_err(),
            "a handshake succeeded without a default certificate"
        );
        let pair = authority.issue(&[address])?;
        cluster
            .apply(&tls_secret(&namespace, "fallback", &pair))
            .await?;
        let fallback = json!({"namespace": namespace, "name": "fallback"});
        let patch = json!({"spec": {"tls": {"defaultCertificate": fallback}}});
        cluster.merge("ExposeClass", "", &class, patch).await?;
        eventually("the default certificate is shown", LATER, async || {
            let shown = leaf(&nameless().await?);
            ensure!(shown == Some(der(&pair)?), "another one: {shown:?}");
            Ok(())
        })
        .await?;
        let response = cluster.http_client()?.https(at, &host).await?;
        response
            .echo()
            .context("those who name the server still get its own certificate")?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn resumes_tls_sessions_at_any_proxy_of_the_class() -> Result<()> {
    test_env("resume", async |env| {
        let cluster = &env.cluster;
        let namespace = env.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        let host = env.host("shop");
        cluster
            .apply(&exposed_echo(&namespace, "shop", &[&host], json!({})))
            .await?;
        cluster.ready(&namespace, "shop", LATER).await?;
        let proxies = cluster.ready_proxies().await?;
        ensure!(proxies.len() > 1, "one proxy alone shows nothing");
        let client = cluster.http_client()?.resuming();
        let mut met = Vec::new();
        for entrypoint in proxies
            .iter()
            .filter_map(|proxy| ProxyPod::entrypoints(proxy).next())
        {
            let mut connection = client
                .connect(Scheme::Https, entrypoint.https, &host)
                .await?;
            // Tickets come behind the handshake, so they are read with the answer (RFC 8446, 4.6.1).
            connection.request(Method::GET, "/").await?.echo()?;
            met.push(connection.is_resumed());
        }
        ensure!(
            met.first() == Some(&false) && met.iter().skip(1).all(|resumed| *resumed),
            "resumed: {met:?}"
        );
        // Another client has no session to resume: the proxies do not resume by accident.
        let entrypoint = proxies
            .first()
            .and_then(|proxy| proxy.entrypoints().next())
            .context("no way")?;
        let stranger = cluster.http_client()?.resuming();
        let connection = stranger
            .connect(Scheme::Https, entrypoint.https, &host)
            .await?;
        ensure!(!connection.is_resumed(), "a stranger resumed");
        cluster.delete(KIND, &namespace, "shop").await
    })
    .await
}

#[tokio::test]
async fn shared_certificate_grows_without_interruption() -> Result<()> {
    test_env("together", async |env| {
        let cluster = &env.cluster;
        let namespace = env.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        let mode = |mode: &str| json!({"mode": mode});
        let spec = json!({
            "proxy": {"replicas": 1}, "issuerRef": {"name": ISSUER},
            "certificates": mode("PerExposure"),
        });
        let class = env.class("c", spec).await?;
        let hosts = ["one", "two", "three"].map(|name| env.host(name));
        let [one, two, three] = hosts.each_ref().map(String::as_str);
        let expose = async |hosts: &[&str]| {
            let object = exposed_echo(&namespace, "shop", hosts, json!({"className": class}));
            cluster.apply(&object).await
        };
        expose(&[one, two]).await?;
        let exposed = cluster.ready(&namespace, "shop", LATER).await?;
        let name = exposed.child("Certificate")?.to_owned();
        let client = cluster.http_client()?;
        let entrypoints = exposed.entries()?;
        let entrypoint = entrypoints.first().context("no way")?;
        let shown = async |host: &str| client.https(entrypoint.https, host).await?.fingerprint();
        let new = "the new address leads to its proxy";
        let first = eventually(new, SOON, async || shown(one).await).await?;
        ensure!(shown(two).await? == first, "another certificate");

        // A hostname that was served is served at every moment.
        let failures = Cell::new(0);
        let meanwhile = async || {
            if shown(one).await.is_err() {
                failures.set(failures.get() + 1);
            }
        };
        expose(&[two, three, one]).await?;
        eventually("the third one is in the certificate", LATER, async || {
            meanwhile().await;
            let now = shown(three).await?;
            ensure!(now != first && shown(one).await? == now, "not yet: {now}");
            Ok(())
        })
        .await?;
        let exposed = cluster.ready(&namespace, "shop", LATER).await?;
        ensure!(exposed.child("Certificate")? == name, "{exposed}");

        let patch = json!({"spec": {"certificates": mode("PerHostname")}});
        cluster.merge("ExposeClass", "", &class, patch).await?;
        eventually("each has a certificate of its own", LATER, async || {
            meanwhile().await;
            let exposed = cluster.exposed(&namespace, "shop").await?;
            let made = exposed.children("Certificate").len();
            ensure!(made == 3 && exposed.is_ready(), "{made}: {exposed}");
            ensure!(
                shown(one).await? != shown(two).await?,
                "still the one for all"
            );
            Ok(())
        })
        .await?;
        ensure!(failures.get() == 0, "{} times", failures.get());
        Ok(())
    })
    .await
}
