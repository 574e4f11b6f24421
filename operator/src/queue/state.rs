//! The queue as a machine without a clock: every moment is an argument.

use super::Outcome;
use super::lanes::{Lane, Lanes};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::Hash;
use std::time::Duration;
use tokio::time::Instant;

/// The pause after the first failure.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause: whatever was broken, it is put right within this time of its recovery.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);
/// `Retry-After` beyond this is not believed.
const LONGEST_ASKED: Duration = Duration::from_secs(60);

/// Where each key is. A key is in at most one of `queued` and `busy`, and may have a time besides.
#[derive(Debug)]
pub(super) struct State<K> {
    ready: Lanes<K>,
    queued: HashSet<K>,
    /// In flight; `true`: added again meanwhile.
    busy: HashMap<K, bool>,
    by_time: BTreeSet<(Instant, K)>,
    times: HashMap<K, Instant>,
    /// Failures in a row.
    failures: HashMap<K, u32>,
}

impl<K> Default for State<K>
where
    K: Lane + Clone + Ord + Hash,
{
    fn default() -> Self {
        Self {
            ready: Lanes::default(),
            queued: HashSet::new(),
            busy: HashMap::new(),
            by_time: BTreeSet::new(),
            times: HashMap::new(),
            failures: HashMap::new(),
        }
    }
}

impl<K: Lane + Clone + Ord + Hash> State<K> {
    pub(super) fn add(&mut self, key: K) {
        self.forget_time(&key);
        if let Some(again) = self.busy.get_mut(&key) {
            *again = true;
        } else if self.queued.insert(key.clone()) {
            self.ready.push(key);
        }
    }

    pub(super) fn add_at(&mut self, key: K, when: Instant) {
        if self.queued.contains(&key) {
            return;
        }
        match self.times.get(&key) {
            Some(known) if *known <= when => return,
            Some(_) => self.forget_time(&key),
            None => {}
        }
        self.times.insert(key.clone(), when);
        self.by_time.insert((when, key));
    }

    /// Hands out the next key that is due.
    pub(super) fn claim(&mut self, now: Instant) -> Option<K> {
        while let Some((when, _)) = self.by_time.first()
            && *when <= now
        {
            let (_, key) = self.by_time.pop_first()?;
            self.add(key);
        }
        let key = self.ready.pop()?;
        self.queued.remove(&key);
        self.busy.insert(key.clone(), false);
        Some(key)
    }

    /// Takes a key back. `jitter` is between 0 and 1.
    pub(super) fn finish(&mut self, key: K, outcome: Outcome, now: Instant, jitter: f64) {
        let again = self.busy.remove(&key).unwrap_or(false);
        match outcome {
            Outcome::Done => {
                self.failures.remove(&key);
            }
            Outcome::Failed { not_before } => {
                let failures = self.failures.entry(key.clone()).or_default();
                *failures = failures.saturating_add(1);
                let asked = not_before.unwrap_or_default().min(LONGEST_ASKED);
                let pause = pause(*failures, jitter).max(asked);
                self.add_at(key.clone(), now + pause);
            }
        }
        if again {
            // Something changed while it was worked on: that may be the very cure.
            self.add(key);
        }
    }

    pub(super) fn failures(&self, key: &K) -> u32 {
        self.failures.get(key).copied().unwrap_or_default()
    }

    pub(super) fn waiting(&self) -> usize {
        self.ready.len()
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.by_time.first().map(|(when, _)| *when)
    }

    fn forget_time(&mut self, key: &K) {
        if let Some(when) = self.times.remove(key) {
            self.by_time.remove(&(when, key.clone()));
        }
    }
}

/// Half of the doubled pause for sure, the other half by chance, so that what failed together does not
/// come back together.
fn pause(failures: u32, jitter: f64) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(LONGEST_PAUSE).mul_f64(0.5 + jitter / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILED: Outcome = Outcome::Failed { not_before: None };

    fn state() -> (State<&'static str>, Instant) {
        (State::default(), Instant::now())
    }

    #[test]
    fn a_key_is_queued_once_however_often_it_is_added() {
        let (mut state, now) = state();
        state.add("a/x");
        state.add("a/x");
        assert_eq!(state.claim(now), Some("a/x"));
        assert_eq!(state.claim(now), None, "at most one in flight");
    }

    #[test]
    fn added_while_in_flight_it_comes_once_more() {
        let (mut state, now) = state();
        state.add("a/x");
        state.claim(now);
        state.add("a/x");
        state.add("a/x");
        assert_eq!(state.claim(now), None);
        state.finish("a/x", Outcome::Done, now, 0.0);
        assert_eq!(state.claim(now), Some("a/x"));
        state.finish("a/x", Outcome::Done, now, 0.0);
        assert_eq!(state.claim(now), None);
    }

    #[test]
    fn pauses_double_up_to_a_bound_and_success_forgets_them() {
        let (mut state, now) = state();
        let mut pauses = Vec::new();
        for _ in 0..10 {
            state.add("a/x");
            state.claim(now);
            state.finish("a/x", FAILED, now, 1.0);
            pauses.push(state.next_due().unwrap() - now);
        }
        assert_eq!(pauses[0], FIRST_PAUSE);
        assert_eq!(pauses[1], 2 * FIRST_PAUSE);
        assert_eq!(pauses[9], LONGEST_PAUSE);
        state.add("a/x");
        state.claim(now);
        state.finish("a/x", Outcome::Done, now, 1.0);
        assert!(state.failures.is_empty() && state.times.is_empty());
    }

    #[test]
    fn jitter_takes_away_at_most_half() {
        assert_eq!(pause(1, 0.0), FIRST_PAUSE / 2);
        assert_eq!(pause(99, 0.0), LONGEST_PAUSE / 2);
    }

    #[test]
    fn a_server_that_names_a_pause_is_obeyed_within_reason() {
        for (asked, given) in [(30, 30), (86_400, LONGEST_ASKED.as_secs())] {
            let (mut state, now) = state();
            state.add("a/x");
            state.claim(now);
            let not_before = Some(Duration::from_secs(asked));
            state.finish("a/x", Outcome::Failed { not_before }, now, 0.0);
            assert_eq!(state.next_due(), Some(now + Duration::from_secs(given)));
        }
    }

    #[test]
    fn an_event_does_not_wait_for_the_pause_of_an_earlier_failure() {
        let (mut state, now) = state();
        state.add("a/x");
        state.claim(now);
        state.finish("a/x", FAILED, now, 1.0);
        assert_eq!(state.claim(now), None);
        state.add("a/x");
        assert_eq!(state.claim(now), Some("a/x"));
        assert_eq!(state.next_due(), None, "the pause is forgotten with it");
    }

    #[test]
    fn of_two_times_the_earlier_counts() {
        let (mut state, now) = state();
        let second = Duration::from_secs(1);
        state.add_at("a/x", now + 5 * second);
        state.add_at("a/x", now + 2 * second);
        state.add_at("a/x", now + 9 * second);
        assert_eq!(state.next_due(), Some(now + 2 * second));
        assert_eq!(state.claim(now + second), None);
        assert_eq!(state.claim(now + 2 * second), Some("a/x"));
        assert_eq!(state.next_due(), None);
    }
}
