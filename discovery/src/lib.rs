//! The contract between operator and proxy.
//!
//! ```text
//! operator/core ── compiles ──► table::Resource ──► delta::difference ──► grpc::batch ──► proxy
//!                                    ▲                                                     │
//!                                    └────────── Ack per resource (name, version) ◄────────┘
//! ```
//! Plain types: the resources of a proxy ([`table`]), the versions of their contents ([`version`]),
//! the difference between two states ([`delta`]), and the messages of the two sides ([`session`]).
//! Rules that both sides must apply alike live here too: regular expressions ([`pattern`]), paths
//! ([`path`]) and the header fields that a route may change ([`field`]). Protobuf and gRPC come with
//! the feature `grpc` and are converted to these types in one module, `grpc::wire`. No type of
//! Kubernetes comes in, and no other crate of Portolan is imported.

pub mod delta;
pub mod field;
#[cfg(all(test, feature = "grpc"))]
mod generate;
#[cfg(feature = "grpc")]
pub mod grpc;
pub mod path;
pub mod pattern;
pub mod session;
pub mod table;
pub mod version;
