//! Waiting for a condition, never for a time.

use anyhow::{Context, Result};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The deadline for what usually takes a few seconds: ten times that.
pub const SOON: Duration = Duration::from_secs(60);
/// The deadline for what includes an issued certificate or a rollout.
pub const LATER: Duration = Duration::from_secs(180);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(150);

/// Looks until `probe` succeeds and gives its value.
///
/// # Errors
/// When the deadline passes: what was waited for, and why the last look was not content.
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

/// Looks until what `fingerprint` gives has not changed for `quiet`.
///
/// # Errors
/// When it still changes at the deadline, or a look fails.
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
    async fn the_last_reason_is_told_at_the_deadline() {
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
    async fn a_value_is_given_back_as_soon_as_it_is_there() {
        let mut looks = 0;
        let probe = async || {
            looks += 1;
            anyhow::ensure!(looks == 3, "look {looks}");
            Ok(looks)
        };
        assert_eq!(eventually("the third look", SOON, probe).await.unwrap(), 3);
    }
}
