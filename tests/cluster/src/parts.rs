//! The parts of a cluster: how each is started, and how one sees that it works.

use crate::cgroup::Cgroup;
use crate::gobuild::Built;
use crate::paths::{ClusterName, State};
use crate::plan::Plan;
use crate::process::{self, ProcessState};
use crate::wait::Outcome;
use crate::{node, program};
use anyhow::{Context, Result, bail};
use std::time::Duration;

/// The file that the load-balancer process writes once it has looked at every Service.
const BALANCED: &str = "dns/balanced";

/// Everything that describes one cluster.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    /// Its name.
    pub(crate) name: ClusterName,
    /// Its addresses.
    pub(crate) plan: Plan,
    /// Its files.
    pub(crate) state: State,
    /// Its cgroup.
    pub(crate) cgroup: Cgroup,
    /// The programs that it runs.
    pub(crate) built: Built,
}

/// A part, in the order in which they are started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The store.
    Etcd,
    /// The API server.
    ApiServer,
    /// The container runtime.
    Containerd,
    /// The controllers of Kubernetes.
    ControllerManager,
    /// The scheduler.
    Scheduler,
    /// The node agent.
    Kubelet,
    /// The Service addresses.
    Proxy,
    /// DNS of the cluster and of the test domain.
    CoreDns,
    /// Addresses for Services of type LoadBalancer.
    LoadBalancer,
    /// A certificate authority that speaks ACME (RFC 8555).
    Pebble,
    /// Certificates.
    CertManager,
}

impl Part {
    /// Every part.
    pub(crate) const ALL: [Self; 11] = [
        Self::Etcd,
        Self::ApiServer,
        Self::Containerd,
        Self::ControllerManager,
        Self::Scheduler,
        Self::Kubelet,
        Self::Proxy,
        Self::CoreDns,
        Self::LoadBalancer,
        Self::Pebble,
        Self::CertManager,
    ];

    /// The part's name: of its log, and on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::Containerd => "containerd",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Kubelet => "kubelet",
            Self::Proxy => "kube-proxy",
            Self::CoreDns => "coredns",
            Self::LoadBalancer => "load-balancer",
            Self::Pebble => "pebble",
            Self::CertManager => "cert-manager",
        }
    }

    /// Health endpoint of the part, as reached from inside the node.
    fn health(self) -> Option<&'static str> {
        match self {
            Self::Etcd => Some("http://127.0.0.1:2379/health"),
            Self::ApiServer => Some("https://127.0.0.1:6443/readyz"),
            Self::ControllerManager => Some("https://127.0.0.1:10257/healthz"),
            Self::Scheduler => Some("https://127.0.0.1:10259/healthz"),
            Self::Kubelet => Some("http://127.0.0.1:10248/healthz"),
            Self::Proxy => Some("http://127.0.0.1:10256/healthz"),
            Self::CoreDns => Some("http://127.0.0.1:8181/ready"),
            Self::Pebble => Some("https://127.0.0.1:14000/dir"),
            Self::CertManager => Some("http://127.0.0.1:9403/livez"),
            Self::Containerd | Self::LoadBalancer => None,
        }
    }
}

