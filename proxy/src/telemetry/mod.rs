//! Telemetry: counters, the access log, logs.

pub mod access_log;
pub(crate) mod counter;
pub(crate) mod counters;
pub(crate) mod handshakes;
pub(crate) mod inventory;
pub mod logs;
