//! HTTP/1: the codec, and the two sides of an exchange over it.
//!
//! Heads and bodies are borrowed from the worker's buffers; a connection that waits holds none.

pub(crate) mod client;
pub(crate) mod upstream;
pub(crate) mod wire;
