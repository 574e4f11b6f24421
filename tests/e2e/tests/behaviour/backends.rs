//! Backends other than pods of the namespace: external names, endpoints with TLS, networks that
//! a class denies.

use anyhow::{Context, Result, ensure};
use portolan_e2e::client::Scheme;
use portolan_e2e::cluster::text;
use portolan_e2e::echo::service;
use portolan_e2e::exposed::{exposed_echo, exposed_port};
use portolan_e2e::test_env;
use portolan_e2e::wait::{LATER, eventually};
use serde_json::{Value, json};
use std::net::SocketAddr;

/// A Service that is another name for `host`.
pub(crate) fn external(namespace: &str, name: &str, host: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"type": "ExternalName", "externalName": host},
    })
}

#[tokio::test]
async fn proxies_resolve_external_name_services() -> Result<()> {
    test_env("external", async |env| {
        let cluster = &env.cluster;
        let namespace = env.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        cluster.apply(&service(&namespace, "inside")).await?;
        let name = format!("inside.{namespace}.svc.cluster.local");
        cluster
            .apply(&external(&namespace, "outside", &name))
            .await?;
        let host = env.host("outside");
        let spec = json!({"port": 80, "service": "outside", "hostnames": [host]});
        cluster
            .apply(&exposed_port(&namespace, "outside", spec))
            .await?;
        let exposed = cluster.ready(&namespace, "outside", LATER).await?;
        let client = cluster.http_client()?;
        for entrypoint in cluster.entrypoints(&exposed).await? {
            // The first look-up may still be under way at one of the proxies.
            eventually("the name is served", LATER, async || {
                let response = client.https(entrypoint.https, &host).await?;
                ensure!(response.echo()?.host == host, "{:?}", response.headers);
                Ok(())
            })
            .await?;
        }
        Ok(())
    })
    .await
}

/// The API server uses TLS with a certificate of the cluster's own authority: what a backend's `tls`
/// is for, and nothing that this test had to build. It shows its version to every client.
#[tokio::test]
async fn verifies_tls_backends_by_authority_and_name() -> Result<()> {
    test_env("tls", async |env| {
        let cluster = &env.cluster;
        let namespace = env.namespace("a").await?;
        let server = "kubernetes.default.svc";
        let outside = format!("{server}.cluster.local");
        cluster
            .apply(&external(&namespace, "server", &outside))
            .await?;
        let theirs = cluster
            .get("ConfigMap", "default", "kube-root-ca.crt")
            .await?;
        cluster
            .apply(&json!({
                "apiVersion": "v1", "kind": "Secret",
                "metadata": {"namespace": namespace, "name": "their-ca"},
                "stringData": {"ca.crt": text(&theirs, "/data/ca.crt")},
            }))
            .await?;
        let backend = |subject: &str| {
            let tls = json!({"ca": {"secret": {"name": "their-ca"}}, "subjectName": subject});
            json!([{"service": "server", "port": 443, "tls": tls}])
        };
        let routes = json!([
            {"match": {"path": {"prefix": "/right"}}, "prefixRewrite": "/version", "backends": backend(server)},
            {"match": {"path": {"prefix": "/wrong"}}, "backends": backend("other.example")},
        ]);
        let host = env.host("server");
        let spec = json!({"hostnames": [host], "routes": routes});
        cluster
            .apply(&exposed_port(&namespace, "server", spec))
            .await?;
        let exposed = cluster.ready(&namespace, "server", LATER).await?;
        let client = cluster.http_client()?;
        let ask = async |at: SocketAddr, path: &str, status: u16, reason: &str| {
            eventually("the expected response", LATER, async || {
                let response = client.get(Scheme::Https, at, &host, path).await?;
                let found = response.header("x-portolan-reason");
                ensure!(response.status == status && found == reason, "{} {found}", response.status);
                Ok(())
            })
            .await
        };
        for entrypoint in cluster.entrypoints(&exposed).await? {
            ask(entrypoint.https, "/right", 200, "").await?;
            ask(entrypoint.https, "/wrong", 502, "UpstreamCertificateInvalid").await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn does_not_contact_denied_networks() -> Result<()> {
    test_env("denied", async |env| {
        let cluster = &env.cluster;
        let namespace = env.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        let pods = cluster.list("Pod", &namespace, "app=echo").await?;
        let address = pods.first().and_then(|pod| pod.pointer("/status/podIP"));
        let address = address.and_then(Value::as_str).context("no pod address")?;
        let class = json!({"proxy": {"replicas": 1, "deniedCIDRs": ["192.0.2.0/24"]}});
        let name = env.class("c", class).await?;
        let host = format!("{}.example.com", env.label("denied"));
        let more = json!({"className": name, "tls": {"mode": "Disabled"}});
        cluster
            .apply(&exposed_echo(&namespace, "denied", &[&host], more))
            .await?;
        let exposed = cluster.ready(&namespace, "denied", LATER).await?;
        let [entry, ..] = exposed.addresses()[..] else {
            anyhow::bail!("no address\n{exposed}")
        };
        let at = SocketAddr::new(entry.parse()?, 80);
        let client = cluster.http_client()?;
        let ask = async |status: u16, reason: &str| {
            eventually("the setting of the class is in effect", LATER, async || {
                let response = client.get(Scheme::Http, at, &host, "/").await?;
                let found = response.header("x-portolan-reason");
                ensure!(
                    response.status == status && found == reason,
                    "{} {found}",
                    response.status
                );
                Ok(())
            })
            .await
        };
        ask(200, "").await?;
        let deny = |networks: Value| json!({"spec": {"proxy": {"deniedCIDRs": networks}}});
        let denied = deny(json!([format!("{address}/32")]));
        cluster.merge("ExposeClass", "", &name, denied).await?;
        ask(503, "DeniedAddress").await?;
        cluster
            .merge("ExposeClass", "", &name, deny(json!([])))
            .await?;
        ask(200, "").await
    })
    .await
}
