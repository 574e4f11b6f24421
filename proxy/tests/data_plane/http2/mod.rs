//! HTTP/2 itself, stream by stream: the crate `h2` asks, and the crate `h2` answers.

mod chunks;
mod expectations;
mod fields;
mod goodbyes;
mod grpc;
mod names;
mod peers;
mod resets;
mod sharing;
mod trailers;
mod websocket;
