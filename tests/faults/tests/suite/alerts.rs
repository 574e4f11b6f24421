//! Each alert fires from its real cause, and clears when that is over: a real Prometheus with the rules
//! that the chart installs. Values of the chart make it quick, and nothing else does.

use anyhow::{Context, Result, ensure};
use futures::FutureExt;
use portolan_e2e::cluster::text;
use portolan_e2e::exposed::exposed_echo;
use portolan_e2e::pki::Authority;
use portolan_e2e::wait::{LATER, eventually};
use portolan_e2e::{Cluster, SYSTEM, TestEnv, test_env};
use portolan_faults::container::Halted;
use portolan_faults::operator_under_test::{restore, withdraw};
use portolan_faults::partition::Partition;
use portolan_faults::prometheus::Prometheus;
use serde_json::{Value, json};
use std::panic::AssertUnwindSafe;
use std::path::Path;
use tokio::process::Command;

/// Renewal is due 30 s after a certificate was issued, and takes a second or two. Overdue: 18 s later; a
/// minute after it was issued it counts as one that expires soon.
const LIFETIME: (&str, &str) = ("1h0m0s", "59m30s");

/// Longer than a new leader takes, and as short as possible else.
const VALUES: &[&str] = &[
    "alerts.enabled=true",
    "alerts.handover=25s",
    "alerts.renewalOverdue.for=1s",
    "alerts.renewalOverdue.lifetimeFraction=0.005",
    "alerts.certificateExpiring.for=1s",
    "alerts.certificateExpiring.lifetimeFraction=1",
    "alerts.certificateExpiring.withinSeconds=3540",
    "alerts.certificateNotServed.for=1s",
    "alerts.certificateIssuingFails.for=1s",
    "alerts.hostnameWithoutCertificate.for=1s",
    "alerts.exposureNotReady.for=1s",
    "alerts.noReadyEndpoints.for=1s",
    "alerts.proxiesBehind.for=1s",
    "alerts.operatorDown.for=1s",
];

const RENEWAL_OVERDUE: &str = "PortolanCertificateRenewalOverdue";
const EXPIRING: &str = "PortolanCertificateExpiring";
const NOT_SERVED: &str = "PortolanCertificateNotServed";
const ISSUING_FAILS: &str = "PortolanCertificateIssuingFails";
const WITHOUT_CERTIFICATE: &str = "PortolanHostnameWithoutCertificate";
const NOT_READY: &str = "PortolanExposureNotReady";
const NO_ENDPOINTS: &str = "PortolanNoReadyEndpoints";
const PROXIES_BEHIND: &str = "PortolanProxiesBehind";
const OPERATOR_DOWN: &str = "PortolanOperatorDown";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_alert_fires_and_clears() -> Result<()> {
    test_env("alerts", async |env| {
        install(VALUES).await?;
        let outcome = AssertUnwindSafe(check_alerts(env)).catch_unwind().await;
        // Whatever happened: the operator is there, and no rules are.
        let back = async {
            restore(&env.cluster).await?;
            install(&[]).await
        };
        let back = back.await;
        match outcome {
            Ok(outcome) => outcome.and(back),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
    .await
}

async fn check_alerts(env: &TestEnv) -> Result<()> {
    let app = ExposedApp::new(env).await?;
    app.pods_gone().await.context("pods gone")?;
    app.swap_blocked().await.context("swap blocked")?;
    app.issuer_broken().await.context("issuer broken")?;
    app.cert_manager_stopped()
        .await
        .context("cert-manager stopped")?;
    app.leader_changed().await.context("leader changed")?;
    app.operator_gone().await.context("operator gone")
}

/// Installs the chart as `demo/install` does, with more values.
async fn install(values: &[&str]) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut command = Command::new(root.join("demo/install"));
    for value in values {
        command.args(["--set", value]);
    }
    let output = command.kill_on_drop(true).output().await?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "demo/install: {errors}");
    Ok(())
}

/// An application that is exposed on proxies of its own, so that they can be disturbed.
struct ExposedApp<'a> {
    env: &'a TestEnv,
    cluster: &'a Cluster,
    prometheus: Prometheus,
    namespace: String,
    class: String,
    host: String,
}

