//! The operator of the cluster swapped for one that runs on the host, behind the API proxy.
//!
//! The proxies in the cluster find it as they find any operator: by an EndpointSlice of the headless
//! Service. It has the identity, the permissions and the settings of the one in the cluster.

use crate::api_proxy::{ApiProxy, KillPoint};
use anyhow::{Context, Result, ensure};
use futures::FutureExt;
use portolan_e2e::cluster::text;
use portolan_e2e::wait::{LATER, eventually};
use portolan_e2e::{Cluster, SYSTEM, TestEnv, test_env};
use rustix::process::Pid;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Mutex;
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// The Deployment that is swapped.
pub const OPERATOR: &str = "portolan-operator";
/// Our EndpointSlice.
const SLICE: &str = "portolan-discovery-host";
/// Short, because each kill costs so much; long enough to be renewed on a busy machine.
const LEASE: &str = "2s";
/// Lines of the operator's log that a failure prints.
const SHOWN: usize = 60;

/// The operator on the host, and the API proxy in front of the API server.
pub struct OperatorUnderTest<'a> {
    /// Environment of the test.
    pub env: &'a TestEnv,
    /// Counts writes and kills the operator.
    pub api_proxy: ApiProxy,
    dir: TempDir,
    settings: Vec<(String, String)>,
    running: Mutex<Option<Child>>,
}

