//! A real Prometheus on the host: it scrapes the operators of the cluster and has the rules that the chart
//! installed, and nothing else.

use anyhow::{Context, Result, ensure};
use portolan_e2e::cluster::text;
use portolan_e2e::wait::{SOON, eventually};
use portolan_e2e::{Cluster, SYSTEM};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::{IpAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Lines of its log that a failure prints.
const SHOWN: usize = 40;
/// Interval of the discovery of the operator's pods.
const DISCOVERY: Duration = Duration::from_millis(500);

/// Runs until it is dropped.
pub struct Prometheus {
    dir: TempDir,
    address: String,
    _process: Child,
    /// Tells it of the pods of the operator; Debian's Prometheus cannot ask Kubernetes.
    _discovery: JoinSet<()>,
}

impl Prometheus {
    /// Starts it with the PrometheusRule of the release as its only rules.
    ///
    /// # Errors
    /// When the rules are not installed, or `prometheus` is not, or does not answer.
    pub async fn start(cluster: &Cluster) -> Result<Self> {
        let installed = cluster.get("PrometheusRule", SYSTEM, "portolan").await?;
        let rules = installed.get("spec").context("rules without spec")?;
        let dir = tempfile::tempdir()?;
        // JSON is YAML, too.
        fs::write(dir.path().join("rules.yaml"), rules.to_string())?;
        let configuration = configuration().to_string();
        fs::write(dir.path().join("prometheus.yaml"), configuration)?;
        let targets = dir.path().join("targets.json");
        discover(cluster, &targets).await?;
        let mut discovery = JoinSet::new();
        let of_cluster = cluster.clone();
        discovery.spawn(async move {
            loop {
                sleep(DISCOVERY).await;
                // Away for a moment, the API server leaves the targets as they are.
                let _ = discover(&of_cluster, &targets).await;
            }
        });
        let address = free_address()?;
        let log = File::create(dir.path().join("log"))?;
        let process = Command::new("prometheus")
            .arg(at("--config.file", &dir.path().join("prometheus.yaml")))
            .arg(at("--storage.tsdb.path", &dir.path().join("data")))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("start prometheus; tests/alerts/setup installs it")?;
        let prometheus = Self {
            dir,
            address,
            _process: process,
            _discovery: discovery,
        };
        eventually("Prometheus is ready", SOON, async || {
            prometheus.request("/-/ready", &[]).await.map(drop)
        })
        .await
        .inspect_err(|_| prometheus.show())?;
        Ok(prometheus)
    }

    /// The alerts that fire with this value of this label.
    ///
    /// # Errors
    /// When Prometheus does not answer.
    pub async fn firing(&self, label: &str, value: &str) -> Result<BTreeSet<String>> {
        let query = format!("ALERTS{{alertstate=\"firing\",{label}=\"{value}\"}}");
        let found = self.query(&query).await?;
        let names = found.iter().filter_map(|series| {
            let name = series.pointer("/metric/alertname")?.as_str()?;
            Some(name.to_owned())
        });
        Ok(names.collect())
    }

    /// Evaluates an expression.
    ///
    /// # Errors
    /// When Prometheus does not answer, or does not understand it.
    pub async fn query(&self, expression: &str) -> Result<Vec<Value>> {
        let argument = format!("query={expression}");
        let arguments = ["--get", "--data-urlencode", &argument];
        let response = self.request("/api/v1/query", &arguments).await?;
        let response: Value = serde_json::from_str(&response)?;
        let found = response.pointer("/data/result").and_then(Value::as_array);
        found.cloned().context("an answer without result")
    }

    /// Waits until an alert fires with this value of this label.
    ///
    /// # Errors
    /// When it does not within that time.
    pub async fn fires(&self, alert: &str, label: &str, value: &str) -> Result<()> {
        let what = format!("{alert} fires for {label} {value}");
        eventually(&what, SOON * 3, async || {
            let firing = self.firing(label, value).await?;
            ensure!(firing.contains(alert), "these fire: {firing:?}");
            Ok(())
        })
        .await
        .inspect_err(|_| self.show())
    }

    /// Waits until none of these alerts fires with this value of this label.
    ///
    /// # Errors
    /// When one still does after that time.
    pub async fn clears(&self, alerts: &[&str], label: &str, value: &str) -> Result<()> {
        let what = format!("{alerts:?} clear for {label} {value}");
        eventually(&what, SOON * 3, async || {
            let firing = self.firing(label, value).await?;
            let left = alerts.iter().find(|alert| firing.contains(**alert));
            ensure!(left.is_none(), "these fire: {firing:?}");
            Ok(())
        })
        .await
        .inspect_err(|_| self.show())
    }

    /// Prints the end of its log.
    fn show(&self) {
        let log = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        println!("--- the end of the log of Prometheus");
        let lines: Vec<_> = log.lines().collect();
        let shown = lines.iter().rev().take(SHOWN).rev();
        shown.for_each(|line| println!("    {line}"));
    }

    async fn request(&self, path: &str, arguments: &[&str]) -> Result<String> {
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--fail", "--max-time", "10"])
            .args(arguments)
            .arg(format!("http://{}{path}", self.address))
            .kill_on_drop(true)
            .output()
            .await
            .context("run curl")?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{path}: {errors}");
        Ok(String::from_utf8(output.stdout)?)
    }
}

fn at(flag: &str, path: &Path) -> String {
    format!("{flag}={}", path.display())
}

/// A port that was free a moment ago; Prometheus cannot tell which one it took.
fn free_address() -> Result<String> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    Ok(listener.local_addr()?.to_string())
}

/// Writes where the pods of the operator are scraped, with the label of docs/operations/alerts.md.
async fn discover(cluster: &Cluster, targets: &Path) -> Result<()> {
    let label = "app.kubernetes.io/component=operator";
    let mut pods = cluster.list("Pod", SYSTEM, label).await?;
    pods.retain(|pod| pod.pointer("/metadata/deletionTimestamp").is_none());
    let target = |pod: &Value| {
        let address = match text(pod, "/status/podIP").parse().ok()? {
            IpAddr::V4(ip) => format!("{ip}:9090"),
            IpAddr::V6(ip) => format!("[{ip}]:9090"),
        };
        Some(json!({"targets": [address], "labels": {"pod": text(pod, "/metadata/name")}}))
    };
    let found: Vec<_> = pods.iter().filter_map(target).collect();
    let found = Value::from(found).to_string();
    if fs::read_to_string(targets).is_ok_and(|known| known == found) {
        return Ok(());
    }
    // At once, so that it is never read half.
    let next = targets.with_extension("next");
    fs::write(&next, found)?;
    Ok(fs::rename(&next, targets)?)
}

/// A clock that suits a test; the labels of objects are kept, as docs/operations/alerts.md says.
fn configuration() -> Value {
    json!({
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [{
            "job_name": "portolan-operator",
            "honor_labels": true,
            "file_sd_configs": [{"files": ["targets.json"], "refresh_interval": "1s"}],
        }],
    })
}
