//! The proxies go on without the operator, and nobody notices when either is replaced.

use anyhow::{Context, Result, ensure};
use futures::FutureExt;
use futures::future::{Either, select};
use kube::runtime::watcher::{self, Event, watcher};
use portolan_e2e::cluster::text;
use portolan_e2e::exposed::{Exposed, KIND, exposed_echo};
use portolan_e2e::load::Load;
use portolan_e2e::proxies::{Way, is_ready};
use portolan_e2e::visitor::Scheme;
use portolan_e2e::wait::{LATER, eventually};
use portolan_e2e::{CLASS, Cluster, SYSTEM, Scene, scene};
use portolan_faults::container;
use portolan_faults::stand::{OPERATOR, restore, withdraw};
use serde_json::{Value, json};
use std::panic::AssertUnwindSafe;
use std::pin::pin;

const PROXY: &str = "portolan-proxy";
/// Requests that must have been answered after a change of scene before it counts as survived.
const MANY: u64 = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_operator_the_proxies_serve_even_after_a_crash() -> Result<()> {
    scene("static", async |scene| {
        let cluster = &scene.cluster;
        let standing = Standing::new(scene).await?;
        let outcome = AssertUnwindSafe(standing.without_operator())
            .catch_unwind()
            .await;
        let back = restore(cluster).await;
        match outcome {
            Ok(outcome) => outcome.and(back)?,
            Err(panic) => std::panic::resume_unwind(panic),
        }
        // Back again, the operator takes the third proxy away, and everything is as it was.
        cluster.rolled_out(SYSTEM, &standing.deployment).await?;
        let exposed = cluster.ready(&standing.namespace, "x", LATER).await?;
        let visitor = cluster.visitor()?;
        for way in cluster.ways(&exposed).await? {
            visitor.https(way.https, &standing.host).await?.echo()?;
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarting_the_operator_costs_no_request_and_no_readiness() -> Result<()> {
    scene("restart", async |scene| {
        let cluster = &scene.cluster;
        let standing = Standing::new(scene).await?;
        let ways = cluster.ways(&standing.exposed).await?;
        let load = standing.load(&ways)?;
        let restarted = async {
            cluster
                .kubectl(&["-n", SYSTEM, "rollout", "restart", "deployment", OPERATOR])
                .await?;
            cluster.rolled_out(SYSTEM, OPERATOR).await?;
            // The new leader has judged everything once: a change of now reaches the proxies.
            let host = scene.host("later");
            let plain = json!({"tls": {"mode": "Disabled"}});
            cluster
                .apply(&exposed_echo(&standing.namespace, "later", &[&host], plain))
                .await?;
            cluster
                .ready(&standing.namespace, "later", LATER)
                .await
                .map(drop)
        };
        standing.while_ready(restarted).await?;
        let answered = load.finish().await?;
        println!("restart: {answered} requests answered");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replacing_the_proxies_costs_no_request() -> Result<()> {
    scene("rollout", async |scene| {
        let cluster = &scene.cluster;
        let standing = Standing::new(scene).await?;
        let before = cluster.ready_proxies().await?;
        let mut ways = cluster.ways(&standing.exposed).await?;
        // The Service's addresses: a pod's own address ends with the pod.
        ways.retain(|way| cluster.environment.public.contains(&way.https.ip()));
        let load = standing.load(&ways)?;
        cluster
            .kubectl(&[
                "-n",
                SYSTEM,
                "rollout",
                "restart",
                "deployment",
                &standing.deployment,
            ])
            .await?;
        cluster.rolled_out(SYSTEM, &standing.deployment).await?;
        let after = cluster.ready_proxies().await?;
        ensure!(
            after.iter().all(|pod| !before.contains(pod)),
            "the same proxies: {after:?}"
        );
        let answered = load.finish().await?;
        println!("rollout: {answered} requests answered");
        cluster
            .ready(&standing.namespace, "x", LATER)
            .await
            .map(drop)
    })
    .await
}

/// An object that is served over HTTPS, and the proxies that do it.
struct Standing {
    cluster: Cluster,
    namespace: String,
    host: String,
    exposed: Exposed,
    deployment: String,
}

impl Standing {
    async fn new(scene: &Scene) -> Result<Self> {
        let cluster = scene.cluster.clone();
        let namespace = scene.namespace("a").await?;
        cluster.echo(&namespace, 2).await?;
        let host = scene.host("x");
        cluster
            .apply(&exposed_echo(&namespace, "x", &[&host], json!({})))
            .await?;
        let exposed = cluster.ready(&namespace, "x", LATER).await?;
        let all = cluster
            .list("Deployment", SYSTEM, &format!("portolan.dev/class={CLASS}"))
            .await?;
        let deployment = text(
            all.first().context("no Deployment of proxies")?,
            "/metadata/name",
        );
        let deployment = deployment.to_owned();
        Ok(Self {
            cluster,
            namespace,
            host,
            exposed,
            deployment,
        })
    }

    fn load(&self, ways: &[Way]) -> Result<Load> {
        Ok(Load::start(
            &self.cluster.visitor()?,
            ways,
            Scheme::Https,
            &self.host,
        ))
    }

    async fn without_operator(&self) -> Result<()> {
        let cluster = &self.cluster;
        let proxies = cluster.ready_proxies().await?;
        let (struck, others) = proxies.split_first().context("no proxy")?;
        ensure!(!others.is_empty(), "one proxy only: who serves meanwhile?");
        let ways: Vec<Way> = others.iter().flat_map(|proxy| proxy.ways()).collect();
        let load = self.load(&ways)?;
        withdraw(cluster).await?;
        answered(&load, MANY).await?;

        // A crash: the container is started again in the same pod, and finds the state in its volume.
        let restarts = restarts(cluster, &struck.name).await?;
        container::kill(&struck.uid, PROXY)?;
        let visitor = cluster.visitor()?;
        eventually(
            "the crashed proxy serves from its snapshot",
            LATER,
            async || {
                ensure!(
                    self::restarts(cluster, &struck.name).await? > restarts,
                    "not restarted yet"
                );
                for way in struck.ways() {
                    visitor.https(way.https, &self.host).await?.echo()?;
                }
                let pod = cluster.get("Pod", SYSTEM, &struck.name).await?;
                ensure!(is_ready(&pod), "it serves and is not Ready");
                Ok(())
            },
        )
        .await?;

        // A new pod has no state, and must not be sent requests.
        let wanted = u32::try_from(proxies.len() + 1)?;
        cluster.scale(SYSTEM, &self.deployment, wanted).await?;
        eventually(
            "a new proxy says that it has no configuration",
            LATER,
            async || {
                for pod in cluster.proxy_pods(CLASS).await? {
                    if proxies
                        .iter()
                        .any(|old| old.uid == text(&pod, "/metadata/uid"))
                    {
                        continue;
                    }
                    ensure!(!is_ready(&pod), "a proxy without configuration is Ready");
                    let at = format!("{}:9090", text(&pod, "/status/podIP")).parse()?;
                    let answer = visitor.get(Scheme::Http, at, "proxy", "/readyz").await?;
                    let body = String::from_utf8_lossy(&answer.body).into_owned();
                    ensure!(
                        answer.status == 503 && body.contains("NoConfiguration"),
                        "{} {body}",
                        answer.status
                    );
                    return Ok(());
                }
                anyhow::bail!("no new proxy yet")
            },
        )
        .await?;
        answered(&load, MANY).await?;
        load.finish().await.map(drop)
    }

    /// Does something while watching that the object never stops being Ready.
    async fn while_ready(&self, deed: impl Future<Output = Result<()>>) -> Result<()> {
        let api = self.cluster.api(KIND, &self.namespace)?;
        let config = watcher::Config::default().fields("metadata.name=x");
        let mut events = pin!(watcher(api, config));
        let flapped = async {
            use futures::StreamExt;
            while let Some(event) = events.next().await {
                // A watch that breaks off is taken up again by the watcher.
                let Ok(Event::Apply(object) | Event::InitApply(object)) = event else {
                    continue;
                };
                let exposed = Exposed(serde_json::to_value(object)?);
                ensure!(exposed.is_ready(), "it stopped being Ready\n{exposed}");
            }
            anyhow::bail!("the watch ended")
        };
        match select(pin!(deed), pin!(flapped)).await {
            Either::Left((done, _)) => done,
            Either::Right((flapped, _)) => flapped,
        }
    }
}

async fn answered(load: &Load, more: u64) -> Result<()> {
    let before = load.answered();
    eventually("requests are answered", LATER, async || {
        let now = load.answered() - before;
        ensure!(now >= more, "{now} of {more}");
        Ok(())
    })
    .await
}

async fn restarts(cluster: &Cluster, pod: &str) -> Result<i64> {
    let pod = cluster.get("Pod", SYSTEM, pod).await?;
    let count = pod
        .pointer("/status/containerStatuses/0/restartCount")
        .and_then(Value::as_i64);
    count.context("no restart count")
}
