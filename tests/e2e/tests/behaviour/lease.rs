//! Objects that live while a program renews a Lease.

use anyhow::{Result, ensure};
use jiff::{SignedDuration, Timestamp};
use portolan_e2e::exposed::exposed_echo;
use portolan_e2e::proxies::Way;
use portolan_e2e::visitor::{Scheme, Visitor};
use portolan_e2e::wait::{LATER, SOON, eventually};
use portolan_e2e::{Cluster, scene};
use serde_json::json;
use std::convert::Infallible;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// The shortest that there is, so that the test is short.
const DURATION: &str = "5s";
const PACE: Duration = Duration::from_secs(1);

#[tokio::test]
async fn an_object_lives_as_long_as_its_lease_is_renewed_and_comes_back_with_it() -> Result<()> {
    scene("lease", async |scene| {
        let cluster = &scene.cluster;
        let namespace = scene.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        let host = scene.host("job");
        let more = json!({"lease": {"duration": DURATION}, "tls": {"mode": "Disabled"}});
        cluster
            .apply(&exposed_echo(&namespace, "job", &[&host], more))
            .await?;
        let visitor = cluster.visitor()?;
        let hold = format!("h.{host}");

        let served = async || -> Result<Vec<Way>> {
            let exposed = cluster.ready(&namespace, "job", LATER).await?;
            let ways = cluster.ways(&exposed).await?;
            for way in &ways {
                eventually("it is served", SOON, async || {
                    answer(&visitor, way, &host, 200).await
                })
                .await?;
            }
            Ok(ways)
        };
        // Three times as long as one renewal lasts.
        let enough = SignedDuration::from_secs(15);
        let ways = renewing(cluster, &namespace, async || {
            let ways = served().await?;
            let from = Timestamp::now();
            while Timestamp::now().duration_since(from) < enough {
                let exposed = cluster.exposed(&namespace, "job").await?;
                ensure!(exposed.is_ready(), "{exposed}");
                for way in &ways {
                    answer(&visitor, way, &host, 200).await?;
                }
            }
            Ok(ways)
        })
        .await?;

        let lapsed = cluster
            .unready(&namespace, "job", "LeaseLapsed", SOON)
            .await?;
        ensure!(
            lapsed.0["status"]["summary"]["status"] == "Expired",
            "{lapsed}"
        );
        for way in &ways {
            eventually("nothing is served", SOON, async || {
                answer(&visitor, way, &host, 404).await
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

async fn answer(visitor: &Visitor, way: &Way, host: &str, status: u16) -> Result<()> {
    let answer = visitor.get(Scheme::Http, way.http, host, "/").await?;
    ensure!(answer.status == status, "{}: {}", way.what, answer.status);
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
