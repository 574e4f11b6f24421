//! cert-manager's definitions go and come back. (faults.md, operator, case 10)

use anyhow::{Context, Result, ensure};
use futures::FutureExt;
use portolan_e2e::client::Scheme;
use portolan_e2e::exposed::exposed_echo;
use portolan_e2e::load::Load;
use portolan_e2e::wait::{LATER, eventually};
use portolan_e2e::{TestEnv, test_env};
use serde_json::{Value, json};
use std::panic::AssertUnwindSafe;

const CERTIFICATES: &str = "certificates.cert-manager.io";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serves_without_the_certificate_definition_and_recovers() -> Result<()> {
    test_env("nocrd", async |env| {
        let cluster = &env.cluster;
        let kind = "CustomResourceDefinition";
        let mut definition = cluster.get(kind, "", CERTIFICATES).await?;
        strip(&mut definition)?;
        let namespace = env.namespace("a").await?;
        let outcome = AssertUnwindSafe(without(env, &namespace))
            .catch_unwind()
            .await;
        // Whatever happened, the cluster gets its definition back.
        let back = eventually("the definition is back", LATER, async || {
            let there = cluster.find(kind, "", CERTIFICATES).await?;
            let going = there.is_some_and(|definition| {
                definition.pointer("/metadata/deletionTimestamp").is_some()
            });
            ensure!(!going, "it is still being deleted");
            cluster.apply(&definition).await.map(drop)
        })
        .await;
        match outcome {
            Ok(outcome) => outcome.and(back)?,
            Err(panic) => std::panic::resume_unwind(panic),
        }
        for name in ["old", "new"] {
            cluster
                .ready(&namespace, name, LATER)
                .await
                .context("it does not heal")?;
        }
        Ok(())
    })
    .await
}

/// Deletes the definition and looks at what becomes of an old and a new object.
async fn without(env: &TestEnv, namespace: &str) -> Result<()> {
    let cluster = &env.cluster;
    cluster.echo(namespace, 1).await?;
    let [old, new] = ["old", "new"].map(|part| env.host(part));
    cluster
        .apply(&exposed_echo(namespace, "old", &[&old], json!({})))
        .await?;
    let exposed = cluster.ready(namespace, "old", LATER).await?;
    let entrypoints = cluster.entrypoints(&exposed).await?;
    let load = Load::start(&cluster.http_client()?, &entrypoints, Scheme::Https, &old);

    cluster
        .delete("CustomResourceDefinition", "", CERTIFICATES)
        .await?;
    cluster
        .apply(&exposed_echo(namespace, "new", &[&new], json!({})))
        .await?;
    cluster
        .unready(namespace, "new", "CertManagerMissing", LATER)
        .await?;
    let plain = json!({"tls": {"mode": "Disabled"}});
    let host = env.host("plain");
    cluster
        .apply(&exposed_echo(namespace, "plain", &[&host], plain))
        .await?;
    let exposed = cluster.ready(namespace, "plain", LATER).await?;
    let client = cluster.http_client()?;
    for entrypoint in cluster.entrypoints(&exposed).await? {
        client.http(entrypoint.http, &host).await?.echo()?;
    }
    let before = load.answered();
    eventually("the old one is asked and answered", LATER, async || {
        ensure!(load.answered() > before, "no more answers");
        Ok(())
    })
    .await?;
    load.finish().await.map(drop)
}

/// Leaves of a definition what one would write into a file.
fn strip(definition: &mut Value) -> Result<()> {
    let fields = definition.as_object_mut().context("no object")?;
    fields.remove("status");
    let metadata = fields
        .get_mut("metadata")
        .and_then(Value::as_object_mut)
        .context("no metadata")?;
    for server in [
        "creationTimestamp",
        "generation",
        "managedFields",
        "resourceVersion",
        "uid",
    ] {
        metadata.remove(server);
    }
    Ok(())
}
