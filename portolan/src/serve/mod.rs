//! `portolan serve --files`: the core and the data plane in one process, without Kubernetes.
//!
//! ```text
//! files ──► world (the operator's core, over a store in memory) ──► table ──batch──► data plane
//!   ▲                              │   ▲                                                  │
//! watch                         report └───────────── verdicts, what is shown ────────────┘
//! ```
//! The same path as in a cluster, in one direction: a folder in the place of the API server, one call in
//! the place of discovery.

mod engine;
mod options;
mod report;
mod run;
mod table;
mod world;

pub(crate) use options::{EXAMPLE, Options};
pub(crate) use run::run;
