//! What the data plane says about itself: counters, the access log, its own log.

pub mod access_log;
pub(crate) mod counter;
pub(crate) mod counters;
pub(crate) mod handshakes;
pub(crate) mod inventory;
pub mod logs;
