//! Indexes of the clusters: one small file per cluster of this machine, claimed under a file lock.
//!
//! The folder is below `/run`, so that a reboot frees every index together with the namespaces behind it.

use crate::plan::{MAX_CLUSTERS, Plan};
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// The folder of claims on this machine.
#[derive(Debug, Clone)]
pub(crate) struct Registry {
    dir: PathBuf,
}

/// Holds a lock until dropped.
#[derive(Debug)]
pub(crate) struct Guard {
    _file: File,
}

impl Registry {
    /// The machine's registry.
    pub(crate) fn machine() -> Self {
        Self {
            dir: PathBuf::from("/run/portolan"),
        }
    }

    #[cfg(test)]
    fn at(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
        }
    }

    /// Waits until no other `up` or `down` of this cluster runs.
    pub(crate) fn lock_cluster(&self, name: &str) -> Result<Guard> {
        self.lock(&format!("{name}.lock"))
    }

    /// Gives this cluster an index: the one that it has, or the lowest that is free and whose ranges
    /// `busy` does not report as in use on the host.
    ///
    /// # Errors
    /// When the name is claimed from another state folder, or when no index is free.
    pub(crate) fn claim(
        &self,
        name: &str,
        state: &Path,
        busy: impl Fn(Plan) -> bool,
    ) -> Result<Plan> {
        let _guard = self.lock("index.lock")?;
        let claims = self.claims()?;
        for (index, holder) in &claims {
            if holder.0 == name {
                if holder.1 != state {
                    bail!(
                        "cluster {name}: it belongs to {}; take another --name, or run down there",
                        holder.1.display()
                    );
                }
                return Plan::new(*index);
            }
        }
        for index in 0..MAX_CLUSTERS {
            let plan = Plan::new(index)?;
            if claims.iter().any(|(taken, _)| *taken == index) || busy(plan) {
                continue;
            }
            let file = self.dir.join("index").join(index.to_string());
            fs::write(&file, format!("{name}\n{}\n", state.display()))
                .with_context(|| format!("write {}", file.display()))?;
            return Ok(plan);
        }
        bail!(
            "no free index: {MAX_CLUSTERS} clusters or foreign routes hold them all; `testbed down --name NAME` frees one"
        )
    }

    /// Frees the cluster's index. Nothing happens when it has none.
    pub(crate) fn release(&self, name: &str) -> Result<()> {
        let _guard = self.lock("index.lock")?;
        for (index, holder) in self.claims()? {
            if holder.0 == name {
                fs::remove_file(self.dir.join("index").join(index.to_string()))
                    .context("free the index")?;
            }
        }
        Ok(())
    }

    /// The plan of a cluster that has an index.
    pub(crate) fn find(&self, name: &str) -> Option<Plan> {
        let claims = self.claims().ok()?;
        claims
            .into_iter()
            .find(|(_, holder)| holder.0 == name)
            .and_then(|(index, _)| Plan::new(index).ok())
    }

    fn lock(&self, file: &str) -> Result<Guard> {
        fs::create_dir_all(self.dir.join("index"))
            .with_context(|| format!("create {}", self.dir.display()))?;
        let path = self.dir.join(file);
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path);
        let file = file.with_context(|| format!("open {}", path.display()))?;
        file.lock()
            .with_context(|| format!("lock {}", path.display()))?;
        Ok(Guard { _file: file })
    }

    fn claims(&self) -> Result<Vec<(u8, (String, PathBuf))>> {
        let mut claims = Vec::new();
        let Ok(entries) = fs::read_dir(self.dir.join("index")) else {
            return Ok(claims);
        };
        for entry in entries {
            let entry = entry?;
            let Some(index) = entry
                .file_name()
                .to_str()
                .and_then(|n| n.parse::<u8>().ok())
            else {
                continue;
            };
            let text = fs::read_to_string(entry.path())?;
            let mut lines = text.lines();
            if let (Some(name), Some(state)) = (lines.next(), lines.next()) {
                claims.push((index, (name.to_owned(), PathBuf::from(state))));
            }
        }
        claims.sort();
        Ok(claims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cluster_gets_its_own_index_and_keeps_it() {
        let dir = tempfile::tempdir().unwrap();
        let registry = Registry::at(dir.path());
        let free = |_: Plan| false;
        assert_eq!(
            registry
                .claim("a", Path::new("/s/a"), free)
                .unwrap()
                .index(),
            0
        );
        assert_eq!(
            registry
                .claim("b", Path::new("/s/b"), free)
                .unwrap()
                .index(),
            1
        );
        assert_eq!(
            registry
                .claim("a", Path::new("/s/a"), free)
                .unwrap()
                .index(),
            0
        );
        registry.release("a").unwrap();
        assert_eq!(registry.find("a"), None);
        assert_eq!(
            registry
                .claim("c", Path::new("/s/c"), free)
                .unwrap()
                .index(),
            0
        );
    }

    #[test]
    fn a_name_of_another_state_folder_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let registry = Registry::at(dir.path());
        registry.claim("a", Path::new("/one"), |_| false).unwrap();
        let error = registry
            .claim("a", Path::new("/two"), |_| false)
            .unwrap_err()
            .to_string();
        assert!(error.contains("/one"), "{error}");
    }

    #[test]
    fn ranges_that_the_host_uses_are_skipped() {
        let dir = tempfile::tempdir().unwrap();
        let registry = Registry::at(dir.path());
        assert_eq!(
            registry
                .claim("a", Path::new("/s"), |plan| plan.index() < 3)
                .unwrap()
                .index(),
            3
        );
    }

    #[test]
    fn two_threads_never_get_the_same_index() {
        let dir = tempfile::tempdir().unwrap();
        let registry = Registry::at(dir.path());
        let mut indexes: Vec<u8> = std::thread::scope(|scope| {
            let handles: Vec<_> = (0..8)
                .map(|n| {
                    let registry = registry.clone();
                    scope.spawn(move || {
                        registry
                            .claim(&format!("c{n}"), Path::new("/s"), |_| false)
                            .unwrap()
                            .index()
                    })
                })
                .collect();
            handles.into_iter().map(|h| h.join().unwrap()).collect()
        });
        indexes.sort_unstable();
        assert_eq!(indexes, (0..8).collect::<Vec<u8>>());
    }
}
