//! HTTP/1: a client's connection, one request after another.
//!
//! ```text
//! connection: head ─► judge ─► forward: an upstream ─► exchange ─► connection: next head
//!                       └► answer of our own                  └► tunnel
//! ```
//! Heads and bodies are borrowed from the worker's buffers; a connection that waits holds none.

mod answer;
mod awaiting;
pub(crate) mod connection;
mod exchange;
mod flow;
mod forward;
mod judge;
mod progress;
mod timer;
mod transport;
mod tunnel;
