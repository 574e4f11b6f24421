//! What the tests with real clients share: `portolan serve --files` as a process of its own with
//! a folder of YAML, an origin in Go behind it, a certificate authority, and programs that are run
//! with a deadline.
//!
//! Nothing of the proxy is linked in: what is tested is the program that people run. The variable
//! `PORTOLAN_BINARY` names another one than that of the same build; `SEED` repeats a run.

pub mod authority;
pub mod go;
pub mod node;
pub mod origin;
pub mod process;
pub mod proxy;
pub mod seed;

use std::time::Duration;

/// No step of a test takes this long unless something is broken.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// The host that is served in the clear.
pub const PLAIN_HOST: &str = "plain.clients.test";
/// The host that is served with a certificate.
pub const TLS_HOST: &str = "tls.clients.test";
