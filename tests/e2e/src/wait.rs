//! Waits for conditions, never for a fixed time.

use anyhow::{Context, Result};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Deadline for what usually takes a few seconds: ten times that.
pub const SOON: Duration = Duration::from_secs(60);
/// Deadline for what includes an issued certificate or a rollout.
pub const LATER: Duration = Duration::from_secs(180);
/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(150);

/// Repeats `probe` until it succeeds, and returns its value.
///
/// # Errors
/// When the deadline passes: the condition, and the error of the last attempt.
pub async fn eventually<T>(
    what: &str,
    within: Duration,
    mut probe: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let deadline = Instant::now() + within;
    loop {
        match probe().await {
            Ok(value) => return Ok(value),
            Err(error) if Instant::now() >= deadline => {
                return Err(error).with_context(|| format!("waited {within:?} for: {what}"));
            }
            Err(_) => sleep(PAUSE).await,
        }
    }
}

/// Repeats `fingerprint` until its value has not changed for `quiet`.
///
/// # Errors
/// When it still changes at the deadline, or an attempt fails.
pub async fn quiet<T: PartialEq>(
    what: &str,
    quiet: Duration,
    within: Duration,
    mut fingerprint: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let deadline = Instant::now() + within;
    let mut last = fingerprint().await?;
    let mut since = Instant::now();
    while since.elapsed() < quiet {
        anyhow::ensure!(
            Instant::now() < deadline,
            "waited {within:?} for rest: {what}"
        );
        sleep(PAUSE).await;
        let now = fingerprint().await?;
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    Ok(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn reports_the_last_error_at_the_deadline() {
        let probe = async || -> Result<()> { anyhow::bail!("still red") };
        let error = eventually("green", Duration::ZERO, probe)
            .await
            .unwrap_err();
        let text = format!("{error:#}");
        assert!(
            text.contains("green") && text.contains("still red"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn returns_a_value_as_soon_as_there_is_one() {
        let mut attempts = 0;
        let probe = async || {
            attempts += 1;
            anyhow::ensure!(attempts == 3, "attempt {attempts}");
            Ok(attempts)
        };
        assert_eq!(
            eventually("the third attempt", SOON, probe).await.unwrap(),
            3
        );
    }
}
