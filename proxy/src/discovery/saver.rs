//! Saves states as they come, without holding anybody up.

use super::snapshot::{Snapshot, State};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// After each save nine times as long is waited as it took: at most a tenth of one core goes into
/// saving, however large the state is and however often it changes.
const REST: u32 = 9;
/// Shortest pause, so that a burst of small transactions is one save.
const LEAST_REST: Duration = Duration::from_millis(20);

/// Begins saving. What was sent last is saved even when the sender is dropped at once.
pub(super) fn start(
    snapshot: Snapshot,
    shutdown: CancellationToken,
) -> (watch::Sender<Arc<State>>, JoinHandle<()>) {
    let (states, unsaved) = watch::channel(Arc::new(State::new()));
    (states, tokio::spawn(save_each(snapshot, unsaved, shutdown)))
}

async fn save_each(
    snapshot: Snapshot,
    mut unsaved: watch::Receiver<Arc<State>>,
    shutdown: CancellationToken,
) {
    while unsaved.changed().await.is_ok() {
        let state = Arc::clone(&unsaved.borrow_and_update());
        let began = Instant::now();
        let snapshot = snapshot.clone();
        let path = snapshot.path();
        match tokio::task::spawn_blocking(move || snapshot.save(&state)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(?path, %error, "failed to save the state"),
            Err(error) => tracing::error!(?path, %error, "failed to save the state"),
        }
        let rest = (began.elapsed() * REST).max(LEAST_REST);
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            () = shutdown.cancelled() => {}
        }
    }
}
