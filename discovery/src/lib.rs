//! The contract between operator and proxy.
//!
//! ```text
//! operator/core ── compiles ──► table::Resource ──► delta::between(held, wanted) ──► transaction ──► proxy
//!                                    ▲                                                      │
//!                                    └────────── Ack per resource (name, version) ◄─────────┘
//! ```
//! Here live plain types: what a proxy can be told ([`table`]), how a state is named
//! ([`version`]), and what must be sent to get from one state to another ([`delta`]). Protobuf and gRPC
//! come with the feature `grpc` and are turned into these types in one module. Nothing of
//! Kubernetes comes in, and nothing of ours is imported.

pub mod table;
pub mod version;
