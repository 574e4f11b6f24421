//! Certificates by ACME, with HTTP-01 challenges that Portolan alone answers.

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use portolan_e2e::acme::{Manners, Pebble};
use portolan_e2e::cluster::text;
use portolan_e2e::exposed::exposed_echo;
use portolan_e2e::load::Load;
use portolan_e2e::visitor::Scheme;
use portolan_e2e::wait::{LATER, eventually};
use portolan_e2e::{Cluster, Scene, scene};
use serde_json::{Value, json};
use std::time::Duration;

/// Runs a test with an authority of its own, and an issuer of this name that asks it.
async fn with_pebble(
    scene: &Scene,
    manners: &Manners,
    test: impl AsyncFnOnce(&Pebble, &str) -> Result<()>,
) -> Result<()> {
    let pebble = Pebble::start(&scene.cluster, manners).await?;
    let issuer = scene.label("acme");
    scene.cluster.apply(&pebble.issuer(&issuer)).await?;
    let outcome = test(&pebble, &issuer).await;
    scene.cluster.delete("ClusterIssuer", "", &issuer).await?;
    scene
        .cluster
        .delete("Secret", "cert-manager", &issuer)
        .await?;
    outcome.with_context(|| format!("Pebble said:\n{}", tail(&pebble.log())))
}

fn tail(log: &str) -> String {
    let lines: Vec<_> = log.lines().collect();
    let skip = lines.len().saturating_sub(40);
    lines.into_iter().skip(skip).collect::<Vec<_>>().join("\n")
}

fn issued_by(issuer: &str) -> Value {
    json!({"tls": {"issuerRef": {"name": issuer, "kind": "ClusterIssuer", "group": "cert-manager.io"}}})
}

/// An application under one name, which this issuer certifies: its namespace, and the name.
async fn shop(scene: &Scene, issuer: &str) -> Result<(String, String)> {
    let cluster = &scene.cluster;
    let namespace = scene.namespace("a").await?;
    cluster.echo(&namespace, 1).await?;
    let host = scene.host("shop");
    let object = exposed_echo(&namespace, "shop", &[&host], issued_by(issuer));
    cluster.apply(&object).await?;
    Ok((namespace, host))
}

async fn solvers(cluster: &Cluster, namespace: &str) -> Result<usize> {
    let label = "acme.cert-manager.io/http01-solver=true";
    Ok(cluster.list("Ingress", namespace, label).await?.len())
}

#[tokio::test]
async fn a_hostname_gets_its_certificate_with_nothing_else_installed() -> Result<()> {
    scene("acme", async |scene| {
        // Every fourth nonce is refused, as RFC 8555 6.5 lets any server do: that costs time and nothing else.
        let rude = Manners {
            bad_nonces: 25,
            ..Manners::default()
        };
        with_pebble(scene, &rude, async |pebble, issuer| {
            let cluster = &scene.cluster;
            let (namespace, host) = shop(scene, issuer).await?;
            let exposed = cluster.ready(&namespace, "shop", LATER).await?;
            let visitor = pebble.visitor().await?;
            for way in cluster.ways(&exposed).await? {
                visitor.https(way.https, &host).await?.echo()?;
                let plain = visitor.http(way.http, &host).await?;
                ensure!(plain.status == 301, "{}", plain.status);
            }
            // cert-manager takes its Ingress away, and with it the route.
            eventually("the solver is gone", LATER, async || {
                ensure!(solvers(cluster, &namespace).await? == 0, "it is there");
                Ok(())
            })
            .await
        })
        .await
    })
    .await
}

#[tokio::test]
async fn what_the_authority_says_is_told_of_the_name_and_holds_up_no_other() -> Result<()> {
    scene("refused", async |scene| {
        let [good, bad] = [scene.host("good"), scene.host("bad")];
        let manners = Manners {
            blocked: vec![bad.clone()],
            ..Manners::default()
        };
        with_pebble(scene, &manners, async |pebble, issuer| {
            let cluster = &scene.cluster;
            let namespace = scene.namespace("a").await?;
            cluster.echo(&namespace, 1).await?;
            let object = exposed_echo(&namespace, "shop", &[&good, &bad], issued_by(issuer));
            cluster.apply(&object).await?;
            let exposed = eventually("one of two is ready", LATER, async || {
                let exposed = cluster.exposed(&namespace, "shop").await?;
                let status = |host: &str| -> Result<(bool, String)> {
                    let host = exposed.hostname(host)?;
                    let ready = host.get("ready").and_then(Value::as_bool);
                    Ok((ready == Some(true), text(host, "/reason").to_owned()))
                };
                ensure!(status(&good)?.0, "{exposed}");
                ensure!(status(&bad)?.1 == "CertificateFailed", "{exposed}");
                let told = exposed.condition("CertificatesReady");
                let told = told.context("no condition")?.message;
                ensure!(told.starts_with(&bad), "{told}");
                ensure!(told.contains("rejectedIdentifier"), "{told}");
                Ok(exposed)
            })
            .await?;
            let visitor = pebble.visitor().await?;
            for way in cluster.ways(&exposed).await? {
                visitor.https(way.https, &good).await?.echo()?;
            }
            Ok(())
        })
        .await
    })
    .await
}

