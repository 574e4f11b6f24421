//! Checks now and then that bodies move fast enough.

use crate::limits::Limits;
use std::time::Duration;

/// Bytes moved since the last checks.
#[derive(Debug)]
pub(super) struct Progress {
    /// Over how long a client's speed is taken, and how many bytes it must send or take in that time.
    window: Duration,
    least: u64,
    /// How long an endpoint may be silent.
    idle: Duration,
    measured: Duration,
    moved_before_window: u64,
    silent: Duration,
    moved_before_look: u64,
}

/// Result of one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ProgressCheck {
    /// A client that is waited for is too slow.
    pub(super) slow: bool,
    /// An endpoint that is waited for is silent for too long.
    pub(super) silent: bool,
}

impl Progress {
    pub(super) fn new(limits: &Limits, idle: Duration) -> Self {
        Self {
            window: limits.progress,
            least: limits.least_progress,
            idle,
            measured: Duration::ZERO,
            moved_before_window: 0,
            silent: Duration::ZERO,
            moved_before_look: 0,
        }
    }

    /// How long until the next look, at most.
    pub(super) fn tick(&self) -> Duration {
        self.window.min(self.idle)
    }

    /// Forgets what was; `moved` counts all bytes so far.
    pub(super) fn restart(&mut self, moved: u64) {
        self.measured = Duration::ZERO;
        self.moved_before_window = moved;
        self.silent = Duration::ZERO;
        self.moved_before_look = moved;
    }

    /// A look, so long after the last; `moved` counts all bytes so far.
    pub(super) fn look(&mut self, moved: u64, passed: Duration) -> ProgressCheck {
        self.silent = if moved == self.moved_before_look {
            self.silent + passed
        } else {
            Duration::ZERO
        };
        self.moved_before_look = moved;
        self.measured += passed;
        let mut slow = false;
        if self.measured >= self.window {
            let moved_within = moved - self.moved_before_window;
            let expected = self.window.as_nanos() * u128::from(moved_within);
            slow = expected < self.measured.as_nanos() * u128::from(self.least);
            self.measured = Duration::ZERO;
            self.moved_before_window = moved;
        }
        ProgressCheck {
            slow,
            silent: self.silent >= self.idle,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(idle: u64) -> Progress {
        let limits = Limits {
            progress: Duration::from_secs(30),
            least_progress: 30 * 1024,
            ..Limits::default()
        };
        Progress::new(&limits, Duration::from_secs(idle))
    }

    /// A look, one tick after the last.
    fn look(progress: &mut Progress, moved: u64) -> ProgressCheck {
        progress.look(moved, progress.tick())
    }

    #[test]
    fn a_client_has_thirty_seconds_for_thirty_kibibytes() {
        let mut progress = progress(60);
        assert!(!look(&mut progress, 30 * 1024).slow);
        assert!(look(&mut progress, 30 * 1024 + 30 * 1024 - 1).slow);
    }

    #[test]
    fn allows_a_pause_within_the_window() {
        let mut progress = progress(5);
        for _ in 0..5 {
            assert!(!look(&mut progress, 40 * 1024).slow);
        }
        assert!(!look(&mut progress, 40 * 1024).slow);
        let slow = (0..6)
            .filter(|_| look(&mut progress, 40 * 1024).slow)
            .count();
        assert_eq!(slow, 1, "after the next thirty seconds");
    }

    #[test]
    fn silence_counts_from_the_last_byte() {
        let mut progress = progress(60);
        assert!(!look(&mut progress, 0).silent);
        assert!(!look(&mut progress, 1).silent);
        assert!(!look(&mut progress, 1).silent);
        assert!(look(&mut progress, 1).silent);
        progress.restart(1);
        assert!(!look(&mut progress, 1).silent);
    }
}
