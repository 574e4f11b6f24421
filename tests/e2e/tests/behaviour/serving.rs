//! From an ExposedPort to responses, at every proxy and address, and its status.

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use portolan_e2e::client::{Response, Scheme};
use portolan_e2e::cluster::text;
use portolan_e2e::echo::service;
use portolan_e2e::exposed::{Exposed, exposed_echo, exposed_port};
use portolan_e2e::pki::{Authority, tls_secret};
use portolan_e2e::wait::{LATER, SOON, eventually};
use portolan_e2e::{CLASS, Cluster, ISSUER, test_env};
use serde_json::json;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Requests to a host at one entrypoint: enough to meet more than one worker.
const ROUNDS: usize = 4;

#[tokio::test]
async fn serves_https_at_every_proxy_and_address() -> Result<()> {
    test_env("https", async |env| {
        let cluster = &env.cluster;
        let namespace = env.namespace("a").await?;
        cluster.echo(&namespace, 2).await?;
        let (full, short) = (env.host("shop"), env.host("hello"));
        let names = [full.as_str(), &format!("{}.*", env.label("hello"))];
        cluster
            .apply(&exposed_echo(&namespace, "shop", &names, json!({})))
            .await?;
        let exposed = cluster.ready(&namespace, "shop", LATER).await?;

        let client = cluster.http_client()?;
        let entrypoints = cluster.entrypoints(&exposed).await?;
        ensure!(
            entrypoints
                .iter()
                .any(|entrypoint| entrypoint.https.is_ipv4())
                && entrypoints
                    .iter()
                    .any(|entrypoint| entrypoint.https.is_ipv6())
        );
        let mut pods = BTreeSet::new();
        for entrypoint in &entrypoints {
            for host in [&full, &short] {
                for _ in 0..ROUNDS {
                    let response = client
                        .https(entrypoint.https, host)
                        .await
                        .with_context(|| entrypoint.what.clone())?;
                    let echo = response
                        .echo()
                        .with_context(|| format!("{} {host}", entrypoint.what))?;
                    ensure!(
                        echo.host == *host,
                        "the application read Host {}",
                        echo.host
                    );
                    ensure!(
                        echo.header("X-Forwarded-Proto") == "https",
                        "{:?}",
                        echo.headers
                    );
                    ensure!(
                        echo.header("X-Forwarded-Host") == host,
                        "{:?}",
                        echo.headers
                    );
                    let client = echo.header("X-Forwarded-For");
                    ensure!(
                        client.parse::<IpAddr>().is_ok(),
                        "X-Forwarded-For {client:?}"
                    );
                    ensure!(!echo.header("X-Request-Id").is_empty(), "no X-Request-Id");
                    pods.insert(echo.pod);
                    agrees(&exposed, host, &response)?;
                }
                let response = client.http(entrypoint.http, host).await?;
                ensure!(
                    response.status == 301,
                    "HTTP at {}: {}",
                    entrypoint.what,
                    response.status
                );
                let location = response.header("location");
                ensure!(
                    location == format!("https://{host}/"),
                    "redirected to {location}"
                );
            }
        }
        ensure!(pods.len() == 2, "only {pods:?} answered");
        let unknown = env.host("unknown");
        for entrypoint in &entrypoints {
            let refused = client.https(entrypoint.https, &unknown).await;
            ensure!(
                refused.is_err(),
                "{}: TLS for an unknown name",
                entrypoint.what
            );
            let response = client.http(entrypoint.http, &unknown).await?;
            ensure!(
                response.status == 404,
                "{}: {}",
                entrypoint.what,
                response.status
            );
        }
        addresses(cluster, &exposed)?;
        columns(cluster, &namespace, &full).await?;
        children(cluster, &namespace, &exposed, &[&full, &short]).await
    })
    .await
}

/// Status says of a hostname what the handshake has just shown.
fn agrees(exposed: &Exposed, host: &str, response: &Response) -> Result<()> {
    let status = exposed.hostname(host)?;
    ensure!(
        text(status, "/url") == format!("https://{host}"),
        "{status}"
    );
    ensure!(status.get("ready") == Some(&json!(true)), "{status}");
    ensure!(
        text(status, "/certificate/servedFingerprint") == response.fingerprint()?,
        "{status}"
    );
    ensure!(
        text(status, "/certificate/issuer").ends_with(ISSUER),
        "{status}"
    );
    let der = response.certificate.as_ref().context("no certificate")?;
    let (_, certificate) = x509_parser::parse_x509_certificate(der)?;
    let not_after: Timestamp = text(status, "/certificate/notAfter").parse()?;
    ensure!(
        not_after.as_second() == certificate.validity().not_after.timestamp(),
        "{status}"
    );
    Ok(())
}

