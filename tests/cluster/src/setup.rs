//! `testbed setup`: the Debian packages that a cluster needs, and Go.

use crate::{gobuild, program, progress, root};
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::Command;

/// A package, and a file or program that tells that it is there.
const NEEDED: &[(&str, &str)] = &[
    ("runc", "runc"),
    ("containernetworking-plugins", "/usr/lib/cni/ptp"),
    ("iproute2", "ip"),
    ("nftables", "nft"),
    ("iptables", "iptables"),
    ("conntrack", "conntrack"),
    ("openssl", "openssl"),
    ("curl", "curl"),
    ("util-linux", "nsenter"),
    ("mount", "mount"),
];

/// Installs what is missing, and says so first.
///
/// # Errors
/// When apt-get is missing or fails, or Go is not there.
pub(crate) fn setup() -> Result<()> {
    let missing = missing();
    if missing.is_empty() {
        progress::note("packages: all there");
    } else {
        progress::note(&format!("will install with apt-get: {}", missing.join(" ")));
        if program::find("apt-get").is_none() {
            bail!(
                "apt-get: not found; install these by hand: {}",
                missing.join(", ")
            );
        }
        // Package lists may be years old or absent: fetch them once.
        progress::step("apt-get update", || {
            program::output(apt().arg("update")).map(|_| ())
        })?;
        progress::step("apt-get install", || {
            program::output(
                apt()
                    .args(["install", "-y", "--no-install-recommends"])
                    .args(&missing),
            )
            .map(|_| ())
        })?;
    }
    gobuild::check_go()?;
    progress::note(
        "Go: there; `testbed build` (about 9 minutes the first time) builds Kubernetes from its modules",
    );
    Ok(())
}

/// The packages that are missing.
pub(crate) fn missing() -> Vec<&'static str> {
    let there = |sign: &str| {
        if sign.starts_with('/') {
            Path::new(sign).exists()
        } else {
            program::find(sign).is_some()
        }
    };
    NEEDED
        .iter()
        .filter(|(_, sign)| !there(sign))
        .map(|(package, _)| *package)
        .collect()
}

/// Says what to do when packages are missing.
///
/// # Errors
/// When one is.
pub(crate) fn check() -> Result<()> {
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    Err(anyhow::anyhow!("`testbed setup` installs them"))
        .context(format!("missing packages: {}", missing.join(", ")))
}

fn apt() -> Command {
    let mut command = if root::is_root() {
        Command::new("env")
    } else {
        let mut sudo = Command::new("sudo");
        sudo.arg("env");
        sudo
    };
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"]);
    command
}
