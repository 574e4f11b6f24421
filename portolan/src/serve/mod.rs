//! `portolan serve --files`: the core and the data plane in one process, without Kubernetes.
//!
//! ```text
//! files ──► environment (the operator's core, over a store in memory) ──► table ──batch──► data plane
//!   ▲                              │   ▲                                                  │
//! watch                         report └───────── acks, presented certificates ───────────┘
//! ```
//! The same path as in a cluster, in one direction: a folder instead of the API server, a function call
//! instead of discovery.

mod engine;
mod environment;
mod options;
mod report;
mod run;
mod table;

pub(crate) use options::{EXAMPLE, Options};
pub(crate) use run::run;
