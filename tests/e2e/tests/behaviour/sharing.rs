//! Several ExposedPorts of a namespace under one hostname, and shares of requests.

use anyhow::{Context, Result, ensure};
use portolan_e2e::client::Scheme;
use portolan_e2e::echo::{container, deployment, service};
use portolan_e2e::exposed::{KIND, exposed_echo, exposed_port};
use portolan_e2e::test_env;
use portolan_e2e::wait::{LATER, eventually};
use serde_json::{Value, json};

fn answering(prefix: &str, body: &str) -> Value {
    json!([{"match": {"path": {"prefix": prefix}}, "respond": {"status": 200, "body": body}}])
}

#[tokio::test]
async fn objects_of_a_namespace_share_a_hostname() -> Result<()> {
    test_env("sharing", async |env| {
        let cluster = &env.cluster;
        let namespace = env.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        let host = env.host("shop");
        cluster
            .apply(&exposed_echo(&namespace, "all", &[&host], json!({})))
            .await?;
        let exposed = cluster.ready(&namespace, "all", LATER).await?;
        let blog = json!({"hostnames": [host], "routes": answering("/blog", "the blog")});
        cluster
            .apply(&exposed_port(&namespace, "blog", blog))
            .await?;
        cluster.ready(&namespace, "blog", LATER).await?;
        let client = cluster.http_client()?;
        let entrypoints = cluster.entrypoints(&exposed).await?;
        let get = async |at, path: &str| client.get(Scheme::Https, at, &host, path).await;
        for entrypoint in &entrypoints {
            get(entrypoint.https, "/").await?.echo()?;
            let response = get(entrypoint.https, "/blog/1").await?;
            ensure!(&*response.body == b"the blog", "{response:?}");
        }
        // The one whose TLS settings applied goes: the other serves on, with the same certificate.
        let entrypoint = entrypoints.first().context("no way")?;
        let before = get(entrypoint.https, "/blog").await?.fingerprint()?;
        cluster.delete(KIND, &namespace, "all").await?;
        cluster.gone(KIND, &namespace, "all", LATER).await?;
        for entrypoint in &entrypoints {
            eventually("the other routes are gone", LATER, async || {
                let response = get(entrypoint.https, "/blog").await?;
                ensure!(&*response.body == b"the blog", "{response:?}");
                ensure!(response.fingerprint()? == before, "another certificate");
                let response = get(entrypoint.https, "/").await?;
                ensure!(response.status == 404, "{}", response.status);
                Ok(())
            })
            .await?;
        }
        cluster.ready(&namespace, "blog", LATER).await.map(drop)
    })
    .await
}

#[tokio::test]
async fn splits_requests_by_weight() -> Result<()> {
    test_env("weights", async |env| {
        let cluster = &env.cluster;
        let namespace = env.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        cluster.apply(&service(&namespace, "old")).await?;
        let mut next = deployment(&namespace, 1, &[container("echo", "web", 8080, json!([]))]);
        for (pointer, value) in [
            ("/metadata/name", json!("next")),
            ("/spec/selector/matchLabels", json!({"app": "next"})),
            ("/spec/template/metadata/labels", json!({"app": "next"})),
        ] {
            *next.pointer_mut(pointer).context("no such field")? = value;
        }
        cluster.apply(&next).await?;
        cluster.rolled_out(&namespace, "next").await?;
        let mut new = service(&namespace, "new");
        *new.pointer_mut("/spec/selector").context("no selector")? = json!({"app": "next"});
        cluster.apply(&new).await?;
        let host = env.host("shop");
        let backend = |name: &str, weight| json!({"service": name, "port": 80, "weight": weight});
        let backends = |old, new| json!([backend("old", old), backend("new", new)]);
        let spec =
            |old, new| json!({"hostnames": [host], "routes": [{"backends": backends(old, new)}]});
        cluster
            .apply(&exposed_port(&namespace, "shop", spec(3, 1)))
            .await?;
        let exposed = cluster.ready(&namespace, "shop", LATER).await?;
        let client = cluster.http_client()?;
        let entrypoints = cluster.entrypoints(&exposed).await?;
        let entrypoint = entrypoints.first().context("no way")?;
        let taken_by_new = async || {
            let mut count = 0;
            let mut connection = client
                .connect(Scheme::Https, entrypoint.https, &host)
                .await?;
            for _ in 0..200 {
                let echo = connection.request(http::Method::GET, "/").await?.echo()?;
                count += u32::from(echo.pod.starts_with("next-"));
            }
            anyhow::Ok(count)
        };
        let quarter = taken_by_new().await?;
        ensure!(
            (40..=60).contains(&quarter),
            "{quarter} of 200 instead of 50"
        );
        let patch = json!({"spec": {"routes": [{"backends": backends(1, 0)}]}});
        cluster.merge(KIND, &namespace, "shop", patch).await?;
        cluster.ready(&namespace, "shop", LATER).await?;
        ensure!(taken_by_new().await? == 0, "weight 0 gets nothing");
        Ok(())
    })
    .await
}
