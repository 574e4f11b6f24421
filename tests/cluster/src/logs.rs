//! The logs of the parts: the end of one, and what a failure means.

use crate::failure::NotReady;
use crate::paths::{self, ClusterName, State};
use crate::program::last_lines;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// Known failures: a piece of a log, and the remedy.
const KNOWN: &[(&str, &str)] = &[
    (
        "address already in use",
        "another process holds the port inside the node; `testbed down`, then `testbed up`",
    ),
    (
        "no space left on device",
        "the disk is full; free some space, then `testbed up`",
    ),
    (
        "too many open files",
        "raise the limit: `sysctl fs.inotify.max_user_instances=512` and `ulimit -n 20000`",
    ),
    (
        "can't get final child's PID from pipe",
        "containerd lacks restrict_oom_score_adj; `testbed down`, then `testbed up`",
    ),
    (
        "Operation not supported",
        "the kernel lacks a feature, most often nf_tables or overlay; load the module on the host",
    ),
    (
        "Failed to start ContainerManager",
        "look at /sys/fs/cgroup: every controller must be mounted and writable; in a container, run it privileged",
    ),
    (
        "x509: ",
        "the clock may have jumped; `testbed down`, then `testbed up` makes new certificates",
    ),
];

/// An error about a part: what happened, the end of its log, and advice. It stays a [`NotReady`] if it was one.
/// The cluster is marked as failed, so that `down` keeps its logs.
pub(crate) fn failure(
    state: &State,
    name: &ClusterName,
    part: &str,
    error: &anyhow::Error,
) -> anyhow::Error {
    let file = state.log(part);
    let text = fs::read(&file)
        .map(|b| String::from_utf8_lossy(&b).into_owned())
        .unwrap_or_default();
    let _ = fs::write(state.at("failed"), part);
    let message = explain(part, &format!("{error:#}"), &file, &text, name);
    if error.chain().any(|cause| cause.is::<NotReady>()) {
        NotReady(message).into()
    } else {
        anyhow::anyhow!(message)
    }
}

fn explain(part: &str, error: &str, file: &Path, log: &str, name: &ClusterName) -> String {
    let shorten = |line: &str| format!("  | {}", line.chars().take(400).collect::<String>());
    let tail: Vec<String> = last_lines(log, 12).lines().map(shorten).collect();
    let named = if error.starts_with(part) {
        error.to_owned()
    } else {
        format!("{part}: {error}")
    };
    format!(
        "{named}\nthe last lines of {}:\n{}\nwhat to do: {}; more: `testbed logs {part} --name {name}`",
        file.display(),
        tail.join("\n"),
        advice(log),
    )
}

fn advice(text: &str) -> &'static str {
    let recent = last_lines(text, 12);
    let known = KNOWN.iter().find(|(sign, _)| recent.contains(sign));
    known.map_or(
        "`testbed down` clears everything and keeps the logs; then `testbed up`",
        |(_, advice)| advice,
    )
}

/// Prints the last `count` lines of a part's log; of the kept log when the cluster is gone.
///
/// # Errors
/// When there is no such log; the error names those that are there.
pub(crate) fn print(name: &ClusterName, part: &str, count: usize) -> Result<()> {
    let folders = [paths::state(name)?.at("logs"), paths::kept_logs(name)?];
    for folder in &folders {
        let file = folder.join(format!("{part}.log"));
        if file.is_file() {
            let text = fs::read(&file).with_context(|| format!("read {}", file.display()))?;
            println!("{}", last_lines(&String::from_utf8_lossy(&text), count));
            return Ok(());
        }
    }
    let mut there: Vec<String> = Vec::new();
    for entry in folders
        .iter()
        .filter_map(|f| fs::read_dir(f).ok())
        .flatten()
        .flatten()
    {
        there.extend(
            entry
                .file_name()
                .to_str()
                .and_then(|n| n.strip_suffix(".log"))
                .map(str::to_owned),
        );
    }
    there.sort();
    there.dedup();
    if there.is_empty() {
        bail!("cluster {name}: no logs; it is not up and nothing failed");
    }
    bail!(
        "{part}: no log of that name; there are {}",
        there.join(", ")
    );
}

/// Moves the logs of a failed cluster to where `down` leaves them.
///
/// # Errors
/// When they cannot be moved.
pub(crate) fn keep(state: &State, name: &ClusterName) -> Result<PathBuf> {
    let kept = paths::kept_logs(name)?;
    if kept.exists() {
        fs::remove_dir_all(&kept)
            .with_context(|| format!("remove older logs in {}", kept.display()))?;
    }
    fs::create_dir_all(kept.parent().unwrap_or(&kept))?;
    fs::rename(state.at("logs"), &kept)
        .with_context(|| format!("keep the logs in {}", kept.display()))?;
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_failures_have_their_own_advice() {
        assert!(advice("listen tcp: bind: address already in use").contains("port"));
        assert!(advice("anything").contains("testbed down"));
    }

    #[test]
    fn errors_have_the_part_its_log_and_advice() {
        let name = "portolan".parse().unwrap();
        let message = explain(
            "etcd",
            "it ended",
            Path::new("/logs/etcd.log"),
            "one\nno space left on device\n",
            &name,
        );
        assert!(
            message.starts_with("etcd: it ended\nthe last lines of /logs/etcd.log:\n  | one\n"),
            "{message}"
        );
        assert!(
            message.contains("the disk is full")
                && message.contains("testbed logs etcd --name portolan"),
            "{message}"
        );
    }
}