/// Status and Ingress name the addresses at which the class is reached from outside.
fn addresses(cluster: &Cluster, exposed: &Exposed) -> Result<()> {
    let reported: BTreeSet<IpAddr> = exposed
        .addresses()
        .into_iter()
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    let expected = BTreeSet::from(cluster.environment.public);
    ensure!(
        reported == expected,
        "status.addresses {reported:?}, expected {expected:?}"
    );
    Ok(())
}

/// Checks the columns of `kubectl get`.
async fn columns(cluster: &Cluster, namespace: &str, host: &str) -> Result<()> {
    let url = format!("https://{host}");
    eventually("the row agrees with the status", SOON, async || {
        let short = cluster
            .kubectl(&["-n", namespace, "get", "xp", "shop"])
            .await?;
        let (head, row) = short.split_once('\n').context("no row")?;
        let head: Vec<&str> = head.split_whitespace().collect();
        ensure!(
            head == ["NAME", "HOSTS", "STATUS", "READY", "URL", "EXPIRES", "AGE"],
            "{head:?}"
        );
        let exposed = cluster.exposed(namespace, "shop").await?;
        let expires = text(&exposed.0, "/status/summary/certificateExpires");
        for part in ["shop", host, "+1", "Ready", "True", &url, expires] {
            ensure!(
                !part.is_empty() && row.contains(part),
                "{part:?} is not in {row:?}"
            );
        }
        Ok(())
    })
    .await?;
    let wide = cluster
        .kubectl(&["-n", namespace, "get", "xp", "shop", "-o", "wide"])
        .await?;
    ensure!(
        wide.contains("DESCRIPTION") && wide.contains("valid"),
        "{wide}"
    );
    let holds = cluster
        .kubectl(&["get", "hostnameholds", &format!("h.{host}")])
        .await?;
    ensure!(holds.contains(namespace) && holds.contains(host), "{holds}");
    Ok(())
}

