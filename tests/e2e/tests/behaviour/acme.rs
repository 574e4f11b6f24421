//! Certificates by ACME, with HTTP-01 challenges that Portolan alone answers.

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use portolan_e2e::acme::{Behaviour, Pebble};
use portolan_e2e::client::Scheme;
use portolan_e2e::cluster::text;
use portolan_e2e::exposed::exposed_echo;
use portolan_e2e::load::Load;
use portolan_e2e::wait::{LATER, eventually};
use portolan_e2e::{Cluster, TestEnv, test_env};
use serde_json::{Value, json};
use std::time::Duration;

/// Runs a test with an authority of its own, and an issuer that uses it.
async fn with_pebble(
    env: &TestEnv,
    behaviour: &Behaviour,
    test: impl AsyncFnOnce(&Pebble, &str) -> Result<()>,
) -> Result<()> {
    let pebble = Pebble::start(&env.cluster, behaviour).await?;
    let issuer = env.label("acme");
    env.cluster.apply(&pebble.issuer(&issuer)).await?;
    let outcome = test(&pebble, &issuer).await;
    env.cluster.delete("ClusterIssuer", "", &issuer).await?;
    env.cluster
        .delete("Secret", "cert-manager", &issuer)
        .await?;
    outcome.with_context(|| format!("log of Pebble:\n{}", tail(&pebble.log())))
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
async fn shop(env: &TestEnv, issuer: &str) -> Result<(String, String)> {
    let cluster = &env.cluster;
    let namespace = env.namespace("a").await?;
    cluster.echo(&namespace, 1).await?;
    let host = env.host("shop");
    let object = exposed_echo(&namespace, "shop", &[&host], issued_by(issuer));
    cluster.apply(&object).await?;
    Ok((namespace, host))
}

async fn solvers(cluster: &Cluster, namespace: &str) -> Result<usize> {
    let label = "acme.cert-manager.io/http01-solver=true";
    Ok(cluster.list("Ingress", namespace, label).await?.len())
}

#[tokio::test]
async fn acme_issues_with_nothing_else_installed() -> Result<()> {
    test_env("acme", async |env| {
        // Every fourth nonce is refused, as RFC 8555 6.5 lets any server do: that costs time and nothing else.
        let rejecting = Behaviour {
            bad_nonces: 25,
            ..Behaviour::default()
        };
        with_pebble(env, &rejecting, async |pebble, issuer| {
            let cluster = &env.cluster;
            let (namespace, host) = shop(env, issuer).await?;
            let exposed = cluster.ready(&namespace, "shop", LATER).await?;
            let client = pebble.http_client().await?;
            for entrypoint in cluster.entrypoints(&exposed).await? {
                client.https(entrypoint.https, &host).await?.echo()?;
                let plain = client.http(entrypoint.http, &host).await?;
                ensure!(plain.status == 301, "{}", plain.status);
            }
            // cert-manager takes its Ingress away, and with it the route.
            eventually("the solver is gone", LATER, async || {
                ensure!(solvers(cluster, &namespace).await? == 0, "it still exists");
                Ok(())
            })
            .await
        })
        .await
    })
    .await
}

#[tokio::test]
async fn acme_error_is_reported_and_blocks_no_other_hostname() -> Result<()> {
    test_env("refused", async |env| {
        let [good, bad] = [env.host("good"), env.host("bad")];
        let behaviour = Behaviour {
            blocked: vec![bad.clone()],
            ..Behaviour::default()
        };
        with_pebble(env, &behaviour, async |pebble, issuer| {
            let cluster = &env.cluster;
            let namespace = env.namespace("a").await?;
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
                let condition = exposed.condition("CertificatesReady");
                let message = condition.context("no condition")?.message;
                ensure!(message.starts_with(&bad), "{message}");
                ensure!(message.contains("rejectedIdentifier"), "{message}");
                Ok(exposed)
            })
            .await?;
            let client = pebble.http_client().await?;
            for entrypoint in cluster.entrypoints(&exposed).await? {
                client.https(entrypoint.https, &good).await?.echo()?;
            }
            Ok(())
        })
        .await
    })
    .await
}

