//! A request and its response, for any pair of protocols.
//!
//! ```text
//! forward::attempts: an upstream ─► duplex: both directions at once ─► how it ended
//!                                     └► tunnel
//! ```
//! The differences of HTTP/1 and HTTP/2 are behind the traits of [`io`]; nothing here is
//! written twice. Heads and bodies are borrowed from the worker's buffers; what waits holds none.

pub(crate) mod budget;
pub(crate) mod connect;
pub(crate) mod duplex;
pub(crate) mod flow;
pub(crate) mod io;
mod progress;
pub(crate) mod timer;
pub(crate) mod tunnel;

use crate::telemetry::access_log::{Outcome, Record};
use crate::worker::Worker;
use jiff::Timestamp;
use portolan_proxy_core::route::ResponsePolicy;
use std::time::Instant;

/// Properties of a request that its exchange needs.
#[derive(Clone, Debug)]
pub(crate) struct RequestContext {
    /// The request was HEAD, whose responses have no body.
    pub(crate) head_only: bool,
    /// The client speaks HTTP/1.0.
    pub(crate) http10: bool,
    /// The client wants its connection kept, and so do we.
    pub(crate) keep_client: bool,
    pub(crate) expects_continue: bool,
    /// A gRPC call: a stream of messages, which may pause for long.
    pub(crate) grpc: bool,
    /// Expected `Sec-WebSocket-Accept` over HTTP/1.1, when the client asks for a WebSocket.
    pub(crate) accept: Option<String>,
    /// Policy of the route for every response.
    pub(crate) response: ResponsePolicy,
}

/// Body bytes counted for the log.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counted {
    pub(crate) received: u64,
    pub(crate) sent: u64,
}

/// Log entry of a request that has ended.
pub(crate) struct RequestLog<'a> {
    pub(crate) client: &'a str,
    /// It came over TLS.
    pub(crate) secure: bool,
    pub(crate) started: Instant,
    /// 0 when the client went away before there was one.
    pub(crate) status: u16,
    pub(crate) counted: Counted,
}

impl RequestLog<'_> {
    /// Counts it, and writes its line.
    pub(crate) fn record(&self, worker: &Worker, record: &Record) {
        let counters = &worker.counters;
        counters.finished(self.status);
        counters.bytes_received.add(self.counted.received);
        counters.bytes_sent.add(self.counted.sent);
        if !worker.log.is_on() {
            return;
        }
        let outcome = Outcome {
            client: self.client,
            scheme: if self.secure { "https" } else { "http" },
            status: self.status,
            received: self.counted.received,
            sent: self.counted.sent,
            took: self.started.elapsed(),
        };
        worker
            .log
            .write(Timestamp::now(), record, outcome, counters);
    }
}
