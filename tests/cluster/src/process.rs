//! Starting a part inside the node, and recognising it later: by process id and start time together, since a
//! process id alone may belong to another process by then.

use crate::cgroup::Cgroup;
use crate::node;
use crate::paths::State;
use crate::wait::{self, Outcome};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Record of a started part.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The process id.
    pub(crate) pid: i32,
    /// When it started, in clock ticks since boot: field 22 of `/proc/PID/stat`.
    pub(crate) started: u64,
}

/// State of a part's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProcessState {
    /// It runs.
    Running(i32),
    /// It was started and has ended.
    Dead,
    /// It was never started.
    Absent,
}

/// Starts a part in the node's namespaces and in the cluster's cgroup, detached from this terminal, its output
/// appended to its log.
///
/// # Errors
/// When it cannot be started or recorded.
pub(crate) fn start(
    state: &State,
    cgroup: &Cgroup,
    part: &str,
    argv: &[String],
    path: &str,
) -> Result<()> {
    fs::create_dir_all(state.at("logs"))?;
    let log = state.log(part);
    let log = File::options()
        .create(true)
        .append(true)
        .open(&log)
        .with_context(|| format!("open {}", log.display()))?;
    // The shell enters the cgroup before anything else happens, so that no child can escape it.
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", r#"echo $$ > "$0" || exit 125; exec "$@""#])
        .arg(cgroup.entrance());
    command
        .args(["setsid", "nsenter"])
        .args(node::enter_arguments(state, &["net", "mnt", "uts"]))
        .args(argv);
    command
        .env_clear()
        .env("PATH", path)
        .env("HOME", "/root")
        .env("LANG", "C.UTF-8")
        .env("XDG_STATE_HOME", "/nonexistent");
    command
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    let child = command.spawn().with_context(|| format!("start {part}"))?;
    let pid = i32::try_from(child.id())?;
    let started = start_time(pid).unwrap_or(0);
    // The child is watched through /proc; it is a zombie until this program ends, which counts as dead.
    let record = Record { pid, started };
    fs::create_dir_all(state.at("parts"))?;
    fs::write(state.at("parts").join(part), serde_json::to_vec(&record)?)
        .with_context(|| format!("record {part}"))?;
    // Only what is in the cgroup is sure to be ended by `down`.
    wait::until(part, Duration::from_secs(10), || {
        let settled = cgroup.processes().contains(&pid) || start_time(pid).is_none();
        Ok(if settled {
            Outcome::Done(())
        } else {
            Outcome::NotYet("not in its cgroup".into())
        })
    })
}

/// Returns the state of the part's process.
pub(crate) fn life(state: &State, part: &str) -> ProcessState {
    let Ok(bytes) = fs::read(state.at("parts").join(part)) else {
        return ProcessState::Absent;
    };
    let Ok(record) = serde_json::from_slice::<Record>(&bytes) else {
        return ProcessState::Dead;
    };
    if start_time(record.pid) == Some(record.started) {
        ProcessState::Running(record.pid)
    } else {
        ProcessState::Dead
    }
}

/// The start time of a living process; `None` for one that is gone or a zombie.
fn start_time(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse_stat(&stat)
}

/// The program's name may hold spaces and brackets: fields count from its last bracket.
fn parse_stat(stat: &str) -> Option<u64> {
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_whitespace();
    if fields.next()? == "Z" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_time_is_found_behind_any_name() {
        let tail = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20";
        assert_eq!(parse_stat(&format!("42 (a b) c) {tail}")), Some(4711));
        assert_eq!(
            parse_stat(&format!("42 (x) {}", tail.replacen('S', "Z", 1))),
            None
        );
    }

    #[test]
    fn this_process_has_a_start_time() {
        assert!(start_time(i32::try_from(std::process::id()).unwrap()).is_some());
    }
}
