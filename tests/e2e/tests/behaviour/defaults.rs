//! Defaults of a class for the routes of all of its objects.

use anyhow::{Context, Result, ensure};
use portolan_e2e::exposed::exposed_echo;
use portolan_e2e::wait::{LATER, SOON, eventually};
use portolan_e2e::{Cluster, ISSUER, test_env};
use serde_json::{Value, json};

/// Status, reason and message of whether the class is accepted.
async fn accepted(cluster: &Cluster, class: &str) -> Result<(String, String, String)> {
    let class = cluster.get("ExposeClass", "", class).await?;
    let conditions = class
        .pointer("/status/conditions")
        .and_then(Value::as_array);
    let all = conditions.into_iter().flatten();
    let generation = class.pointer("/metadata/generation");
    let mut all = all.filter(|condition| condition.get("observedGeneration") == generation);
    let found = all.find(|condition| condition["type"] == "Accepted");
    let found = found.context("no condition for this generation yet")?;
    let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
    Ok((text("status"), text("reason"), text("message")))
}

#[tokio::test]
async fn class_defaults_apply_unless_overridden() -> Result<()> {
    test_env("defaults", async |env| {
        let cluster = &env.cluster;
        let namespace = env.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        let sets = |owner: &str| json!({"headers": {"response": {"set": {"x-set-by": owner}}}});
        let spec = json!({
            "proxy": {"replicas": 1}, "issuerRef": {"name": ISSUER}, "defaults": sets("class"),
        });
        let class = env.class("c", spec).await?;
        let [silent, own] = [env.host("silent"), env.host("own")];
        let more = json!({"className": class});
        let object = exposed_echo(&namespace, "silent", &[&silent], more);
        cluster.apply(&object).await?;
        let more = json!({"className": class, "policy": sets("object")});
        let object = exposed_echo(&namespace, "own", &[&own], more);
        cluster.apply(&object).await?;
        let exposed = cluster.ready(&namespace, "silent", LATER).await?;
        cluster.ready(&namespace, "own", LATER).await?;
        let client = cluster.http_client()?;
        let entrypoints = exposed.entries()?;
        let all_respond = async |expected: &[(&str, &str)]| -> Result<()> {
            for entrypoint in &entrypoints {
                eventually(&format!("{expected:?}"), SOON, async || {
                    for (host, owner) in expected {
                        let response = client.https(entrypoint.https, host).await?;
                        let set_by = response.header("x-set-by");
                        ensure!(set_by == *owner, "{host}: {set_by:?}");
                    }
                    Ok(())
                })
                .await?;
            }
            Ok(())
        };
        all_respond(&[(&silent, "class"), (&own, "object")]).await?;

        // A default of the class reaches objects that did not change.
        let patch = json!({"spec": {"defaults": sets("changed")}});
        cluster.merge("ExposeClass", "", &class, patch).await?;
        all_respond(&[(&silent, "changed"), (&own, "object")]).await?;

        // The schema cannot tell this mistake; the field is as if it were not there.
        let wrong = json!({"headers": {"response": {"set": {"connection": "close"}}}});
        let patch = json!({"spec": {"defaults": wrong}});
        cluster.merge("ExposeClass", "", &class, patch).await?;
        eventually("the class says what is wrong", SOON, async || {
            let (status, reason, message) = accepted(cluster, &class).await?;
            ensure!(
                (status.as_str(), reason.as_str()) == ("False", "InvalidSpec")
                    && message.starts_with(
                        "spec.defaults.headers.response.set: Invalid value: \"connection\""
                    ),
                "{status} {reason}: {message}"
            );
            Ok(())
        })
        .await?;
        cluster.ready(&namespace, "silent", SOON).await?;
        all_respond(&[(&silent, ""), (&own, "object")]).await
    })
    .await
}
