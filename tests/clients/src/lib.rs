//! Support for the tests with real clients: `portolan serve --files` as a process of its own with
//! a folder of YAML, an origin in Go behind it, a certificate authority, and programs that are run
//! with a deadline.
//!
//! Nothing of the proxy is linked in: what is tested is the program that people run. The variable
//! `PORTOLAN_BINARY` names another one than that of the same build; `SEED` repeats a run;
//! `PEER=haproxy` puts HAProxy in its place, so that a test can be tried on another proxy.

pub mod authority;
pub mod go;
pub mod http2;
pub mod node;
pub(crate) mod objects;
pub mod origin;
pub(crate) mod peer;
pub mod process;
pub mod proxy;
pub mod seed;

use std::time::Duration;

/// No step of a test takes this long unless something is broken.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// The host that is served over plaintext HTTP.
pub const PLAIN_HOST: &str = "plain.clients.test";
/// The host that is served with a certificate.
pub const TLS_HOST: &str = "tls.clients.test";
/// The host that is served both ways, under a name that every machine resolves to itself.
pub const SPEC_HOST: &str = "localhost";

/// HTTP version on one side of the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2: by ALPN over TLS, with prior knowledge over plaintext.
    Http2,
}

impl Version {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Http1, Self::Http2];

    /// As Go's net/http names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http2 => "HTTP/2.0",
        }
    }
}
