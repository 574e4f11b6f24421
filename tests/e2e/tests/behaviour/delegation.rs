//! Routes that are left to objects of other namespaces.

use anyhow::{Result, ensure};
use portolan_e2e::exposed::{KIND, exposed_echo, exposed_port};
use portolan_e2e::scene;
use portolan_e2e::visitor::Scheme;
use portolan_e2e::wait::{LATER, SOON, eventually};
use serde_json::json;
use std::net::SocketAddr;

#[tokio::test]
async fn a_prefix_is_left_to_another_namespace_that_agrees_and_no_longer() -> Result<()> {
    scene("delegation", async |scene| {
        let cluster = &scene.cluster;
        let [web, docs] = [scene.namespace("web").await?, scene.namespace("docs").await?];
        for namespace in [&web, &docs] {
            cluster.echo(namespace, 1).await?;
        }
        let host = scene.host("shop");
        let to = json!({"name": "docs", "namespace": docs});
        let routes = json!([{"match": {"path": {"prefix": "/docs"}}, "delegate": to}, {}]);
        let more = json!({"routes": routes});
        cluster.apply(&exposed_echo(&web, "shop", &[&host], more)).await?;
        cluster.unready(&web, "shop", "DelegateNotFound", LATER).await?;
        let child = |parent: &str| {
            let spec = json!({"port": 8080, "selector": {"app": "echo"}, "allowedParents": [{"namespace": parent}]});
            exposed_port(&docs, "docs", spec)
        };
        cluster.apply(&child("somebody-else")).await?;
        cluster.unready(&web, "shop", "DelegationNotPermitted", SOON).await?;
        cluster.unready(&docs, "docs", "Orphaned", SOON).await?;
        cluster.apply(&child(&web)).await?;
        let exposed = cluster.ready(&web, "shop", LATER).await?;
        let below = cluster.ready(&docs, "docs", LATER).await?;
        ensure!(below.children("Service").len() == 1, "{below}");
        ensure!(below.children("Ingress").is_empty() && below.children("Certificate").is_empty(), "{below}");
        let visitor = cluster.visitor()?;
        let get = async |at: SocketAddr, path: &str| visitor.get(Scheme::Https, at, &host, path).await;
        let pods = cluster.list("Pod", &docs, "app=echo").await?;
        let theirs = |pod: &str| pods.iter().any(|it| it.pointer("/metadata/name") == Some(&json!(pod)));
        let ways = cluster.ways(&exposed).await?;
        for way in &ways {
            let echo = get(way.https, "/docs/a").await?.echo()?;
            ensure!(theirs(&echo.pod) && echo.path == "/docs/a", "{echo:?}");
            let echo = get(way.https, "/docsx").await?.echo()?;
            ensure!(!theirs(&echo.pod), "{echo:?}");
        }
        cluster.delete(KIND, &docs, "docs").await?;
        for way in &ways {
            eventually("the prefix is closed and nothing else", SOON, async || {
                let answer = get(way.https, "/docs/a").await?;
                let reason = answer.header("x-portolan-reason");
                ensure!(answer.status == 503 && reason == "DelegateNotFound", "{} {reason}", answer.status);
                get(way.https, "/").await?.echo().map(drop)
            })
            .await?;
        }
        Ok(())
    })
    .await
}
