//! Objects that live while a program renews a Lease.

use anyhow::{Result, ensure};
use jiff::{SignedDuration, Timestamp};
use portolan_e2e::client::{Client, Scheme};
use portolan_e2e::exposed::exposed_echo;
use portolan_e2e::proxies::Entrypoint;
use portolan_e2e::wait::{LATER, SOON, eventually};
use portolan_e2e::{Cluster, test_env};
use serde_json::json;
use std::convert::Infallible;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// The shortest that there is, so that the test is short.
const DURATION: &str = "5s";
const PACE: Duration = Duration::from_secs(1);

#[tokio::test]
async fn serves_an_object_while_its_lease_is_renewed() -> Result<()> {
    test_env("lease", async |env| {
        let cluster = &env.cluster;
        let namespace = env.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        let host = env.host("job");
        let more = json!({"lease": {"duration": DURATION}, "tls": {"mode": "Disabled"}});
        cluster
            .apply(&exposed_echo(&namespace, "job", &[&host], more))
            .await?;
        let client = cluster.http_client()?;
        let hold = format!("h.{host}");

        let served = async || -> Result<Vec<Entrypoint>> {
            let exposed = cluster.ready(&namespace, "job", LATER).await?;
            let entrypoints = cluster.entrypoints(&exposed).await?;
            for entrypoint in &entrypoints {
                eventually("it is served", SOON, async || {
                    responds_with(&client, entrypoint, &host, 200).await
                })
                .await?;
            }
            Ok(entrypoints)
        };
        // Three times as long as one renewal lasts.
        let enough = SignedDuration::from_secs(15);
        let entrypoints = renewing(cluster, &namespace, async || {
            let entrypoints = served().await?;
            let from = Timestamp::now();
            while Timestamp::now().duration_since(from) < enough {
                let exposed = cluster.exposed(&namespace, "job").await?;
                ensure!(exposed.is_ready(), "{exposed}");
                for entrypoint in &entrypoints {
                    responds_with(&client, entrypoint, &host, 200).await?;
                }
            }
            Ok(entrypoints)
        })
        .await?;

        let lapsed = cluster
            .unready(&namespace, "job", "LeaseLapsed", SOON)
            .await?;
        ensure!(
            lapsed.0["status"]["summary"]["status"] == "Expired",
            "{lapsed}"
        );
        for entrypoint in &entrypoints {
            eventually("nothing is served", SOON, async || {
                responds_with(&client, entrypoint, &host, 404).await
            })
            .await?;
        }
        cluster.gone("HostnameHold", "", &hold, SOON).await?;

        renewing(cluster, &namespace, async || {
            served().await?;
            ensure!(cluster.find("HostnameHold", "", &hold).await?.is_some());
            Ok(())
        })
        .await
    })
    .await
}

async fn responds_with(
    client: &Client,
    entrypoint: &Entrypoint,
    host: &str,
    status: u16,
) -> Result<()> {
    let response = client.get(Scheme::Http, entrypoint.http, host, "/").await?;
    ensure!(
        response.status == status,
        "{}: {}",
        entrypoint.what,
        response.status
    );
    Ok(())
}

/// Does something while a program renews the Lease.
async fn renewing<T>(
    cluster: &Cluster,
    namespace: &str,
    act: impl AsyncFnOnce() -> Result<T>,
) -> Result<T> {
    tokio::select! {
        done = act() => done,
        broken = renew(cluster, namespace) => match broken {
            Err(error) => Err(error.context("the Lease was not renewed")),
        },
    }
}

async fn renew(cluster: &Cluster, namespace: &str) -> Result<Infallible> {
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pace.tick().await;
        let labels = json!({"portolan.dev/exposed-port": "job"});
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"namespace": namespace, "name": "program", "labels": labels},
            "spec": {"holderIdentity": "test", "renewTime": format!("{:.6}", Timestamp::now())},
        });
        cluster.apply(&lease).await?;
    }
}
