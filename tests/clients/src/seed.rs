//! Seed of the messages of a run, so that it can be repeated.

use anyhow::{Context, Result};
use std::time::{SystemTime, UNIX_EPOCH};

/// The variable `SEED`, or a new one; printed, so that a failure says it.
///
/// # Errors
/// When `SEED` is no number.
pub fn seed() -> Result<u32> {
    let seed = match std::env::var("SEED") {
        Ok(text) => text
            .parse()
            .with_context(|| format!("SEED: {text:?} is no number below 2^32"))?,
        Err(_) => SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.subsec_nanos()),
    };
    println!("SEED={seed}");
    Ok(seed)
}
