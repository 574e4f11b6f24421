//! Routes that are left to objects of other namespaces.

use anyhow::{Result, ensure};
use portolan_e2e::client::Scheme;
use portolan_e2e::exposed::{KIND, exposed_echo, exposed_port};
use portolan_e2e::test_env;
use portolan_e2e::wait::{LATER, SOON, eventually};
use serde_json::json;
use std::net::SocketAddr;

#[tokio::test]
async fn delegates_a_prefix_only_with_consent() -> Result<()> {
    test_env("delegation", async |env| {
        let cluster = &env.cluster;
        let [web, docs] = [env.namespace("web").await?, env.namespace("docs").await?];
        for namespace in [&web, &docs] {
            cluster.echo(namespace, 1).await?;
        }
        let host = env.host("shop");
        let to = json!({"name": "docs", "namespace": docs});
        let routes = json!([{"match": {"path": {"prefix": "/docs"}}, "delegate": to}, {}]);
        let more = json!({"routes": routes});
        cluster.apply(&exposed_echo(&web, "shop", &[&host], more)).await?;
        cluster.unready(&web, "shop", "DelegateNotFound", LATER).await?;
        let child = |parent: &str| {
            let spec = json!({"port": 8080, "selector": {"app": "echo"}, "allowedParents": [{"namespace": parent}]});
            exposed_port(&docs, "docs", spec)
        };
        cluster.apply(&child("other-namespace")).await?;
        cluster.unready(&web, "shop", "DelegationNotPermitted", SOON).await?;
        cluster.unready(&docs, "docs", "Orphaned", SOON).await?;
        cluster.apply(&child(&web)).await?;
        let exposed = cluster.ready(&web, "shop", LATER).await?;
        let below = cluster.ready(&docs, "docs", LATER).await?;
        ensure!(below.children("Service").len() == 1, "{below}");
        ensure!(below.children("Ingress").is_empty() && below.children("Certificate").is_empty(), "{below}");
        let client = cluster.http_client()?;
        let get = async |at: SocketAddr, path: &str| client.get(Scheme::Https, at, &host, path).await;
        let pods = cluster.list("Pod", &docs, "app=echo").await?;
        let theirs = |pod: &str| pods.iter().any(|pod_object| pod_object.pointer("/metadata/name") == Some(&json!(pod)));
        let entrypoints = cluster.entrypoints(&exposed).await?;
        for entrypoint in &entrypoints {
            let echo = get(entrypoint.https, "/docs/a").await?.echo()?;
            ensure!(theirs(&echo.pod) && echo.path == "/docs/a", "{echo:?}");
            let echo = get(entrypoint.https, "/docsx").await?.echo()?;
            ensure!(!theirs(&echo.pod), "{echo:?}");
        }
        cluster.delete(KIND, &docs, "docs").await?;
        for entrypoint in &entrypoints {
            eventually("the prefix is closed and nothing else", SOON, async || {
                let response = get(entrypoint.https, "/docs/a").await?;
                let reason = response.header("x-portolan-reason");
                ensure!(response.status == 503 && reason == "DelegateNotFound", "{} {reason}", response.status);
                get(entrypoint.https, "/").await?.echo().map(drop)
            })
            .await?;
        }
        Ok(())
    })
    .await
}
