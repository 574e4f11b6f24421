//! The contract between operator and proxy.
//!
//! ```text
//! operator/core ── compiles ──► table::Resource ──► delta::next_batch ──► transaction ──► proxy
//!                                    ▲                                                      │
//!                                    └────────── Ack per resource (name, version) ◄─────────┘
//! ```
//! Here live plain types: what a proxy can be told ([`table`]), how a state is named
//! ([`version`]), what must be sent to get from one state to another ([`delta`]), and what the two
//! say to each other ([`session`]). What both must judge alike stands here too: regular expressions
//! ([`pattern`]) and the header fields that a route may touch ([`field`]). Protobuf and gRPC come
//! with the feature `grpc` and are turned into these types in one module, `grpc::wire`. Nothing of
//! Kubernetes comes in, and nothing of ours is imported.

pub mod delta;
pub mod field;
#[cfg(test)]
mod generate;
#[cfg(feature = "grpc")]
pub mod grpc;
pub mod pattern;
pub mod session;
pub mod table;
pub mod version;
mod weight;
