//! Ready is the truth: each thing that serving needs is broken by itself, Ready turns False with that
//! very reason, and True again once it is repaired.

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use portolan_e2e::cluster::text;
use portolan_e2e::echo::service;
use portolan_e2e::exposed::{Exposed, exposed_echo, exposed_port};
use portolan_e2e::pki::{Authority, Pair, tls_secret};
use portolan_e2e::wait::{LATER, SOON, eventually};
use portolan_e2e::{Cluster, TestEnv, test_env};
use serde_json::{Value, json};
use std::net::SocketAddr;

#[tokio::test]
async fn selector_without_pods_is_not_ready() -> Result<()> {
    test_env("nopods", async |env| {
        let (cluster, namespace) = namespace_with_echo(env).await?;
        let host = env.host("x");
        cluster
            .apply(&exposed_echo(&namespace, "x", &[&host], plain()))
            .await?;
        let exposed = cluster.ready(&namespace, "x", SOON).await?;

        cluster.scale(&namespace, "echo", 0).await?;
        let broken = cluster
            .unready(&namespace, "x", "SelectorMatchesNoPods", SOON)
            .await?;
        is_degraded(&broken, "EndpointsReady")?;
        let client = cluster.http_client()?;
        // The operator may know before the last of the proxies does.
        for entrypoint in cluster.entrypoints(&exposed).await? {
            eventually("the proxy has no endpoint", SOON, async || {
                let response = client.http(entrypoint.http, &host).await?;
                let reason = response.header("x-portolan-reason");
                ensure!(
                    (response.status, reason) == (503, "NoReadyEndpoints"),
                    "{} {reason}",
                    response.status
                );
                ensure!(!response.header("retry-after").is_empty(), "no Retry-After");
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
async fn service_without_ready_endpoints_is_not_ready() -> Result<()> {
    test_env("unready", async |env| {
        let (cluster, namespace) = namespace_with_echo(env).await?;
        let pods = cluster.list("Pod", &namespace, "app=echo").await?;
        let pod = pods.first().context("no pod")?;
        // A Service without selector, so that this test decides which endpoints are ready.
        let mut manual = service(&namespace, "manual");
        manual["spec"].as_object_mut().context("no spec")?.remove("selector");
        cluster.apply(&manual).await?;
        cluster.apply(&endpoints(&namespace, text(pod, "/status/podIP"), true)).await?;
        let spec = json!({"port": 80, "service": "manual", "hostnames": [env.host("x")], "tls": {"mode": "Disabled"}});
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
async fn missing_service_or_port_is_not_ready() -> Result<()> {
    test_env("service", async |env| {
        let (cluster, namespace) = namespace_with_echo(env).await?;
        cluster.apply(&service(&namespace, "mine")).await?;
        let spec = json!({"port": "http", "service": "mine", "hostnames": [env.host("x")], "tls": {"mode": "Disabled"}});
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
async fn broken_secret_is_reported_while_the_last_good_is_served() -> Result<()> {
    test_env("secrets", async |env| {
        let (cluster, namespace) = namespace_with_echo(env).await?;
        let authority = Authority::new()?;
        let other = authority.issue(&["other.example.com"])?;
        let cases = ["deleted", "mismatch", "unreadable", "wrongname", "expired"];
        try_join_all(cases.map(async |case| {
            let host = env.host(case);
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
    let client = authority.http_client()?;
    for entrypoint in cluster.entrypoints(&exposed).await? {
        if broken.is_some() {
            let response = client.https(entrypoint.https, host).await;
            response
                .context("the last good one is not served")?
                .echo()?;
        } else {
            // Deleting a Secret takes its certificate out of service.
            eventually("no certificate is shown", SOON, async || {
                ensure!(
                    client.https(entrypoint.https, host).await.is_err(),
                    "{} serves a certificate that was deleted",
                    entrypoint.what
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
async fn missing_issuer_is_pending_until_created() -> Result<()> {
    test_env("issuer", async |env| {
        let (cluster, namespace) = namespace_with_echo(env).await?;
        let host = env.host("x");
        let tls = json!({"tls": {"issuerRef": {"name": "late", "kind": "Issuer"}}});
        cluster
            .apply(&exposed_echo(&namespace, "x", &[&host], tls))
            .await?;
        let pending = cluster
            .unready(&namespace, "x", "IssuerNotFound", SOON)
            .await?;
        let message = text(pending.hostname(&host)?, "/message");
        ensure!(message.contains("Issuer \"late\" not found; "), "{message}");
        ensure!(
            text(&pending.0, "/status/summary/status") == "Pending",
            "{pending}"
        );
        let client = cluster.http_client()?;
        for proxy in cluster.ready_proxies().await? {
            for entrypoint in proxy.entrypoints() {
                eventually("the proxy knows what is missing", SOON, async || {
                    let response = client.http(entrypoint.http, &host).await?;
                    let reason = response.header("x-portolan-reason");
                    ensure!(
                        (response.status, reason) == (503, "CertificatePending"),
                        "{} {reason}",
                        response.status
                    );
                    Ok(())
                })
                .await?;
                ensure!(
                    client.https(entrypoint.https, &host).await.is_err(),
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
async fn class_without_proxies_is_not_ready() -> Result<()> {
    test_env("class", async |env| {
        let (cluster, namespace) = namespace_with_echo(env).await?;
        let name = env.label("c");
        let host = env.host("x");
        let spec = json!({"className": name, "tls": {"mode": "Disabled"}});
        cluster.apply(&exposed_echo(&namespace, "x", &[&host], spec)).await?;
        cluster.unready(&namespace, "x", "ClassNotFound", SOON).await?;
        // A class whose proxy asks for more memory than any node has: its pods are never scheduled.
        let proxy = |memory: &str| {
            json!({"proxy": {"replicas": 1, "resources": {"requests": {"memory": memory}}}})
        };
        env.class("c", proxy("8Ti")).await?;
        cluster.unready(&namespace, "x", "NoReadyProxy", SOON).await?;
        env.class("c", proxy("16Mi")).await?;
        let exposed = cluster.ready(&namespace, "x", LATER).await?;
        let [address, ..] = exposed.addresses()[..] else { anyhow::bail!("no address\n{exposed}") };
        ensure!(!cluster.environment.public.contains(&address.parse()?), "the address of another class");
        let client = cluster.http_client()?;
        let at = SocketAddr::new(address.parse()?, 80);
        // The Service's rules on the node follow the pod's readiness at kube-proxy's own pace.
        eventually("the class answers at its address", SOON, async || {
            client.http(at, &host).await?.echo().map(drop)
        })
        .await?;
        // The other class's proxies do not know the host.
        let public = SocketAddr::new(cluster.environment.public[0], 80);
        ensure!(client.http(public, &host).await?.status == 404, "public serves it, too");
        Ok(())
    })
    .await
}

/// A namespace with the application in it.
async fn namespace_with_echo(env: &TestEnv) -> Result<(Cluster, String)> {
    let namespace = env.namespace("a").await?;
    env.cluster.echo(&namespace, 1).await?;
    Ok((env.cluster.clone(), namespace))
}

fn plain() -> Value {
    json!({"tls": {"mode": "Disabled"}})
}

/// Checks that it was Ready before, and that this condition reports the problem.
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
        "{condition} has no message\n{exposed}"
    );
    Ok(())
}
