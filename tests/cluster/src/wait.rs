//! Waits for a condition with a deadline, never for a fixed time.

use crate::failure::NotReady;
use anyhow::Result;
use std::time::{Duration, Instant};

/// Repeats `check` until it returns a value, for at most `limit`. The pause between two attempts grows from
/// 20 to 250 milliseconds.
///
/// # Errors
/// The error of `check`, at once; or [`NotReady`] with `what` and the last state that `check` reported.
pub(crate) fn until<T>(
    what: &str,
    limit: Duration,
    mut check: impl FnMut() -> Result<Outcome<T>>,
) -> Result<T> {
    let started = Instant::now();
    let mut pause = Duration::from_millis(20);
    loop {
        let last = match check()? {
            Outcome::Done(value) => return Ok(value),
            Outcome::NotYet(state) => state,
        };
        if started.elapsed() >= limit {
            return Err(NotReady(format!(
                "{what}: not within {} s; last seen: {last}",
                limit.as_secs()
            ))
            .into());
        }
        std::thread::sleep(pause);
        pause = (pause * 3 / 2).min(Duration::from_millis(250));
    }
}

/// Result of a check.
pub(crate) enum Outcome<T> {
    /// The condition holds.
    Done(T),
    /// It does not hold yet; with the current state.
    NotYet(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returns_as_soon_as_the_condition_holds() {
        let mut left = 3;
        let value = until("three", Duration::from_secs(5), || {
            left -= 1;
            Ok(if left == 0 {
                Outcome::Done(7)
            } else {
                Outcome::NotYet(format!("{left} left"))
            })
        });
        assert_eq!(value.unwrap(), 7);
    }

    #[test]
    fn reports_the_last_state_at_the_deadline() {
        let error = until::<()>("etcd", Duration::ZERO, || {
            Ok(Outcome::NotYet("refused".into()))
        })
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "etcd: not within 0 s; last seen: refused"
        );
    }
}
