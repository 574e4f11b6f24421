//! Work queue of keys, each at most once in the queue and once in flight.
//!
//! A key is added by an event, by a time that has come, or by its own failure. However often it is
//! added while it waits, it is worked on once; added while it is worked on, once more after that. So
//! the queue is bounded by the number of objects, and ten changes a second cost what one costs.
//!
//! [`state`] is the machine (pure, time is an argument), this module makes it wait.

mod lanes;
mod state;

pub use lanes::Lane;

use state::State;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// How the work on a key ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing more to do until something changes.
    Done,
    /// It failed: again, after a pause that doubles with each failure in a row.
    Failed {
        /// Minimum delay, if the server requested one (`Retry-After`).
        not_before: Option<Duration>,
    },
}

/// A work queue with bounded memory, shared by its workers.
#[derive(Debug)]
pub struct Queue<K> {
    state: Mutex<State<K>>,
    changed: Notify,
}

impl<K: Lane + Clone + Ord + Hash> Default for Queue<K> {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            changed: Notify::new(),
        }
    }
}

impl<K: Lane + Clone + Ord + Hash> Queue<K> {
    /// Adds a key, to be processed by the next free worker.
    pub fn add(&self, key: K) {
        self.state().add(key);
        self.changed.notify_one();
    }

    /// Has the key worked on at `when`, or earlier if anything else asks for it.
    pub fn add_at(&self, key: K, when: Instant) {
        self.state().add_at(key, when);
        self.changed.notify_one();
    }

    /// The next key that is due. Waits for one; dropped while it waits, nothing is lost.
    pub async fn next(&self) -> Claim<'_, K> {
        loop {
            let (claimed, due) = {
                let mut state = self.state();
                let claimed = state.claim(Instant::now());
                let more = claimed.is_some() && state.waiting() > 0;
                if more {
                    // One notification may stand for many keys: wake the next worker.
                    self.changed.notify_one();
                }
                (claimed, state.next_due())
            };
            if let Some(key) = claimed {
                return Claim {
                    queue: self,
                    key,
                    outcome: Outcome::Failed { not_before: None },
                };
            }
            match due {
                Some(due) => tokio::select! {
                    () = self.changed.notified() => {}
                    () = sleep_until(due) => {}
                },
                None => self.changed.notified().await,
            }
        }
    }

    /// How many keys wait for a worker.
    pub fn waiting(&self) -> usize {
        self.state().waiting()
    }

    fn finish(&self, key: K, outcome: Outcome) {
        self.state()
            .finish(key, outcome, Instant::now(), fastrand::f64());
        self.changed.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State<K>> {
        // The machine does not panic between two of its fields; a poisoned lock says nothing about it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A key in flight. Dropped without [`Claim::finish`], as by a panic, it counts as failed.
#[derive(Debug)]
pub struct Claim<'a, K: Lane + Clone + Ord + Hash> {
    queue: &'a Queue<K>,
    key: K,
    outcome: Outcome,
}

impl<K: Lane + Clone + Ord + Hash> Claim<'_, K> {
    /// What is to be worked on.
    pub fn key(&self) -> &K {
        &self.key
    }

    /// How often in a row work on it failed before.
    pub fn failures(&self) -> u32 {
        self.queue.state().failures(&self.key)
    }

    /// Says how the work ended.
    pub fn finish(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl<K: Lane + Clone + Ord + Hash> Drop for Claim<'_, K> {
    fn drop(&mut self) {
        self.queue.finish(self.key.clone(), self.outcome);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    impl Lane for &'static str {
        fn lane(&self) -> &str {
            self.split('/').next().unwrap_or_default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_waits_for_the_first_key_and_for_a_time_to_come() {
        let queue = Arc::new(Queue::default());
        let worker = tokio::spawn({
            let queue = Arc::clone(&queue);
            async move {
                let first = queue.next().await;
                let at = Instant::now();
                let key = *first.key();
                first.finish(Outcome::Done);
                (key, at)
            }
        });
        let due = Instant::now() + Duration::from_secs(90);
        queue.add_at("a/x", due);
        let (key, at) = worker.await.unwrap();
        assert_eq!(key, "a/x");
        assert!(at >= due, "the clock went on to the key's time");
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_counts_as_a_failure_and_the_others_go_on() {
        let queue = Arc::new(Queue::default());
        queue.add("a/bad");
        let panicked = tokio::spawn({
            let queue = Arc::clone(&queue);
            async move {
                let _claim = queue.next().await;
                panic!("as a reconcile might");
            }
        });
        assert!(panicked.await.is_err());
        queue.add("a/good");
        let good = queue.next().await;
        assert_eq!(good.key(), &"a/good");
        good.finish(Outcome::Done);
        let again = queue.next().await;
        assert_eq!(again.key(), &"a/bad", "after its pause");
    }

    #[tokio::test(start_paused = true)]
    async fn one_wakeup_is_passed_on_to_every_worker_that_is_needed() {
        let queue = Arc::new(Queue::default());
        let workers: Vec<_> = (0..3)
            .map(|_| {
                let queue = Arc::clone(&queue);
                tokio::spawn(async move {
                    let claim = queue.next().await;
                    *claim.key()
                })
            })
            .collect();
        tokio::task::yield_now().await;
        for key in ["a/1", "a/2", "a/3"] {
            queue.add(key);
        }
        for worker in workers {
            worker.await.unwrap();
        }
    }
}
