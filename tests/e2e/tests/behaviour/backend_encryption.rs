//! What a class asks for on the way to the endpoints, and what status says of it.

use crate::backends::external;
use anyhow::{Context, Result, ensure};
use portolan_e2e::exposed::exposed_echo;
use portolan_e2e::visitor::Scheme;
use portolan_e2e::wait::{LATER, eventually};
use portolan_e2e::{Cluster, scene};
use serde_json::json;
use std::net::SocketAddr;

/// Waits until the condition says this.
async fn told(cluster: &Cluster, namespace: &str, status: &str, reason: &str) -> Result<()> {
    eventually(reason, LATER, async || {
        let exposed = cluster.exposed(namespace, "shop").await?;
        let told = exposed.current("BackendEncrypted");
        let told = told.with_context(|| format!("nothing is told\n{exposed}"))?;
        ensure!(told.status == status && told.reason == reason, "{exposed}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_class_that_asks_for_tls_contacts_nobody_in_the_clear() -> Result<()> {
    scene("encrypted", async |scene| {
        let cluster = &scene.cluster;
        let namespace = scene.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        let server = "kubernetes.default.svc.cluster.local";
        cluster.apply(&external(&namespace, "server", server)).await?;
        let class = scene.class("c", json!({"proxy": {"replicas": 1}})).await?;
        let host = format!("{}.example.com", scene.label("shop"));
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
        let visitor = cluster.visitor()?;
        let ask = async |path: &str, status: u16, reason: &str| {
            eventually("the class's word counts", LATER, async || {
                let answer = visitor.get(Scheme::Http, at, &host, path).await?;
                let told = answer.header("x-portolan-reason");
                ensure!(answer.status == status && told == reason, "{} {told}", answer.status);
                Ok(())
            })
            .await
        };
        let asks_for = async |encryption: &str| {
            let spec = json!({"spec": {"backendEncryption": encryption}});
            cluster.merge("ExposeClass", "", &class, spec).await
        };
        told(cluster, &namespace, "False", "NotEncrypted").await?;
        ask("/", 200, "").await?;

        asks_for("TLS").await?;
        told(cluster, &namespace, "False", "BackendNotEncrypted").await?;
        cluster
            .unready(&namespace, "shop", "BackendNotEncrypted", LATER)
            .await?;
        ask("/", 503, "BackendNotEncrypted").await?;
        ask("/version", 200, "").await?;

        asks_for("Mesh").await?;
        told(cluster, &namespace, "Unknown", "MeshNotSeen").await?;
        cluster.ready(&namespace, "shop", LATER).await?;
        ask("/", 200, "").await?;

        let only_tls = json!({"spec": {"routes": [{"backends": [{"service": "server", "port": 443, "tls": {}}]}]}});
        cluster
            .merge("ExposedPort", &namespace, "shop", only_tls)
            .await?;
        told(cluster, &namespace, "True", "BackendTls").await
    })
    .await
}
