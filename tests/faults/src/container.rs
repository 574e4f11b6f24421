//! Killing what runs in a pod, or holding up what runs beside the cluster, from the host.

use anyhow::{Context, Result, bail, ensure};
use portolan_e2e::environment::Environment;
use serde_json::Value;
use std::fs;
use std::process::Command;

/// Kills the main process of a pod, as a crash would; the pod itself stays.
///
/// # Errors
/// When no process with that name runs in the pod, or it may not be killed.
pub fn kill(pod_uid: &str, program: &str) -> Result<()> {
    let process = find(pod_uid, program)?;
    signal(process, "-KILL").with_context(|| format!("{program} of pod {pod_uid}"))
}

/// A part of the cluster that stands still until this is dropped.
#[derive(Debug)]
pub struct Halted(u32);

impl Halted {
    /// Halts a part that runs beside the cluster, such as `cert-manager`.
    ///
    /// # Errors
    /// When there is no record of it, or it may not be halted.
    pub fn part(environment: &Environment, name: &str) -> Result<Self> {
        let state = environment.kubeconfig.parent().context("no folder")?;
        let record = state.join("parts").join(name);
        let record = fs::read(&record).with_context(|| format!("read {}", record.display()))?;
        let record: Value = serde_json::from_slice(&record)?;
        let process = record.get("pid").and_then(Value::as_u64);
        let process = u32::try_from(process.context("no process in the record")?)?;
        signal(process, "-STOP").with_context(|| format!("part {name}"))?;
        Ok(Self(process))
    }
}

impl Drop for Halted {
    fn drop(&mut self) {
        if let Err(error) = signal(self.0, "-CONT") {
            println!("process {} stands still: {error:#}", self.0);
        }
    }
}

fn signal(process: u32, signal: &str) -> Result<()> {
    let status = as_root("kill")
        .args([signal, &process.to_string()])
        .status()
        .context("run kill")?;
    ensure!(
        status.success(),
        "process {process}: kill {signal}: {status}"
    );
    Ok(())
}

/// A program as root. The cluster runs as root (see `testbed`), so a user who could start it may do this.
pub(crate) fn as_root(program: &str) -> Command {
    if rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut sudo = Command::new("sudo");
    sudo.args(["-n", program]);
    sudo
}

/// The process of a pod by its cgroup, which is named after the pod's UID.
fn find(pod_uid: &str, program: &str) -> Result<u32> {
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(process) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        // Processes end while one looks at them.
        let read = |file: &str| fs::read_to_string(entry.path().join(file)).unwrap_or_default();
        if read("comm").trim() == program && read("cgroup").contains(pod_uid) {
            return Ok(process);
        }
    }
    bail!("no process {program} in pod {pod_uid}")
}
