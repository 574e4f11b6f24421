//! Hostile input over HTTP/2, through `portolan serve`: what floods, what never ends, and what two
//! readers could understand differently. `docs/internals/request-hardening.md` maps each case to its test.
//!
//! Every attack runs over plaintext and TLS, before an origin with HTTP/1 and one that
//! speaks HTTP/2, with a client beside it that does nothing wrong; `--nocapture` shows what it cost
//! the proxy.

// The settings of clippy.toml for tests reach test functions, not the functions beside them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod attacker;
mod block;
mod fixture;
mod floods;
mod frame;
mod lengths;
mod malformed;
mod recorder;
mod resets;
mod stalls;