/// The objects that were made are what other programs expect of them, and name their owner.
async fn children(
    cluster: &Cluster,
    namespace: &str,
    exposed: &Exposed,
    hosts: &[&str],
) -> Result<()> {
    let ingress = cluster
        .get("Ingress", namespace, exposed.child("Ingress")?)
        .await?;
    ensure!(
        text(&ingress, "/spec/ingressClassName") == CLASS,
        "{ingress}"
    );
    ensure!(
        ingress.pointer("/spec/tls").is_none(),
        "a second certificate would be issued: {ingress}"
    );
    let rules = ingress
        .pointer("/spec/rules")
        .and_then(|rules| rules.as_array())
        .context("no rules")?;
    let named: BTreeSet<&str> = rules.iter().map(|rule| text(rule, "/host")).collect();
    ensure!(named == hosts.iter().copied().collect(), "{named:?}");
    eventually("the Ingress has the address", SOON, async || {
        let ingress = cluster
            .get("Ingress", namespace, exposed.child("Ingress")?)
            .await?;
        let address = text(&ingress, "/status/loadBalancer/ingress/0/ip");
        ensure!(
            exposed.addresses().contains(&address),
            "{:?}",
            ingress.get("status")
        );
        Ok(())
    })
    .await?;
    ensure!(
        exposed.children("Certificate").len() == hosts.len(),
        "{exposed}"
    );
    for kind in ["Service", "Ingress", "Certificate"] {
        for name in exposed.children(kind) {
            let child = cluster.get(kind, namespace, name).await?;
            let owner = text(&child, "/metadata/ownerReferences/0/uid");
            ensure!(
                owner == text(&exposed.0, "/metadata/uid"),
                "{kind} {name}: owner {owner:?}"
            );
            let manager = child
                .pointer("/metadata/labels")
                .map(|labels| labels.to_string());
            let manager = manager.unwrap_or_default();
            ensure!(
                manager.contains(r#""app.kubernetes.io/managed-by":"portolan""#),
                "{manager}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn exposes_an_existing_service_by_port_name_or_number() -> Result<()> {
    test_env("service", async |env| {
        let cluster = &env.cluster;
        let namespace = env.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        cluster.apply(&service(&namespace, "mine")).await?;
        let by_name = env.host("name");
        let by_number = env.host("number");
        for (name, host, port) in [("name", &by_name, json!("http")), ("number", &by_number, json!(80))] {
            let spec = json!({"port": port, "service": "mine", "hostnames": [host], "tls": {"mode": "Disabled"}});
            cluster.apply(&exposed_port(&namespace, name, spec)).await?;
        }
        for (name, host) in [("name", &by_name), ("number", &by_number)] {
            let exposed = cluster.ready(&namespace, name, SOON).await?;
            ensure!(exposed.children("Service").is_empty(), "the Service is not ours\n{exposed}");
            serves_plainly(cluster, &exposed, host).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn exposes_a_container_port_by_name() -> Result<()> {
    test_env("named", async |env| {
        let cluster = &env.cluster;
        let namespace = env.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        let host = env.host("named");
        let spec = json!({
            "port": "web", "selector": {"app": "echo"}, "hostnames": [host], "tls": {"mode": "Disabled"},
        });
        cluster.apply(&exposed_port(&namespace, "named", spec)).await?;
        let exposed = cluster.ready(&namespace, "named", SOON).await?;
        serves_plainly(cluster, &exposed, &host).await
    })
    .await
}

/// With TLS disabled HTTP answers, and HTTPS does not know the name.
async fn serves_plainly(cluster: &Cluster, exposed: &Exposed, host: &str) -> Result<()> {
    let client = cluster.http_client()?;
    for entrypoint in cluster.entrypoints(exposed).await? {
        let echo = client
            .http(entrypoint.http, host)
            .await?
            .echo()
            .with_context(|| entrypoint.what.clone())?;
        ensure!(
            echo.header("X-Forwarded-Proto") == "http",
            "{:?}",
            echo.headers
        );
        let tls = client.https(entrypoint.https, host).await;
        ensure!(
            tls.is_err(),
            "{}: TLS although it is disabled",
            entrypoint.what
        );
    }
    let status = exposed.hostname(host)?;
    ensure!(text(status, "/url") == format!("http://{host}"), "{status}");
    ensure!(status.get("certificate").is_none(), "{status}");
    let verdict = exposed
        .current("CertificatesReady")
        .context("no CertificatesReady")?;
    ensure!(
        (verdict.status.as_str(), verdict.reason.as_str()) == ("True", "TlsDisabled"),
        "{verdict:?}"
    );
    ensure!(exposed.children("Certificate").is_empty(), "{exposed}");
    Ok(())
}

#[tokio::test]
async fn serves_and_follows_an_own_secret() -> Result<()> {
    test_env("secret", async |env| {
        let cluster = &env.cluster;
        let namespace = env.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        let wildcard = format!("*.{}", env.host("own"));
        let host = format!("x.{}", env.host("own"));
        let authority = Authority::new()?;
        cluster
            .apply(&tls_secret(
                &namespace,
                "own",
                &authority.issue(&[&wildcard])?,
            ))
            .await?;
        let tls = json!({"tls": {"secret": {"name": "own"}}});
        cluster
            .apply(&exposed_echo(&namespace, "own", &[&wildcard], tls))
            .await?;
        let exposed = cluster.ready(&namespace, "own", SOON).await?;
        ensure!(exposed.children("Certificate").is_empty(), "{exposed}");

        let client = authority.http_client()?;
        for entrypoint in cluster.entrypoints(&exposed).await? {
            let response = client
                .get(Scheme::Https, entrypoint.https, &host, "/x?y=z")
                .await?;
            ensure!(response.echo()?.path == "/x", "{:?}", response.body);
            let two_labels = client.https(entrypoint.https, &format!("y.{host}")).await;
            ensure!(two_labels.is_err(), "a wildcard matches exactly one label");
        }

        let renewed = authority.issue(&[&wildcard])?;
        cluster
            .apply(&tls_secret(&namespace, "own", &renewed))
            .await?;
        let before = text(
            exposed.hostname(&wildcard)?,
            "/certificate/servedFingerprint",
        );
        eventually("the renewed certificate is served", SOON, async || {
            let exposed = cluster.exposed(&namespace, "own").await?;
            let status = exposed.hostname(&wildcard)?;
            let served = text(status, "/certificate/servedFingerprint");
            ensure!(exposed.is_ready() && served != before, "{exposed}");
            for entrypoint in cluster.entrypoints(&exposed).await? {
                let shown = client.https(entrypoint.https, &host).await?.fingerprint()?;
                ensure!(
                    shown == served,
                    "{} shows {shown}, status has {served}",
                    entrypoint.what
                );
            }
            Ok(())
        })
        .await
    })
    .await
}
