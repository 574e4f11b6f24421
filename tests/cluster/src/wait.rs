//! Waiting for a condition with a deadline. Nothing here sleeps for a fixed time and hopes.

use crate::failure::NotReady;
use anyhow::Result;
use std::time::{Duration, Instant};

/// Asks `check` until it returns a value, for at most `limit`. The pause between two questions grows from
/// 20 to 250 milliseconds.
///
/// # Errors
/// What `check` fails with, at once; or [`NotReady`] with `what` and the last state that `check` told.
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

/// What a check saw.
pub(crate) enum Outcome<T> {
    /// The condition holds.
    Done(T),
    /// It does not hold yet; this is how things stand.
    NotYet(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_returns_as_soon_as_the_condition_holds() {
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
    fn it_tells_the_last_state_when_time_is_up() {
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
