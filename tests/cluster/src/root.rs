//! Becoming root where it is needed: namespaces, routes and cgroups are the machine's.

use crate::paths;
use anyhow::{Context, Result};
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Carries the caller through sudo, so that files for them can be theirs.
const CALLER: &str = "TESTBED_CALLER";

/// Returns true if this process is root.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Runs this program again under sudo with the same arguments, unless it is root already. Returns only then.
///
/// # Errors
/// When sudo cannot be started.
pub(crate) fn become_root() -> Result<()> {
    if is_root() {
        return Ok(());
    }
    // Made by root, the folders above it in the caller's home would be root's for ever.
    let state = paths::state_root()?;
    fs::create_dir_all(&state).with_context(|| format!("create {}", state.display()))?;
    let own = std::env::current_exe().context("find this program")?;
    let caller = format!(
        "{}:{}",
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw()
    );
    let mut sudo = Command::new("sudo");
    sudo.arg("env").arg(format!("{CALLER}={caller}"));
    for variable in [
        "HOME",
        "PATH",
        "XDG_CACHE_HOME",
        "XDG_STATE_HOME",
        "PORTOLAN_TESTBED_MODULES",
    ] {
        if let Ok(value) = std::env::var(variable) {
            sudo.arg(format!("{variable}={value}"));
        }
    }
    let error = sudo.arg(own).args(std::env::args_os().skip(1)).exec();
    Err(error).context("sudo: cannot be started; run testbed as root")
}

/// Gives files to who called sudo. Without sudo nothing changes.
///
/// # Errors
/// When the owner cannot be changed.
pub(crate) fn give_to_caller(files: &[&Path]) -> Result<()> {
    let Ok(caller) = std::env::var(CALLER) else {
        return Ok(());
    };
    let ids = caller
        .split_once(':')
        .and_then(|(u, g)| Some((u.parse::<u32>().ok()?, g.parse::<u32>().ok()?)));
    let (user, group) = ids.with_context(|| format!("{CALLER}: not user:group"))?;
    for file in files {
        std::os::unix::fs::chown(file, Some(user), Some(group))
            .with_context(|| format!("give {} to its user", file.display()))?;
    }
    Ok(())
}
