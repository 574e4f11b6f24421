//! `testbed selftest`: proves on a cluster of its own that the testbed keeps its promises.
//!
//! The checks run in order, since later ones use what earlier ones made; a failed one does not stop the rest,
//! and the cluster is taken down in any case.

mod dns;
mod remains;

use crate::gobuild::Built;
use crate::parts::{Cluster, Part};
use crate::paths::ClusterName;
use crate::process::{self, ProcessState};
use crate::progress::seconds;
use crate::wait::{self, Outcome};
use crate::{down, objects, paths, program, status, up};
use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::net::IpAddr;
use std::process::Command;
use std::time::{Duration, Instant};

/// Two pods, a dual-stack load balancer of a class, and a certificate.
const OBJECTS: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: echo, namespace: default}
spec:
  replicas: 2
  selector: {matchLabels: {app: echo}}
  template:
    metadata: {labels: {app: echo}}
    spec:
      containers:
      - name: echo
        image: portolan.test/echo:dev
        readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: public, namespace: default, labels: {portolan.dev/class: public}}
spec: {type: LoadBalancer, ipFamilyPolicy: RequireDualStack, selector: {app: echo}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: internal, namespace: default, labels: {portolan.dev/class: internal}}
spec: {type: LoadBalancer, selector: {app: echo}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: app, namespace: default}
spec:
  secretName: app-tls
  dnsNames: [app.portolan.test]
  issuerRef: {kind: ClusterIssuer, name: portolan-test-ca}
"#;

/// Counts and prints.
#[derive(Default)]
struct Score {
    passed: u32,
    failed: u32,
}

impl Score {
    fn check<T>(&mut self, name: &str, work: impl FnOnce() -> Result<T>) -> Option<T> {
        let started = Instant::now();
        match work() {
            Ok(value) => {
                self.passed += 1;
                println!("ok      {name} ({})", seconds(started.elapsed()));
                Some(value)
            }
            Err(error) => {
                self.failed += 1;
                println!("FAILED  {name}: {error:#}");
                None
            }
        }
    }
}

/// Runs every check and prints `N passed, N failed`.
///
/// # Errors
/// When one failed.
pub(crate) fn run(built: &Built) -> Result<()> {
    let name: ClusterName = "selftest".parse()?;
    let mut score = Score::default();
    down::down(&name)?;
    if let Some(cluster) = score.check("a cluster comes up", || {
        up::up(&name, built, &up::Options::default())
    }) {
        while_up(&mut score, &cluster, built);
        let traces = remains::Traces::of(&cluster);
        score.check(
            "down after kill -9 of the API server and the kubelet",
            || {
                kill(&cluster, Part::Kubelet)?;
                kill(&cluster, Part::ApiServer)?;
                down::down(&name)
            },
        );
        score.check("nothing is left after it", || traces.are_gone());
    }
    score.check("half a start is cleared by down", || {
        half_a_start(&name, built)
    });
    down::down(&name)?;
    let kept = paths::kept_logs(&name)?;
    if score.failed == 0 {
        let _ = std::fs::remove_dir_all(&kept);
        let _ = kept.parent().map(std::fs::remove_dir);
    }
    println!("{} passed, {} failed", score.passed, score.failed);
    ensure!(score.failed == 0, "{} checks failed", score.failed);
    Ok(())
}

