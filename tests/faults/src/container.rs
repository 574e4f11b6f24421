//! Killing what runs in a pod, from the host.

use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::process::Command;

/// Kills the main process of a pod, as a crash would; the pod itself stays.
///
/// # Errors
/// When no process with that name runs in the pod, or it may not be killed.
pub fn kill(pod_uid: &str, program: &str) -> Result<()> {
    let process = find(pod_uid, program)?;
    let mut command = if rustix::process::geteuid().is_root() {
        Command::new("kill")
    } else {
        // The cluster runs as root (see `testbed`), so whoever could start it may do this.
        let mut sudo = Command::new("sudo");
        sudo.args(["-n", "kill"]);
        sudo
    };
    let status = command
        .args(["-KILL", &process.to_string()])
        .status()
        .context("run kill")?;
    ensure!(
        status.success(),
        "{program} (process {process}) of pod {pod_uid}: not killed: {status}"
    );
    Ok(())
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
