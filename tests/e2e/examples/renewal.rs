//! Measures how soon every proxy serves a renewed Secret: the cluster of the environment, its class `public`,
//! its API server. Prints the figures; `make bench-renewal` runs it on the cluster of `make demo`.
#![allow(clippy::print_stdout)] // It is what it is for.

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use portolan_e2e::client::Client;
use portolan_e2e::exposed::exposed_echo;
use portolan_e2e::pki::Authority;
use portolan_e2e::test_env;
use portolan_e2e::wait::LATER;
use serde_json::json;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

/// Between two looks at a proxy.
const LOOK: Duration = Duration::from_millis(5);
/// A proxy that is later than this is not measured.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> Result<()> {
    let rounds = std::env::var("ROUNDS").unwrap_or_else(|_| "30".to_owned());
    let rounds: usize = rounds.parse().context("ROUNDS is no number")?;
    ensure!(rounds > 0, "ROUNDS is 0");
    test_env("renewal-figure", async |env| {
        let cluster = &env.cluster;
        let namespace = env.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        let host = env.host("shop");
        let authority = Authority::new()?;
        let renew = async || {
            cluster.apply(&authority.secret(&namespace, "own", &[&host])?).await
        };
        renew().await?;
        let tls = json!({"tls": {"secret": {"name": "own"}}});
        cluster
            .apply(&exposed_echo(&namespace, "shop", &[&host], tls))
            .await?;
        cluster.ready(&namespace, "shop", LATER).await?;
        let proxies = cluster.ready_proxies().await?;
        let entrypoints: Vec<_> = proxies.iter().flat_map(|proxy| proxy.entrypoints().next()).collect();
        let client = authority.http_client()?;
        let entrypoint = entrypoints.first().context("no proxy")?;
        let mut old = client.https(entrypoint.https, &host).await?.fingerprint()?;
        let mut slowest = Vec::with_capacity(rounds);
        for _ in 0..rounds {
            // What the last one caused comes to rest.
            sleep(Duration::from_secs(1)).await;
            renew().await?;
            let stored = Instant::now();
            let seen = entrypoints
                .iter()
                .map(|entrypoint| next(&client, entrypoint.https, &host, &old, stored));
            let seen = try_join_all(seen).await?;
            slowest.extend(seen.iter().map(|(after, _)| *after).max());
            old.clone_from(&seen.first().context("no proxy")?.1);
        }
        slowest.sort();
        let at = |share: usize| slowest.get((rounds - 1) * share / 100).copied();
        println!(
            "{rounds} renewals, {} proxies; from the API server's answer until the last proxy shows the new certificate: median {:?}, 95 % within {:?}, all within {:?}",
            entrypoints.len(),
            at(50).unwrap_or_default(),
            at(95).unwrap_or_default(),
            at(100).unwrap_or_default(),
        );
        Ok(())
    })
    .await
}

/// Time a proxy took to present another certificate, and its fingerprint.
async fn next(
    client: &Client,
    at: SocketAddr,
    host: &str,
    old: &str,
    since: Instant,
) -> Result<(Duration, String)> {
    let shows = async {
        loop {
            let shown = client.https(at, host).await?.fingerprint()?;
            if shown != old {
                return Ok((since.elapsed(), shown));
            }
            sleep(LOOK).await;
        }
    };
    timeout(PATIENCE, shows)
        .await
        .with_context(|| format!("{at} shows no other certificate within {PATIENCE:?}"))?
}
