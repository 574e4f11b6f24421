//! Objects that are wanted for a time only.

use anyhow::{Result, ensure};
use jiff::{SignedDuration, Timestamp};
use portolan_e2e::exposed::{KIND, exposed_echo};
use portolan_e2e::scene;
use portolan_e2e::visitor::Scheme;
use portolan_e2e::wait::{LATER, SOON, eventually};
use serde_json::json;

#[tokio::test]
async fn an_object_whose_time_is_over_frees_its_hostname_for_others() -> Result<()> {
    scene("expiry", async |scene| {
        let cluster = &scene.cluster;
        let [first, second] = [scene.namespace("a").await?, scene.namespace("b").await?];
        for namespace in [&first, &second] {
            cluster.echo(namespace, 1).await?;
        }
        let host = scene.host("preview");
        let end = Timestamp::now() + SignedDuration::from_secs(30);
        let expose = async |namespace: &str, more| {
            cluster
                .apply(&exposed_echo(namespace, "preview", &[&host], more))
                .await
        };
        expose(&first, json!({"expiresAt": end.to_string()})).await?;
        let exposed = cluster.ready(&first, "preview", LATER).await?;
        expose(&second, json!({})).await?;
        cluster
            .unready(&second, "preview", "HostnameHeld", SOON)
            .await?;
        let ended = cluster.unready(&first, "preview", "Expired", LATER).await?;
        ensure!(Timestamp::now() >= end, "too early: {ended}");
        ensure!(
            ended.0["status"]["summary"]["status"] == "Expired",
            "{ended}"
        );
        let listed = cluster
            .kubectl(&["get", "xp", "preview", "-n", &first, "-o", "wide"])
            .await?;
        ensure!(
            listed.contains("ENDS") && listed.contains("Expired"),
            "{listed}"
        );
        // The one that waited for the name has it now.
        cluster.ready(&second, "preview", LATER).await?;
        let pods = cluster.list("Pod", &second, "app=echo").await?;
        let visitor = cluster.visitor()?;
        for way in cluster.ways(&exposed).await? {
            eventually("the other namespace serves", SOON, async || {
                let answer = visitor.get(Scheme::Https, way.https, &host, "/").await?;
                let pod = answer.echo()?.pod;
                let theirs = pods.iter().any(|it| it["metadata"]["name"] == *pod);
                ensure!(theirs, "{pod}");
                Ok(())
            })
            .await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_object_that_says_so_is_deleted_when_its_time_is_over() -> Result<()> {
    scene("deletion", async |scene| {
        let cluster = &scene.cluster;
        let namespace = scene.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        let host = scene.host("preview");
        let more = json!({"expiresAfter": "20s", "onExpiry": "Delete"});
        cluster
            .apply(&exposed_echo(&namespace, "preview", &[&host], more))
            .await?;
        eventually("it is seen", SOON, async || {
            let exposed = cluster.exposed(&namespace, "preview").await?;
            ensure!(!exposed.children("Service").is_empty(), "{exposed}");
            Ok(())
        })
        .await?;
        cluster.gone(KIND, &namespace, "preview", LATER).await?;
        eventually("nothing of it is left", SOON, async || {
            for kind in ["Service", "Ingress", "Certificate"] {
                let left = cluster
                    .list(kind, &namespace, "portolan.dev/exposed-port=preview")
                    .await?;
                ensure!(left.is_empty(), "{kind}");
            }
            Ok(())
        })
        .await
    })
    .await
}
