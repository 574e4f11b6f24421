//! How long anything may take. Every wait is bounded; these are the bounds.

use std::time::Duration;

/// Time-outs of a data plane. The defaults are the product's; a test may shorten them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For an endpoint to take a connection.
    pub connect: Duration,
    /// For a whole request head, from its first byte; also for a whole TLS handshake.
    pub head: Duration,
    /// For a connection without a request; also for an endpoint that falls silent within a body.
    pub idle: Duration,
    /// For the first byte of a response, once the request was sent.
    pub response: Duration,
    /// For a response to begin, over all attempts, once the request was received whole.
    pub request: Duration,
    /// How often the progress of a body is looked at.
    pub progress: Duration,
    /// How many bytes a client must send or take in that time, when it is the one waited for.
    pub least_progress: u64,
    /// For a WebSocket that says nothing.
    pub tunnel_idle: Duration,
    /// For the rest of a request that was answered before it was read.
    pub linger: Duration,
    /// For a resource that a host names and that has not come yet.
    pub warming: Duration,
    /// Between two looks at what clients are shown.
    pub probe: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            head: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            response: Duration::from_secs(15),
            request: Duration::from_secs(60),
            progress: Duration::from_secs(30),
            least_progress: 30 * 1024,
            tunnel_idle: Duration::from_secs(3600),
            linger: Duration::from_secs(1),
            warming: Duration::from_secs(5),
            probe: Duration::from_secs(60),
        }
    }
}
