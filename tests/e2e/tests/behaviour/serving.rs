//! From an ExposedPort to answers, at every proxy and address, and a status that says what is so.

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use portolan_e2e::cluster::text;
use portolan_e2e::echo::service;
use portolan_e2e::exposed::{Exposed, exposed_echo, exposed_port};
use portolan_e2e::pki::{Authority, tls_secret};
use portolan_e2e::visitor::{Answer, Scheme};
use portolan_e2e::wait::{LATER, SOON, eventually};
use portolan_e2e::{CLASS, Cluster, ISSUER, scene};
use serde_json::json;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// How often a host is asked at one way: enough to meet more than one worker.
const ROUNDS: usize = 4;

#[tokio::test]
async fn https_answers_at_every_proxy_and_address_of_both_families() -> Result<()> {
    scene("https", async |scene| {
        let cluster = &scene.cluster;
        let namespace = scene.namespace("a").await?;
        cluster.echo(&namespace, 2).await?;
        let (full, short) = (scene.host("shop"), scene.host("hello"));
        let names = [full.as_str(), &format!("{}.*", scene.label("hello"))];
        cluster
            .apply(&exposed_echo(&namespace, "shop", &names, json!({})))
            .await?;
        let exposed = cluster.ready(&namespace, "shop", LATER).await?;

        let visitor = cluster.visitor()?;
        let ways = cluster.ways(&exposed).await?;
        ensure!(
            ways.iter().any(|way| way.https.is_ipv4())
                && ways.iter().any(|way| way.https.is_ipv6())
        );
        let mut pods = BTreeSet::new();
        for way in &ways {
            for host in [&full, &short] {
                for _ in 0..ROUNDS {
                    let answer = visitor
                        .https(way.https, host)
                        .await
                        .with_context(|| way.what.clone())?;
                    let echo = answer
                        .echo()
                        .with_context(|| format!("{} {host}", way.what))?;
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
                    agrees(&exposed, host, &answer)?;
                }
                let answer = visitor.http(way.http, host).await?;
                ensure!(
                    answer.status == 301,
                    "HTTP at {}: {}",
                    way.what,
                    answer.status
                );
                let location = answer.header("location");
                ensure!(
                    location == format!("https://{host}/"),
                    "redirected to {location}"
                );
            }
        }
        ensure!(pods.len() == 2, "only {pods:?} answered");
        let unknown = scene.host("nobody");
        for way in &ways {
            let refused = visitor.https(way.https, &unknown).await;
            ensure!(
                refused.is_err(),
                "{}: TLS for a name that nobody has",
                way.what
            );
            let answer = visitor.http(way.http, &unknown).await?;
            ensure!(answer.status == 404, "{}: {}", way.what, answer.status);
        }
        addresses(cluster, &exposed)?;
        columns(cluster, &namespace, &full).await?;
        children(cluster, &namespace, &exposed, &[&full, &short]).await
    })
    .await
}

/// Status says of a hostname what the handshake has just shown.
fn agrees(exposed: &Exposed, host: &str, answer: &Answer) -> Result<()> {
    let status = exposed.hostname(host)?;
    ensure!(
        text(status, "/url") == format!("https://{host}"),
        "{status}"
    );
    ensure!(status.get("ready") == Some(&json!(true)), "{status}");
    ensure!(
        text(status, "/certificate/servedFingerprint") == answer.fingerprint()?,
        "{status}"
    );
    ensure!(
        text(status, "/certificate/issuer").ends_with(ISSUER),
        "{status}"
    );
    let der = answer.certificate.as_ref().context("no certificate")?;
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
    let told: BTreeSet<IpAddr> = exposed
        .addresses()
        .into_iter()
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    let real = BTreeSet::from(cluster.environment.public);
    ensure!(told == real, "status.addresses {told:?}, really {real:?}");
    Ok(())
}

/// What a person reads.
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
        "nobody shall issue twice: {ingress}"
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
async fn a_service_of_ones_own_is_exposed_by_the_name_of_its_port() -> Result<()> {
    scene("service", async |scene| {
        let cluster = &scene.cluster;
        let namespace = scene.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        cluster.apply(&service(&namespace, "mine")).await?;
        let by_name = scene.host("name");
        let by_number = scene.host("number");
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
async fn a_container_port_is_exposed_by_its_name() -> Result<()> {
    scene("named", async |scene| {
        let cluster = &scene.cluster;
        let namespace = scene.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        let host = scene.host("named");
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
    let visitor = cluster.visitor()?;
    for way in cluster.ways(exposed).await? {
        let echo = visitor
            .http(way.http, host)
            .await?
            .echo()
            .with_context(|| way.what.clone())?;
        ensure!(
            echo.header("X-Forwarded-Proto") == "http",
            "{:?}",
            echo.headers
        );
        let tls = visitor.https(way.https, host).await;
        ensure!(tls.is_err(), "{}: TLS although it is disabled", way.what);
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
async fn a_secret_of_ones_own_is_served_and_followed() -> Result<()> {
    scene("secret", async |scene| {
        let cluster = &scene.cluster;
        let namespace = scene.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        let wildcard = format!("*.{}", scene.host("own"));
        let host = format!("x.{}", scene.host("own"));
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

        let visitor = authority.visitor()?;
        for way in cluster.ways(&exposed).await? {
            let answer = visitor
                .get(Scheme::Https, way.https, &host, "/x?y=z")
                .await?;
            ensure!(answer.echo()?.path == "/x", "{:?}", answer.body);
            let two_labels = visitor.https(way.https, &format!("y.{host}")).await;
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
            let told = text(status, "/certificate/servedFingerprint");
            ensure!(exposed.is_ready() && told != before, "{exposed}");
            for way in cluster.ways(&exposed).await? {
                let shown = visitor.https(way.https, &host).await?.fingerprint()?;
                ensure!(
                    shown == told,
                    "{} shows {shown}, status says {told}",
                    way.what
                );
            }
            Ok(())
        })
        .await
    })
    .await
}
