//! Resources of a running cluster on the machine, to check afterwards that all of them are gone.

use crate::parts::Cluster;
use crate::wait::{self, Outcome};
use crate::{index::Registry, node, program};
use anyhow::Result;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The traces of one cluster.
pub(super) struct Traces {
    cluster: Cluster,
    processes: BTreeSet<i32>,
    namespaces: Vec<u64>,
}

impl Traces {
    /// Looks at a cluster that is up.
    pub(super) fn of(cluster: &Cluster) -> Self {
        let pins = ["net", "mnt", "uts"].map(|pin| cluster.state.at("ns").join(pin));
        Self {
            cluster: cluster.clone(),
            processes: cluster.cgroup.processes(),
            namespaces: pins
                .iter()
                .filter_map(|pin| fs::metadata(pin).ok())
                .map(|m| m.ino())
                .collect(),
        }
    }

    /// Fails with a list of what is still there after 20 seconds: the kernel reaps and frees a moment later.
    pub(super) fn are_gone(&self) -> Result<()> {
        anyhow::ensure!(
            !self.processes.is_empty() && self.namespaces.len() == 3,
            "the cluster had no processes to look for"
        );
        wait::until("tear-down", Duration::from_secs(20), || {
            let left = self.left();
            Ok(if left.is_empty() {
                Outcome::Done(())
            } else {
                Outcome::NotYet(left.join("; "))
            })
        })
    }

    fn left(&self) -> Vec<String> {
        let mut left = Vec::new();
        let state = self.cluster.state.dir();
        for pid in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let path = pid.path();
            let Some(pid) = path
                .file_name()
                .and_then(|n| n.to_str())
                .and_then(|n| n.parse::<i32>().ok())
            else {
                continue;
            };
            if self.namespaces_of(&path)
                || (self.processes.contains(&pid) && mentions(&path, state))
            {
                left.push(format!("process {pid}"));
            }
        }
        left.extend(
            node::mounts_below(state)
                .iter()
                .map(|m| format!("mount {}", m.display())),
        );
        left.extend(
            self.cluster
                .cgroup
                .folders()
                .iter()
                .map(|f| format!("cgroup {}", f.display())),
        );
        let device = self.cluster.plan.device();
        if Path::new("/sys/class/net").join(&device).exists() {
            left.push(format!("device {device}"));
        }
        for family in ["-4", "-6"] {
            let routes = program::output(Command::new("ip").args([family, "route", "show"]))
                .unwrap_or_default();
            left.extend(
                routes
                    .lines()
                    .filter(|r| r.contains(&format!("dev {device} ")))
                    .map(|r| format!("route {r}")),
            );
        }
        if state.exists() {
            left.push(format!("folder {}", state.display()));
        }
        if Registry::machine()
            .find(self.cluster.name.as_str())
            .is_some()
        {
            left.push("its index".to_owned());
        }
        left
    }

    /// Returns true if a process is in one of the cluster's namespaces. The kernel may use a freed number again, but not
    /// for all that lives here.
    fn namespaces_of(&self, process: &Path) -> bool {
        ["net", "mnt", "uts"].iter().any(|kind| {
            let link: PathBuf = process.join("ns").join(kind);
            let number = fs::read_link(link)
                .ok()
                .and_then(|l| l.to_str()?.split(['[', ']']).nth(1)?.parse::<u64>().ok());
            number.is_some_and(|number| self.namespaces.contains(&number))
        })
    }
}

/// Returns true if a process was started with this folder in its command line.
fn mentions(process: &Path, folder: &Path) -> bool {
    let line = fs::read(process.join("cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line).contains(&folder.display().to_string())
}
