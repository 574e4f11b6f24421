//! What the data plane says about itself: counters, the access log, its own log.

pub mod access_log;
pub(crate) mod cells;
pub(crate) mod handshakes;
pub mod logs;
pub(crate) mod metrics;
