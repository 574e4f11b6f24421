//! HTTP/2 (RFC 9113), with clients and with endpoints, over the `h2` crate.
//!
//! A connection has a task of its own, which reads and writes frames over a [`link`]; so has every
//! stream of a client. An exchange sees the two as its sides ([`client`], [`upstream`]).

pub(crate) mod client;
mod connect;
mod driver;
pub(crate) mod fields;
mod frame_progress;
pub(crate) mod link;
mod received;
pub(crate) mod sent;
mod stream_io;
pub(crate) mod upstream;

/// How much of a body may be on its way to us on one stream before we have passed on what came before.
pub(crate) const STREAM_WINDOW: u32 = 64 * 1024;
/// And on one connection.
pub(crate) const CONNECTION_WINDOW: u32 = 256 * 1024;
/// How much of a body waits in a stream for its turn to be sent.
pub(crate) const SEND_BUFFER: usize = 64 * 1024;
/// How many streams a client may have open.
pub(crate) const STREAMS: u32 = 128;
