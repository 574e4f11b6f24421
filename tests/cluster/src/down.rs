//! `testbed down`: ends what runs and removes what was made, whatever state it is in.

use crate::cgroup::Cgroup;
use crate::index::Registry;
use crate::parts::Part;
use crate::paths::{self, ClusterName, State};
use crate::plan::Plan;
use crate::process::ProcessState;
use crate::progress::{note, seconds, step};
use crate::{logs, node, process};
use anyhow::{Context, Result};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Takes the cluster down. A cluster that is not there is down already.
///
/// # Errors
/// When something cannot be removed; running it again goes on where it stopped.
pub(crate) fn down(name: &ClusterName) -> Result<()> {
    let started = Instant::now();
    let registry = Registry::machine();
    let _guard = registry.lock_cluster(name.as_str())?;
    let state = paths::state(name)?;
    let cgroup = Cgroup::find(&name.cgroup())?;
    let plan = registry.find(name.as_str());
    if plan.is_none() && !state.dir().exists() && cgroup.folders().is_empty() {
        note(&format!("cluster {name} is not there"));
        return Ok(());
    }
    let kept = step(&format!("taking down cluster {name}"), || {
        clear(name, &state, plan, &cgroup)
    })?;
    if let Some(kept) = kept {
        note(&format!(
            "a part had failed: the logs are kept in {}",
            kept.display()
        ));
    }
    note(&format!(
        "cluster {name} is down ({})",
        seconds(started.elapsed())
    ));
    Ok(())
}

/// Ends the processes, then removes pins, wire, cgroup, state folder and index, in that order. Returns where the
/// logs are, if a part had failed.
///
/// # Errors
/// When something cannot be removed.
pub(crate) fn clear(
    name: &ClusterName,
    state: &State,
    plan: Option<Plan>,
    cgroup: &Cgroup,
) -> Result<Option<PathBuf>> {
    let failed = state.at("failed").exists()
        || Part::ALL
            .iter()
            .any(|part| process::life(state, part.name()) == ProcessState::Dead);
    cgroup.end_all()?;
    node::remove(state, plan)?;
    cgroup.remove()?;
    let kept = if failed && state.at("logs").exists() {
        Some(logs::keep(state, name)?)
    } else {
        None
    };
    remove_folder(state)?;
    // The folder of all clusters goes with the last one; with others or kept logs in it, it stays.
    let _ = state.dir().parent().map(fs::remove_dir);
    Registry::machine().release(name.as_str())?;
    Ok(kept)
}

/// Removes the state folder. The mounts below it lived in the node's own namespace and are gone with it; what
/// is left mounted here may be data of the user, so it is not touched.
fn remove_folder(state: &State) -> Result<()> {
    let left = node::mounts_below(state.dir());
    anyhow::ensure!(
        left.is_empty(),
        "{}: still mounted; unmount it, then run down again",
        left.first()
            .map(|p| p.display().to_string())
            .unwrap_or_default()
    );
    if !state.dir().exists() {
        return Ok(());
    }
    // The kernel frees the node's mounts a moment after its last process: their folders are busy until then.
    crate::wait::until("removing the state folder", Duration::from_secs(15), || {
        Ok(match fs::remove_dir_all(state.dir()) {
            Ok(()) => crate::wait::Outcome::Done(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                crate::wait::Outcome::Done(())
            }
            Err(error) => crate::wait::Outcome::NotYet(error.to_string()),
        })
    })
    .with_context(|| format!("remove {}", state.dir().display()))
}
