//! A class that is deleted while objects use it.

use anyhow::{Context, Result, ensure};
use portolan_e2e::exposed::{Exposed, KIND, exposed_echo};
use portolan_e2e::visitor::Scheme;
use portolan_e2e::wait::{LATER, SOON, eventually};
use portolan_e2e::{SYSTEM, scene};
use serde_json::json;

const CLASS_KIND: &str = "ExposeClass";
const IN_USE: &str = "portolan.dev/in-use";

#[tokio::test]
async fn a_class_in_use_serves_on_when_it_is_deleted_and_goes_with_its_last_object() -> Result<()> {
    scene("in-use", async |scene| {
        let cluster = &scene.cluster;
        let namespace = scene.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        let class = scene.class("c", json!({"proxy": {"replicas": 1}})).await?;
        let [host, later] = ["web", "late"].map(|part| scene.host(part));
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
        let who = format!("{namespace}/web");
        eventually("the class says who uses it", SOON, async || {
            let class = Exposed(cluster.get(CLASS_KIND, "", &class).await?);
            let accepted = class.condition("Accepted").context("no Accepted")?;
            let told = accepted.reason == "InUse" && accepted.message.contains(&who);
            ensure!(told, "{accepted:?}");
            Ok(())
        })
        .await?;
        cluster
            .apply(&exposed_echo(&namespace, "late", &[&later], more))
            .await?;
        cluster
            .unready(&namespace, "late", "ClassDeleting", SOON)
            .await?;
        let visitor = cluster.visitor()?;
        for way in exposed.entries()? {
            let answer = visitor.get(Scheme::Http, way.http, &host, "/").await?;
            answer.echo().context("the object is served no longer")?;
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