/// cert-manager gives up after some refused nonces in a row; with nine of ten refused it rarely gets as far
/// as an order, and what the authority says then is not always about nonces (RFC 8555, 6.7).
#[tokio::test]
async fn nine_of_ten_nonces_refused_are_told_and_hold_up_nobody_else() -> Result<()> {
    scene("nonces", async |scene| {
        let rude = Manners {
            bad_nonces: 90,
            ..Manners::default()
        };
        with_pebble(scene, &rude, async |_, issuer| {
            let cluster = &scene.cluster;
            let namespace = scene.namespace("a").await?;
            cluster.echo(&namespace, 1).await?;
            let [slow, quick] = ["slow", "quick"].map(|part| scene.host(part));
            let object = exposed_echo(&namespace, "slow", &[&slow], issued_by(issuer));
            cluster.apply(&object).await?;
            let object = exposed_echo(&namespace, "quick", &[&quick], json!({}));
            cluster.apply(&object).await?;
            cluster.ready(&namespace, "quick", LATER).await?;
            eventually("the authority's words are told", LATER, async || {
                let exposed = cluster.exposed(&namespace, "slow").await?;
                let told = text(exposed.hostname(&slow)?, "/message");
                let words = told.starts_with(&slow) && told.contains("urn:ietf:params:acme:error:");
                ensure!(words || exposed.is_ready(), "{exposed}");
                Ok(())
            })
            .await
        })
        .await
    })
    .await
}

#[tokio::test]
async fn a_rate_limit_is_told_in_the_words_of_the_authority() -> Result<()> {
    scene("limited", async |scene| {
        let strict = Manners {
            limited: true,
            ..Manners::default()
        };
        with_pebble(scene, &strict, async |_, issuer| {
            let cluster = &scene.cluster;
            let (namespace, host) = shop(scene, issuer).await?;
            // The reason may be known before the authority's words are.
            eventually("the authority's words are told", LATER, async || {
                let exposed = cluster
                    .unready(&namespace, "shop", "CertificateFailed", LATER)
                    .await?;
                let told = text(exposed.hostname(&host)?, "/message");
                ensure!(told.starts_with(&host), "{told}");
                for words in ["rateLimited", "too many certificates already issued"] {
                    ensure!(told.contains(words), "{told}");
                }
                Ok(())
            })
            .await
        })
        .await
    })
    .await
}

/// The profile `shortlived` of Let's Encrypt, its six days, and an authority of one's own.
const LIFETIMES: [(&str, i64); 3] = [
    ("hours", 160 * 3600),
    ("days", 6 * 86_400),
    ("years", 10 * 365 * 86_400),
];

#[tokio::test]
async fn certificates_of_any_lifetime_are_renewed_by_their_own_measure() -> Result<()> {
    scene("lifetimes", async |scene| {
        let namespace = scene.namespace("a").await?;
        scene.cluster.echo(&namespace, 1).await?;
        for (name, lifetime) in LIFETIMES {
            let manners = Manners {
                validity: Duration::from_secs(lifetime.unsigned_abs()),
                ..Manners::default()
            };
            with_pebble(scene, &manners, async |_, issuer| {
                let cluster = &scene.cluster;
                let host = scene.host(name);
                let object = exposed_echo(&namespace, name, &[&host], issued_by(issuer));
                cluster.apply(&object).await?;
                cluster.ready(&namespace, name, LATER).await?;
                // cert-manager tells when it will renew a moment after it has issued.
                eventually("the renewal is told", LATER, async || {
                    let exposed = cluster.exposed(&namespace, name).await?;
                    let seconds = |field: &str| -> Result<i64> {
                        let at = text(exposed.hostname(&host)?, &format!("/certificate/{field}"));
                        let at: Timestamp =
                            at.parse().with_context(|| format!("{field}: {at:?}"))?;
                        Ok(at.as_second() - Timestamp::now().as_second())
                    };
                    let (end, renewal) = (seconds("notAfter")?, seconds("renewalTime")?);
                    let near = |at: i64, wanted: i64| (at - wanted).abs() < lifetime / 50;
                    ensure!(near(end, lifetime), "{name}: ends in {end} s");
                    ensure!(
                        near(renewal, lifetime * 2 / 3),
                        "{name}: renewed in {renewal} s"
                    );
                    Ok(())
                })
                .await
            })
            .await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_minutes_is_renewed_under_load_and_nobody_notices() -> Result<()> {
    scene("renewal", async |scene| {
        let short = Manners {
            validity: Duration::from_secs(120),
            ..Manners::default()
        };
        with_pebble(scene, &short, async |pebble, issuer| {
            let cluster = &scene.cluster;
            let (namespace, host) = shop(scene, issuer).await?;
            let exposed = cluster.ready(&namespace, "shop", LATER).await?;
            let ways = cluster.ways(&exposed).await?;
            let visitor = pebble.visitor().await?;
            let way = ways.first().context("no way in")?;
            let first = visitor.https(way.https, &host).await?.fingerprint()?;
            let load = Load::start(&visitor, &ways, Scheme::Https, &host);
            for way in &ways {
                eventually("the next certificate is served", LATER, async || {
                    let answer = visitor.https(way.https, &host).await?;
                    let shown = answer.fingerprint()?;
                    ensure!(shown != first, "still {shown}");
                    Ok(())
                })
                .await?;
            }
            load.finish().await?;
            // Status follows what is served.
            eventually("status tells the next one", LATER, async || {
                let exposed = cluster.ready(&namespace, "shop", LATER).await?;
                let told = exposed.hostname(&host)?;
                let told = text(told, "/certificate/servedFingerprint");
                ensure!(!told.is_empty() && told != first, "{told}");
                Ok(())
            })
            .await
        })
        .await
    })
    .await
}
