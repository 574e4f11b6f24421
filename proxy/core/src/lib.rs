//! The pure half of the data plane: names, matching, framing, decisions.
//!
//! ```text
//! bytes ─► scan ─► request (strict) ─► head ─► matcher: virtual host ─► decide: route ─► endpoint
//!                     authority, path                                     │       └───► edit ─► bytes
//!                                                                         └► answer ──► edit ─► bytes
//! body bytes ─► body, chunk ─► body bytes       response (strict) ──────► edit ─► bytes
//! ```
//! No I/O, no clock, no randomness, no runtime: what varies comes in as an argument. Every
//! rule is cited where it is kept; what is refused is refused here, before routing.

pub mod answer;
pub mod authority;
pub mod body;
pub mod chunk;
pub mod cidr;
pub mod decide;
pub mod edit;
pub mod endpoint;
pub mod field;
pub mod grpc;
pub mod head;
pub mod http2;
pub mod matcher;
pub mod path;
pub mod reason;
pub mod request;
pub mod response;
pub mod retry;
pub mod route;
pub mod scan;
pub mod via;
pub mod websocket;
