//! Which certificate a client is shown, and what becomes of its session at another proxy.

use anyhow::{Context, Result, ensure};
use http::Method;
use portolan_e2e::exposed::{KIND, exposed_echo};
use portolan_e2e::pki::{Authority, Pair, tls_secret};
use portolan_e2e::proxies::ProxyPod;
use portolan_e2e::visitor::{Scheme, Visitor, leaf};
use portolan_e2e::wait::{LATER, SOON, eventually};
use portolan_e2e::{ISSUER, scene};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, RootCertStore, SignatureScheme};
use serde_json::json;
use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Checks like everybody, and says that it understands some signatures only.
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

fn understanding(authority: &Authority, schemes: &[SignatureScheme]) -> Result<Visitor> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes())?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
    let only = Arc::new(Only(verifier, schemes.to_vec()));
    Ok(authority
        .visitor()?
        .with(|tls| tls.dangerous().set_certificate_verifier(only)))
}

fn der(pair: &Pair) -> Result<CertificateDer<'static>> {
    Ok(CertificateDer::from_pem_slice(pair.certificate.as_bytes())?)
}

#[tokio::test]
async fn each_client_is_shown_the_certificate_whose_signature_it_understands() -> Result<()> {
    scene("rsa", async |scene| {
        let cluster = &scene.cluster;
        let namespace = scene.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        let host = scene.host("shop");
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
            let visitor = understanding(&authority, schemes)?;
            for way in cluster.ways(&exposed).await? {
                let answer = visitor.https(way.https, &host).await?;
                ensure!(
                    answer.certificate == Some(der(shown)?),
                    "{schemes:?} at {}",
                    way.what
                );
                answer.echo()?;
            }
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_client_that_names_no_server_gets_the_default_certificate_of_the_class() -> Result<()> {
    scene("default", async |scene| {
        let cluster = &scene.cluster;
        let namespace = scene.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        let class = scene.own_class(1).await?;
        let host = scene.host("shop");
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
        let visitor = authority.visitor()?;
        // A client sends no address as server name (RFC 6066, 3).
        let nameless = async || visitor.secure(at, ServerName::IpAddress(ip.into())).await;
        ensure!(
            nameless().await.is_err(),
            "somebody answered without a default certificate"
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
        let answer = cluster.visitor()?.https(at, &host).await?;
        answer
            .echo()
            .context("those who name the server still get its own certificate")?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_session_is_resumed_at_any_proxy_of_the_class() -> Result<()> {
    scene("resume", async |scene| {
        let cluster = &scene.cluster;
        let namespace = scene.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        let host = scene.host("shop");
        cluster
            .apply(&exposed_echo(&namespace, "shop", &[&host], json!({})))
            .await?;
        cluster.ready(&namespace, "shop", LATER).await?;
        let proxies = cluster.ready_proxies().await?;
        ensure!(proxies.len() > 1, "one proxy alone shows nothing");
        let visitor = cluster.visitor()?.resuming();
        let mut met = Vec::new();
        for way in proxies
            .iter()
            .filter_map(|proxy| ProxyPod::ways(proxy).next())
        {
            let mut visit = visitor.visit(Scheme::Https, way.https, &host).await?;
            // Tickets come behind the handshake, so they are read with the answer (RFC 8446, 4.6.1).
            visit.ask(Method::GET, "/").await?.echo()?;
            met.push(visit.is_resumed());
        }
        ensure!(
            met.first() == Some(&false) && met.iter().skip(1).all(|it| *it),
            "resumed: {met:?}"
        );
        // Another visitor has nothing to resume: it is no accident of the proxies.
        let way = proxies
            .first()
            .and_then(|it| it.ways().next())
            .context("no way")?;
        let stranger = cluster.visitor()?.resuming();
        let visit = stranger.visit(Scheme::Https, way.https, &host).await?;
        ensure!(!visit.is_resumed(), "a stranger resumed");
        cluster.delete(KIND, &namespace, "shop").await
    })
    .await
}

#[tokio::test]
async fn one_certificate_for_an_object_grows_with_it_and_no_change_keeps_anybody_waiting()
-> Result<()> {
    scene("together", async |scene| {
        let cluster = &scene.cluster;
        let namespace = scene.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        let mode = |mode: &str| json!({"mode": mode});
        let spec = json!({
            "proxy": {"replicas": 1}, "issuerRef": {"name": ISSUER},
            "certificates": mode("PerExposure"),
        });
        let class = scene.class("c", spec).await?;
        let hosts = ["one", "two", "three"].map(|name| scene.host(name));
        let [one, two, three] = hosts.each_ref().map(String::as_str);
        let expose = async |hosts: &[&str]| {
            let object = exposed_echo(&namespace, "shop", hosts, json!({"className": class}));
            cluster.apply(&object).await
        };
        expose(&[one, two]).await?;
        let exposed = cluster.ready(&namespace, "shop", LATER).await?;
        let name = exposed.child("Certificate")?.to_owned();
        let visitor = cluster.visitor()?;
        let ways = exposed.entries()?;
        let way = ways.first().context("no way")?;
        let shown = async |host: &str| visitor.https(way.https, host).await?.fingerprint();
        let new = "the new address leads to its proxy";
        let first = eventually(new, SOON, async || shown(one).await).await?;
        ensure!(shown(two).await? == first, "another certificate");

        // Whoever was served is served at every moment.
        let turned_away = Cell::new(0);
        let meanwhile = async || {
            if shown(one).await.is_err() {
                turned_away.set(turned_away.get() + 1);
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
        ensure!(turned_away.get() == 0, "{} times", turned_away.get());
        Ok(())
    })
    .await
}
