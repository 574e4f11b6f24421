//! Workers: run a bounded number of reconciles, in the leader only. A panic fails only its own key.

use super::{Attempt, Reconcile};
use crate::client::ApiError;
use crate::key::Key;
use crate::lease::Leadership;
use crate::metrics::{KindLabels, Metrics, ReconcileLabels};
use crate::queue::{Claim, Outcome, Queue};
use futures::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, debug, error, info_span, warn};

/// Workers that reconcile keys from the queue.
pub struct Workers<P> {
    /// Reconciles a key.
    pub reconciler: Arc<P>,
    /// Source of keys.
    pub queue: Arc<Queue<Key>>,
    /// Leadership of this replica.
    pub leadership: watch::Receiver<Leadership>,
    /// Metrics of reconciles.
    pub metrics: Metrics,
    /// Ends the workers, each after its current reconcile.
    pub shutdown: CancellationToken,
}

impl<P: Reconcile> Workers<P> {
    /// Starts the workers.
    pub fn start(self, concurrency: usize, tasks: &TaskTracker) {
        let shared = Arc::new(self);
        for _ in 0..concurrency.max(1) {
            let worker = Arc::clone(&shared);
            tasks.spawn(async move { worker.work().await });
        }
    }

    async fn work(&self) {
        let mut leadership = self.leadership.clone();
        let shutdown = &self.shutdown;
        while let Some(claim) = shutdown
            .run_until_cancelled(self.next(&mut leadership))
            .await
        {
            self.process(claim).await;
        }
    }

    /// Returns the next key once this replica leads. Keys wait while another replica leads, so nothing is lost when
    /// it stops.
    async fn next(&self, leadership: &mut watch::Receiver<Leadership>) -> Claim<'_, Key> {
        if leadership
            .wait_for(|leadership| leadership.leader)
            .await
            .is_err()
        {
            // The election has ended, and the process is about to.
            std::future::pending::<()>().await;
        }
        self.queue.next().await
    }

    async fn process(&self, claim: Claim<'_, Key>) {
        let key = claim.key().clone();
        let attempt = Attempt {
            failures: claim.failures(),
        };
        let began = Instant::now();
        let reconcile = self.reconciler.reconcile(&key, attempt);
        let reconcile = reconcile.instrument(info_span!("reconcile", %key));
        let (outcome, word) = match AssertUnwindSafe(reconcile).catch_unwind().await {
            Ok(Ok(())) => (Outcome::Done, "done"),
            Ok(Err(error)) => {
                log_error(&key, &error, attempt);
                let not_before = error.retry_after();
                (Outcome::Failed { not_before }, "failed")
            }
            Err(_) => {
                error!(%key, "reconcile panicked");
                (Outcome::Failed { not_before: None }, "panicked")
            }
        };
        claim.finish(outcome);
        self.count(key.kind(), word, began);
    }

    fn count(&self, kind: &'static str, outcome: &'static str, began: Instant) {
        let seconds = self
            .metrics
            .reconcile_seconds
            .get_or_create(&KindLabels { kind });
        seconds.observe(began.elapsed().as_secs_f64());
        let labels = ReconcileLabels { kind, outcome };
        self.metrics.reconciles.get_or_create(&labels).inc();
    }
}

fn log_error(key: &Key, error: &ApiError, attempt: Attempt) {
    match error {
        ApiError::NotLeader => debug!(%key, "skipped: not the leader"),
        ApiError::Transient { message, .. } if attempt.may_retry() => {
            debug!(%key, message, "retrying");
        }
        error => warn!(%key, %error, "reconcile failed, retrying"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portolan_core::ObjectRef;
    use std::time::Duration;
    use tokio::sync::mpsc;
    use tokio::time::timeout;

    /// Sends each key that it reconciles; panics at the first attempt at an object of the name `bad`.
    struct Recorder(mpsc::UnboundedSender<(String, u32)>);

    impl Reconcile for Recorder {
        async fn reconcile(&self, key: &Key, attempt: Attempt) -> Result<(), ApiError> {
            let text = key.to_string();
            assert!(
                attempt.failures > 0 || !text.ends_with("bad"),
                "as a reconcile might"
            );
            self.0.send((text, attempt.failures)).unwrap();
            Ok(())
        }
    }

    struct TestEnv {
        queue: Arc<Queue<Key>>,
        leadership: watch::Sender<Leadership>,
        reconciled: mpsc::UnboundedReceiver<(String, u32)>,
        metrics: Metrics,
        shutdown: CancellationToken,
        tasks: TaskTracker,
    }

    fn test_env() -> TestEnv {
        let (reconciled_in, reconciled) = mpsc::unbounded_channel();
        let (leadership, leading) = watch::channel(Leadership::default());
        let env = TestEnv {
            queue: Arc::default(),
            leadership,
            reconciled,
            metrics: Metrics::registered().0,
            shutdown: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        Workers {
            reconciler: Arc::new(Recorder(reconciled_in)),
            queue: Arc::clone(&env.queue),
            leadership: leading,
            metrics: env.metrics.clone(),
            shutdown: env.shutdown.clone(),
        }
        .start(2, &env.tasks);
        env
    }

    fn object(name: &str) -> Key {
        Key::Object(ObjectRef::new("team-a", name))
    }

    fn expected(name: &str, failures: u32) -> Option<(String, u32)> {
        Some((format!("ExposedPort team-a/{name}"), failures))
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_is_retried_and_does_not_affect_other_keys() {
        let mut env = test_env();
        env.leadership.send_replace(Leadership {
            leader: true,
            epoch: 1,
        });
        env.queue.add(object("bad"));
        env.queue.add(object("bad"));
        env.queue.add(object("good"));
        assert_eq!(env.reconciled.recv().await, expected("good", 0));
        assert_eq!(env.reconciled.recv().await, expected("bad", 1));
        let labels = ReconcileLabels {
            kind: "object",
            outcome: "panicked",
        };
        assert_eq!(env.metrics.reconciles.get_or_create(&labels).get(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn reconciles_nothing_before_it_leads() {
        let mut env = test_env();
        env.queue.add(object("good"));
        let quiet = timeout(Duration::from_secs(60), env.reconciled.recv()).await;
        assert!(quiet.is_err());
        env.leadership.send_replace(Leadership {
            leader: true,
            epoch: 1,
        });
        assert_eq!(env.reconciled.recv().await, expected("good", 0));
    }

    #[tokio::test(start_paused = true)]
    async fn workers_end_at_shutdown() {
        let env = test_env();
        env.shutdown.cancel();
        env.tasks.close();
        env.tasks.wait().await;
    }
}
