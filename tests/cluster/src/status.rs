//! `testbed status`: what runs and answers.

use crate::failure::NotReady;
use crate::parts::{Cluster, Part};
use crate::process::{self, ProcessState};
use anyhow::Result;
use serde::Serialize;

/// Status of a cluster.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    name: String,
    index: u8,
    ready: bool,
    api_server: String,
    state: String,
    parts: Vec<PartStatus>,
}

#[derive(Debug, Serialize)]
struct PartStatus {
    name: &'static str,
    state: &'static str,
    pid: Option<i32>,
    log: String,
}

/// Asks every part.
pub(crate) fn of(cluster: &Cluster) -> Status {
    let parts: Vec<PartStatus> = std::thread::scope(|scope| {
        let asked: Vec<_> = Part::ALL
            .into_iter()
            .map(|part| scope.spawn(move || part_status(cluster, part)))
            .collect();
        asked
            .into_iter()
            .filter_map(|thread| thread.join().ok())
            .collect()
    });
    Status {
        name: cluster.name.to_string(),
        index: cluster.plan.index(),
        ready: parts.len() == Part::ALL.len() && parts.iter().all(|p| p.state == "ready"),
        api_server: format!("https://{}:6443", cluster.plan.node().0),
        state: cluster.state.dir().display().to_string(),
        parts,
    }
}

fn part_status(cluster: &Cluster, part: Part) -> PartStatus {
    let (state, pid) = match process::life(&cluster.state, part.name()) {
        ProcessState::Running(pid) if cluster.answers(part) => ("ready", Some(pid)),
        ProcessState::Running(pid) => ("not answering", Some(pid)),
        ProcessState::Dead => ("ended", None),
        ProcessState::Absent => ("not started", None),
    };
    PartStatus {
        name: part.name(),
        state,
        pid,
        log: cluster.state.log(part.name()).display().to_string(),
    }
}

/// Prints a status; fails with "not ready" when something does not answer.
///
/// # Errors
/// [`NotReady`] with the names of the parts.
pub(crate) fn print(status: &Status, json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(status)?);
    } else {
        println!(
            "cluster {} (index {}), API server {}, state in {}",
            status.name, status.index, status.api_server, status.state
        );
        for part in &status.parts {
            let pid = part
                .pid
                .map_or_else(|| "-".to_owned(), |pid| pid.to_string());
            println!("{:<26}{:<16}{:<9}{}", part.name, part.state, pid, part.log);
        }
    }
    require_ready(status)
}

/// Fails when a part does not answer.
///
/// # Errors
/// [`NotReady`] with the names of the parts.
pub(crate) fn require_ready(status: &Status) -> Result<()> {
    let bad: Vec<&str> = status
        .parts
        .iter()
        .filter(|p| p.state != "ready")
        .map(|p| p.name)
        .collect();
    if bad.is_empty() {
        return Ok(());
    }
    Err(NotReady(format!(
        "cluster {}: {} not ready; `testbed up --name {}` starts what ended",
        status.name,
        bad.join(", "),
        status.name
    ))
    .into())
}
