//! HTTP/1: a client's connection, one request after another, and the two sides of an exchange that are
//! spoken to so.
//!
//! ```text
//! connection: head ─► forward::plan ─► forward::attempts ─► connection: next head
//!                           └► answer of our own
//! ```
//! Heads and bodies are borrowed from the worker's buffers; a connection that waits holds none.

pub(crate) mod client;
pub(crate) mod upstream;
pub(crate) mod wire;
