//! The cgroup of a cluster. Every part and every container runs below it, so it answers the one question that
//! tear-down must not get wrong: which processes are ours.
//!
//! On cgroup v1 the folder exists in every hierarchy; on v2 once, with the controllers handed down.

use crate::wait::{self, Outcome};
use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The cgroup of one cluster.
#[derive(Debug, Clone)]
pub(crate) struct Cgroup {
    /// Folder in which cgroups are created.
    roots: Vec<PathBuf>,
    /// Folders in which containers may have created some: the unified hierarchy beside those of version 1.
    beside: Vec<PathBuf>,
    name: String,
    unified: bool,
}

impl Cgroup {
    /// The cgroup with this name in the hierarchies that are mounted.
    ///
    /// # Errors
    /// When no cgroup hierarchy is mounted.
    pub(crate) fn find(name: &str) -> Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").context("read the mounts")?;
        let (unified, roots, beside) = hierarchies(&mounts);
        anyhow::ensure!(
            !roots.is_empty(),
            "no cgroup hierarchy is mounted; mount cgroup2 at /sys/fs/cgroup"
        );
        Ok(Self {
            roots,
            beside,
            name: name.to_owned(),
            unified,
        })
    }

    /// Makes the folders.
    ///
    /// # Errors
    /// When a folder cannot be made, usually for want of root.
    pub(crate) fn create(&self) -> Result<()> {
        for root in &self.roots {
            if self.unified {
                hand_down(root)?;
            }
            let dir = root.join(&self.name);
            fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
            for file in ["cpuset.cpus", "cpuset.mems"] {
                if !self.unified && root.join(file).exists() {
                    let value = fs::read(root.join(file))?;
                    fs::write(dir.join(file), value)
                        .with_context(|| format!("write {}", dir.join(file).display()))?;
                }
            }
            if self.unified {
                hand_down(&dir)?;
            }
        }
        fs::create_dir_all(self.node()).context("create the cgroup of the node's parts")
    }

    /// The file that a process writes its id to before it becomes a part.
    pub(crate) fn entrance(&self) -> PathBuf {
        self.node().join("cgroup.procs")
    }

    /// Every process below the cgroup.
    pub(crate) fn processes(&self) -> BTreeSet<i32> {
        let mut found = BTreeSet::new();
        for dir in self.folders() {
            if let Ok(text) = fs::read_to_string(dir.join("cgroup.procs")) {
                found.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
            }
        }
        found
    }

    /// Ends every process below the cgroup. New ones that appear meanwhile are ended too.
    ///
    /// # Errors
    /// When some are left after 30 seconds.
    pub(crate) fn end_all(&self) -> Result<()> {
        wait::until(
            &format!("ending the processes of {}", self.name),
            Duration::from_secs(30),
            || {
                let left = self.kill();
                Ok(if left.is_empty() {
                    Outcome::Done(())
                } else {
                    Outcome::NotYet(format!("processes {left:?}"))
                })
            },
        )
    }

    /// Kills every process below the cgroup, and returns them.
    fn kill(&self) -> BTreeSet<i32> {
        let left = self.processes();
        for pid in left.iter().filter_map(|pid| Pid::from_raw(*pid)) {
            let _ = kill_process(pid, Signal::KILL);
        }
        left
    }

    /// Removes the folders, deepest first.
    ///
    /// # Errors
    /// When some are left after 15 seconds.
    pub(crate) fn remove(&self) -> Result<()> {
        wait::until(
            &format!("removing cgroup {}", self.name),
            Duration::from_secs(15),
            || {
                for dir in self.folders().iter().rev() {
                    let _ = fs::remove_dir(dir);
                }
                let left = self.folders();
                if !left.is_empty() {
                    // One that was just being started when its parent was killed enters only now.
                    self.kill();
                }
                Ok(if left.is_empty() {
                    Outcome::Done(())
                } else {
                    Outcome::NotYet(format!("{} folders", left.len()))
                })
            },
        )
    }

    /// Every folder of the cgroup in every hierarchy, parents before children.
    pub(crate) fn folders(&self) -> Vec<PathBuf> {
        let mut all = Vec::new();
        for root in self.roots.iter().chain(&self.beside) {
            let top = root.join(&self.name);
            if top.is_dir() {
                collect(&top, &mut all);
            }
        }
        all
    }

    fn node(&self) -> PathBuf {
        let wanted = self
            .roots
            .iter()
            .find(|r| r.ends_with("pids"))
            .or(self.roots.first());
        wanted
            .cloned()
            .unwrap_or_default()
            .join(&self.name)
            .join("node")
    }
}

fn collect(dir: &Path, all: &mut Vec<PathBuf>) {
    all.push(dir.to_owned());
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            collect(&entry.path(), all);
        }
    }
}

/// Lets the children of a v2 cgroup use every controller that it has.
fn hand_down(dir: &Path) -> Result<()> {
    let controllers = fs::read_to_string(dir.join("cgroup.controllers"))
        .with_context(|| format!("read controllers of {}", dir.display()))?;
    for controller in controllers.split_whitespace() {
        let line = format!("+{controller}");
        // A controller that is missing is the kubelet's to complain about: it names it better than we could.
        let _ = fs::write(dir.join("cgroup.subtree_control"), line);
    }
    Ok(())
}

/// Reads a mountinfo: whether v2 is used alone, the hierarchies to work in, and the one beside them.
fn hierarchies(mountinfo: &str) -> (bool, Vec<PathBuf>, Vec<PathBuf>) {
    let mut v1 = Vec::new();
    let mut v2 = Vec::new();
    for line in mountinfo.lines() {
        let Some((left, right)) = line.split_once(" - ") else {
            continue;
        };
        let Some(target) = left.split(' ').nth(4).map(PathBuf::from) else {
            continue;
        };
        match right.split(' ').next() {
            Some("cgroup") => v1.push(target),
            Some("cgroup2") => v2.push(target),
            _ => {}
        }
    }
    v1.sort();
    v1.dedup();
    v2.truncate(1);
    if v1.is_empty() {
        (true, v2, Vec::new())
    } else {
        (false, v1, v2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cgroup_v1_has_many_hierarchies_beside_the_unified_one() {
        let text = "30 25 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
                    31 30 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                    32 30 0:28 / /sys/fs/cgroup/pids rw shared:9 - cgroup cgroup rw,pids\n\
                    33 30 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let (unified, roots, beside) = hierarchies(text);
        assert!(!unified);
        assert_eq!(
            roots,
            [
                PathBuf::from("/sys/fs/cgroup/cpu"),
                PathBuf::from("/sys/fs/cgroup/pids")
            ]
        );
        assert_eq!(beside, [PathBuf::from("/sys/fs/cgroup/unified")]);
    }

    #[test]
    fn version_two_has_one() {
        let text = "31 30 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(
            hierarchies(text),
            (true, vec![PathBuf::from("/sys/fs/cgroup")], vec![])
        );
    }
}
