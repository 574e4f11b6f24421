//! Marks what a change affects: reverse references, the entries they lead to, and what ends with time.

pub(crate) mod class_usage;
pub(crate) mod entries;
pub(crate) mod expiry;
pub(crate) mod mark;
pub(crate) mod network_policy;
pub(crate) mod references;
