//! Effects of changes and deletions, and what they must leave alone.

use anyhow::{Context, Result, ensure};
use portolan_e2e::cluster::text;
use portolan_e2e::echo::{container, deployment};
use portolan_e2e::exposed::{KIND, exposed_echo};
use portolan_e2e::wait::{LATER, SOON, eventually};
use portolan_e2e::{Cluster, test_env};
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[tokio::test]
async fn replacing_a_hostname_keeps_everything_else() -> Result<()> {
    test_env("rename", async |env| {
        let cluster = &env.cluster;
        let namespace = env.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        let [kept, old, new] = ["kept", "old", "new"].map(|part| env.host(part));
        cluster
            .apply(&exposed_echo(&namespace, "x", &[&kept, &old], json!({})))
            .await?;
        cluster.ready(&namespace, "x", LATER).await?;
        let before = uids(cluster, &namespace).await?;
        let kept_hold = hold(cluster, &kept).await?.context("no hold")?;
        let old_certificate = certificate_of(cluster, &namespace, &old)
            .await?
            .context("no Certificate")?;

        cluster
            .apply(&exposed_echo(&namespace, "x", &[&kept, &new], json!({})))
            .await?;
        let exposed = cluster.ready(&namespace, "x", LATER).await?;
        let client = cluster.http_client()?;
        for entrypoint in cluster.entrypoints(&exposed).await? {
            client.https(entrypoint.https, &kept).await?.echo()?;
            client.https(entrypoint.https, &new).await?.echo()?;
        }
        eventually("the old name is gone", SOON, async || {
            ensure!(hold(cluster, &old).await?.is_none(), "its hold is there");
            let certificate = certificate_of(cluster, &namespace, &old).await?;
            ensure!(certificate.is_none(), "its Certificate is there");
            for entrypoint in cluster.entrypoints(&exposed).await? {
                let status = client.http(entrypoint.http, &old).await?.status;
                ensure!(status == 404, "{}: HTTP {status}", entrypoint.what);
                ensure!(
                    client.https(entrypoint.https, &old).await.is_err(),
                    "{}: TLS",
                    entrypoint.what
                );
            }
            Ok(())
        })
        .await?;

        let after = uids(cluster, &namespace).await?;
        for (child, uid) in &before {
            if *child != format!("Certificate {}", text(&old_certificate, "/metadata/name")) {
                ensure!(
                    after.get(child) == Some(uid),
                    "{child} was made again or deleted"
                );
            }
        }
        let hold = hold(cluster, &kept).await?.context("no hold")?;
        ensure!(
            hold == kept_hold,
            "the hold of the name that was kept was touched: {hold}"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn changing_the_port_changes_only_the_service() -> Result<()> {
    test_env("port", async |env| {
        let cluster = &env.cluster;
        let namespace = env.namespace("a").await?;
        let calls_itself =
            json!([{"name": "PORT", "value": "8081"}, {"name": "HOSTNAME", "value": "second"}]);
        let containers = [
            container("echo", "web", 8080, json!([])),
            container("second", "more", 8081, calls_itself),
        ];
        cluster
            .apply(&deployment(&namespace, 1, &containers))
            .await?;
        cluster.rolled_out(&namespace, "echo").await?;
        let host = env.host("port");
        let at = |port: u16| json!({"tls": {"mode": "Disabled"}, "port": port});
        cluster
            .apply(&exposed_echo(&namespace, "x", &[&host], at(8080)))
            .await?;
        cluster.ready(&namespace, "x", SOON).await?;
        let before = uids(cluster, &namespace).await?;
        cluster
            .apply(&exposed_echo(&namespace, "x", &[&host], at(8081)))
            .await?;
        let exposed = cluster.ready(&namespace, "x", SOON).await?;
        let client = cluster.http_client()?;
        for entrypoint in cluster.entrypoints(&exposed).await? {
            let echo = client
                .http(entrypoint.http, &host)
                .await?
                .echo()
                .with_context(|| entrypoint.what.clone())?;
            ensure!(
                echo.pod == "second",
                "{} leads to {} still",
                entrypoint.what,
                echo.pod
            );
        }
        ensure!(
            before == uids(cluster, &namespace).await?,
            "a child was made again"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn deletion_keeps_only_the_issued_secret() -> Result<()> {
    test_env("delete", async |env| {
        let cluster = &env.cluster;
        let namespace = env.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        let host = env.host("gone");
        cluster
            .apply(&exposed_echo(&namespace, "x", &[&host], json!({})))
            .await?;
        let exposed = cluster.ready(&namespace, "x", LATER).await?;
        let entrypoints = cluster.entrypoints(&exposed).await?;
        let secret = text(exposed.hostname(&host)?, "/certificate/secretName");
        let before = cluster.get("Secret", &namespace, secret).await?;

        cluster.delete(KIND, &namespace, "x").await?;
        let client = cluster.http_client()?;
        eventually("everything is gone", SOON, async || {
            let left = uids(cluster, &namespace).await?;
            ensure!(left.is_empty(), "{left:?}");
            ensure!(hold(cluster, &host).await?.is_none(), "the hold");
            for entrypoint in &entrypoints {
                ensure!(
                    client.http(entrypoint.http, &host).await?.status == 404,
                    "the route at {}",
                    entrypoint.what
                );
            }
            Ok(())
        })
        .await?;
        let after = cluster.get("Secret", &namespace, secret).await?;
        ensure!(
            text(&after, "/metadata/uid") == text(&before, "/metadata/uid"),
            "another Secret"
        );

        // Made again, it costs no new certificate.
        cluster
            .apply(&exposed_echo(&namespace, "x", &[&host], json!({})))
            .await?;
        cluster.ready(&namespace, "x", LATER).await?;
        let again = cluster.get("Secret", &namespace, secret).await?;
        ensure!(
            again.get("data") == after.get("data"),
            "another certificate was issued"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn restores_deleted_and_changed_children() -> Result<()> {
    test_env("heal", async |env| {
        let cluster = &env.cluster;
        let namespace = env.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        let host = env.host("heal");
        let plain = json!({"tls": {"mode": "Disabled"}});
        cluster.apply(&exposed_echo(&namespace, "x", &[&host], plain)).await?;
        let exposed = cluster.ready(&namespace, "x", SOON).await?;
        let (service, ingress) = (exposed.child("Service")?, exposed.child("Ingress")?);

        cluster.delete("Ingress", &namespace, ingress).await?;
        let other = json!({"spec": {"selector": {"app": "other"}}, "metadata": {"labels": {"portolan.dev/exposed-port": null}}});
        cluster.merge("Service", &namespace, service, other).await?;
        eventually("Service and Ingress are as they were", SOON, async || {
            let service = cluster.get("Service", &namespace, service).await?;
            ensure!(service.pointer("/spec/selector") == Some(&json!({"app": "echo"})), "{service}");
            let labels = service.pointer("/metadata/labels").context("no labels")?;
            ensure!(labels.get("portolan.dev/exposed-port").is_some(), "{labels}");
            cluster.get("Ingress", &namespace, ingress).await?;
            Ok(())
        })
        .await?;

        // Without its owner reference a Service of ours would outlive its owner.
        let stripped = json!({"metadata": {"ownerReferences": null}});
        cluster.merge("Service", &namespace, service, stripped).await?;
        eventually("the Service has its owner again", SOON, async || {
            let service = cluster.get("Service", &namespace, service).await?;
            let owner = text(&service, "/metadata/ownerReferences/0/uid");
            ensure!(owner == text(&exposed.0, "/metadata/uid"), "owner {owner:?}");
            Ok(())
        })
        .await?;
        // Ready may still be that of before: what the proxies have again is what counts.
        let exposed = cluster.ready(&namespace, "x", SOON).await?;
        let client = cluster.http_client()?;
        for entrypoint in cluster.entrypoints(&exposed).await? {
            eventually("it is served again", SOON, async || {
                client.http(entrypoint.http, &host).await?.echo().map(drop)
            })
            .await?;
        }
        Ok(())
    })
    .await
}

/// The children that Portolan made in a namespace, with their UIDs.
async fn uids(cluster: &Cluster, namespace: &str) -> Result<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    for kind in ["Service", "Ingress", "Certificate"] {
        for object in cluster
            .list(kind, namespace, "portolan.dev/exposed-port")
            .await?
        {
            let key = format!("{kind} {}", text(&object, "/metadata/name"));
            all.insert(key, text(&object, "/metadata/uid").to_owned());
        }
    }
    Ok(all)
}

async fn hold(cluster: &Cluster, host: &str) -> Result<Option<Value>> {
    cluster.find("HostnameHold", "", &format!("h.{host}")).await
}

async fn certificate_of(cluster: &Cluster, namespace: &str, host: &str) -> Result<Option<Value>> {
    let all = cluster.list("Certificate", namespace, "").await?;
    Ok(all
        .into_iter()
        .find(|certificate| certificate.pointer("/spec/dnsNames") == Some(&json!([host]))))
}
