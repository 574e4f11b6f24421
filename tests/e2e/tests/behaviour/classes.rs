//! A class that is deleted while objects use it.

use anyhow::{Context, Result, ensure};
use portolan_e2e::client::Scheme;
use portolan_e2e::exposed::{Exposed, KIND, exposed_echo};
use portolan_e2e::wait::{LATER, SOON, eventually};
use portolan_e2e::{SYSTEM, test_env};
use serde_json::json;

const CLASS_KIND: &str = "ExposeClass";
const IN_USE: &str = "portolan.dev/in-use";

#[tokio::test]
async fn deleted_class_serves_until_its_last_object_is_gone() -> Result<()> {
    test_env("in-use", async |env| {
        let cluster = &env.cluster;
        let namespace = env.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        let class = env.class("c", json!({"proxy": {"replicas": 1}})).await?;
        let [host, later] = ["web", "late"].map(|part| env.host(part));
        let more = json!({"className": class, "tls": {"mode": "Disabled"}});
        cluster
            .apply(&exposed_echo(&namespace, "web", &[&host], more.clone()))
            .await?;
        let exposed = cluster.ready(&namespace, "web", LATER).await?;
        eventually("the class is marked as in use", SOON, async || {
            let stored = cluster.get(CLASS_KIND, "", &class).await?;
            let finalizers = &stored["metadata"]["finalizers"];
            ensure!(*finalizers == json!([IN_USE]), "{finalizers}");
            Ok(())
        })
        .await?;

        cluster.delete(CLASS_KIND, "", &class).await?;
        let user = format!("{namespace}/web");
        eventually("the class says who uses it", SOON, async || {
            let class = Exposed(cluster.get(CLASS_KIND, "", &class).await?);
            let accepted = class.condition("Accepted").context("no Accepted")?;
            let in_use = accepted.reason == "InUse" && accepted.message.contains(&user);
            ensure!(in_use, "{accepted:?}");
            Ok(())
        })
        .await?;
        cluster
            .apply(&exposed_echo(&namespace, "late", &[&later], more))
            .await?;
        cluster
            .unready(&namespace, "late", "ClassDeleting", SOON)
            .await?;
        let client = cluster.http_client()?;
        for entrypoint in exposed.entries()? {
            let response = client
                .get(Scheme::Http, entrypoint.http, &host, "/")
                .await?;
            response.echo().context("the object is served no longer")?;
        }

        cluster.delete(KIND, &namespace, "web").await?;
        cluster.gone(CLASS_KIND, "", &class, LATER).await?;
        cluster
            .unready(&namespace, "late", "ClassNotFound", SOON)
            .await?;
        eventually("its proxies are gone", LATER, async || {
            let label = format!("portolan.dev/class={class}");
            let left = cluster.list("Deployment", SYSTEM, &label).await?;
            ensure!(left.is_empty(), "a Deployment is left");
            Ok(())
        })
        .await
    })
    .await
}