impl Cluster {
    /// Starts a part, unless it runs.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn start(&self, part: Part) -> Result<()> {
        if matches!(
            process::life(&self.state, part.name()),
            ProcessState::Running(_)
        ) {
            return Ok(());
        }
        if part == Part::LoadBalancer {
            let _ = std::fs::remove_file(self.state.at(BALANCED));
        }
        let path = format!(
            "{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            self.built.bin.display()
        );
        process::start(
            &self.state,
            &self.cgroup,
            part.name(),
            &self.argv(part)?,
            &path,
        )
    }

    /// Waits until a started part works.
    ///
    /// # Errors
    /// When it ends or does not answer in time, with the last lines of its log and what to do.
    pub(crate) fn await_ready(&self, part: Part, limit: Duration) -> Result<()> {
        let name = part.name();
        let waited = crate::wait::until(name, limit, || {
            if process::life(&self.state, name) == ProcessState::Dead && !self.answers(part) {
                bail!("{name}: it started and ended");
            }
            Ok(if self.answers(part) {
                Outcome::Done(())
            } else {
                Outcome::NotYet("it runs and does not answer".into())
            })
        });
        waited.map_err(|error| crate::logs::failure(&self.state, &self.name, name, &error))
    }

    /// Returns true if a part answers now.
    pub(crate) fn answers(&self, part: Part) -> bool {
        match (part, part.health()) {
            (Part::Containerd, _) => program::succeeds(self.ctr().arg("version")),
            (_, Some(address)) => {
                let mut curl = node::enter(&self.state, &["net"]);
                curl.args(["curl", "-sfk", "--max-time", "3", address]);
                program::succeeds(&mut curl)
            }
            (_, None) => self.state.at(BALANCED).exists(),
        }
    }

    /// `ctr` on the cluster's containerd, in the namespace that the kubelet uses.
    pub(crate) fn ctr(&self) -> std::process::Command {
        let mut command = node::enter(&self.state, &["net", "mnt"]);
        command.arg(self.built.bin.join("ctr")).args([
            "--address",
            "/run/containerd/containerd.sock",
            "-n",
            "k8s.io",
        ]);
        command
    }

    /// `kubectl` as the cluster's administrator.
    pub(crate) fn kubectl(&self) -> std::process::Command {
        let mut command = std::process::Command::new(self.built.bin.join("kubectl"));
        command
            .arg("--kubeconfig")
            .arg(self.state.at("pki/admin.conf"));
        command
    }

    /// The command line of a part.
    fn argv(&self, part: Part) -> Result<Vec<String>> {
        let bin = |name: &str| self.built.bin.join(name).display().to_string();
        let pki = |file: &str| self.state.text(&format!("pki/{file}"));
        let conf = |name: &str| self.state.text(&format!("pki/{name}.conf"));
        let (node4, node6) = self.plan.node();
        let pods = self.plan.pods().join(",");
        let node = self.name.node();
        let words = match part {
            Part::Etcd => format!(
                "{} --name {node} --data-dir {} --unsafe-no-fsync --log-level warn --listen-client-urls http://127.0.0.1:2379 \
                 --advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:2380 \
                 --initial-advertise-peer-urls http://127.0.0.1:2380 --initial-cluster {node}=http://127.0.0.1:2380 --auto-compaction-retention 1h",
                bin("etcd"),
                self.state.text("etcd"),
            ),
            Part::ApiServer => format!(
                "{} --etcd-servers http://127.0.0.1:2379 --bind-address :: --advertise-address {node4} --secure-port 6443 \
                 --tls-cert-file {} --tls-private-key-file {} --client-ca-file {} \
                 --service-account-key-file {} --service-account-signing-key-file {} \
                 --service-account-issuer https://kubernetes.default.svc.cluster.local \
                 --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction --allow-privileged \
                 --service-cluster-ip-range {} --kubelet-preferred-address-types InternalIP \
                 --kubelet-client-certificate {} --kubelet-client-key {} \
                 --audit-policy-file {} --audit-log-path {} --audit-log-maxsize 2000",
                bin("kube-apiserver"),
                pki("kube-apiserver.crt"),
                pki("kube-apiserver.key"),
                pki("ca.crt"),
                pki("sa.pub"),
                pki("sa.key"),
                self.plan.services().join(","),
                pki("admin.crt"),
                pki("admin.key"),
                self.state.text("config/audit.yaml"),
                self.state.text("logs/audit.log"),
            ),
            Part::Containerd => format!(
                "{} --config {}",
                bin("containerd"),
                self.state.text("config/containerd.toml")
            ),
            Part::ControllerManager => format!(
                "{} --kubeconfig {} --service-account-private-key-file {} --root-ca-file {} --use-service-account-credentials \
                 --cluster-signing-cert-file {} --cluster-signing-key-file {} --cluster-cidr {pods} --allocate-node-cidrs=false \
                 --leader-elect=false --flex-volume-plugin-dir /var/lib/kubelet/volume-plugins",
                bin("kube-controller-manager"),
                conf("kube-controller-manager"),
                pki("sa.key"),
                pki("ca.crt"),
                pki("ca.crt"),
                pki("ca.key"),
            ),
            Part::Scheduler => format!(
                "{} --kubeconfig {} --leader-elect=false",
                bin("kube-scheduler"),
                conf("kube-scheduler")
            ),
            Part::Kubelet => format!(
                "{} --config {} --kubeconfig {} --hostname-override {node} --node-ip {node4},{node6}",
                bin("kubelet"),
                self.state.text("config/kubelet.yaml"),
                conf("kubelet"),
            ),
            Part::Proxy => format!(
                "{} --kubeconfig {} --hostname-override {node} --proxy-mode nftables --cluster-cidr {pods} \
                 --conntrack-max-per-core 0 --conntrack-min 0 --conntrack-tcp-timeout-established 0s --conntrack-tcp-timeout-close-wait 0s",
                bin("kube-proxy"),
                conf("kube-proxy"),
            ),
            Part::CoreDns => format!(
                "{} -conf {}",
                bin("coredns"),
                self.state.text("config/Corefile")
            ),
            Part::LoadBalancer => {
                let own = std::env::current_exe().context("find this program")?;
                format!(
                    "{} load-balancer-daemon --index {} --kubectl {} --kubeconfig {} --zones {} --ready {}",
                    own.display(),
                    self.plan.index(),
                    bin("kubectl"),
                    conf("load-balancer"),
                    self.state.text("dns/zones"),
                    self.state.text(BALANCED),
                )
            }
            // It would else wait up to 15 s before it looks at a challenge.
            Part::Pebble => format!(
                "/usr/bin/env PEBBLE_VA_NOSLEEP=1 {} -config {} -dnsserver {node4}:53",
                bin("pebble"),
                self.state.text("config/pebble.json")
            ),
            Part::CertManager => format!(
                "{} --kubeconfig {} --nameservers {node4}:53{}",
                bin("cert-manager"),
                conf("cert-manager"),
                std::fs::read_to_string(self.state.at("config/cert-manager-flags"))
                    .unwrap_or_default(),
            ),
        };
        Ok(words.split_whitespace().map(str::to_owned).collect())
    }
}
