//! The client's side of an exchange over HTTP/2.

use crate::exchange::RequestContext;
use crate::exchange::io::{Downstream, Watch};
use crate::http2::fields::Fields;
use crate::http2::received::Received;
use crate::http2::sent::Sent;
use crate::http2::stream_io::{BeginSending, StreamIo};
use crate::worker::Worker;
use crate::worker::buffer::Buffers;
use crate::worker::linger::MAX_DISCARDED;
use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason as Code, RecvStream, SendStream};
use http::{Response, StatusCode};
use portolan_proxy_core::body::Framing;
use portolan_proxy_core::headers;
use portolan_proxy_core::response::ResponseHead;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};
use tokio::time::timeout;

/// One request of a client, and the response to it.
pub(crate) struct Client {
    side: StreamIo<Responding>,
}

/// A stream on which a response may begin, which is not for its body to do.
pub(crate) struct Responding(SendResponse<Bytes>);

impl BeginSending for Responding {
    fn start(&mut self, _message: &mut Sent) -> io::Result<Option<SendStream<Bytes>>> {
        Ok(None)
    }
}

impl Client {
    pub(crate) fn new(body: RecvStream, respond: SendResponse<Bytes>) -> Self {
        Self {
            side: StreamIo::new(Responding(respond), Received::new(body)),
        }
    }

    /// Ends the stream where it stands (RFC 9113 5.4.2).
    pub(crate) fn reset(&mut self, code: Code) {
        match &mut self.side.sending {
            Some(sending) => sending.send_reset(code),
            None => self.side.start.0.send_reset(code),
        }
    }

    /// Begins a response. A stream that takes none is gone, which the next write reports.
    pub(crate) fn respond(&mut self, status: u16, fields: Fields, ended: bool) {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
        *response.headers_mut() = fields.0;
        self.side.sending = self.side.start.0.send_response(response, ended).ok();
    }

    /// Sends the body of an answer, as far as the client takes it in the time of a head.
    pub(crate) async fn send_whole(&mut self, body: Bytes, worker: &Worker) {
        let mut message = Sent::whole(body);
        let Some(sending) = &mut self.side.sending else {
            return;
        };
        let sending = poll_fn(|cx| message.poll_send(sending, cx));
        // A client that does not read it does without.
        let _ = timeout(worker.limits.head, sending).await;
    }

    /// Keeps the stream for a while after a response that came before the end of the request: ended at
    /// once, it would be reset, which takes the response away from many a client. Then it is, with
    /// NO_ERROR (RFC 9113 8.1).
    pub(crate) async fn linger(&mut self, worker: &Worker) {
        if self.side.received.has_ended() {
            return;
        }
        let mut left = MAX_DISCARDED;
        let discarding = poll_fn(|cx| {
            if self.poll_reset(cx) {
                return Poll::Ready(());
            }
            self.side.received.poll_discard(&mut left, cx)
        });
        // However it ends, the request is of no more interest.
        let _ = timeout(worker.limits.linger, discarding).await;
    }

    fn inform(&mut self, status: StatusCode, fields: Fields) {
        let mut response = Response::new(());
        *response.status_mut() = status;
        *response.headers_mut() = fields.0;
        // A stream that takes none is gone, which its next poll tells.
        let _ = self.side.start.0.send_informational(response);
    }

    fn poll_reset(&mut self, cx: &mut Context<'_>) -> bool {
        let reset = match &mut self.side.sending {
            Some(sending) => sending.poll_reset(cx),
            None => self.side.start.0.poll_reset(cx),
        };
        reset.is_ready()
    }
}

impl Downstream for Client {
    type Side = StreamIo<Responding>;
    type InterimResponses = ();

    fn side(&mut self) -> &mut StreamIo<Responding> {
        &mut self.side
    }

    fn is_silent(&self) -> bool {
        self.side.received.unread().is_empty()
    }

    fn interim_responses(&self, _buffers: &Buffers) {}

    fn queue_continue(&mut self, _interim: &mut ()) {
        self.inform(StatusCode::CONTINUE, Fields::default());
    }

    fn queue_interim(&mut self, _interim: &mut (), head: &ResponseHead<'_, '_>) {
        let mut fields = Fields::default();
        headers::interim_fields(&mut fields, head);
        if let Ok(status) = StatusCode::from_u16(head.status) {
            self.inform(status, fields);
        }
    }

    fn poll_interim(&mut self, _interim: &mut (), _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn is_mid_interim(_interim: &()) -> bool {
        false
    }

    fn recycle_interim(_interim: (), _buffers: &Buffers) {}

    fn begin(
        &mut self,
        _interim: (),
        head: &ResponseHead<'_, '_>,
        context: &RequestContext,
        _request_sent: bool,
    ) -> (Sent, bool) {
        let mut fields = Fields::default();
        headers::response_fields(&mut fields, head, &context.response);
        match (head.declared_length, head.framing) {
            (Some(length), _) | (None, Framing::Length(length)) => fields.length(length),
            (None, Framing::None | Framing::Chunked | Framing::UntilClose) => {}
        }
        let ended = head.framing.is_empty();
        self.respond(head.status, fields, ended);
        let message = if ended { Sent::nothing() } else { Sent::body() };
        (message, true)
    }

    fn open_tunnel(
        &mut self,
        head: &ResponseHead<'_, '_>,
        _accept: &str,
        _buffers: &Buffers,
    ) -> Sent {
        let mut fields = Fields::default();
        headers::tunnel_fields(&mut fields, head);
        // RFC 8441 5: not 101.
        self.respond(200, fields, false);
        Sent::body()
    }

    fn poll_watch(&mut self, cx: &mut Context<'_>, _buffers: &Buffers) -> Watch {
        if self.poll_reset(cx) {
            Watch::Gone
        } else {
            Watch::Waiting
        }
    }

    fn poll_cancelled(&mut self, cx: &mut Context<'_>) -> bool {
        self.poll_reset(cx)
    }

    fn is_reset(&self) -> bool {
        false
    }

    async fn gone(&mut self) {
        poll_fn(|cx| {
            if self.poll_reset(cx) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    fn may_say_more(&self) -> bool {
        true
    }
}
