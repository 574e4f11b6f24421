//! The default class: of two the older one, and possibly none.
//!
//! A program of its own, because the class that the chart installs is not the default for a while.

use anyhow::{Context, Result, ensure};
use portolan_e2e::cluster::text;
use portolan_e2e::exposed::{Exposed, exposed_echo};
use portolan_e2e::wait::{LATER, SOON, eventually};
use portolan_e2e::{CLASS, Cluster, TestEnv, test_env};
use serde_json::json;

const KIND: &str = "ExposeClass";

#[tokio::test]
async fn oldest_default_class_applies() -> Result<()> {
    test_env("defaults", async |env| {
        let done = walk(env).await;
        let restored = set_default(&env.cluster, CLASS, true).await;
        done.and(restored)
    })
    .await
}

async fn walk(env: &TestEnv) -> Result<()> {
    let cluster = &env.cluster;
    let namespace = env.namespace("a").await?;
    cluster.echo(&namespace, 1).await?;
    let expose = async |name: &str| -> Result<()> {
        let plain = json!({"tls": {"mode": "Disabled"}});
        let host = env.host(name);
        cluster
            .apply(&exposed_echo(&namespace, name, &[&host], plain))
            .await?;
        Ok(())
    };
    let has_class = async |name: &str, class: &str| {
        eventually(&format!("{name} has class {class}"), SOON, async || {
            let exposed = cluster.exposed(&namespace, name).await?;
            let given = text(&exposed.0, "/status/className");
            ensure!(given == class, "{given:?}");
            Ok(())
        })
        .await
    };

    let spec = json!({"default": true, "proxy": {"replicas": 1}});
    let second = env.class("second", spec).await?;
    for (class, other) in [(CLASS, second.as_str()), (second.as_str(), CLASS)] {
        eventually(&format!("{class} names {other}"), SOON, async || {
            let stored = Exposed(cluster.get(KIND, "", class).await?);
            let accepted = stored.condition("Accepted").context("no Accepted")?;
            let reported = accepted.reason == "SeveralDefaults" && accepted.message.contains(other);
            ensure!(reported, "{accepted:?}");
            Ok(())
        })
        .await?;
    }
    expose("first").await?;
    has_class("first", CLASS).await?;
    cluster.ready(&namespace, "first", LATER).await?;

    set_default(cluster, CLASS, false).await?;
    eventually("one default is enough", SOON, async || {
        let stored = Exposed(cluster.get(KIND, "", &second).await?);
        let accepted = stored.condition("Accepted").context("no Accepted")?;
        ensure!(accepted.reason == "Accepted", "{accepted:?}");
        Ok(())
    })
    .await?;
    expose("next").await?;
    has_class("next", &second).await?;

    set_default(cluster, &second, false).await?;
    expose("last").await?;
    let without = cluster.unready(&namespace, "last", "NoClass", SOON).await?;
    ensure!(
        text(&without.0, "/status/summary/status") == "Invalid",
        "{without}"
    );
    // Those that were given a class keep it.
    let first = cluster.exposed(&namespace, "first").await?;
    ensure!(first.is_ready(), "{first}");
    has_class("next", &second).await?;

    set_default(cluster, CLASS, true).await?;
    cluster.ready(&namespace, "last", LATER).await?;
    has_class("last", CLASS).await
}

async fn set_default(cluster: &Cluster, class: &str, default: bool) -> Result<()> {
    let patch = json!({"spec": {"default": default}});
    cluster.merge(KIND, "", class, patch).await.map(drop)
}
