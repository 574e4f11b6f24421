//! The proxies go on without the operator, and no request is lost when either is replaced.

use anyhow::{Context, Result, ensure};
use futures::FutureExt;
use futures::future::{Either, select};
use kube::runtime::watcher::{self, Event, watcher};
use portolan_e2e::client::Scheme;
use portolan_e2e::cluster::text;
use portolan_e2e::exposed::{Exposed, KIND, exposed_echo};
use portolan_e2e::load::Load;
use portolan_e2e::proxies::{Entrypoint, is_ready};
use portolan_e2e::wait::{LATER, eventually};
use portolan_e2e::{CLASS, Cluster, SYSTEM, TestEnv, test_env};
use portolan_faults::container;
use portolan_faults::operator_under_test::{OPERATOR, restore, withdraw};
use serde_json::{Value, json};
use std::panic::AssertUnwindSafe;
use std::pin::pin;

const PROXY: &str = "portolan-proxy";
/// Requests that must have been answered after a disruption before it counts as survived.
const MANY: u64 = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn proxies_serve_without_the_operator_even_after_a_crash() -> Result<()> {
    test_env("static", async |env| {
        let cluster = &env.cluster;
        let app = ExposedApp::new(env).await?;
        let outcome = AssertUnwindSafe(app.without_operator())
            .catch_unwind()
            .await;
        let back = restore(cluster).await;
        match outcome {
            Ok(outcome) => outcome.and(back)?,
            Err(panic) => std::panic::resume_unwind(panic),
        }
        // Back again, the operator takes the third proxy away, and everything is as it was.
        cluster.rolled_out(SYSTEM, &app.deployment).await?;
        let exposed = cluster.ready(&app.namespace, "x", LATER).await?;
        let client = cluster.http_client()?;
        for entrypoint in cluster.entrypoints(&exposed).await? {
            client.https(entrypoint.https, &app.host).await?.echo()?;
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operator_restart_loses_no_request_and_no_readiness() -> Result<()> {
    test_env("restart", async |env| {
        let cluster = &env.cluster;
        let app = ExposedApp::new(env).await?;
        let entrypoints = cluster.entrypoints(&app.exposed).await?;
        let load = app.load(&entrypoints)?;
        let restarted = async {
            cluster
                .kubectl(&["-n", SYSTEM, "rollout", "restart", "deployment", OPERATOR])
                .await?;
            cluster.rolled_out(SYSTEM, OPERATOR).await?;
            // The new leader has reconciled everything once: a change of now reaches the proxies.
            let host = env.host("later");
            let plain = json!({"tls": {"mode": "Disabled"}});
            cluster
                .apply(&exposed_echo(&app.namespace, "later", &[&host], plain))
                .await?;
            cluster
                .ready(&app.namespace, "later", LATER)
                .await
                .map(drop)
        };
        app.while_ready(restarted).await?;
        let answered = load.finish().await?;
        println!("restart: {answered} requests answered");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn proxy_rollout_loses_no_request() -> Result<()> {
    test_env("rollout", async |env| {
        let cluster = &env.cluster;
        let app = ExposedApp::new(env).await?;
        let before = cluster.ready_proxies().await?;
        let mut entrypoints = cluster.entrypoints(&app.exposed).await?;
        // The Service's addresses: a pod's own address ends with the pod.
        entrypoints
            .retain(|entrypoint| cluster.environment.public.contains(&entrypoint.https.ip()));
        let load = app.load(&entrypoints)?;
        cluster
            .kubectl(&[
                "-n",
                SYSTEM,
                "rollout",
                "restart",
                "deployment",
                &app.deployment,
            ])
            .await?;
        cluster.rolled_out(SYSTEM, &app.deployment).await?;
        let after = cluster.ready_proxies().await?;
        ensure!(
            after.iter().all(|pod| !before.contains(pod)),
            "the same proxies: {after:?}"
        );
        let answered = load.finish().await?;
        println!("rollout: {answered} requests answered");
        cluster.ready(&app.namespace, "x", LATER).await.map(drop)
    })
    .await
}

/// An object that is served over HTTPS, and the proxies that do it.
struct ExposedApp {
    cluster: Cluster,
    namespace: String,
    host: String,
    exposed: Exposed,
    deployment: String,
}

impl ExposedApp {
    async fn new(env: &TestEnv) -> Result<Self> {
        let cluster = env.cluster.clone();
        let namespace = env.namespace("a").await?;
        cluster.echo(&namespace, 2).await?;
        let host = env.host("x");
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

    fn load(&self, entrypoints: &[Entrypoint]) -> Result<Load> {
        Ok(Load::start(
            &self.cluster.http_client()?,
            entrypoints,
            Scheme::Https,
            &self.host,
        ))
    }

    async fn without_operator(&self) -> Result<()> {
        let cluster = &self.cluster;
        let proxies = cluster.ready_proxies().await?;
        let (struck, others) = proxies.split_first().context("no proxy")?;
        ensure!(!others.is_empty(), "one proxy only: who serves meanwhile?");
        let entrypoints: Vec<Entrypoint> = others
            .iter()
            .flat_map(|proxy| proxy.entrypoints())
            .collect();
        let load = self.load(&entrypoints)?;
        withdraw(cluster).await?;
        answered(&load, MANY).await?;

        // A crash: the container is started again in the same pod, and finds the state in its volume.
        let restarts = restarts(cluster, &struck.name).await?;
        container::kill(&struck.uid, PROXY)?;
        let client = cluster.http_client()?;
        eventually(
            "the crashed proxy serves from its snapshot",
            LATER,
            async || {
                ensure!(
                    self::restarts(cluster, &struck.name).await? > restarts,
                    "not restarted yet"
                );
                for entrypoint in struck.entrypoints() {
                    client.https(entrypoint.https, &self.host).await?.echo()?;
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
                    let response = client.get(Scheme::Http, at, "proxy", "/readyz").await?;
                    let body = String::from_utf8_lossy(&response.body).into_owned();
                    ensure!(
                        response.status == 503 && body.contains("NoConfiguration"),
                        "{} {body}",
                        response.status
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
