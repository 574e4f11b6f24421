//! Watches a folder for changes.
//!
//! The kernel reports changes at once, and changes in quick succession are combined. Links to places
//! outside the folder and network file systems report nothing, so the folder is also polled.

use anyhow::Context as _;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use std::path::Path;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

/// Time without further changes before a change is reported, so that several files are read together.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// Maximum delay of a report.
const MAX_DELAY: Duration = Duration::from_secs(1);
/// Interval of polling.
const POLL_INTERVAL: Duration = Duration::from_secs(30);

/// Watch of a folder.
pub(crate) struct Watch {
    changes: mpsc::Receiver<()>,
    _watcher: RecommendedWatcher,
}

impl Watch {
    /// Starts watching.
    ///
    /// # Errors
    /// The folder does not exist, or the kernel has reached its limit of watches.
    pub(crate) fn start(folder: &Path) -> anyhow::Result<Self> {
        // One pending notification is enough.
        let (notify_change, changes) = mpsc::channel(1);
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                let is_change =
                    event.map_or(true, |event| !matches!(event.kind, EventKind::Access(_)));
                if is_change {
                    // A full channel already holds a notification.
                    let _ = notify_change.try_send(());
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

    /// Waits until the folder may have changed.
    pub(crate) async fn changed(&mut self) {
        if timeout(POLL_INTERVAL, self.changes.recv()).await.is_err() {
            return;
        }
        let end = Instant::now() + MAX_DELAY;
        while let quiet = Instant::now() + DEBOUNCE
            && let Ok(Some(())) = timeout_at(end.min(quiet), self.changes.recv()).await
        {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn reports_changes_in_a_new_folder() {
        let root = tempfile::tempdir().unwrap();
        let mut watch = Watch::start(root.path()).unwrap();
        std::fs::create_dir(root.path().join("new")).unwrap();
        timeout(POLL_INTERVAL / 2, watch.changed()).await.unwrap();
        std::fs::write(root.path().join("new/x.yaml"), "x").unwrap();
        timeout(POLL_INTERVAL / 2, watch.changed()).await.unwrap();
    }

    #[test]
    fn rejects_a_missing_folder() {
        let root = tempfile::tempdir().unwrap();
        assert!(Watch::start(&root.path().join("absent")).is_err());
    }
}
