//! Objects that expire.

use anyhow::{Result, ensure};
use jiff::{SignedDuration, Timestamp};
use portolan_e2e::client::Scheme;
use portolan_e2e::exposed::{KIND, exposed_echo};
use portolan_e2e::test_env;
use portolan_e2e::wait::{LATER, SOON, eventually};
use serde_json::json;

#[tokio::test]
async fn expired_object_releases_its_hostname() -> Result<()> {
    test_env("expiry", async |env| {
        let cluster = &env.cluster;
        let [first, second] = [env.namespace("a").await?, env.namespace("b").await?];
        for namespace in [&first, &second] {
            cluster.echo(namespace, 1).await?;
        }
        let host = env.host("preview");
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
        let client = cluster.http_client()?;
        for entrypoint in cluster.entrypoints(&exposed).await? {
            eventually("the other namespace serves", SOON, async || {
                let response = client
                    .get(Scheme::Https, entrypoint.https, &host, "/")
                    .await?;
                let pod = response.echo()?.pod;
                let theirs = pods.iter().any(|object| object["metadata"]["name"] == *pod);
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
async fn expired_object_is_deleted_on_request() -> Result<()> {
    test_env("deletion", async |env| {
        let cluster = &env.cluster;
        let namespace = env.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        let host = env.host("preview");
        let more = json!({"expiresAfter": "20s", "onExpiry": "Delete"});
        cluster
            .apply(&exposed_echo(&namespace, "preview", &[&host], more))
            .await?;
        eventually("it has children", SOON, async || {
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
