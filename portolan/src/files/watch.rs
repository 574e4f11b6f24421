//! Says when the folder may have changed.
//!
//! The kernel tells of changes at once, and changes that come together are told as one. Links to places
//! outside of the folder, and network file systems, tell nothing: therefore the folder is looked at now
//! and then in any case.

use anyhow::Context as _;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use std::path::Path;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

/// So long nothing more may come before what came is told: whoever writes several files is waited for.
const QUIET: Duration = Duration::from_millis(100);
/// But no longer than this.
const LONGEST: Duration = Duration::from_secs(1);
/// After so long without a word the folder is looked at.
const REGULARLY: Duration = Duration::from_secs(30);

/// A folder that is watched.
pub(crate) struct Watch {
    changes: mpsc::Receiver<()>,
    _watcher: RecommendedWatcher,
}

impl Watch {
    /// Begins to watch.
    ///
    /// # Errors
    /// The folder is not there, or the kernel watches no more folders.
    pub(crate) fn start(folder: &Path) -> anyhow::Result<Self> {
        // One word that waits says everything.
        let (told, changes) = mpsc::channel(1);
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                let concerns =
                    event.map_or(true, |event| !matches!(event.kind, EventKind::Access(_)));
                if concerns {
                    // A full channel holds the same word already.
                    let _ = told.try_send(());
                }
            })
            .context("watching for changes")?;
        watcher
            .watch(folder, RecursiveMode::Recursive)
            .with_context(|| format!("--files: watching {}", folder.display()))?;
        Ok(Self {
            changes,
            _watcher: watcher,
        })
    }

    /// Waits until the folder may differ.
    pub(crate) async fn changed(&mut self) {
        if timeout(REGULARLY, self.changes.recv()).await.is_err() {
            return;
        }
        let end = Instant::now() + LONGEST;
        while let quiet = Instant::now() + QUIET
            && let Ok(Some(())) = timeout_at(end.min(quiet), self.changes.recv()).await
        {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_written_into_a_new_folder_is_told() {
        let root = tempfile::tempdir().unwrap();
        let mut watch = Watch::start(root.path()).unwrap();
        std::fs::create_dir(root.path().join("new")).unwrap();
        timeout(REGULARLY / 2, watch.changed()).await.unwrap();
        std::fs::write(root.path().join("new/x.yaml"), "x").unwrap();
        timeout(REGULARLY / 2, watch.changed()).await.unwrap();
    }

    #[test]
    fn a_folder_that_is_absent_cannot_be_watched() {
        let root = tempfile::tempdir().unwrap();
        assert!(Watch::start(&root.path().join("absent")).is_err());
    }
}
