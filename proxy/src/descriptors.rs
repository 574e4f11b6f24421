//! How many files the process may have open, and what follows for connections.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit of open descriptors to what the process may have, and gives it.
///
/// Each connection needs a descriptor on both sides; the soft limit is often 1024 for the sake
/// of programs that use select(2).
pub fn raise_limit() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    let now = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => maximum,
        Err(error) => {
            tracing::warn!(%error, "failed to raise the limit of open descriptors");
            current
        }
    };
    now.unwrap_or(u64::MAX)
}

/// How many connections of clients may be open at a time.
///
/// Most connections of clients wait, and a waiting one needs nothing at an endpoint: three of four
/// descriptors are for clients, the fourth is for endpoints, some are for ourselves. When clients take
/// all they may, those that are connected are served on, and the one that has waited longest gives
/// way to a new one; when endpoints need more, their waiting connections are closed first.
pub fn connections(descriptors: u64) -> usize {
    const OWN: u64 = 256;
    /// More is a matter of memory, not of descriptors.
    const MOST: u64 = 1_000_000;
    let clients = (descriptors.saturating_sub(OWN) / 4 * 3).clamp(16, MOST);
    usize::try_from(clients).unwrap_or(usize::MAX)
}
