//! Ready is the truth: each thing that serving needs is broken by itself, Ready turns False with that
//! very reason, and True again once it is repaired.

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use portolan_e2e::cluster::text;
use portolan_e2e::echo::service;
use portolan_e2e::exposed::{Exposed, exposed_echo, exposed_port};
use portolan_e2e::pki::{Authority, Pair, tls_secret};
use portolan_e2e::wait::{LATER, SOON, eventually};
use portolan_e2e::{Cluster, Scene, scene};
use serde_json::{Value, json};
use std::net::SocketAddr;

#[tokio::test]
async fn an_application_without_pods() -> Result<()> {
    scene("nopods", async |scene| {
        let (cluster, namespace) = standing(scene).await?;
        let host = scene.host("x");
        cluster
            .apply(&exposed_echo(&namespace, "x", &[&host], plain()))
            .await?;
        let exposed = cluster.ready(&namespace, "x", SOON).await?;

        cluster.scale(&namespace, "echo", 0).await?;
        let broken = cluster
            .unready(&namespace, "x", "SelectorMatchesNoPods", SOON)
            .await?;
        is_degraded(&broken, "EndpointsReady")?;
        let visitor = cluster.visitor()?;
        // The operator may know before the last of the proxies does.
        for way in cluster.ways(&exposed).await? {
            eventually("the proxy has no endpoint", SOON, async || {
                let answer = visitor.http(way.http, &host).await?;
                let reason = answer.header("x-portolan-reason");
                ensure!(
                    (answer.status, reason) == (503, "NoReadyEndpoints"),
                    "{} {reason}",
                    answer.status
                );
                ensure!(!answer.header("retry-after").is_empty(), "no Retry-After");
                Ok(())
            })
            .await?;
        }

        cluster.scale(&namespace, "echo", 1).await?;
        cluster.ready(&namespace, "x", LATER).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn endpoints_of_which_none_is_ready() -> Result<()> {
    scene("unready", async |scene| {
        let (cluster, namespace) = standing(scene).await?;
        let pods = cluster.list("Pod", &namespace, "app=echo").await?;
        let pod = pods.first().context("no pod")?;
        // A Service without selector, so that this test decides which endpoints are ready.
        let mut manual = service(&namespace, "manual");
        manual["spec"].as_object_mut().context("no spec")?.remove("selector");
        cluster.apply(&manual).await?;
        cluster.apply(&endpoints(&namespace, text(pod, "/status/podIP"), true)).await?;
        let spec = json!({"port": 80, "service": "manual", "hostnames": [scene.host("x")], "tls": {"mode": "Disabled"}});
        cluster.apply(&exposed_port(&namespace, "x", spec)).await?;
        cluster.ready(&namespace, "x", SOON).await?;

        cluster.apply(&endpoints(&namespace, text(pod, "/status/podIP"), false)).await?;
        let broken = cluster.unready(&namespace, "x", "NoReadyEndpoints", SOON).await?;
        is_degraded(&broken, "EndpointsReady")?;
        cluster.apply(&endpoints(&namespace, text(pod, "/status/podIP"), true)).await?;
        cluster.ready(&namespace, "x", SOON).await?;
        Ok(())
    })
    .await
}

fn endpoints(namespace: &str, address: &str, ready: bool) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "namespace": namespace, "name": "manual",
            "labels": {"kubernetes.io/service-name": "manual", "endpointslice.kubernetes.io/managed-by": "e2e"},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": ready}}],
    })
}

