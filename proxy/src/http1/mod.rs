//! HTTP/1: a client's connection, one request after another.
//!
//! ```text
//! connection: head ─► judge ─► upstream: pooled or new ─► exchange ─► connection: next head
//!                       └► answer of our own                  └► tunnel
//! ```
//! Heads and bodies are borrowed from the worker's buffers; a connection that waits holds none.

mod awaiting;
pub(crate) mod connection;
mod exchange;
mod flow;
mod judge;
mod timer;
mod transport;
mod tunnel;
