//! A real Prometheus on the host: it scrapes the operators of the cluster and has the rules that the chart
//! installed, and nothing else.

use anyhow::{Context, Result, ensure};
use portolan_e2e::wait::{SOON, eventually};
use portolan_e2e::{Cluster, SYSTEM};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// How much of its log a failure shows.
const SHOWN: usize = 40;

/// Runs until it is dropped.
pub struct Prometheus {
    dir: TempDir,
    address: String,
    _process: Child,
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
        let kubeconfig = &cluster.environment.kubeconfig;
        let configuration = configuration(kubeconfig).to_string();
        fs::write(dir.path().join("prometheus.yaml"), configuration)?;
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
        };
        eventually("Prometheus is ready", SOON, async || {
            prometheus.ask("/-/ready", &[]).await.map(drop)
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
        let names = found.iter().filter_map(|it| {
            let name = it.pointer("/metric/alertname")?.as_str()?;
            Some(name.to_owned())
        });
        Ok(names.collect())
    }

    /// What an expression comes to now.
    ///
    /// # Errors
    /// When Prometheus does not answer, or does not understand it.
    pub async fn query(&self, expression: &str) -> Result<Vec<Value>> {
        let argument = format!("query={expression}");
        let arguments = ["--get", "--data-urlencode", &argument];
        let answer = self.ask("/api/v1/query", &arguments).await?;
        let answer: Value = serde_json::from_str(&answer)?;
        let found = answer.pointer("/data/result").and_then(Value::as_array);
        found.cloned().context("an answer without result")
    }

    /// Waits until an alert fires with this value of this label.
    ///
    /// # Errors
    /// When it does not by then.
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
    /// When one still does by then.
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

    async fn ask(&self, path: &str, arguments: &[&str]) -> Result<String> {
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--fail", "--max-time", "10"])
            .args(arguments)
            .arg(format!("http://{}{path}", self.address))
            .kill_on_drop(true)
            .output()
            .await
            .context("run curl")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{path}: {said}");
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

/// The scrape configuration of docs/alerts.md, and a clock that suits a test.
fn configuration(kubeconfig: &Path) -> Value {
    let label = "__meta_kubernetes_pod_label_app_kubernetes_io_component";
    let keep = |label: &str, value: &str| json!({"action": "keep", "source_labels": [label], "regex": value});
    json!({
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [{
            "job_name": "portolan-operator",
            "honor_labels": true,
            "kubernetes_sd_configs": [{
                "role": "pod",
                "kubeconfig_file": kubeconfig,
                "namespaces": {"names": [SYSTEM]},
            }],
            "relabel_configs": [
                keep(label, "operator"),
                keep("__meta_kubernetes_pod_container_port_name", "admin"),
                {"source_labels": ["__meta_kubernetes_pod_name"], "target_label": "pod"},
            ],
        }],
    })
}
