//! What a change touches, what it leaves alone, and what a deletion takes along.

use anyhow::{Context, Result, ensure};
use portolan_e2e::cluster::text;
use portolan_e2e::echo::{container, deployment};
use portolan_e2e::exposed::{KIND, exposed_echo};
use portolan_e2e::wait::{LATER, SOON, eventually};
use portolan_e2e::{Cluster, scene};
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[tokio::test]
async fn a_replaced_hostname_takes_nothing_else_along() -> Result<()> {
    scene("rename", async |scene| {
        let cluster = &scene.cluster;
        let namespace = scene.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        let [kept, old, new] = ["kept", "old", "new"].map(|part| scene.host(part));
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
        let visitor = cluster.visitor()?;
        for way in cluster.ways(&exposed).await? {
            visitor.https(way.https, &kept).await?.echo()?;
            visitor.https(way.https, &new).await?.echo()?;
        }
        eventually("the old name is gone", SOON, async || {
            ensure!(hold(cluster, &old).await?.is_none(), "its hold is there");
            let certificate = certificate_of(cluster, &namespace, &old).await?;
            ensure!(certificate.is_none(), "its Certificate is there");
            for way in cluster.ways(&exposed).await? {
                let status = visitor.http(way.http, &old).await?.status;
                ensure!(status == 404, "{}: HTTP {status}", way.what);
                ensure!(
                    visitor.https(way.https, &old).await.is_err(),
                    "{}: TLS",
                    way.what
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
async fn a_changed_port_changes_the_service_and_nothing_else() -> Result<()> {
    scene("port", async |scene| {
        let cluster = &scene.cluster;
        let namespace = scene.namespace("a").await?;
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
        let host = scene.host("port");
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
        let visitor = cluster.visitor()?;
        for way in cluster.ways(&exposed).await? {
            let echo = visitor
                .http(way.http, &host)
                .await?
                .echo()
                .with_context(|| way.what.clone())?;
            ensure!(
                echo.pod == "second",
                "{} leads to {} still",
                way.what,
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
async fn deletion_takes_everything_but_the_issued_secret() -> Result<()> {
    scene("delete", async |scene| {
        let cluster = &scene.cluster;
        let namespace = scene.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        let host = scene.host("gone");
        cluster
            .apply(&exposed_echo(&namespace, "x", &[&host], json!({})))
            .await?;
        let exposed = cluster.ready(&namespace, "x", LATER).await?;
        let ways = cluster.ways(&exposed).await?;
        let secret = text(exposed.hostname(&host)?, "/certificate/secretName");
        let before = cluster.get("Secret", &namespace, secret).await?;

        cluster.delete(KIND, &namespace, "x").await?;
        let visitor = cluster.visitor()?;
        eventually("everything is gone", SOON, async || {
            let left = uids(cluster, &namespace).await?;
            ensure!(left.is_empty(), "{left:?}");
            ensure!(hold(cluster, &host).await?.is_none(), "the hold");
            for way in &ways {
                ensure!(
                    visitor.http(way.http, &host).await?.status == 404,
                    "the route at {}",
                    way.what
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
async fn a_child_that_somebody_takes_away_comes_back() -> Result<()> {
    scene("heal", async |scene| {
        let cluster = &scene.cluster;
        let namespace = scene.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        let host = scene.host("heal");
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
        let visitor = cluster.visitor()?;
        for way in cluster.ways(&exposed).await? {
            eventually("it is served again", SOON, async || {
                visitor.http(way.http, &host).await?.echo().map(drop)
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
        .find(|it| it.pointer("/spec/dnsNames") == Some(&json!([host]))))
}
