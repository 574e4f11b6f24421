//! The endpoint's side of an exchange over HTTP/2.

use crate::exchange::budget::RequestBudget;
use crate::exchange::connect::Open;
use crate::exchange::io::{HeadFault, TunnelResponse, Upstream};
use crate::http2::connect;
use crate::http2::fields::headers;
use crate::http2::received::{Received, to_io};
use crate::http2::sent::Sent;
use crate::http2::stream_io::{BeginSending, StreamIo};
use crate::upstream::http2_pool::StreamPermit;
use crate::upstream::tls::Connector;
use crate::worker::Worker;
use crate::worker::buffer::Buffers;
use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{Reason as Code, SendStream};
use http::response::Parts;
use portolan_proxy_core::endpoint::{Endpoint, InFlight};
use portolan_proxy_core::reason::Reason;
use portolan_proxy_core::response::{MalformedResponse, ResponseHead};
use portolan_proxy_core::retry::Failure;
use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// One request to an endpoint, on a connection that others use at the same time.
pub(crate) struct Http2Upstream {
    side: StreamIo<Requesting>,
    in_flight: InFlight,
    connector: Option<Arc<Connector>>,
    reused: bool,
    /// A head that has come, and whether a body follows.
    arrived: Option<(Parts, bool)>,
}

/// A permit on a connection, from which a stream is opened.
pub(crate) struct Requesting {
    permit: StreamPermit,
    response: Option<ResponseFuture>,
    /// The head went astray.
    fault: Option<HeadFault>,
    reset: Option<Code>,
}

impl Open for Http2Upstream {
    async fn open(
        worker: &Rc<Worker>,
        endpoint: &Arc<Endpoint>,
        connector: Option<&Arc<Connector>>,
        budget: &RequestBudget<'_>,
    ) -> Result<Self, Reason> {
        let in_flight = InFlight::begin(endpoint);
        let (permit, reused) = connect::acquire(worker, endpoint, connector, budget).await?;
        Ok(Self {
            side: StreamIo::new(
                Requesting {
                    permit,
                    response: None,
                    fault: None,
                    reset: None,
                },
                Received::default(),
            ),
            in_flight,
            connector: connector.cloned(),
            reused,
            arrived: None,
        })
    }

    async fn reopen(self, worker: &Rc<Worker>, budget: &RequestBudget<'_>) -> Result<Self, Reason> {
        let Self {
            side,
            in_flight,
            connector,
            ..
        } = self;
        // What refused one request for being about to close would refuse the next.
        side.start.permit.retire();
        drop(side);
        Self::open(worker, in_flight.endpoint(), connector.as_ref(), budget).await
    }
}

impl Requesting {
    /// Classifies an error of the response.
    fn fault_of(&mut self, error: &h2::Error) -> HeadFault {
        self.reset = error.reason().filter(|_| error.is_reset());
        let not_processed = error.is_remote()
            && (error.is_go_away() || error.reason() == Some(Code::REFUSED_STREAM));
        if !error.is_reset() || not_processed {
            self.permit.retire();
        }
        let malformed = !error.is_remote() && !error.is_io();
        HeadFault {
            reason: if malformed {
                Reason::MalformedResponse
            } else {
                Reason::UpstreamClosed
            },
            failure: match (not_processed, malformed) {
                // RFC 9113 8.7: safe to send again, whatever the method.
                (true, _) => Some(Failure::Unsent),
                (false, true) => None,
                (false, false) => Some(Failure::Reset),
            },
        }
    }
}

impl BeginSending for Requesting {
    fn start(&mut self, message: &mut Sent) -> io::Result<Option<SendStream<Bytes>>> {
        if message.asks_for_tunnel() && !self.permit.offers_tunnels() {
            self.fault = Some(HeadFault {
                reason: Reason::WebSocketNotOffered,
                failure: None,
            });
            message.sent_head(true);
            return Err(io::ErrorKind::Unsupported.into());
        }
        let Some((head, bodiless)) = message.take_head() else {
            return Ok(None);
        };
        match self.permit.send_request(head, bodiless) {
            Ok((response, sending)) => {
                message.sent_head(true);
                self.response = Some(response);
                Ok(Some(sending))
            }
            Err(error) => {
                message.sent_head(false);
                self.permit.retire();
                self.fault = Some(HeadFault {
                    reason: Reason::UpstreamClosed,
                    failure: Some(Failure::Unsent),
                });
                Err(to_io(error))
            }
        }
    }
}

impl Upstream for Http2Upstream {
    const KEEPS: bool = true;

    type Side = StreamIo<Requesting>;

    fn side(&mut self) -> &mut StreamIo<Requesting> {
        &mut self.side
    }

    fn in_flight(&self) -> &InFlight {
        &self.in_flight
    }

    /// Its stream is reset when it is dropped.
    fn abandon(&mut self) {}

    fn is_reused(&self) -> bool {
        self.reused
    }

    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        _buffers: &Buffers,
    ) -> Poll<Result<(), HeadFault>> {
        if let Some(fault) = self.side.start.fault.take() {
            return Poll::Ready(Err(fault));
        }
        let Some(response) = &mut self.side.start.response else {
            return Poll::Pending;
        };
        if let Poll::Ready(Some(Ok(interim))) = response.poll_informational(cx) {
            self.arrived = Some((interim.into_parts().0, true));
            return Poll::Ready(Ok(()));
        }
        match ready!(Pin::new(response).poll(cx)) {
            Ok(response) => {
                let (parts, body) = response.into_parts();
                self.side.start.response = None;
                self.arrived = Some((parts, !body.is_end_stream()));
                self.side.received = Received::new(body);
                Poll::Ready(Ok(()))
            }
            Err(error) => Poll::Ready(Err(self.side.start.fault_of(&error))),
        }
    }

    fn take_head<T>(
        &mut self,
        method: &str,
        _buffers: &Buffers,
        handle: impl FnOnce(Result<ResponseHead<'_, '_>, MalformedResponse>) -> T,
    ) -> T {
        let Some((parts, has_body)) = self.arrived.take() else {
            return handle(Err(MalformedResponse));
        };
        let fields = headers(&parts.headers, "");
        let status = parts.status.as_u16();
        handle(ResponseHead::of_http2(status, &fields, !has_body, method))
    }

    fn tunnel_response(head: &ResponseHead<'_, '_>, accept: Option<&str>) -> TunnelResponse {
        // RFC 8441 5.
        match (head.status, accept) {
            (200..300, Some(_)) => TunnelResponse::Open,
            _ => TunnelResponse::Ordinary,
        }
    }

    fn uplink() -> Sent {
        Sent::body()
    }

    fn reset_code(&self) -> Option<u32> {
        let code = self.side.reset_code().or(self.side.start.reset);
        code.map(u32::from)
    }

    fn give_back(&mut self, _buffers: &Buffers) {}

    fn release(self, _keep: bool, _worker: &Worker) {
        // Its permit is free once its stream has ended, which dropping it sees to.
    }
}
