//! A proxy that does not receive a renewed certificate: status has what it presents, not what is stored.

use anyhow::{Context, Result, ensure};
use portolan_e2e::cluster::text;
use portolan_e2e::exposed::exposed_echo;
use portolan_e2e::pki::Authority;
use portolan_e2e::test_env;
use portolan_e2e::wait::{LATER, SOON, eventually};
use portolan_faults::partition::Partition;
use serde_json::json;
use std::net::SocketAddr;

/// Where a proxy pod answers over TLS.
const HTTPS: u16 = 8443;
/// Where the operator answers proxies.
const DISCOVERY: u16 = 9443;

#[tokio::test]
async fn status_has_the_presented_certificate_during_a_partition() -> Result<()> {
    test_env("swap", async |env| {
        let cluster = &env.cluster;
        let namespace = env.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        let class = env.own_class(1).await?;
        let host = env.host("shop");
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
        let client = authority.http_client()?;
        let shown = async || client.https(at, &host).await?.fingerprint();
        let old = shown().await?;
        // The operator still receives from it, and it receives nothing.
        let partition = Partition::towards(pod, DISCOVERY)?;
        renew().await?;
        eventually("the status has the old certificate", SOON, async || {
            let exposed = cluster.exposed(&namespace, "shop").await?;
            let status = exposed.hostname(&host)?;
            let reported = text(status, "/certificate/servedFingerprint");
            let reason = text(status, "/reason");
            ensure!(
                reported == old && reason == "CertificateNotServed",
                "{exposed}"
            );
            Ok(())
        })
        .await?;
        ensure!(shown().await? == old, "the proxy has the new one");
        drop(partition);
        eventually("status follows what is shown", LATER, async || {
            let new = shown().await?;
            ensure!(new != old, "still {old}");
            let exposed = cluster.exposed(&namespace, "shop").await?;
            let reported = text(exposed.hostname(&host)?, "/certificate/servedFingerprint");
            ensure!(reported == new, "status has {reported}, presented is {new}");
            ensure!(exposed.is_ready(), "{exposed}");
            Ok(())
        })
        .await
    })
    .await
}
