//! `testbed selftest`: placeholder.
use crate::gobuild::Built;
use anyhow::Result;

/// Runs the checks.
pub(crate) fn run(_built: &Built) -> Result<()> {
    anyhow::bail!("not there yet")
}