impl<'a> ExposedApp<'a> {
    async fn new(env: &'a TestEnv) -> Result<Self> {
        let cluster = &env.cluster;
        let namespace = env.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        let app = Self {
            env,
            cluster,
            prometheus: Prometheus::start(cluster).await?,
            class: env.own_class(1).await?,
            host: env.host("shop"),
            namespace,
        };
        app.expose("shop", &app.host, json!({})).await?;
        cluster.ready(&app.namespace, "shop", LATER).await?;
        app.is_seen_ready().await?;
        Ok(app)
    }

    async fn expose(&self, name: &str, host: &str, more: Value) -> Result<()> {
        let mut spec = json!({"className": self.class});
        if let (Some(spec), Value::Object(more)) = (spec.as_object_mut(), more) {
            spec.extend(more);
        }
        let object = exposed_echo(&self.namespace, name, &[host], spec);
        self.cluster.apply(&object).await.map(drop)
    }

    /// Prometheus knows that the hostname is ready, and nothing fires for the namespace.
    async fn is_seen_ready(&self) -> Result<()> {
        let query = format!("portolan_hostname_ready{{hostname=\"{}\"}} == 1", self.host);
        eventually("nothing is wrong", LATER, async || {
            let seen = self.prometheus.query(&query).await?;
            ensure!(seen.len() == 1, "{query}: {seen:?}");
            let firing = self.prometheus.firing("namespace", &self.namespace).await?;
            ensure!(firing.is_empty(), "{firing:?}");
            Ok(())
        })
        .await
    }

    async fn fires(&self, alert: &str, host: &str) -> Result<()> {
        self.prometheus.fires(alert, "hostname", host).await
    }

    async fn pods_gone(&self) -> Result<()> {
        self.cluster.scale(&self.namespace, "echo", 0).await?;
        let of_object = ("namespace", self.namespace.as_str());
        self.prometheus
            .fires(NO_ENDPOINTS, of_object.0, of_object.1)
            .await?;
        self.fires(NOT_READY, &self.host).await?;
        self.cluster.scale(&self.namespace, "echo", 1).await?;
        self.is_seen_ready().await
    }

    /// The proxy accepts requests, and receives nothing from the operator any more.
    async fn swap_blocked(&self) -> Result<()> {
        let pods = self.cluster.proxy_pods(&self.class).await?;
        let [pod] = pods.as_slice() else {
            anyhow::bail!("{} proxies", pods.len())
        };
        let partition = Partition::from(pod, 9443)?;
        self.prometheus
            .fires(PROXIES_BEHIND, "class", &self.class)
            .await?;
        self.fires(NOT_SERVED, &self.host).await?;
        drop(partition);
        self.prometheus
            .clears(&[PROXIES_BEHIND], "class", &self.class)
            .await?;
        self.is_seen_ready().await
    }

    /// An authority whose key is that of another one signs nothing.
    async fn issuer_broken(&self) -> Result<()> {
        let (namespace, host) = (&self.namespace, self.env.host("broken"));
        let (good, other) = (Authority::new()?, Authority::new()?);
        let secret = |key: &Authority| {
            json!({
                "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
                "metadata": {"namespace": namespace, "name": "authority"},
                "stringData": {"tls.crt": good.pem(), "tls.key": key.key()},
            })
        };
        self.cluster.apply(&secret(&other)).await?;
        self.cluster
            .apply(&json!({
                "apiVersion": "cert-manager.io/v1", "kind": "Issuer",
                "metadata": {"namespace": namespace, "name": "broken"},
                "spec": {"ca": {"secretName": "authority"}},
            }))
            .await?;
        let tls = json!({"tls": {"issuerRef": {"name": "broken", "kind": "Issuer"}}});
        self.expose("broken", &host, tls).await?;
        self.fires(ISSUING_FAILS, &host).await?;
        self.fires(WITHOUT_CERTIFICATE, &host).await?;

        self.cluster.apply(&secret(&good)).await?;
        // cert-manager waits an hour before it tries again; a new Certificate it tries at once.
        let exposed = self.cluster.exposed(namespace, "broken").await?;
        let certificate = text(exposed.hostname(&host)?, "/certificate/secretName").to_owned();
        self.cluster
            .delete("Certificate", namespace, &certificate)
            .await?;
        self.cluster.ready(namespace, "broken", LATER).await?;
        self.is_seen_ready().await
    }

