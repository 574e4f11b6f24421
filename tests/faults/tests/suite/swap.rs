//! A proxy that is kept from a renewed certificate: what it shows is told, not what is stored.

use anyhow::{Context, Result, ensure};
use portolan_e2e::cluster::text;
use portolan_e2e::exposed::exposed_echo;
use portolan_e2e::pki::Authority;
use portolan_e2e::scene;
use portolan_e2e::wait::{LATER, SOON, eventually};
use portolan_faults::cut::Cut;
use serde_json::json;
use std::net::SocketAddr;

/// Where a proxy pod answers over TLS.
const HTTPS: u16 = 8443;
/// Where the operator answers proxies.
const DISCOVERY: u16 = 9443;

#[tokio::test]
async fn while_a_swap_is_held_back_status_tells_the_certificate_that_is_shown() -> Result<()> {
    scene("swap", async |scene| {
        let cluster = &scene.cluster;
        let namespace = scene.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        let class = scene.own_class(1).await?;
        let host = scene.host("shop");
        let authority = Authority::new()?;
        let renew = async || {
            cluster
                .apply(&authority.secret(&namespace, "own", &[&host])?)
                .await
        };
        renew().await?;
        let tls = json!({"className": class, "tls": {"secret": {"name": "own"}}});
        cluster
            .apply(&exposed_echo(&namespace, "shop", &[&host], tls))
            .await?;
        cluster.ready(&namespace, "shop", LATER).await?;
        let pods = cluster.proxy_pods(&class).await?;
        let pod = pods.first().context("no proxy")?;
        let at = SocketAddr::new(text(pod, "/status/podIP").parse()?, HTTPS);
        let visitor = authority.visitor()?;
        let shown = async || visitor.https(at, &host).await?.fingerprint();
        let old = shown().await?;
        // It is still heard, and hears nothing.
        let cut = Cut::towards(pod, DISCOVERY)?;
        renew().await?;
        eventually(
            "the old certificate is told to be shown",
            SOON,
            async || {
                let exposed = cluster.exposed(&namespace, "shop").await?;
                let status = exposed.hostname(&host)?;
                let told = text(status, "/certificate/servedFingerprint");
                let reason = text(status, "/reason");
                ensure!(told == old && reason == "CertificateNotServed", "{exposed}");
                Ok(())
            },
        )
        .await?;
        ensure!(shown().await? == old, "the proxy has the new one");
        drop(cut);
        eventually("status follows what is shown", LATER, async || {
            let new = shown().await?;
            ensure!(new != old, "still {old}");
            let exposed = cluster.exposed(&namespace, "shop").await?;
            let told = text(exposed.hostname(&host)?, "/certificate/servedFingerprint");
            ensure!(told == new, "{told} is told, and {new} is shown");
            ensure!(exposed.is_ready(), "{exposed}");
            Ok(())
        })
        .await
    })
    .await
}
