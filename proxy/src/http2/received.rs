//! The body of a message that comes over HTTP/2, as it is read.

use crate::exchange::io::Filled;
use crate::memory::Lent;
use crate::worker::buffer::Buffers;
use bytes::{Buf as _, Bytes};
use h2::{Reason as Code, RecvStream};
use http::HeaderMap;
use portolan_proxy_core::chunk::Decoded;
use portolan_proxy_core::field::Role;
use portolan_proxy_core::headers::FieldSink;
use std::io;
use std::task::{Context, Poll, ready};

/// The receiving half of a stream. What is used up is credit for the sender (RFC 9113 5.2).
#[derive(Debug, Default)]
pub(super) struct Received {
    stream: Option<RecvStream>,
    unread: Bytes,
    reset: Option<Code>,
    /// While something is unread it counts as a lent buffer.
    lent: Option<Lent>,
}

/// How far a body has been read: what came after it.
#[derive(Debug, Default)]
pub(crate) struct Trailers(HeaderMap);

impl Received {
    pub(super) fn new(stream: RecvStream) -> Self {
        Self {
            stream: Some(stream),
            ..Self::default()
        }
    }

    /// Returns whether the body has ended and was read.
    pub(super) fn has_ended(&self) -> bool {
        let ended = self.stream.as_ref().is_none_or(RecvStream::is_end_stream);
        ended && self.unread.is_empty()
    }

    /// Reads at most so much and throws it away. Ready when nothing more comes.
    pub(super) fn poll_discard(&mut self, left: &mut usize, cx: &mut Context<'_>) -> Poll<()> {
        let unread = self.unread.len();
        self.consume(unread);
        let Some(stream) = &mut self.stream else {
            return Poll::Ready(());
        };
        while *left > 0 {
            match ready!(stream.poll_data(cx)) {
                Some(Ok(data)) => {
                    *left = left.saturating_sub(data.len());
                    // More than was received is never given back.
                    let _ = stream.flow_control().release_capacity(data.len());
                }
                Some(Err(_)) | None => return Poll::Ready(()),
            }
        }
        Poll::Pending
    }

    /// The code with which the sender broke off (RFC 9113 7).
    pub(super) fn reset_code(&self) -> Option<Code> {
        self.reset
    }

    pub(super) fn unread(&self) -> &[u8] {
        &self.unread
    }

    /// Decodes all of it, and whether it is the last, so that the end need not travel alone.
    pub(super) fn decode(&self) -> Decoded {
        let length = self.unread.len();
        Decoded {
            consumed: length,
            data: 0..length,
            done: self.stream.as_ref().is_some_and(RecvStream::is_end_stream),
        }
    }

    pub(super) fn consume(&mut self, count: usize) {
        let count = count.min(self.unread.len());
        self.unread.advance(count);
        self.give_credit(count);
    }

    pub(super) fn take(&mut self, count: usize) -> Bytes {
        let taken = self.unread.split_to(count.min(self.unread.len()));
        self.give_credit(taken.len());
        taken
    }

    fn give_credit(&mut self, count: usize) {
        if self.unread.is_empty() {
            self.lent = None;
        }
        if let Some(stream) = &mut self.stream {
            // More than was received is never given back.
            let _ = stream.flow_control().release_capacity(count);
        }
    }

    pub(super) fn poll_fill(
        &mut self,
        trailers: &mut Trailers,
        cx: &mut Context<'_>,
        buffers: &Buffers,
    ) -> Option<Poll<io::Result<Filled>>> {
        let Some(stream) = &mut self.stream else {
            return Some(Poll::Ready(Ok(Filled::End)));
        };
        if !buffers.may_lend(cx) {
            return None;
        }
        loop {
            match stream.poll_data(cx) {
                Poll::Pending => return Some(Poll::Pending),
                // An empty frame says nothing; how many there may be is the codec's to judge.
                Poll::Ready(Some(Ok(data))) if data.is_empty() => {}
                Poll::Ready(Some(Ok(data))) => {
                    self.unread = data;
                    self.lent = Some(buffers.lend_room());
                    return Some(Poll::Ready(Ok(Filled::More)));
                }
                Poll::Ready(Some(Err(error))) => {
                    self.reset = error.reason().filter(|_| error.is_reset());
                    return Some(Poll::Ready(Err(to_io(error))));
                }
                Poll::Ready(None) => break,
            }
        }
        Some(match stream.poll_trailers(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) => Poll::Ready(Err(to_io(error))),
            Poll::Ready(Ok(came)) => {
                trailers.0 = came.unwrap_or_default();
                Poll::Ready(Ok(Filled::End))
            }
        })
    }
}

impl Trailers {
    /// Those that may pass.
    pub(super) fn put(&self, out: &mut impl FieldSink) {
        let may_pass =
            |field: &(&http::HeaderName, &http::HeaderValue)| Role::may_trail(field.0.as_str());
        for (name, value) in self.0.iter().filter(may_pass) {
            out.field(name.as_str(), &[value.as_bytes()]);
        }
    }
}

pub(super) fn to_io(error: h2::Error) -> io::Error {
    if error.is_io() {
        error
            .into_io()
            .unwrap_or_else(|| io::ErrorKind::ConnectionReset.into())
    } else {
        io::Error::other(error)
    }
}
