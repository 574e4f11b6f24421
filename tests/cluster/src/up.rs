//! `testbed up`: from nothing, or from whatever is left, to a cluster in which everything answers.

use crate::cgroup::Cgroup;
use crate::gobuild::Built;
use crate::index::Registry;
use crate::parts::{Cluster, Part};
use crate::paths::{self, ClusterName};
use crate::process::ProcessState;
use crate::progress::{note, seconds, step};
use crate::wait::{self, Outcome};
use crate::{config, down, logs, node, objects, pki, process, program, root};
use anyhow::{Context, Result, anyhow};
use std::fs;
use std::time::{Duration, Instant};

/// Written when a start has come to its end; what lacks it is half a cluster.
const COMPLETE: &str = "complete";

/// Choices of one `up`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    /// First wait of cert-manager after a failed request; `None` is its own default of an hour.
    pub(crate) cert_manager_backoff: Option<String>,
}

/// The cluster with this name, if it has an index.
///
/// # Errors
/// When its folders cannot be named.
pub(crate) fn existing(name: &ClusterName, built: &Built) -> Result<Option<Cluster>> {
    let Some(plan) = Registry::machine().find(name.as_str()) else {
        return Ok(None);
    };
    let state = paths::state(name)?;
    Ok(Some(Cluster {
        name: name.clone(),
        plan,
        state,
        cgroup: Cgroup::find(&name.cgroup())?,
        built: built.clone(),
    }))
}

/// Returns true if this cluster was started completely and its namespaces exist.
pub(crate) fn is_complete(cluster: &Cluster) -> bool {
    cluster.state.at(COMPLETE).exists() && node::exists(&cluster.state)
}

/// Brings the cluster up, or back to health.
///
/// # Errors
/// When a part does not start, with its name, the end of its log, and what to do.
pub(crate) fn up(name: &ClusterName, built: &Built, options: &Options) -> Result<Cluster> {
    let started = Instant::now();
    let registry = Registry::machine();
    let _guard = registry.lock_cluster(name.as_str())?;
    if let Some(cluster) = existing(name, built)? {
        if is_complete(&cluster) {
            built.record(&cluster.state.at("built"))?;
            mend(&cluster)?;
            note(&format!(
                "cluster {name} is up ({})",
                seconds(started.elapsed())
            ));
            return Ok(cluster);
        }
        step("clearing what an earlier start left", || {
            down::clear(name, &cluster.state, Some(cluster.plan), &cluster.cgroup)
        })?;
    }
    let state = paths::state(name)?;
    let cgroup = Cgroup::find(&name.cgroup())?;
    if state.dir().exists() || !cgroup.folders().is_empty() {
        // A reboot forgets the index and keeps the folder.
        step("clearing what an earlier cluster left", || {
            down::clear(name, &state, None, &cgroup)
        })?;
    }
    let plan = registry.claim(name.as_str(), state.dir(), node::in_use)?;
    let cluster = Cluster {
        name: name.clone(),
        plan,
        state,
        cgroup,
        built: built.clone(),
    };
    fresh(&cluster, options)?;
    fs::write(cluster.state.at(COMPLETE), "").context("note that the cluster is up")?;
    root::give_to_caller(&[&cluster.state.kubeconfig(), &cluster.state.test_ca()])?;
    note(&format!(
        "cluster {name} is up after {}; to use it: eval \"$(testbed env --name {name})\"",
        seconds(started.elapsed())
    ));
    Ok(cluster)
}

/// Starts dead parts of a complete cluster again.
fn mend(cluster: &Cluster) -> Result<()> {
    let answers: Vec<(Part, bool)> = std::thread::scope(|scope| {
        let asked: Vec<_> = Part::ALL
            .into_iter()
            .map(|part| (part, scope.spawn(move || cluster.answers(part))))
            .collect();
        asked
            .into_iter()
            .map(|(part, thread)| (part, thread.join().unwrap_or(false)))
            .collect()
    });
    for (part, answers) in answers {
        let life = process::life(&cluster.state, part.name());
        let label = match (life, answers) {
            (ProcessState::Running(_), true) => continue,
            (ProcessState::Running(_), false) => format!("waiting for {}", part.name()),
            _ => format!("{} had ended; starting it again", part.name()),
        };
        step(&label, || {
            cluster.start(part)?;
            cluster.await_ready(part, Duration::from_secs(60))
        })?;
    }
    Ok(())
}

/// Certificates, configuration and namespaces of a cluster, in which nothing runs yet.
fn prepare(cluster: &Cluster, options: &Options) -> Result<()> {
    let (state, plan, name) = (&cluster.state, cluster.plan, &cluster.name);
    step("making certificates and configuration", || {
        fs::create_dir_all(state.dir())
            .with_context(|| format!("create {}", state.dir().display()))?;
        cluster.built.record(&state.at("built"))?;
        config::write(state, plan, name)?;
        if let Some(backoff) = &options.cert_manager_backoff {
            fs::write(
                state.at("config/cert-manager-flags"),
                format!(" --min-backoff {backoff} --max-backoff {backoff}"),
            )?;
        }
        pki::create(state, plan, &name.node())
    })?;
    step("making the node's namespaces and network", || {
        cluster.cgroup.create()?;
        node::create(state, plan, name)
    })
}

/// Begins a start and leaves it there, as an interruption would: for the selftest.
///
/// # Errors
/// When it cannot begin.
pub(crate) fn begin(name: &ClusterName, built: &Built) -> Result<Cluster> {
    let registry = Registry::machine();
    let _guard = registry.lock_cluster(name.as_str())?;
    let state = paths::state(name)?;
    let plan = registry.claim(name.as_str(), state.dir(), node::in_use)?;
    let cluster = Cluster {
        name: name.clone(),
        plan,
        state,
        cgroup: Cgroup::find(&name.cgroup())?,
        built: built.clone(),
    };
    prepare(&cluster, &Options::default())?;
    Ok(cluster)
}

