//! What a class says for the routes of all of its objects.

use anyhow::{Context, Result, ensure};
use portolan_e2e::exposed::exposed_echo;
use portolan_e2e::wait::{LATER, SOON, eventually};
use portolan_e2e::{Cluster, ISSUER, scene};
use serde_json::{Value, json};

/// Status, reason and message of whether the class is accepted.
async fn accepted(cluster: &Cluster, class: &str) -> Result<(String, String, String)> {
    let class = cluster.get("ExposeClass", "", class).await?;
    let conditions = class
        .pointer("/status/conditions")
        .and_then(Value::as_array);
    let all = conditions.into_iter().flatten();
    let generation = class.pointer("/metadata/generation");
    let mut all = all.filter(|it| it.get("observedGeneration") == generation);
    let found = all.find(|it| it["type"] == "Accepted");
    let found = found.context("not judged yet")?;
    let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
    Ok((text("status"), text("reason"), text("message")))
}

#[tokio::test]
async fn what_a_class_says_holds_until_an_object_says_otherwise_and_a_mistake_stops_nobody()
-> Result<()> {
    scene("defaults", async |scene| {
        let cluster = &scene.cluster;
        let namespace = scene.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        let says = |who: &str| json!({"headers": {"response": {"set": {"x-said-by": who}}}});
        let spec = json!({
            "proxy": {"replicas": 1}, "issuerRef": {"name": ISSUER}, "defaults": says("class"),
        });
        let class = scene.class("c", spec).await?;
        let [silent, own] = [scene.host("silent"), scene.host("own")];
        let more = json!({"className": class});
        let object = exposed_echo(&namespace, "silent", &[&silent], more);
        cluster.apply(&object).await?;
        let more = json!({"className": class, "policy": says("object")});
        let object = exposed_echo(&namespace, "own", &[&own], more);
        cluster.apply(&object).await?;
        let exposed = cluster.ready(&namespace, "silent", LATER).await?;
        cluster.ready(&namespace, "own", LATER).await?;
        let visitor = cluster.visitor()?;
        let ways = exposed.entries()?;
        let all_hear = async |said: &[(&str, &str)]| -> Result<()> {
            for way in &ways {
                eventually(&format!("{said:?}"), SOON, async || {
                    for (host, who) in said {
                        let answer = visitor.https(way.https, host).await?;
                        let heard = answer.header("x-said-by");
                        ensure!(heard == *who, "{host}: {heard:?}");
                    }
                    Ok(())
                })
                .await?;
            }
            Ok(())
        };
        all_hear(&[(&silent, "class"), (&own, "object")]).await?;

        // A word of the class reaches objects that nobody touched.
        let patch = json!({"spec": {"defaults": says("changed")}});
        cluster.merge("ExposeClass", "", &class, patch).await?;
        all_hear(&[(&silent, "changed"), (&own, "object")]).await?;

        // The schema cannot tell this mistake; the field is as if it were not there.
        let wrong = json!({"headers": {"response": {"set": {"connection": "close"}}}});
        let patch = json!({"spec": {"defaults": wrong}});
        cluster.merge("ExposeClass", "", &class, patch).await?;
        eventually("the class says what is wrong", SOON, async || {
            let (status, reason, message) = accepted(cluster, &class).await?;
            ensure!(
                (status.as_str(), reason.as_str()) == ("False", "InvalidSpec")
                    && message
                        .starts_with("spec.defaults.headers.response.set: Invalid value: \"connection\""),
                "{status} {reason}: {message}"
            );
            Ok(())
        })
        .await?;
        cluster.ready(&namespace, "silent", SOON).await?;
        all_hear(&[(&silent, ""), (&own, "object")]).await
    })
    .await
}
