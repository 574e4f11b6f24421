//! The sending and the receiving half of a stream, for either side.

use crate::exchange::io::FlowError;
use crate::exchange::io::{Filled, Sink, Source};
use crate::http2::received::{Received, Trailers};
use crate::http2::sent::Sent;
use crate::worker::buffer::Buffers;
use bytes::Bytes;
use h2::{Reason as Code, SendStream};
use portolan_proxy_core::body::Framing;
use portolan_proxy_core::chunk::{ChunkError, Decoded};
use portolan_proxy_core::headers::FieldSink;
use std::io;
use std::task::{Context, Poll};

/// How the sending half comes to be.
pub(crate) trait BeginSending {
    /// Sends a head that waits, if it is for this to do.
    fn start(&mut self, message: &mut Sent) -> io::Result<Option<SendStream<Bytes>>>;
}

/// Both halves of a stream.
pub(crate) struct StreamIo<K> {
    pub(super) start: K,
    pub(super) received: Received,
    /// Once a head was sent.
    pub(super) sending: Option<SendStream<Bytes>>,
}

impl<K> StreamIo<K> {
    pub(super) fn new(start: K, received: Received) -> Self {
        Self {
            start,
            received,
            sending: None,
        }
    }

    /// The code with which the other side broke off what it was sending.
    pub(super) fn reset_code(&self) -> Option<Code> {
        self.received.reset_code()
    }
}

impl<K> Source for StreamIo<K> {
    type Incoming = Trailers;

    fn incoming(_framing: Framing) -> Trailers {
        Trailers::default()
    }

    fn is_framed(_incoming: &Trailers) -> bool {
        false
    }

    fn unread(&self) -> &[u8] {
        self.received.unread()
    }

    fn decode(&self, _incoming: &mut Trailers) -> Result<Decoded, ChunkError> {
        Ok(self.received.decode())
    }

    fn consume(&mut self, count: usize) {
        self.received.consume(count);
    }

    fn take(&mut self, decoded: &Decoded) -> Bytes {
        self.received.take(decoded.consumed)
    }

    fn poll_fill(
        &mut self,
        incoming: &mut Trailers,
        cx: &mut Context<'_>,
        buffers: &Buffers,
    ) -> Option<Poll<io::Result<Filled>>> {
        self.received.poll_fill(incoming, cx, buffers)
    }

    fn end(_incoming: &Trailers) -> Result<(), FlowError> {
        // The codec has seen to it that this is the end (RFC 9113 8.1).
        Ok(())
    }

    fn trailers(incoming: &Trailers, out: &mut impl FieldSink) -> Result<(), ChunkError> {
        incoming.put(out);
        Ok(())
    }

    fn release_if_empty(&mut self, _buffers: &Buffers) {}
}

impl<K: BeginSending> Sink for StreamIo<K> {
    type Outgoing = Sent;

    fn poll_write(
        &mut self,
        message: &mut Sent,
        _from: &mut impl Source,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(sending) = self.start.start(message)? {
            self.sending = Some(sending);
        }
        match &mut self.sending {
            Some(sending) => message.poll_send(sending, cx),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    /// Sent frames leave with all that its connection has to say in this turn.
    fn poll_finish(&mut self, _message: &mut Sent, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn flush_partial(&mut self, _message: &mut Sent, _cx: &mut Context<'_>) -> io::Result<()> {
        Ok(())
    }

    /// The end of a stream is part of its message.
    fn poll_close(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