/// cert-manager gives up after some refused nonces in a row; with nine of ten refused it rarely gets as far
/// as an order, and the error of the authority is then not always about nonces (RFC 8555, 6.7).
#[tokio::test]
async fn rejected_nonces_are_reported_and_block_no_other_object() -> Result<()> {
    test_env("nonces", async |env| {
        let rejecting = Behaviour {
            bad_nonces: 90,
            ..Behaviour::default()
        };
        with_pebble(env, &rejecting, async |_, issuer| {
            let cluster = &env.cluster;
            let namespace = env.namespace("a").await?;
            cluster.echo(&namespace, 1).await?;
            let [slow, quick] = ["slow", "quick"].map(|part| env.host(part));
            let object = exposed_echo(&namespace, "slow", &[&slow], issued_by(issuer));
            cluster.apply(&object).await?;
            let object = exposed_echo(&namespace, "quick", &[&quick], json!({}));
            cluster.apply(&object).await?;
            cluster.ready(&namespace, "quick", LATER).await?;
            eventually("the status has the authority's error", LATER, async || {
                let exposed = cluster.exposed(&namespace, "slow").await?;
                let message = text(exposed.hostname(&slow)?, "/message");
                let has_error =
                    message.starts_with(&slow) && message.contains("urn:ietf:params:acme:error:");
                ensure!(has_error || exposed.is_ready(), "{exposed}");
                Ok(())
            })
            .await
        })
        .await
    })
    .await
}

#[tokio::test]
async fn acme_rate_limit_error_is_reported() -> Result<()> {
    test_env("limited", async |env| {
        let strict = Behaviour {
            limited: true,
            ..Behaviour::default()
        };
        with_pebble(env, &strict, async |_, issuer| {
            let cluster = &env.cluster;
            let (namespace, host) = shop(env, issuer).await?;
            // The reason may be known before the authority's error is.
            eventually("the status has the authority's error", LATER, async || {
                let exposed = cluster
                    .unready(&namespace, "shop", "CertificateFailed", LATER)
                    .await?;
                let message = text(exposed.hostname(&host)?, "/message");
                ensure!(message.starts_with(&host), "{message}");
                for part in ["rateLimited", "too many certificates already issued"] {
                    ensure!(message.contains(part), "{message}");
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
async fn renewal_time_follows_the_lifetime_of_the_certificate() -> Result<()> {
    test_env("lifetimes", async |env| {
        let namespace = env.namespace("a").await?;
        env.cluster.echo(&namespace, 1).await?;
        for (name, lifetime) in LIFETIMES {
            let behaviour = Behaviour {
                validity: Duration::from_secs(lifetime.unsigned_abs()),
                ..Behaviour::default()
            };
            with_pebble(env, &behaviour, async |_, issuer| {
                let cluster = &env.cluster;
                let host = env.host(name);
                let object = exposed_echo(&namespace, name, &[&host], issued_by(issuer));
                cluster.apply(&object).await?;
                cluster.ready(&namespace, name, LATER).await?;
                // cert-manager writes renewalTime a moment after it has issued.
                eventually("the status has renewalTime", LATER, async || {
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
async fn short_lived_certificate_is_renewed_without_a_lost_request() -> Result<()> {
    test_env("renewal", async |env| {
        let short = Behaviour {
            validity: Duration::from_secs(120),
            ..Behaviour::default()
        };
        with_pebble(env, &short, async |pebble, issuer| {
            let cluster = &env.cluster;
            let (namespace, host) = shop(env, issuer).await?;
            let exposed = cluster.ready(&namespace, "shop", LATER).await?;
            let entrypoints = cluster.entrypoints(&exposed).await?;
            let client = pebble.http_client().await?;
            let entrypoint = entrypoints.first().context("no way in")?;
            let first = client.https(entrypoint.https, &host).await?.fingerprint()?;
            let load = Load::start(&client, &entrypoints, Scheme::Https, &host);
            for entrypoint in &entrypoints {
                eventually("the next certificate is served", LATER, async || {
                    let response = client.https(entrypoint.https, &host).await?;
                    let shown = response.fingerprint()?;
                    ensure!(shown != first, "still {shown}");
                    Ok(())
                })
                .await?;
            }
            load.finish().await?;
            // Status follows what is served.
            eventually("the status has the next one", LATER, async || {
                let exposed = cluster.ready(&namespace, "shop", LATER).await?;
                let status = exposed.hostname(&host)?;
                let served = text(status, "/certificate/servedFingerprint");
                ensure!(!served.is_empty() && served != first, "{served}");
                Ok(())
            })
            .await
        })
        .await
    })
    .await
}
