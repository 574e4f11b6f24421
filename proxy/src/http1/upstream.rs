//! The endpoint's side of an exchange over HTTP/1.1.

use crate::clock;
use crate::exchange::budget::RequestBudget;
use crate::exchange::connect::{self, Connected, Open};
use crate::exchange::io::{HeadFault, TunnelResponse, Upstream};
use crate::http1::wire::{Coding, Wire, Written};
use crate::transport::Transport as _;
use crate::upstream::stream::Stream;
use crate::upstream::tls::Connector;
use crate::worker::Worker;
use crate::worker::buffer::{Buffer, Buffers};
use portolan_proxy_core::endpoint::{Endpoint, InFlight};
use portolan_proxy_core::field::slots;
use portolan_proxy_core::reason::Reason;
use portolan_proxy_core::response::{MalformedResponse, ResponseHead};
use portolan_proxy_core::retry::Failure;
use portolan_proxy_core::scan::{HeadScan, MAX_HEAD};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// A connection that one request at a time uses.
pub(crate) struct Http1Upstream {
    wire: Wire<Stream>,
    in_flight: InFlight,
    reused: bool,
    scan: HeadScan,
    /// The length of the head that has come.
    head: usize,
}

impl From<Connected> for Http1Upstream {
    fn from(connected: Connected) -> Self {
        Self {
            wire: Wire {
                stream: connected.stream,
                input: None,
            },
            in_flight: connected.in_flight,
            reused: connected.reused,
            scan: HeadScan::default(),
            head: 0,
        }
    }
}

impl Open for Http1Upstream {
    async fn open(
        worker: &Rc<Worker>,
        endpoint: &Arc<Endpoint>,
        connector: Option<&Arc<Connector>>,
        budget: &RequestBudget<'_>,
    ) -> Result<Self, Reason> {
        let connected = match worker.peers.waiting_connection(endpoint, connector) {
            Some(stream) => {
                worker.counters.upstream_connections_reused.add(1);
                Connected {
                    stream,
                    in_flight: InFlight::begin(endpoint),
                    reused: true,
                }
            }
            None => connect::new(worker, endpoint, connector, budget).await?,
        };
        Ok(connected.into())
    }

    async fn reopen(self, worker: &Rc<Worker>, budget: &RequestBudget<'_>) -> Result<Self, Reason> {
        let (endpoint, proved) = (self.in_flight.endpoint(), self.wire.stream.proved());
        let connected = connect::new(worker, endpoint, proved, budget).await?;
        Ok(connected.into())
    }
}

impl Upstream for Http1Upstream {
    const KEEPS: bool = false;

    type Side = Wire<Stream>;

    fn side(&mut self) -> &mut Wire<Stream> {
        &mut self.wire
    }

    fn in_flight(&self) -> &InFlight {
        &self.in_flight
    }

    fn is_reused(&self) -> bool {
        self.reused
    }

    /// By a reset: a close would wait behind what the endpoint does not take, and hold it in memory.
    fn abandon(&mut self) {
        self.wire.stream.reset_on_close();
    }

    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        buffers: &Buffers,
    ) -> Poll<Result<(), HeadFault>> {
        let fault = |reason, failure| Poll::Ready(Err(HeadFault { reason, failure }));
        let Wire { stream, input } = &mut self.wire;
        loop {
            let unread = input.as_ref().map_or(&[][..], Buffer::unread);
            match self.scan.find(unread) {
                Ok(Some(length)) => {
                    self.head = length;
                    return Poll::Ready(Ok(()));
                }
                Ok(None) if unread.len() < MAX_HEAD => {}
                Ok(None) | Err(_) => return fault(Reason::MalformedResponse, None),
            }
            if let Some(full) = input.as_mut().filter(|input| input.is_full()) {
                full.grow(MAX_HEAD);
            }
            match ready!(buffers.poll_fill(cx, stream, input)) {
                Ok(1..) => {}
                Ok(0) | Err(_) => {
                    let (reason, failure) = match input {
                        Some(_) => (Reason::MalformedResponse, Failure::Reset),
                        None if self.reused => (Reason::UpstreamClosed, Failure::Stale),
                        None => (Reason::UpstreamClosed, Failure::Reset),
                    };
                    return fault(reason, Some(failure));
                }
            }
        }
    }

    fn take_head<T>(
        &mut self,
        method: &str,
        buffers: &Buffers,
        handle: impl FnOnce(Result<ResponseHead<'_, '_>, MalformedResponse>) -> T,
    ) -> T {
        let unread = self.wire.input.as_ref().map_or(&[][..], Buffer::unread);
        let bytes = unread.get(..self.head).unwrap_or_default();
        let mut room = slots();
        let result = handle(ResponseHead::parse(bytes, &mut room, method));
        if let Some(input) = &mut self.wire.input {
            input.consume(self.head);
        }
        buffers.release_if_empty(&mut self.wire.input);
        // Another may follow.
        self.scan = HeadScan::default();
        result
    }

    fn tunnel_response(head: &ResponseHead<'_, '_>, accept: Option<&str>) -> TunnelResponse {
        match (head.status, accept) {
            (101, Some(accept)) if head.accepts_websocket(accept) => TunnelResponse::Open,
            (101, _) => TunnelResponse::BadAccept,
            _ => TunnelResponse::Ordinary,
        }
    }

    fn uplink() -> Written {
        Written::new(Vec::new(), Coding::Plain)
    }

    fn reset_code(&self) -> Option<u32> {
        None
    }

    fn give_back(&mut self, buffers: &Buffers) {
        if let Some(rest) = self.wire.input.take() {
            buffers.take_back(rest);
        }
    }

    fn release(mut self, keep: bool, worker: &Worker) {
        // What came after a response was not asked for.
        let surplus = self.wire.input.is_some();
        self.give_back(&worker.buffers);
        if keep && !surplus {
            let now = clock::now().into_std();
            let endpoint = self.in_flight.endpoint();
            worker.pool.keep(endpoint, self.wire.stream, now);
        }
    }
}