/// Runs a test with the swapped operator, and swaps it back whatever happened.
///
/// # Errors
/// When the test fails or panics.
pub async fn operator_under_test(
    name: &str,
    test: impl AsyncFnOnce(&OperatorUnderTest<'_>) -> Result<()>,
) -> Result<()> {
    test_env(name, async |env| {
        let cluster = &env.cluster;
        let outcome = AssertUnwindSafe(swapped(env, test)).catch_unwind().await;
        let back = restore(cluster).await;
        match outcome {
            Ok(outcome) => outcome.and(back),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
    .await
}

async fn swapped(
    env: &TestEnv,
    test: impl AsyncFnOnce(&OperatorUnderTest<'_>) -> Result<()>,
) -> Result<()> {
    let cluster = &env.cluster;
    let settings = settings(cluster).await?;
    withdraw(cluster).await?;
    cluster.apply(&slice(cluster)).await?;
    let api_proxy = ApiProxy::start(Cluster::config(&cluster.environment).await?).await?;
    let dir = tempfile::tempdir()?;
    let token = cluster.token(SYSTEM, OPERATOR, None).await?;
    fs::write(
        dir.path().join("kubeconfig"),
        kubeconfig(&api_proxy, &token).to_string(),
    )?;
    let operator = OperatorUnderTest {
        env,
        api_proxy,
        dir,
        settings,
        running: Mutex::default(),
    };
    operator.start(None)?;
    let outcome = test(&operator).await;
    if outcome.is_err() {
        operator.show();
    }
    outcome
}

impl OperatorUnderTest<'_> {
    /// Starts the operator, with a kill point or none. Ends the one before.
    ///
    /// # Errors
    /// When the program is not built.
    pub fn start(&self, kill_point: Option<KillPoint>) -> Result<()> {
        let program = program()?;
        let log = File::options().create(true).append(true).open(self.log())?;
        let mut command = Command::new(&program);
        command
            .arg("operator")
            .env_clear()
            .envs(self.settings.iter().cloned());
        command.env("KUBECONFIG", self.dir.path().join("kubeconfig"));
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true);
        // Dropping the one before kills it, if the kill point has not.
        let mut running = self
            .running
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        *running = None;
        let child = command
            .spawn()
            .with_context(|| format!("start {}", program.display()))?;
        self.api_proxy.arm(kill_point, pid(&child));
        *running = Some(child);
        Ok(())
    }

    /// Sets the kill point for the running operator, counting from now.
    pub fn arm(&self, kill_point: Option<KillPoint>) {
        let running = self
            .running
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        self.api_proxy
            .arm(kill_point, running.as_ref().and_then(pid));
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("operator.log")
    }

    fn show(&self) {
        let log = fs::read(self.log()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        println!("--- the end of the operator's log");
        lines
            .iter()
            .rev()
            .take(SHOWN)
            .rev()
            .for_each(|line| println!("    {line}"));
        println!("--- its last writes");
        let writes = self.api_proxy.writes();
        writes
            .iter()
            .rev()
            .take(SHOWN)
            .rev()
            .for_each(|line| println!("    {line}"));
    }
}

/// Scales the operator of the cluster to nothing and waits until it is gone.
///
/// # Errors
/// When it does not go.
pub async fn withdraw(cluster: &Cluster) -> Result<()> {
    cluster.scale(SYSTEM, OPERATOR, 0).await?;
    eventually("the operator of the cluster is gone", LATER, async || {
        let pods = cluster
            .list("Pod", SYSTEM, "app.kubernetes.io/component=operator")
            .await?;
        ensure!(pods.is_empty(), "{} pods", pods.len());
        Ok(())
    })
    .await
}

/// Brings the operator of the cluster back.
///
/// # Errors
/// When it does not come.
pub async fn restore(cluster: &Cluster) -> Result<()> {
    cluster.delete("EndpointSlice", SYSTEM, SLICE).await?;
    cluster.scale(SYSTEM, OPERATOR, 2).await?;
    cluster.rolled_out(SYSTEM, OPERATOR).await
}

/// Environment variables of the chart, without those that only make sense inside a pod.
async fn settings(cluster: &Cluster) -> Result<Vec<(String, String)>> {
    let deployment = cluster.get("Deployment", SYSTEM, OPERATOR).await?;
    let variables = deployment.pointer("/spec/template/spec/containers/0/env");
    let variables = variables
        .and_then(Value::as_array)
        .context("no environment variables")?;
    let mut settings: Vec<(String, String)> = variables
        .iter()
        .filter(|variable| variable.get("value").is_some())
        .map(|variable| {
            (
                text(variable, "/name").to_owned(),
                text(variable, "/value").to_owned(),
            )
        })
        .collect();
    settings.push(("PORTOLAN_NAMESPACE".to_owned(), SYSTEM.to_owned()));
    settings.push(("POD_NAME".to_owned(), "on-the-host".to_owned()));
    // The operator after a killed one waits for the end of its Lease first.
    settings.push(("PORTOLAN_LEASE_DURATION".to_owned(), LEASE.to_owned()));
    settings.push((
        "PORTOLAN_ADMIN_ADDRESS".to_owned(),
        "127.0.0.1:0".to_owned(),
    ));
    Ok(settings)
}

/// Leads the proxies to the host.
fn slice(cluster: &Cluster) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "namespace": SYSTEM, "name": SLICE,
            "labels": {
                "kubernetes.io/service-name": "portolan-discovery",
                "endpointslice.kubernetes.io/managed-by": "faults",
            },
        },
        "addressType": "IPv4",
        "ports": [{"name": "discovery", "port": 9443, "protocol": "TCP"}],
        "endpoints": [{"addresses": [cluster.environment.host], "conditions": {"ready": true}}],
    })
}

fn kubeconfig(api_proxy: &ApiProxy, token: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "api-proxy",
        "clusters": [{"name": "api-proxy", "cluster": {"server": format!("http://{}", api_proxy.address)}}],
        "users": [{"name": "operator", "user": {"token": token}}],
        "contexts": [{"name": "api-proxy", "context": {"cluster": "api-proxy", "user": "operator"}}],
    })
}

/// The operator's program: built beside this test.
fn program() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let built = test
        .parent()
        .and_then(|deps| deps.parent())
        .context("no folder of programs")?;
    let program = built.join("portolan");
    ensure!(
        program.is_file(),
        "{}: not built; `cargo build -p portolan`",
        program.display()
    );
    Ok(program)
}

fn pid(child: &Child) -> Option<Pid> {
    child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(Pid::from_raw)
}
