//! A class that sends requests to pods of the Service's namespace only, whatever slices say.

use anyhow::{Context, Result, ensure};
use portolan_e2e::exposed::exposed_port;
use portolan_e2e::visitor::Scheme;
use portolan_e2e::wait::{LATER, eventually};
use portolan_e2e::{Cluster, scene};
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
        .filter_map(|it| it.get("ip")?.as_str());
    let ip = ips
        .into_iter()
        .find(|ip| ip.contains('.'))
        .context("no address")?;
    Ok((ip.to_owned(), text("/metadata/name").unwrap_or_default()))
}

/// A slice of the Service `mixed` that somebody wrote by hand: each is said to be the same pod of ours.
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
async fn what_is_no_pod_of_the_namespace_is_never_contacted() -> Result<()> {
    scene("pods", async |scene| {
        let cluster = &scene.cluster;
        let ours = scene.namespace("ours").await?;
        let theirs = scene.namespace("theirs").await?;
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
        let class = scene.class("c", json!({"proxy": {"replicas": 1}})).await?;
        let host = format!("{}.example.com", scene.label("mixed"));
        let spec = json!({"className": class, "port": 80, "service": "mixed", "hostnames": [host], "tls": {"mode": "Disabled"}});
        cluster.apply(&exposed_port(&ours, "mixed", spec)).await?;
        let exposed = cluster.ready(&ours, "mixed", LATER).await?;
        let [entry, ..] = exposed.addresses()[..] else {
            anyhow::bail!("no address\n{exposed}")
        };
        let at = SocketAddr::new(entry.parse()?, 80);
        let visitor = cluster.visitor()?;
        let from = async |pod: &str| {
            eventually(pod, LATER, async || {
                // More than once: endpoints take turns.
                for _ in 0..4 {
                    let answer = visitor.get(Scheme::Http, at, &host, "/").await?;
                    let by = answer.echo()?.pod;
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
        eventually("nobody is contacted", LATER, async || {
            let answer = visitor.get(Scheme::Http, at, &host, "/").await?;
            ensure!(answer.status == 503, "{}", answer.status);
            Ok(())
        })
        .await?;

        cluster
            .apply(&slice(&ours, &[&their_ip, &our_ip], &our_pod))
            .await?;
        cluster.ready(&ours, "mixed", LATER).await?;
        eventually("who is left out is told", LATER, async || {
            let exposed = cluster.exposed(&ours, "mixed").await?;
            let told = exposed.current("EndpointsReady").context("nothing is told")?;
            ensure!(told.status == "True" && told.reason == "ForeignEndpoint", "{exposed}");
            ensure!(told.message.contains(&their_ip), "{exposed}");
            Ok(())
        })
        .await?;
        from(&our_pod).await?;

        let any = json!({"spec": {"endpoints": "Any"}});
        cluster.merge("ExposeClass", "", &class, any).await?;
        eventually("both are served again", LATER, async || {
            let answer = visitor.get(Scheme::Http, at, &host, "/").await?;
            let by = answer.echo()?.pod;
            ensure!(by == their_pod, "from {by}");
            Ok(())
        })
        .await
    })
    .await
}