/// A start from nothing.
fn fresh(cluster: &Cluster, options: &Options) -> Result<()> {
    prepare(cluster, options)?;
    let (state, plan, name) = (&cluster.state, cluster.plan, &cluster.name);
    step("starting etcd", || start(cluster, Part::Etcd))?;
    cluster.start(Part::ApiServer)?;
    step("starting containerd", || start(cluster, Part::Containerd))?;
    step("importing images", || import_all(cluster))?;
    step("starting kube-apiserver", || {
        cluster.await_ready(Part::ApiServer, Duration::from_secs(120))
    })?;

    let early = [
        Part::ControllerManager,
        Part::Scheduler,
        Part::Kubelet,
        Part::Proxy,
        Part::LoadBalancer,
    ];
    early.into_iter().try_for_each(|part| cluster.start(part))?;
    step("making the first objects", || {
        apply(cluster, &objects::first(state, plan)?)
    })?;
    cluster.start(Part::CoreDns)?;
    step("installing CRDs", || install_crds(cluster))?;
    cluster.start(Part::Pebble)?;
    cluster.start(Part::CertManager)?;
    let late = [Part::CoreDns, Part::Pebble, Part::CertManager];
    for part in early.into_iter().chain(late) {
        step(&format!("starting {}", part.name()), || {
            cluster.await_ready(part, Duration::from_secs(90))
        })?;
    }
    step("waiting for the node", || {
        kubectl_wait(
            cluster,
            "the node",
            &["--for=condition=Ready", "node", &name.node()],
        )?;
        default_account(cluster)
    })?;
    step("waiting for the issuers", || {
        apply(cluster, &objects::issuers(state, plan)?)?;
        kubectl_wait(
            cluster,
            "the ClusterIssuers",
            &[
                "--for=condition=Ready",
                "clusterissuer",
                objects::ISSUER,
                objects::ACME_ISSUER,
            ],
        )
    })
}

fn start(cluster: &Cluster, part: Part) -> Result<()> {
    cluster.start(part)?;
    cluster.await_ready(part, Duration::from_secs(60))
}

/// Imports the images of the cache.
fn import_all(cluster: &Cluster) -> Result<()> {
    for entry in fs::read_dir(&cluster.built.images).context("read the images of the cache")? {
        import(cluster, &entry?.path())?;
    }
    Ok(())
}

/// Imports one OCI tar.
///
/// # Errors
/// When containerd refuses it.
pub(crate) fn import(cluster: &Cluster, tar: &std::path::Path) -> Result<()> {
    let tar = fs::canonicalize(tar).with_context(|| format!("{}: not there", tar.display()))?;
    let mut ctr = cluster.ctr();
    ctr.args(["images", "import", "--local"]).arg(tar);
    program::output(&mut ctr).map(|_| ())
}

fn apply(cluster: &Cluster, objects: &str) -> Result<()> {
    let mut kubectl = cluster.kubectl();
    kubectl.args([
        "apply",
        "--server-side",
        "--force-conflicts",
        "--field-manager",
        "testbed",
        "-f",
        "-",
    ]);
    program::output_with_input(&mut kubectl, objects).map(|_| ())
}

fn install_crds(cluster: &Cluster) -> Result<()> {
    let mut kubectl = cluster.kubectl();
    kubectl
        .args(["create", "--validate=false", "-f"])
        .arg(&cluster.built.crds);
    program::output(&mut kubectl)?;
    kubectl_wait(
        cluster,
        "the CRDs",
        &["--for=condition=Established", "crd", "--all"],
    )
}

/// Runs `kubectl wait`, with a timeout distinct from other failures; waits also for an object that does not exist yet.
fn kubectl_wait(cluster: &Cluster, what: &str, arguments: &[&str]) -> Result<()> {
    let waited = wait::until(what, Duration::from_secs(90), || {
        let mut kubectl = cluster.kubectl();
        kubectl.args(["wait", "--timeout=10s"]).args(arguments);
        Ok(match program::output(&mut kubectl) {
            Ok(_) => Outcome::Done(()),
            Err(error) => Outcome::NotYet(format!("{error:#}")),
        })
    });
    let part = if what == "the node" {
        Part::Kubelet
    } else {
        Part::CertManager
    };
    waited.map_err(|error| logs::failure(&cluster.state, &cluster.name, part.name(), &error))
}

/// Pods are refused until the namespace has its service account.
fn default_account(cluster: &Cluster) -> Result<()> {
    let waited = wait::until(
        "service account default/default",
        Duration::from_secs(60),
        || {
            let mut kubectl = cluster.kubectl();
            kubectl.args(["get", "serviceaccount", "default", "-n", "default"]);
            Ok(match program::output(&mut kubectl) {
                Ok(_) => Outcome::Done(()),
                Err(error) => Outcome::NotYet(error.to_string()),
            })
        },
    );
    waited.map_err(|error| {
        logs::failure(
            &cluster.state,
            &cluster.name,
            Part::ControllerManager.name(),
            &error,
        )
    })
}

/// A cluster that is up, with the programs that it was started with.
///
/// # Errors
/// When it is not up.
pub(crate) fn required(name: &ClusterName) -> Result<Cluster> {
    let absent = || anyhow!("cluster {name}: not up; `testbed up --name {name}`");
    if Registry::machine().find(name.as_str()).is_none() {
        return Err(absent());
    }
    let built = Built::recorded(&paths::state(name)?.at("built"))
        .map_err(|error| absent().context(error))?;
    existing(name, &built)?
        .filter(is_complete)
        .ok_or_else(absent)
}