    async fn cert_manager_stopped(&self) -> Result<()> {
        let (lifetime, renew_before) = LIFETIME;
        let exposed = self.cluster.exposed(&self.namespace, "shop").await?;
        let status = exposed.hostname(&self.host)?;
        let before = text(status, "/certificate/notAfter").to_owned();
        let name = text(status, "/certificate/secretName");
        let spec = json!({"duration": lifetime, "renewBefore": renew_before});
        self.reissue(name, spec).await?;
        eventually("a certificate for an hour is served", LATER, async || {
            let exposed = self.cluster.exposed(&self.namespace, "shop").await?;
            let now = text(exposed.hostname(&self.host)?, "/certificate/notAfter");
            ensure!(!now.is_empty() && now != before, "still {before}");
            Ok(())
        })
        .await?;
        self.is_seen_ready().await?;

        let halted = Halted::part(&self.cluster.environment, "cert-manager")?;
        let late = self.env.host("late");
        self.expose("late", &late, json!({})).await?;
        self.fires(WITHOUT_CERTIFICATE, &late).await?;
        self.fires(RENEWAL_OVERDUE, &self.host).await?;
        self.fires(EXPIRING, &self.host).await?;
        drop(halted);
        self.cluster.ready(&self.namespace, "late", LATER).await?;
        self.is_seen_ready().await?;

        // For three months again, so that nothing is to be renewed while the operator is away.
        let spec = json!({"duration": "2160h0m0s", "renewBefore": null});
        self.reissue(name, spec).await?;
        eventually("a certificate for long is served", LATER, async || {
            let seen = format!(
                "portolan_hostname_certificate_served_not_after_timestamp_seconds{{hostname=\"{}\"}} - time() > 86400",
                self.host
            );
            ensure!(!self.prometheus.query(&seen).await?.is_empty(), "not yet");
            Ok(())
        })
        .await
    }

    /// Fields that the operator does not write stay as they are. cert-manager heeds them when it issues
    /// next: at once, when there is no Secret.
    async fn reissue(&self, name: &str, spec: Value) -> Result<()> {
        let change = json!({"spec": spec});
        self.cluster
            .merge("Certificate", &self.namespace, name, change)
            .await?;
        self.cluster.delete("Secret", &self.namespace, name).await
    }

    /// Alerts that fire go on firing, and no other alert begins to.
    async fn leader_changed(&self) -> Result<()> {
        self.cluster.scale(&self.namespace, "echo", 0).await?;
        self.fires(NOT_READY, &self.host).await?;
        let leader = "portolan_operator_leader == 1";
        let leads = async || {
            let found = self.prometheus.query(leader).await?;
            let [one] = found.as_slice() else {
                anyhow::bail!("{} lead", found.len())
            };
            Ok(text(one, "/metric/pod").to_owned())
        };
        let before = eventually("one leads", LATER, async || leads().await).await?;
        self.cluster.delete("Pod", SYSTEM, &before).await?;
        eventually("another one leads", LATER, async || {
            let firing = self.prometheus.firing("hostname", &self.host).await?;
            // A failed attempt is reported at the deadline; this one ends the test at once.
            assert!(firing.contains(NOT_READY), "it stopped firing: {firing:?}");
            let down = self.prometheus.firing("alertname", OPERATOR_DOWN).await?;
            assert!(down.is_empty(), "the operator counts as down");
            let now = leads().await?;
            let shown = format!("portolan_hostname_ready{{hostname=\"{}\"}}", self.host);
            ensure!(
                now != before && !self.prometheus.query(&shown).await?.is_empty(),
                "still {before}"
            );
            Ok(())
        })
        .await?;
        self.cluster.rolled_out(SYSTEM, "portolan-operator").await?;
        self.cluster.scale(&self.namespace, "echo", 1).await?;
        self.is_seen_ready().await
    }

    async fn operator_gone(&self) -> Result<()> {
        withdraw(self.cluster).await?;
        let down = ("alertname", OPERATOR_DOWN);
        self.prometheus.fires(OPERATOR_DOWN, down.0, down.1).await?;
        restore(self.cluster).await?;
        self.prometheus
            .clears(&[OPERATOR_DOWN], down.0, down.1)
            .await?;
        self.is_seen_ready().await
    }
}
