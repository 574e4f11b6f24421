//! What was made for an object that went while nobody looked. (faults.md, operator, case 14)

use anyhow::{Result, ensure};
use futures::FutureExt;
use portolan_e2e::cluster::text;
use portolan_e2e::exposed::{consent, exposed_port};
use portolan_e2e::wait::{LATER, eventually};
use portolan_e2e::{Cluster, scene};
use portolan_faults::stand::{restore, withdraw};
use serde_json::{Value, json};
use std::panic::AssertUnwindSafe;

/// Where a child of another namespace says to which one it belongs.
const OWNER: &str = "/metadata/annotations/portolan.dev~1owner-namespace";
const LABEL: &str = "e2e.portolan.dev/private";

/// The garbage collector never looks from one namespace into another: the operator has to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_opened_in_another_namespace_is_closed_after_the_operator_was_away() -> Result<()>
{
    scene("leftover", async |scene| {
        let cluster = &scene.cluster;
        let [shop, team] = [
            scene.namespace("shop").await?,
            scene.namespace("team").await?,
        ];
        let mark = scene.label("x");
        let labels = json!({"metadata": {"labels": {LABEL: mark}}});
        cluster.merge("Namespace", "", &team, labels).await?;
        let selector = json!({"matchLabels": {LABEL: mark}});
        let policy = json!({"mode": "Restrict", "namespaceSelector": selector});
        let spec = json!({"proxy": {"replicas": 1}, "networkPolicy": policy});
        let class = scene.class("c", spec).await?;

        cluster.echo(&team, 1).await?;
        let ports = json!([{"port": 80, "targetPort": 8080}]);
        cluster
            .apply(&json!({
                "apiVersion": "v1", "kind": "Service",
                "metadata": {"name": "echo", "namespace": team},
                "spec": {"selector": {"app": "echo"}, "ports": ports},
            }))
            .await?;
        let service = json!([{"group": "", "kind": "Service"}]);
        cluster.apply(&consent(&team, &shop, &service)).await?;
        let spec = json!({
            "className": class, "hostnames": [scene.host("shop")], "tls": {"mode": "Disabled"},
            "routes": [{"backends": [{"service": "echo", "namespace": team, "port": 80}]}],
        });
        cluster.apply(&exposed_port(&shop, "shop", spec)).await?;
        cluster.ready(&shop, "shop", LATER).await?;
        eventually("the other namespace is open", LATER, async || {
            let opened = openings(cluster, &team, &shop).await?;
            ensure!(opened.len() == 1, "{opened:?}");
            Ok(())
        })
        .await?;

        withdraw(cluster).await?;
        let away = AssertUnwindSafe(gone(cluster, &shop)).catch_unwind().await;
        restore(cluster).await?;
        match away {
            Ok(outcome) => outcome?,
            Err(panic) => std::panic::resume_unwind(panic),
        }
        eventually("nothing is open for what is gone", LATER, async || {
            let opened = openings(cluster, &team, &shop).await?;
            ensure!(opened.is_empty(), "{opened:?}");
            Ok(())
        })
        .await
    })
    .await
}

async fn gone(cluster: &Cluster, namespace: &str) -> Result<()> {
    cluster.delete("ExposedPort", namespace, "shop").await?;
    eventually("the object is gone", LATER, async || {
        let there = cluster.find("ExposedPort", namespace, "shop").await?;
        ensure!(there.is_none(), "it is still there");
        Ok(())
    })
    .await
}

/// The policies of a namespace that were made for objects of another one.
async fn openings(cluster: &Cluster, namespace: &str, of: &str) -> Result<Vec<Value>> {
    let mut stored = cluster.list("NetworkPolicy", namespace, "").await?;
    stored.retain(|it| text(it, OWNER) == of);
    Ok(stored)
}
