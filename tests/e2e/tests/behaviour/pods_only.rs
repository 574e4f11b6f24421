//! A class that sends requests to pods of the Service's namespace only, whatever is in the slices.

use anyhow::{Context, Result, ensure};
use portolan_e2e::client::Scheme;
use portolan_e2e::exposed::exposed_port;
use portolan_e2e::wait::{LATER, eventually};
use portolan_e2e::{Cluster, test_env};
use serde_json::{Value, json};
use std::net::SocketAddr;

/// The IPv4 address of the pod of a namespace, and its name.
async fn echo_pod(cluster: &Cluster, namespace: &str) -> Result<(String, String)> {
    let pods = cluster.list("Pod", namespace, "app=echo").await?;
    let pod = pods.first().context("no pod")?;
    let text = |pointer: &str| {
        pod.pointer(pointer)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let ips = pod.pointer("/status/podIPs").and_then(Value::as_array);
    let ips = ips
        .into_iter()
        .flatten()
        .filter_map(|ip| ip.get("ip")?.as_str());
    let ip = ips
        .into_iter()
        .find(|ip| ip.contains('.'))
        .context("no address")?;
    Ok((ip.to_owned(), text("/metadata/name").unwrap_or_default()))
}

/// A slice of the Service `mixed` written by hand: each endpoint claims to be the same pod of ours.
fn slice(namespace: &str, addresses: &[&str], pod: &str) -> Value {
    let target = json!({"kind": "Pod", "namespace": namespace, "name": pod});
    let endpoints: Vec<_> = addresses
        .iter()
        .map(|ip| json!({"addresses": [ip], "conditions": {"ready": true}, "targetRef": target}))
        .collect();
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "namespace": namespace, "name": "mixed-by-hand",
            "labels": {"kubernetes.io/service-name": "mixed"},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": endpoints,
    })
}

#[tokio::test]
async fn pods_only_never_contacts_foreign_endpoints() -> Result<()> {
    test_env("pods", async |env| {
        let cluster = &env.cluster;
        let ours = env.namespace("ours").await?;
        let theirs = env.namespace("theirs").await?;
        cluster.echo(&ours, 1).await?;
        cluster.echo(&theirs, 1).await?;
        let (our_ip, our_pod) = echo_pod(cluster, &ours).await?;
        let (their_ip, their_pod) = echo_pod(cluster, &theirs).await?;
        cluster
            .apply(&json!({
                "apiVersion": "v1", "kind": "Service",
                "metadata": {"namespace": ours, "name": "mixed"},
                "spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
            }))
            .await?;
        cluster.apply(&slice(&ours, &[&their_ip], &our_pod)).await?;
        let class = env.class("c", json!({"proxy": {"replicas": 1}})).await?;
        let host = format!("{}.example.com", env.label("mixed"));
        let spec = json!({"className": class, "port": 80, "service": "mixed", "hostnames": [host], "tls": {"mode": "Disabled"}});
        cluster.apply(&exposed_port(&ours, "mixed", spec)).await?;
        let exposed = cluster.ready(&ours, "mixed", LATER).await?;
        let [entry, ..] = exposed.addresses()[..] else {
            anyhow::bail!("no address\n{exposed}")
        };
        let at = SocketAddr::new(entry.parse()?, 80);
        let client = cluster.http_client()?;
        let from = async |pod: &str| {
            eventually(pod, LATER, async || {
                // More than once: endpoints take turns.
                for _ in 0..4 {
                    let response = client.get(Scheme::Http, at, &host, "/").await?;
                    let by = response.echo()?.pod;
                    ensure!(by == pod, "from {by}");
                }
                Ok(())
            })
            .await
        };
        from(&their_pod).await?;

        let pods_only = json!({"spec": {"endpoints": "PodsOnly"}});
        cluster.merge("ExposeClass", "", &class, pods_only).await?;
        cluster
            .unready(&ours, "mixed", "ForeignEndpoint", LATER)
            .await?;
        eventually("no endpoint is contacted", LATER, async || {
            let response = client.get(Scheme::Http, at, &host, "/").await?;
            ensure!(response.status == 503, "{}", response.status);
            Ok(())
        })
        .await?;

        cluster
            .apply(&slice(&ours, &[&their_ip, &our_ip], &our_pod))
            .await?;
        cluster.ready(&ours, "mixed", LATER).await?;
        eventually("the status names the excluded endpoint", LATER, async || {
            let exposed = cluster.exposed(&ours, "mixed").await?;
            let condition = exposed.current("EndpointsReady").context("no condition")?;
            ensure!(condition.status == "True" && condition.reason == "ForeignEndpoint", "{exposed}");
            ensure!(condition.message.contains(&their_ip), "{exposed}");
            Ok(())
        })
        .await?;
        from(&our_pod).await?;

        let any = json!({"spec": {"endpoints": "Any"}});
        cluster.merge("ExposeClass", "", &class, any).await?;
        eventually("both are served again", LATER, async || {
            let response = client.get(Scheme::Http, at, &host, "/").await?;
            let by = response.echo()?.pod;
            ensure!(by == their_pod, "from {by}");
            Ok(())
        })
        .await
    })
    .await
}