#[tokio::test]
async fn a_service_that_is_deleted_or_loses_the_port() -> Result<()> {
    scene("service", async |scene| {
        let (cluster, namespace) = standing(scene).await?;
        cluster.apply(&service(&namespace, "mine")).await?;
        let spec = json!({"port": "http", "service": "mine", "hostnames": [scene.host("x")], "tls": {"mode": "Disabled"}});
        cluster.apply(&exposed_port(&namespace, "x", spec)).await?;
        cluster.ready(&namespace, "x", SOON).await?;

        let ports = |name: &str| json!({"spec": {"ports": [{"name": name, "port": 80, "targetPort": "web"}]}});
        cluster.merge("Service", &namespace, "mine", ports("other")).await?;
        let broken = cluster.unready(&namespace, "x", "PortNotFound", SOON).await?;
        is_degraded(&broken, "ResolvedRefs")?;
        cluster.merge("Service", &namespace, "mine", ports("http")).await?;
        cluster.ready(&namespace, "x", SOON).await?;

        cluster.delete("Service", &namespace, "mine").await?;
        let broken = cluster.unready(&namespace, "x", "ServiceNotFound", SOON).await?;
        is_degraded(&broken, "ResolvedRefs")?;
        cluster.apply(&service(&namespace, "mine")).await?;
        cluster.ready(&namespace, "x", SOON).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_secret_that_breaks_while_the_last_good_one_is_served() -> Result<()> {
    scene("secrets", async |scene| {
        let (cluster, namespace) = standing(scene).await?;
        let authority = Authority::new()?;
        let other = authority.issue(&["other.example.com"])?;
        let cases = ["deleted", "mismatch", "unreadable", "wrongname", "expired"];
        try_join_all(cases.map(async |case| {
            let host = scene.host(case);
            let good = authority.issue(&[&host])?;
            let broken = match case {
                "deleted" => None,
                "mismatch" => Some(Pair {
                    key: other.key.clone(),
                    ..good.clone()
                }),
                "unreadable" => Some(Pair {
                    certificate: "no PEM".to_owned(),
                    ..good.clone()
                }),
                "wrongname" => Some(other.clone()),
                _ => Some(authority.issue_expired(&[&host])?),
            };
            let reason = match case {
                "deleted" => "SecretNotFound",
                "mismatch" => "SecretKeyMismatch",
                "unreadable" => "SecretUnreadable",
                "wrongname" => "SecretWrongHostname",
                _ => "CertificateExpired",
            };
            let broken = broken.map(|pair| tls_secret(&namespace, case, &pair));
            break_secret(
                &cluster, &namespace, case, &host, &authority, &good, broken, reason,
            )
            .await
            .with_context(|| format!("case {case}"))
        }))
        .await?;
        Ok(())
    })
    .await
}

#[expect(
    clippy::too_many_arguments,
    reason = "a row of the table above, spelled out"
)]
async fn break_secret(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
    host: &str,
    authority: &Authority,
    good: &Pair,
    broken: Option<Value>,
    reason: &str,
) -> Result<()> {
    cluster.apply(&tls_secret(namespace, name, good)).await?;
    let tls = json!({"tls": {"secret": {"name": name}}});
    cluster
        .apply(&exposed_echo(namespace, name, &[host], tls))
        .await?;
    let exposed = cluster.ready(namespace, name, SOON).await?;
    match &broken {
        Some(secret) => cluster.apply(secret).await.map(drop)?,
        None => cluster.delete("Secret", namespace, name).await?,
    }
    let unready = cluster.unready(namespace, name, reason, SOON).await?;
    let status = unready.hostname(host)?;
    ensure!(text(status, "/reason") == reason, "{status}");
    let visitor = authority.visitor()?;
    for way in cluster.ways(&exposed).await? {
        if broken.is_some() {
            let answer = visitor.https(way.https, host).await;
            answer.context("the last good one is not served")?.echo()?;
        } else {
            // Whoever deletes a Secret takes its certificate out of service.
            eventually("no certificate is shown", SOON, async || {
                ensure!(
                    visitor.https(way.https, host).await.is_err(),
                    "{} serves a certificate that was deleted",
                    way.what
                );
                Ok(())
            })
            .await?;
        }
    }
    cluster.apply(&tls_secret(namespace, name, good)).await?;
    cluster.ready(namespace, name, SOON).await?;
    Ok(())
}

#[tokio::test]
async fn an_issuer_that_is_not_there_yet() -> Result<()> {
    scene("issuer", async |scene| {
        let (cluster, namespace) = standing(scene).await?;
        let host = scene.host("x");
        let tls = json!({"tls": {"issuerRef": {"name": "late", "kind": "Issuer"}}});
        cluster
            .apply(&exposed_echo(&namespace, "x", &[&host], tls))
            .await?;
        let pending = cluster
            .unready(&namespace, "x", "IssuerNotFound", SOON)
            .await?;
        let told = text(pending.hostname(&host)?, "/message");
        ensure!(told.contains("there is no Issuer late; "), "{told}");
        ensure!(
            text(&pending.0, "/status/summary/status") == "Pending",
            "{pending}"
        );
        let visitor = cluster.visitor()?;
        for proxy in cluster.ready_proxies().await? {
            for way in proxy.ways() {
                eventually("the proxy knows what is missing", SOON, async || {
                    let answer = visitor.http(way.http, &host).await?;
                    let reason = answer.header("x-portolan-reason");
                    ensure!(
                        (answer.status, reason) == (503, "CertificatePending"),
                        "{} {reason}",
                        answer.status
                    );
                    Ok(())
                })
                .await?;
                ensure!(
                    visitor.https(way.https, &host).await.is_err(),
                    "TLS without a certificate"
                );
            }
        }
        cluster
            .apply(&json!({
                "apiVersion": "cert-manager.io/v1", "kind": "Issuer",
                "metadata": {"namespace": namespace, "name": "late"}, "spec": {"selfSigned": {}},
            }))
            .await?;
        let exposed = cluster.ready(&namespace, "x", LATER).await?;
        ensure!(
            text(exposed.hostname(&host)?, "/certificate/issuer") == "Issuer/late",
            "{exposed}"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_class_whose_proxies_are_not_there() -> Result<()> {
    scene("class", async |scene| {
        let (cluster, namespace) = standing(scene).await?;
        let name = scene.label("c");
        let host = scene.host("x");
        let spec = json!({"className": name, "tls": {"mode": "Disabled"}});
        cluster.apply(&exposed_echo(&namespace, "x", &[&host], spec)).await?;
        cluster.unready(&namespace, "x", "ClassNotFound", SOON).await?;
        // A class whose proxy asks for more memory than any node has: its pods are never scheduled.
        let proxy = |memory: &str| {
            json!({"proxy": {"replicas": 1, "resources": {"requests": {"memory": memory}}}})
        };
        scene.class("c", proxy("8Ti")).await?;
        cluster.unready(&namespace, "x", "NoReadyProxy", SOON).await?;
        scene.class("c", proxy("16Mi")).await?;
        let exposed = cluster.ready(&namespace, "x", LATER).await?;
        let [address, ..] = exposed.addresses()[..] else { anyhow::bail!("no address\n{exposed}") };
        ensure!(!cluster.environment.public.contains(&address.parse()?), "the address of another class");
        let visitor = cluster.visitor()?;
        let at = SocketAddr::new(address.parse()?, 80);
        // The Service's rules on the node follow the pod's readiness at kube-proxy's own pace.
        eventually("the class answers at its address", SOON, async || {
            visitor.http(at, &host).await?.echo().map(drop)
        })
        .await?;
        // The other class's proxies do not know the host.
        let public = SocketAddr::new(cluster.environment.public[0], 80);
        ensure!(visitor.http(public, &host).await?.status == 404, "public serves it, too");
        Ok(())
    })
    .await
}

/// A namespace with the application in it.
async fn standing(scene: &Scene) -> Result<(Cluster, String)> {
    let namespace = scene.namespace("a").await?;
    scene.cluster.echo(&namespace, 1).await?;
    Ok((scene.cluster.clone(), namespace))
}

fn plain() -> Value {
    json!({"tls": {"mode": "Disabled"}})
}

/// It was Ready before, and this condition tells what is wrong now.
fn is_degraded(exposed: &Exposed, condition: &str) -> Result<()> {
    ensure!(
        text(&exposed.0, "/status/summary/status") == "Degraded",
        "{exposed}"
    );
    let verdict = exposed
        .current(condition)
        .with_context(|| format!("no {condition}\n{exposed}"))?;
    ensure!(verdict.status == "False", "{exposed}");
    ensure!(
        !verdict.message.is_empty(),
        "{condition} says nothing\n{exposed}"
    );
    Ok(())
}
