//! Children of an object that was deleted while the operator was away. (faults.md, operator, case 14)

use anyhow::{Result, ensure};
use futures::FutureExt;
use portolan_e2e::cluster::text;
use portolan_e2e::exposed::{consent, exposed_port};
use portolan_e2e::wait::{LATER, eventually};
use portolan_e2e::{Cluster, test_env};
use portolan_faults::operator_under_test::{restore, withdraw};
use serde_json::{Value, json};
use std::panic::AssertUnwindSafe;

/// Annotation of a child with the namespace of its owner.
const OWNER: &str = "/metadata/annotations/portolan.dev~1owner-namespace";
const LABEL: &str = "e2e.portolan.dev/private";

/// The garbage collector never looks from one namespace into another: the operator has to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removes_policies_of_objects_deleted_while_it_was_away() -> Result<()> {
    test_env("leftover", async |env| {
        let cluster = &env.cluster;
        let [shop, team] = [env.namespace("shop").await?, env.namespace("team").await?];
        let mark = env.label("x");
        let labels = json!({"metadata": {"labels": {LABEL: mark}}});
        cluster.merge("Namespace", "", &team, labels).await?;
        let selector = json!({"matchLabels": {LABEL: mark}});
        let policy = json!({"mode": "Restrict", "namespaceSelector": selector});
        let spec = json!({"proxy": {"replicas": 1}, "networkPolicy": policy});
        let class = env.class("c", spec).await?;

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
            "className": class, "hostnames": [env.host("shop")], "tls": {"mode": "Disabled"},
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
    stored.retain(|policy| text(policy, OWNER) == of);
    Ok(stored)
}
