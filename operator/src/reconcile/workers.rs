//! The workers: a bounded number of passes at a time, by the leader only, and a panic is the trouble of one key.

use super::{Attempt, Pass};
use crate::client::Trouble;
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

/// Takes keys from the queue and works on them.
pub struct Workers<P> {
    /// What works on a key.
    pub passes: Arc<P>,
    /// Where keys come from.
    pub queue: Arc<Queue<Key>>,
    /// Whether this replica leads.
    pub leadership: watch::Receiver<Leadership>,
    /// What is counted.
    pub metrics: Metrics,
    /// Ends them, each after its pass.
    pub shutdown: CancellationToken,
}

impl<P: Pass> Workers<P> {
    /// Starts so many.
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
            self.pass(claim).await;
        }
    }

    /// The next key, as soon as this replica leads. Keys wait while another one does: whatever it
    /// leaves undone is here.
    async fn next(&self, leadership: &mut watch::Receiver<Leadership>) -> Claim<'_, Key> {
        if leadership.wait_for(|it| it.leader).await.is_err() {
            // Whoever elects has ended, and so does everything else in a moment.
            std::future::pending::<()>().await;
        }
        self.queue.next().await
    }

    async fn pass(&self, claim: Claim<'_, Key>) {
        let key = claim.key().clone();
        let attempt = Attempt {
            failures: claim.failures(),
        };
        let began = Instant::now();
        let pass = self.passes.pass(&key, attempt);
        let pass = pass.instrument(info_span!("pass", %key));
        let (outcome, word) = match AssertUnwindSafe(pass).catch_unwind().await {
            Ok(Ok(())) => (Outcome::Done, "done"),
            Ok(Err(trouble)) => {
                tell(&key, &trouble, attempt);
                let not_before = trouble.retry_after();
                (Outcome::Failed { not_before }, "failed")
            }
            Err(_) => {
                error!(%key, "the pass panicked; the others go on");
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

fn tell(key: &Key, trouble: &Trouble, attempt: Attempt) {
    match trouble {
        Trouble::NotLeading => debug!(%key, "left to the leader"),
        Trouble::Passing { message, .. } if attempt.is_patient() => {
            debug!(%key, message, "trying again");
        }
        trouble => warn!(%key, %trouble, "trying again"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portolan_core::ObjectRef;
    use std::time::Duration;
    use tokio::sync::mpsc;
    use tokio::time::timeout;

    /// Tells what it worked on; for an object of the name `bad` it panics as long as it is new.
    struct Told(mpsc::UnboundedSender<(String, u32)>);

    impl Pass for Told {
        async fn pass(&self, key: &Key, attempt: Attempt) -> Result<(), Trouble> {
            let text = key.to_string();
            assert!(
                attempt.failures > 0 || !text.ends_with("bad"),
                "as a reconcile might"
            );
            self.0.send((text, attempt.failures)).unwrap();
            Ok(())
        }
    }

    struct Stand {
        queue: Arc<Queue<Key>>,
        leadership: watch::Sender<Leadership>,
        told: mpsc::UnboundedReceiver<(String, u32)>,
        metrics: Metrics,
        shutdown: CancellationToken,
        tasks: TaskTracker,
    }

    fn stand() -> Stand {
        let (told_in, told) = mpsc::unbounded_channel();
        let (leadership, leading) = watch::channel(Leadership::default());
        let stand = Stand {
            queue: Arc::default(),
            leadership,
            told,
            metrics: Metrics::registered().0,
            shutdown: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        Workers {
            passes: Arc::new(Told(told_in)),
            queue: Arc::clone(&stand.queue),
            leadership: leading,
            metrics: stand.metrics.clone(),
            shutdown: stand.shutdown.clone(),
        }
        .start(2, &stand.tasks);
        stand
    }

    fn object(name: &str) -> Key {
        Key::Object(ObjectRef::new("team-a", name))
    }

    fn told(name: &str, failures: u32) -> Option<(String, u32)> {
        Some((format!("ExposedPort team-a/{name}"), failures))
    }

    #[tokio::test(start_paused = true)]
    async fn an_object_whose_pass_panics_is_tried_again_and_the_others_go_on() {
        let mut stand = stand();
        stand.leadership.send_replace(Leadership {
            leader: true,
            epoch: 1,
        });
        stand.queue.add(object("bad"));
        stand.queue.add(object("bad"));
        stand.queue.add(object("good"));
        assert_eq!(stand.told.recv().await, told("good", 0));
        assert_eq!(stand.told.recv().await, told("bad", 1));
        let labels = ReconcileLabels {
            kind: "object",
            outcome: "panicked",
        };
        assert_eq!(stand.metrics.reconciles.get_or_create(&labels).get(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_worked_on_before_this_replica_leads_and_nothing_is_lost() {
        let mut stand = stand();
        stand.queue.add(object("good"));
        let quiet = timeout(Duration::from_secs(60), stand.told.recv()).await;
        assert!(quiet.is_err());
        stand.leadership.send_replace(Leadership {
            leader: true,
            epoch: 1,
        });
        assert_eq!(stand.told.recv().await, told("good", 0));
    }

    #[tokio::test(start_paused = true)]
    async fn workers_end_at_shutdown() {
        let stand = stand();
        stand.shutdown.cancel();
        stand.tasks.close();
        stand.tasks.wait().await;
    }
}
