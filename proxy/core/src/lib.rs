//! Pure half of the data plane: names, matching, framing, decisions.
//!
//! ```text
//! bytes ─► scan ─► request (strict) ─► head ─► matcher: virtual host ─► decide: route ─► endpoint
//!                     authority, path                                     │    └───► headers ─► bytes
//!                                                                         └► local_response
//!                                                                                  └───► headers ─► bytes
//! body bytes ─► body, chunk ─► body bytes       response (strict) ──────► headers ─► bytes
//! ```
//! No I/O, no clock, no randomness, no runtime: everything that varies is an argument. Every
//! rule cites its source where it is enforced; invalid messages are rejected here, before routing.

pub mod authority;
pub mod body;
pub mod chunk;
pub mod cidr;
pub mod decide;
pub mod endpoint;
pub mod field;
pub mod grpc;
pub mod head;
pub mod headers;
pub mod http2;
pub mod local_response;
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
