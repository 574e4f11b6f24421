//! Encryption that a class requires between proxy and endpoints, and the condition for it.

use crate::backends::external;
use anyhow::{Context, Result, ensure};
use portolan_e2e::client::Scheme;
use portolan_e2e::exposed::exposed_echo;
use portolan_e2e::wait::{LATER, eventually};
use portolan_e2e::{Cluster, test_env};
use serde_json::json;
use std::net::SocketAddr;

/// Waits until the condition has this status and reason.
async fn encryption_is(
    cluster: &Cluster,
    namespace: &str,
    status: &str,
    reason: &str,
) -> Result<()> {
    eventually(reason, LATER, async || {
        let exposed = cluster.exposed(namespace, "shop").await?;
        let condition = exposed.current("BackendEncrypted");
        let condition = condition.with_context(|| format!("no condition\n{exposed}"))?;
        ensure!(
            condition.status == status && condition.reason == reason,
            "{exposed}"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn class_requiring_tls_blocks_plaintext_backends() -> Result<()> {
    test_env("encrypted", async |env| {
        let cluster = &env.cluster;
        let namespace = env.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        let server = "kubernetes.default.svc.cluster.local";
        cluster.apply(&external(&namespace, "server", server)).await?;
        let class = env.class("c", json!({"proxy": {"replicas": 1}})).await?;
        let host = format!("{}.example.com", env.label("shop"));
        let version = json!({"match": {"path": {"exact": "/version"}},
            "backends": [{"service": "server", "port": 443, "tls": {}}]});
        let more = json!({"className": class, "tls": {"mode": "Disabled"}, "routes": [version, {}]});
        cluster
            .apply(&exposed_echo(&namespace, "shop", &[&host], more))
            .await?;
        let exposed = cluster.ready(&namespace, "shop", LATER).await?;
        let [entry, ..] = exposed.addresses()[..] else {
            anyhow::bail!("no address\n{exposed}")
        };
        let at = SocketAddr::new(entry.parse()?, 80);
        let client = cluster.http_client()?;
        let ask = async |path: &str, status: u16, reason: &str| {
            eventually("the setting of the class is in effect", LATER, async || {
                let response = client.get(Scheme::Http, at, &host, path).await?;
                let found = response.header("x-portolan-reason");
                ensure!(response.status == status && found == reason, "{} {found}", response.status);
                Ok(())
            })
            .await
        };
        let asks_for = async |encryption: &str| {
            let spec = json!({"spec": {"backendEncryption": encryption}});
            cluster.merge("ExposeClass", "", &class, spec).await
        };
        encryption_is(cluster, &namespace, "False", "NotEncrypted").await?;
        ask("/", 200, "").await?;

        asks_for("TLS").await?;
        encryption_is(cluster, &namespace, "False", "BackendNotEncrypted").await?;
        cluster
            .unready(&namespace, "shop", "BackendNotEncrypted", LATER)
            .await?;
        ask("/", 503, "BackendNotEncrypted").await?;
        ask("/version", 200, "").await?;

        asks_for("Mesh").await?;
        encryption_is(cluster, &namespace, "Unknown", "MeshNotSeen").await?;
        cluster.ready(&namespace, "shop", LATER).await?;
        ask("/", 200, "").await?;

        let only_tls = json!({"spec": {"routes": [{"backends": [{"service": "server", "port": 443, "tls": {}}]}]}});
        cluster
            .merge("ExposedPort", &namespace, "shop", only_tls)
            .await?;
        encryption_is(cluster, &namespace, "True", "BackendTls").await
    })
    .await
}
