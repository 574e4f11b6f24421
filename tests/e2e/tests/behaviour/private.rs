//! Private until exposed: the policies of a class and of its exposures come, change and go.
//!
//! Nothing on the test cluster enforces NetworkPolicies (tests/cluster/README.md), so what is looked at
//! here is what is stored; the effect is tested by tests/reachability.

use anyhow::{Result, ensure};
use portolan_e2e::cluster::text;
use portolan_e2e::exposed::exposed_echo;
use portolan_e2e::wait::{LATER, SOON, eventually};
use portolan_e2e::{Cluster, test_env};
use serde_json::{Value, json};

const LABEL: &str = "e2e.portolan.dev/private";

/// Of the owners: the kind, and the ports that their policy opens.
async fn policies(cluster: &Cluster, namespace: &str) -> Result<Vec<(String, Value)>> {
    let stored = cluster.list("NetworkPolicy", namespace, "").await?;
    let mut found: Vec<_> = stored
        .iter()
        .map(|policy| {
            let owner = text(policy, "/metadata/ownerReferences/0/kind").to_owned();
            let ports = policy.pointer("/spec/ingress/0/ports").cloned();
            (owner, ports.unwrap_or_default())
        })
        .collect();
    found.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(found)
}

async fn become_policies(
    cluster: &Cluster,
    namespace: &str,
    expected: &[(&str, Value)],
) -> Result<()> {
    eventually("the policies that should be there", SOON, async || {
        let found = policies(cluster, namespace).await?;
        let found: Vec<_> = found
            .iter()
            .map(|(owner, ports)| (owner.as_str(), ports))
            .collect();
        let wanted: Vec<_> = expected
            .iter()
            .map(|(owner, ports)| (*owner, ports))
            .collect();
        ensure!(found == wanted, "{found:?}");
        Ok(())
    })
    .await
}

fn tcp(port: Value) -> Value {
    json!([{"port": port, "protocol": "TCP"}])
}

#[tokio::test]
async fn network_policies_follow_label_and_exposure() -> Result<()> {
    test_env("private", async |env| {
        let cluster = &env.cluster;
        let namespace = env.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        let mark = env.label("x");
        let selector = json!({"matchLabels": {LABEL: mark}});
        let policy = json!({"mode": "Restrict", "namespaceSelector": selector});
        let spec = json!({"proxy": {"replicas": 1}, "networkPolicy": policy});
        let class = env.class("c", spec).await?;
        let host = env.host("web");
        let object = |port: Value| {
            let more = json!({"className": class, "port": port, "tls": {"mode": "Disabled"}});
            exposed_echo(&namespace, "web", &[&host], more)
        };
        cluster.apply(&object(json!(8080))).await?;
        cluster.ready(&namespace, "web", LATER).await?;
        become_policies(cluster, &namespace, &[]).await?;

        let label = async |value: Value| {
            let labels = json!({"metadata": {"labels": {LABEL: value}}});
            cluster.merge("Namespace", "", &namespace, labels).await
        };
        let closed = ("ExposeClass", Value::Null);
        label(mark.clone().into()).await?;
        let opened = ("ExposedPort", tcp(json!(8080)));
        become_policies(cluster, &namespace, &[closed.clone(), opened.clone()]).await?;
        // It was ready before, so its status may be a moment older than the policy.
        eventually("the status names the policy", SOON, async || {
            let exposed = cluster.ready(&namespace, "web", SOON).await?;
            ensure!(exposed.children("NetworkPolicy").len() == 1, "{exposed}");
            Ok(())
        })
        .await?;

        // Another port, and policies that are deleted.
        cluster.apply(&object(json!("web"))).await?;
        let named = ("ExposedPort", tcp(json!("web")));
        become_policies(cluster, &namespace, &[closed.clone(), named.clone()]).await?;
        for stored in cluster.list("NetworkPolicy", &namespace, "").await? {
            let name = text(&stored, "/metadata/name");
            cluster.delete("NetworkPolicy", &namespace, name).await?;
        }
        become_policies(cluster, &namespace, &[closed.clone(), named.clone()]).await?;

        // Each goes with what it came with.
        label(Value::Null).await?;
        become_policies(cluster, &namespace, &[]).await?;
        label(mark.clone().into()).await?;
        become_policies(cluster, &namespace, &[closed.clone(), named]).await?;
        cluster.delete("ExposedPort", &namespace, "web").await?;
        become_policies(cluster, &namespace, &[closed]).await?;
        let off = json!({"spec": {"networkPolicy": {"mode": "None"}}});
        cluster.merge("ExposeClass", "", &class, off).await?;
        become_policies(cluster, &namespace, &[]).await
    })
    .await
}
