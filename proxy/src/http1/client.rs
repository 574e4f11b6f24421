//! The client's side of an exchange over HTTP/1.

use crate::exchange::RequestContext;
use crate::exchange::io::{Downstream, Watch};
use crate::http1::wire::{Coding, Wire, Written};
use crate::transport::Transport;
use crate::worker::buffer::{BUFFER, Buffer, Buffers};
use portolan_proxy_core::body::Framing;
use portolan_proxy_core::headers::{self, Persistence};
use portolan_proxy_core::response::ResponseHead;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::Interest;

/// RFC 9110 15.2.1.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A client during one request.
pub(crate) struct Client<'a, S> {
    wire: &'a mut Wire<S>,
    /// It has closed its side.
    closed: bool,
}

/// Interim responses on their way to a client.
pub(crate) struct InterimResponses {
    bytes: Vec<u8>,
    written: usize,
    unflushed: bool,
}

impl<'a, S> Client<'a, S> {
    pub(crate) fn new(wire: &'a mut Wire<S>) -> Self {
        Self {
            wire,
            closed: false,
        }
    }
}

impl<S: Transport> Downstream for Client<'_, S> {
    type Side = Wire<S>;
    type InterimResponses = InterimResponses;

    fn side(&mut self) -> &mut Wire<S> {
        self.wire
    }

    fn is_silent(&self) -> bool {
        self.wire.input.is_none()
    }

    fn interim_responses(&self, buffers: &Buffers) -> InterimResponses {
        InterimResponses {
            bytes: buffers.room(),
            written: 0,
            unflushed: false,
        }
    }

    fn queue_continue(&mut self, interim: &mut InterimResponses) {
        interim.bytes.extend_from_slice(CONTINUE);
    }

    fn queue_interim(&mut self, interim: &mut InterimResponses, head: &ResponseHead<'_, '_>) {
        headers::interim(&mut interim.bytes, head);
    }

    fn poll_interim(
        &mut self,
        interim: &mut InterimResponses,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let stream = &mut self.wire.stream;
        while let Some(rest @ [_, ..]) = interim.bytes.get(interim.written..) {
            let count = ready!(Pin::new(&mut *stream).poll_write(cx, rest))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            interim.written += count;
            interim.unflushed = true;
        }
        interim.bytes.clear();
        interim.written = 0;
        if interim.unflushed {
            ready!(Pin::new(stream).poll_flush(cx))?;
            interim.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn is_mid_interim(interim: &InterimResponses) -> bool {
        interim.written > 0
    }

    fn recycle_interim(interim: InterimResponses, buffers: &Buffers) {
        buffers.take_back_room(interim.bytes);
    }

    fn begin(
        &mut self,
        interim: InterimResponses,
        head: &ResponseHead<'_, '_>,
        context: &RequestContext,
        request_sent: bool,
    ) -> (Written, bool) {
        // HTTP/1.0 has no chunks; HTTP/1.1 gets an end that differs from a broken connection.
        let (body, coding) = match (head.framing, context.http10) {
            (Framing::Chunked | Framing::UntilClose, false) => (Framing::Chunked, Coding::Chunked),
            (Framing::Chunked | Framing::UntilClose, true) => (Framing::UntilClose, Coding::Plain),
            (framing, _) => (framing, Coding::Plain),
        };
        let keep = context.keep_client && request_sent && body != Framing::UntilClose;
        let persistence = Persistence::of(keep, context.http10);
        let mut written = interim.bytes;
        headers::response(&mut written, head, body, persistence, &context.response);
        (Written::new(written, coding), keep)
    }

    fn open_tunnel(
        &mut self,
        head: &ResponseHead<'_, '_>,
        accept: &str,
        buffers: &Buffers,
    ) -> Written {
        let mut switching = buffers.room();
        headers::switching(&mut switching, head, accept);
        Written::new(switching, Coding::Plain)
    }

    /// Bytes that it sends ahead are the next request, read up to one buffer.
    fn poll_watch(&mut self, cx: &mut Context<'_>, buffers: &Buffers) -> Watch {
        let Wire { stream, input } = &mut *self.wire;
        while !self.closed && !input.as_ref().is_some_and(Buffer::is_full) {
            let ahead = input.as_ref().map_or(0, |input| input.unread().len());
            if ahead >= BUFFER {
                break;
            }
            match buffers.poll_fill(cx, stream, input) {
                Poll::Pending => break,
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(Ok(0)) => {
                    self.closed = true;
                    if input.is_none() {
                        return Watch::Closed;
                    }
                }
                Poll::Ready(Err(_)) => return Watch::Gone,
            }
        }
        Watch::Waiting
    }

    fn poll_cancelled(&mut self, _cx: &mut Context<'_>) -> bool {
        false
    }

    fn is_reset(&self) -> bool {
        self.wire.stream.is_reset()
    }

    async fn gone(&mut self) {
        // No other readiness differs from that of a client that sends ahead.
        while let Ok(ready) = self.wire.stream.tcp().ready(Interest::ERROR).await {
            if ready.is_error() {
                return;
            }
        }
    }

    fn may_say_more(&self) -> bool {
        // What a client sent before it closed its side is answered.
        !self.closed || self.wire.input.is_some()
    }
}