fn while_up(score: &mut Score, cluster: &Cluster, built: &Built) {
    score.check(
        "a second up changes nothing and takes less than two seconds",
        || {
            let started = Instant::now();
            let before = process::life(&cluster.state, Part::Etcd.name());
            up::up(&cluster.name, built, &up::Options::default())?;
            ensure!(
                before == process::life(&cluster.state, Part::Etcd.name()),
                "etcd was started again"
            );
            ensure!(
                started.elapsed() < Duration::from_secs(2),
                "it took {}",
                seconds(started.elapsed())
            );
            Ok(())
        },
    );
    score.check("every part is ready", || {
        status::require_ready(&status::of(cluster))
    });
    score.check("two pods become ready", || {
        program::output_with_input(cluster.kubectl().args(["apply", "-f", "-"]), OBJECTS)?;
        kubectl(cluster, "rollout status deployment/echo --timeout=60s")
    });
    let (public4, public6) = cluster.plan.load_balancer(10);
    let (other4, _) = cluster.plan.load_balancer(20);
    score.check("the host reaches the load balancer over IPv4", || {
        answers(&format!("http://{public4}/from-host"))
    });
    score.check("the host reaches the load balancer over IPv6", || {
        answers(&format!("http://[{public6}]/from-host"))
    });
    score.check("another class has its own address", || {
        answers(&format!("http://{other4}/from-host"))
    });
    score.check("the host reaches a pod and a Service", || {
        let pod = kubectl(
            cluster,
            "get pods -l app=echo -o jsonpath={.items[0].status.podIP}",
        )?;
        let service = kubectl(cluster, "get service public -o jsonpath={.spec.clusterIP}")?;
        answers(&format!("http://{pod}:8080/"))
            .and_then(|()| answers(&format!("http://{service}/")))
    });
    score.check("a pod's log can be read", || {
        let log = kubectl(cluster, "logs deployment/echo")?;
        ensure!(log.contains("echo listens"), "it reads {log:?}");
        Ok(())
    });
    let server = IpAddr::from(cluster.plan.node().0);
    score.check("*.portolan.test is public, over IPv4 and IPv6", || {
        dns::expect(server, "a.portolan.test", public4.into())
            .and_then(|()| dns::expect(server, "a.b.portolan.test", public6.into()))
    });
    score.check("*.CLASS.portolan.test is that class", || {
        dns::expect(server, "a.internal.portolan.test", other4.into())?;
        dns::expect(server, "a.public.portolan.test", public4.into())
    });
    score.check("the cluster's DNS Service knows Services", || {
        let address = kubectl(
            cluster,
            "get service kubernetes -o jsonpath={.spec.clusterIP}",
        )?
        .parse::<IpAddr>()?;
        dns::expect(
            cluster.plan.dns_service().0.into(),
            "kubernetes.default.svc.cluster.local",
            address,
        )
    });
    score.check("a new zone file is served", || {
        let zone = "$ORIGIN new.example.\n@ 1 IN SOA ns hostmaster 1 60 60 600 1\n@ 1 IN NS ns\n@ 1 IN A 192.0.2.7\n";
        std::fs::write(cluster.state.at("dns/zones/db.new.example"), zone)?;
        dns::expect(server, "new.example", IpAddr::from([192, 0, 2, 7]))
    });
    score.check(
        "cert-manager issues a certificate that the CA file verifies",
        || certificate(cluster),
    );
    score.check("the audit log shows reads of Secrets", || {
        let log = std::fs::read_to_string(cluster.state.at("logs/audit.log"))?;
        ensure!(
            log.contains(r#""resource":"secrets""#),
            "no line about Secrets"
        );
        Ok(())
    });
    score.check("an address is free again after its Service", || {
        kubectl(cluster, "delete service internal")?;
        kubectl(cluster, "create service loadbalancer later --tcp=80:8080")?;
        has_address(cluster, "later", &other4.to_string())
    });
    score.check(
        "a killed containerd is started again by up, and pods stay",
        || {
            let before = kubectl(
                cluster,
                "get pods -l app=echo -o jsonpath={.items[*].metadata.uid}",
            )?;
            kill(cluster, Part::Containerd)?;
            up::up(&cluster.name, built, &up::Options::default())?;
            ensure!(
                before
                    == kubectl(
                        cluster,
                        "get pods -l app=echo -o jsonpath={.items[*].metadata.uid}"
                    )?,
                "the pods changed"
            );
            answers(&format!("http://{public4}/after"))
        },
    );
}

/// Kills a part as `kill -9` does and waits until it is dead.
fn kill(cluster: &Cluster, part: Part) -> Result<()> {
    let ProcessState::Running(pid) = process::life(&cluster.state, part.name()) else {
        bail!("{}: does not run", part.name())
    };
    kill_process(
        Pid::from_raw(pid).context("a process id of 0")?,
        Signal::KILL,
    )?;
    wait::until(part.name(), Duration::from_secs(20), || {
        let gone = process::life(&cluster.state, part.name()) == ProcessState::Dead;
        Ok(if gone {
            Outcome::Done(())
        } else {
            Outcome::NotYet("still there".into())
        })
    })
}

/// Leaves a cluster as an interrupted start would, and takes it down.
fn half_a_start(name: &ClusterName, built: &Built) -> Result<()> {
    let cluster = up::begin(name, built)?;
    cluster.start(Part::Etcd)?;
    cluster.start(Part::Containerd)?;
    let traces = remains::Traces::of(&cluster);
    down::down(name)?;
    traces.are_gone()
}

fn certificate(cluster: &Cluster) -> Result<()> {
    kubectl(
        cluster,
        "wait --for=condition=Ready certificate/app --timeout=60s",
    )?;
    let issuer = kubectl(
        cluster,
        "get secret app-tls -o jsonpath={.metadata.annotations.cert-manager\\.io/issuer-name}",
    )?;
    ensure!(issuer == objects::ISSUER, "it was issued by {issuer:?}");
    let encoded = kubectl(cluster, "get secret app-tls -o jsonpath={.data.tls\\.crt}")?;
    let pem = program::output_with_input(Command::new("base64").arg("-d"), &encoded)?;
    let mut verify = Command::new("openssl");
    verify
        .args(["verify", "-verify_hostname", "app.portolan.test", "-CAfile"])
        .arg(cluster.state.test_ca());
    program::output_with_input(&mut verify, &pem)?;
    let owners = kubectl(
        cluster,
        "get secret app-tls -o jsonpath={.metadata.ownerReferences}",
    )?;
    ensure!(
        owners.is_empty(),
        "cert-manager's default leaves the Secret without an owner, but it has {owners}"
    );
    Ok(())
}

fn has_address(cluster: &Cluster, service: &str, address: &str) -> Result<()> {
    wait::until(
        &format!("service {service}"),
        Duration::from_secs(20),
        || {
            let ip = kubectl(
                cluster,
                &format!(
                    "get service {service} -o jsonpath={{.status.loadBalancer.ingress[0].ip}}"
                ),
            )?;
            Ok(if ip == address {
                Outcome::Done(())
            } else {
                Outcome::NotYet(format!("address {ip:?}, not {address}"))
            })
        },
    )
}

/// Asks until an echo pod answers.
fn answers(address: &str) -> Result<()> {
    wait::until(address, Duration::from_secs(20), || {
        Ok(
            match program::output(Command::new("curl").args([
                "-sS",
                "--fail",
                "--max-time",
                "2",
                address,
            ])) {
                Ok(body) if body.contains(r#""pod": "echo-"#) => Outcome::Done(()),
                Ok(body) => Outcome::NotYet(format!("it answers {body:?}")),
                Err(error) => Outcome::NotYet(error.to_string()),
            },
        )
    })
}

fn kubectl(cluster: &Cluster, words: &str) -> Result<String> {
    program::output(cluster.kubectl().args(words.split(' ')))
}
