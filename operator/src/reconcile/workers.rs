//! The workers: a bounded number of passes at a time, by the leader only, and a panic is the trouble of one key.

use super::{Attempt, Reconciler};
use crate::client::Trouble;
use crate::key::Key;
use crate::lease::Leadership;
use crate::metrics::{KindLabels, Metrics, ReconcileLabels};
use crate::queue::{Claim, Outcome};
use futures::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, debug, error, info_span, warn};

/// Starts as many workers as `concurrency` says. They end at `shutdown`, each after its pass.
pub fn work(
    context: &Arc<Reconciler>,
    concurrency: usize,
    leadership: &watch::Receiver<Leadership>,
    metrics: &Metrics,
    shutdown: &CancellationToken,
    tasks: &TaskTracker,
) {
    for _ in 0..concurrency.max(1) {
        let worker = worker(
            Arc::clone(context),
            leadership.clone(),
            metrics.clone(),
            shutdown.clone(),
        );
        tasks.spawn(worker);
    }
}

async fn worker(
    context: Arc<Reconciler>,
    mut leadership: watch::Receiver<Leadership>,
    metrics: Metrics,
    shutdown: CancellationToken,
) {
    loop {
        let Some(claim) = shutdown
            .run_until_cancelled(next(&context, &mut leadership))
            .await
        else {
            return;
        };
        let key = claim.key().clone();
        let attempt = Attempt {
            failures: claim.failures(),
        };
        let began = Instant::now();
        let pass = context
            .pass(&key, attempt)
            .instrument(info_span!("pass", %key));
        let ended = AssertUnwindSafe(pass).catch_unwind().await;
        let (outcome, word) = match ended {
            Ok(Ok(())) => (Outcome::Done, "done"),
            Ok(Err(trouble)) => {
                tell(&key.to_string(), &trouble, attempt);
                let not_before = trouble.retry_after();
                (Outcome::Failed { not_before }, "failed")
            }
            Err(_) => {
                error!(%key, "the pass panicked; the others go on");
                (Outcome::Failed { not_before: None }, "panicked")
            }
        };
        claim.finish(outcome);
        let kind = key.kind();
        metrics
            .reconcile_seconds
            .get_or_create(&KindLabels { kind })
            .observe(began.elapsed().as_secs_f64());
        let outcome = word;
        metrics
            .reconciles
            .get_or_create(&ReconcileLabels { kind, outcome })
            .inc();
    }
}

/// The next key, as soon as this replica leads. Keys wait while another one does: whatever it leaves
/// undone is here.
async fn next<'a>(
    context: &'a Reconciler,
    leadership: &mut watch::Receiver<Leadership>,
) -> Claim<'a, Key> {
    if leadership.wait_for(|it| it.leader).await.is_err() {
        // Whoever elects has ended, and so does everything else in a moment.
        std::future::pending::<()>().await;
    }
    context.queue.next().await
}

fn tell(key: &str, trouble: &Trouble, attempt: Attempt) {
    match trouble {
        Trouble::NotLeading => debug!(key, "left to the leader"),
        Trouble::Passing { message, .. } if attempt.is_patient() => {
            debug!(key, message, "trying again");
        }
        trouble => warn!(key, %trouble, "trying again"),
    }
}
