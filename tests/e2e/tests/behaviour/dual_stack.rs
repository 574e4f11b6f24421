//! IPv4 and IPv6, between client and proxy and between proxy and pod.

use anyhow::{Context, Result, ensure};
use portolan_e2e::client::Scheme;
use portolan_e2e::echo::{application, server};
use portolan_e2e::exposed::{Exposed, exposed_echo, exposed_port};
use portolan_e2e::wait::{LATER, eventually};
use portolan_e2e::{Cluster, test_env};
use serde_json::{Value, json};
use std::net::IpAddr;

/// The addresses of its status that are of this family.
fn entries(exposed: &Exposed, v6: bool) -> Vec<IpAddr> {
    let all = exposed.addresses().into_iter();
    let all = all.filter_map(|address| address.parse::<IpAddr>().ok());
    all.filter(|ip| ip.is_ipv6() == v6).collect()
}

#[tokio::test]
async fn serves_both_ip_families() -> Result<()> {
    test_env("families", async |env| {
        let cluster = &env.cluster;
        let namespace = env.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        let host = env.host("shop");
        cluster
            .apply(&exposed_echo(&namespace, "shop", &[&host], json!({})))
            .await?;
        let exposed = cluster.ready(&namespace, "shop", LATER).await?;
        ensure!(!entries(&exposed, false).is_empty(), "no IPv4\n{exposed}");
        ensure!(!entries(&exposed, true).is_empty(), "no IPv6\n{exposed}");
        let pods = cluster.ready_proxies().await?;
        for pod in &pods {
            let v6 = pod.addresses.iter().filter(|ip| ip.is_ipv6()).count();
            ensure!(v6 > 0 && v6 < pod.addresses.len(), "{:?}", pod.addresses);
        }
        let client = cluster.http_client()?;
        for entrypoint in cluster.entrypoints(&exposed).await? {
            let response = client.https(entrypoint.https, &host).await?;
            ensure!(response.echo()?.host == host, "{entrypoint:?}");
            let plain = client
                .get(Scheme::Http, entrypoint.http, &host, "/")
                .await?;
            ensure!(plain.status == 301, "{entrypoint:?}: {}", plain.status);
        }
        Ok(())
    })
    .await
}

/// A Deployment of the echo application that listens on one family only. The kubelet would look at the
/// pod's first address, so there is no probe.
async fn one_family(cluster: &Cluster, namespace: &str, name: &str, network: &str) -> Result<()> {
    let env = json!([{"name": "NETWORK", "value": network}]);
    let port = ("web", 8080);
    let mut one = server("portolan.test/echo:dev", "echo", port, &Value::Null, env);
    if let Some(container) = one.as_object_mut() {
        container.remove("readinessProbe");
    }
    cluster
        .apply(&application(namespace, name, 1, &[one]))
        .await?;
    cluster.rolled_out(namespace, name).await
}

#[tokio::test]
async fn reaches_single_family_applications() -> Result<()> {
    test_env("one-family", async |env| {
        let cluster = &env.cluster;
        let namespace = env.namespace("a").await?;
        one_family(cluster, &namespace, "six", "tcp6").await?;
        one_family(cluster, &namespace, "four", "tcp4").await?;
        for (name, families) in [("six", json!(["IPv6"])), ("four", json!(["IPv4"]))] {
            let spec = json!({
                "ipFamilyPolicy": "SingleStack", "ipFamilies": families, "selector": {"app": name},
                "ports": [{"name": "http", "port": 80, "targetPort": "web"}],
            });
            let metadata = json!({"namespace": namespace, "name": name});
            cluster
                .apply(&json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}))
                .await?;
        }
        // The cluster's first family is IPv4, and so is that of a Service that Portolan makes.
        let made = json!({"selector": {"app": "four"}, "port": 8080});
        let service = |name: &str| json!({"service": name, "port": 80});
        let client = cluster.http_client()?;
        for (name, app, target) in [
            ("six", "six", service("six")),
            ("four", "four", service("four")),
            ("made", "four", made),
        ] {
            let host = env.host(name);
            let mut spec = target;
            spec["hostnames"] = json!([host]);
            cluster
                .apply(&exposed_port(&namespace, name, spec))
                .await?;
            let exposed = cluster.ready(&namespace, name, LATER).await?;
            for entrypoint in cluster.entrypoints(&exposed).await? {
                eventually(name, LATER, async || {
                    let response = client.https(entrypoint.https, &host).await?;
                    let pod = response.echo().with_context(|| format!("{entrypoint:?}"))?.pod;
                    ensure!(pod.starts_with(&format!("{app}-")), "from {pod}");
                    Ok(())
                })
                .await?;
            }
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn class_selects_its_ip_families() -> Result<()> {
    test_env("six-only", async |env| {
        let cluster = &env.cluster;
        let namespace = env.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        let twice = json!({"proxy": {"ipFamilies": ["IPv6", "IPv6"]}});
        let refused = env.class("x", twice).await.err().context("it was taken")?;
        ensure!(
            format!("{refused:#}").contains("must list each family once"),
            "{refused:#}"
        );
        let both =
            json!({"proxy": {"ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv6", "IPv4"]}});
        let refused = env.class("y", both).await.err().context("it was taken")?;
        ensure!(
            format!("{refused:#}").contains("SingleStack may not be set together"),
            "{refused:#}"
        );

        let six = json!({"replicas": 1, "ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv6"]});
        let class = env.class("c", json!({"proxy": six})).await?;
        let host = format!("{}.example.com", env.label("shop"));
        let more = json!({"className": class, "tls": {"mode": "Disabled"}});
        cluster
            .apply(&exposed_echo(&namespace, "shop", &[&host], more))
            .await?;
        let exposed = cluster.ready(&namespace, "shop", LATER).await?;
        ensure!(entries(&exposed, false).is_empty(), "IPv4, too\n{exposed}");
        ensure!(!entries(&exposed, true).is_empty(), "no IPv6\n{exposed}");
        let client = cluster.http_client()?;
        for entry in exposed.entries()? {
            eventually("it is served", LATER, async || {
                let response = client.get(Scheme::Http, entry.http, &host, "/").await?;
                ensure!(response.echo()?.host == host, "{entry:?}");
                Ok(())
            })
            .await?;
        }
        Ok(())
    })
    .await
}
