//! Due times of operations.

use std::time::{Duration, Instant};

/// Arrivals at random moments around a fixed rate (a Poisson process), as those of many clients
/// that know nothing of one another; or as soon as a connection is free.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Between two operations, in the mean; nothing: without a pause.
    mean: Duration,
    due: Instant,
    end: Instant,
    random: fastrand::Rng,
}

impl Pace {
    /// Operations a second for a time.
    pub(crate) fn at(rate: f64, start: Instant, length: Duration, seed: u64) -> Self {
        Self {
            mean: Duration::from_secs_f64(1.0 / rate),
            due: start,
            end: start + length,
            random: fastrand::Rng::with_seed(seed),
        }
    }

    /// As many as can be done.
    pub(crate) fn unbounded(start: Instant, length: Duration) -> Self {
        Self {
            mean: Duration::ZERO,
            due: start,
            end: start + length,
            random: fastrand::Rng::with_seed(0),
        }
    }

    /// Returns true if operations are due independently of earlier ones.
    pub(crate) fn is_open_loop(&self) -> bool {
        !self.mean.is_zero()
    }

    /// When the next operation is due; `None` after the last one.
    pub(crate) fn due(&self, now: Instant) -> Option<Instant> {
        let due = if self.is_open_loop() { self.due } else { now };
        (due < self.end).then_some(due)
    }

    /// Goes on to the one after it.
    pub(crate) fn advance(&mut self) {
        self.due += self.mean.mul_f64(-(1.0 - self.random.f64()).ln());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_kept_in_the_mean() {
        let start = Instant::now();
        let mut pace = Pace::at(1000.0, start, Duration::from_secs(10), 1);
        let mut count = 0;
        while pace.due(start).is_some() {
            pace.advance();
            count += 1;
        }
        assert!((9_600..10_400).contains(&count), "{count}");
    }
}
