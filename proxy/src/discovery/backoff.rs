//! How long to wait before connecting again.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(10);

/// Doubling waits, each cut by chance to between half and all of it: after an operator's restart
/// its proxies come back spread out.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: FIRST }
    }
}

impl Backoff {
    pub(super) fn next(&mut self) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(LONGEST);
        wait.mul_f64(0.5 + fastrand::f64() / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_limit_and_are_never_the_same_for_all() {
        let mut backoff = Backoff::default();
        let waits: Vec<Duration> = (0..20).map(|_| backoff.next()).collect();
        let mut whole = FIRST;
        for wait in &waits {
            assert!((whole / 2..=whole).contains(wait), "{wait:?} of {whole:?}");
            whole = (whole * 2).min(LONGEST);
        }
        let distinct: std::collections::BTreeSet<_> = waits.iter().skip(10).collect();
        assert!(distinct.len() > 1);
    }
}
