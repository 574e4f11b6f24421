//! A connection of HTTP/1 as messages see it: read into a lent buffer, written from a vector or from
//! where it was read.

use crate::exchange::io::FlowError;
use crate::exchange::io::{Filled, Outgoing, Sink, Source};
use crate::worker::buffer::{BUFFER, Buffer, Buffers};
use bytes::Bytes;
use portolan_proxy_core::body::{BodyReader, Framing};
use portolan_proxy_core::chunk::{ChunkError, Decoded, OpenChunk};
use portolan_proxy_core::headers::{self, FieldSink};
use portolan_proxy_core::retry::MAX_REPLAYED;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite};

/// A connection, with what was read from it ahead of time.
#[derive(Debug)]
pub(crate) struct Wire<S> {
    pub(crate) stream: S,
    pub(crate) input: Option<Buffer>,
}

impl<S: AsyncRead + Unpin> Source for Wire<S> {
    type Incoming = BodyReader;

    fn incoming(framing: Framing) -> BodyReader {
        framing.into()
    }

    fn is_framed(incoming: &BodyReader) -> bool {
        matches!(incoming, BodyReader::Chunked(_))
    }

    fn unread(&self) -> &[u8] {
        self.input.as_ref().map_or(&[], Buffer::unread)
    }

    fn decode(&self, incoming: &mut BodyReader) -> Result<Decoded, ChunkError> {
        incoming.decode(self.unread())
    }

    fn consume(&mut self, count: usize) {
        if let Some(input) = &mut self.input {
            input.consume(count);
        }
    }

    fn take(&mut self, decoded: &Decoded) -> Bytes {
        let data = self.unread().get(decoded.data.clone()).unwrap_or_default();
        let data = Bytes::copy_from_slice(data);
        self.consume(decoded.consumed);
        data
    }

    fn poll_fill(
        &mut self,
        _incoming: &mut BodyReader,
        cx: &mut Context<'_>,
        buffers: &Buffers,
    ) -> Option<Poll<io::Result<Filled>>> {
        let filled = buffers.poll_fill_body(cx, &mut self.stream, &mut self.input)?;
        Some(filled.map_ok(|count| match count {
            0 => Filled::End,
            _ => Filled::More,
        }))
    }

    fn end(incoming: &BodyReader) -> Result<(), FlowError> {
        match incoming {
            BodyReader::UntilClose => Ok(()),
            BodyReader::Length(_) | BodyReader::Chunked(_) => Err(FlowError::Truncated),
        }
    }

    fn trailers(incoming: &BodyReader, out: &mut impl FieldSink) -> Result<(), ChunkError> {
        headers::trailers(out, incoming.trailers())
    }

    fn release_if_empty(&mut self, buffers: &Buffers) {
        buffers.release_if_empty(&mut self.input);
    }
}

impl<S: AsyncWrite + Unpin> Sink for Wire<S> {
    type Outgoing = Written;

    fn poll_write(
        &mut self,
        message: &mut Written,
        from: &mut impl Source,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        message.poll_write(&mut self.stream, from, cx)
    }

    fn poll_finish(
        &mut self,
        _message: &mut Written,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn flush_partial(&mut self, message: &mut Written, cx: &mut Context<'_>) -> io::Result<()> {
        // What was written must not wait in a TLS record for the rest of the body.
        if message.unflushed && Pin::new(&mut self.stream).poll_flush(cx)?.is_ready() {
            message.unflushed = false;
        }
        Ok(())
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    /// As it is: the length is known, or the connection ends with it.
    Plain,
    /// In chunks.
    Chunked,
}

/// A message that is written as HTTP/1.
#[derive(Debug)]
pub(crate) struct Written {
    coding: Coding,
    /// The head, then encoded body, not all of it written yet.
    pending: Vec<u8>,
    written: usize,
    /// Written bytes stay in `pending`, as long as it is no longer than this.
    kept: Option<usize>,
    /// So many bytes at the front of what was read are body, to be written from where they are.
    direct: usize,
    unflushed: bool,
    accepted: u64,
}

impl Written {
    /// A message whose head is `head` and whose body leaves by `coding`.
    pub(crate) fn new(head: Vec<u8>, coding: Coding) -> Self {
        Self {
            coding,
            pending: head,
            written: 0,
            kept: None,
            direct: 0,
            unflushed: false,
            accepted: 0,
        }
    }

    fn put_plain<S: Source>(
        &mut self,
        from: &mut S,
        incoming: &mut S::Incoming,
        moved: &mut u64,
    ) -> Result<bool, ChunkError> {
        if self.direct > 0 {
            return Ok(false);
        }
        // A body that begins in the head's packet leaves in the head's packet.
        if self.written < self.pending.len() || self.kept.is_some() || S::is_framed(incoming) {
            return self.copy(from, incoming, moved);
        }
        let decoded = from.decode(incoming)?;
        self.direct = decoded.data.len();
        *moved += decoded.data.len() as u64;
        Ok(decoded.done)
    }

    fn copy<S: Source>(
        &mut self,
        from: &mut S,
        incoming: &mut S::Incoming,
        moved: &mut u64,
    ) -> Result<bool, ChunkError> {
        let most = self.kept.unwrap_or(0) + 2 * BUFFER;
        while !from.unread().is_empty() && self.pending.len() < most {
            let decoded = from.decode(incoming)?;
            *moved += decoded.data.len() as u64;
            let data = from.unread().get(decoded.data).unwrap_or_default();
            self.pending.extend_from_slice(data);
            from.consume(decoded.consumed);
            if decoded.done {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn poll_write(
        &mut self,
        to: &mut (impl AsyncWrite + Unpin),
        from: &mut impl Source,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while let Some(rest @ [_, ..]) = self.pending.get(self.written..) {
            let count = ready!(Pin::new(&mut *to).poll_write(cx, rest))?;
            self.count(count)?;
            self.written += count;
        }
        self.kept.take_if(|most| self.written > *most);
        if self.kept.is_none() {
            self.pending.clear();
            self.written = 0;
        }
        while self.direct > 0 {
            let rest = from.unread().get(..self.direct).unwrap_or_default();
            let count = ready!(Pin::new(&mut *to).poll_write(cx, rest))?;
            self.count(count)?;
            self.direct -= count;
            from.consume(count);
        }
        Poll::Ready(Ok(()))
    }

    fn count(&mut self, count: usize) -> io::Result<()> {
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.accepted += count as u64;
        self.unflushed = true;
        Ok(())
    }
}

impl Outgoing for Written {
    fn put<S: Source>(
        &mut self,
        from: &mut S,
        incoming: &mut S::Incoming,
        moved: &mut u64,
    ) -> Result<bool, ChunkError> {
        match self.coding {
            Coding::Plain => self.put_plain(from, incoming, moved),
            Coding::Chunked => {
                let chunk = OpenChunk::begin(&mut self.pending);
                let copied = self.copy(from, incoming, moved);
                chunk.end(&mut self.pending);
                copied
            }
        }
    }

    fn finish<S: Source>(&mut self, incoming: &S::Incoming) -> Result<(), ChunkError> {
        if self.coding == Coding::Chunked {
            self.pending.extend_from_slice(b"0\r\n");
            S::trailers(incoming, &mut self.pending)?;
            self.pending.extend_from_slice(b"\r\n");
        }
        Ok(())
    }

    fn nothing_accepted(&self) -> bool {
        self.accepted == 0
    }

    fn keep(&mut self) {
        self.kept = Some(self.pending.len() + MAX_REPLAYED);
    }

    fn keep_no_more(&mut self) {
        self.kept = None;
    }

    fn is_kept(&self) -> bool {
        self.kept.is_some()
    }

    fn again(&mut self) {
        self.written = 0;
        self.accepted = 0;
        self.unflushed = false;
    }

    fn give_back_room(&mut self, buffers: &Buffers) {
        if self.kept.is_none() && self.pending.is_empty() && self.pending.capacity() > 0 {
            buffers.take_back_room(std::mem::take(&mut self.pending));
        }
    }

    fn recycle(self, buffers: &Buffers) {
        buffers.take_back_room(self.pending);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::flow::Flow;
    use crate::memory::WorkerMemory;
    use std::future::poll_fn;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    /// Sends `input` through a flow in one piece and gives what came out and what was left over.
    async fn through(
        input: &[u8],
        framing: Framing,
        coding: Coding,
    ) -> (Result<(), FlowError>, Vec<u8>, Vec<u8>) {
        let (mut sender, from) = duplex(64 * 1024);
        let (to, mut receiver) = duplex(1024);
        let input = input.to_vec();
        let sending = tokio::spawn(async move {
            let _ = sender.write_all(&input).await;
        });
        let receiving = tokio::spawn(async move {
            let mut out = Vec::new();
            receiver.read_to_end(&mut out).await.unwrap();
            out
        });
        let (result, rest) = run(from, to, framing, coding).await;
        sending.await.unwrap();
        (result, receiving.await.unwrap(), rest)
    }

    fn wire(stream: DuplexStream) -> Wire<DuplexStream> {
        let input = None;
        Wire { stream, input }
    }

    fn flow(framing: Framing, coding: Coding) -> Flow<BodyReader, Written> {
        let written = Written::new(b"HEAD|".to_vec(), coding);
        Flow::new::<Wire<DuplexStream>>(framing, written)
    }

    async fn run(
        from: DuplexStream,
        to: DuplexStream,
        framing: Framing,
        coding: Coding,
    ) -> (Result<(), FlowError>, Vec<u8>) {
        let (mut from, mut to) = (wire(from), wire(to));
        let mut flow = flow(framing, coding);
        let buffers = Buffers::new(WorkerMemory::unlimited());
        let result = poll_fn(|cx| flow.poll(cx, &mut from, &mut to, &buffers)).await;
        (result, from.unread().to_vec())
    }

    #[tokio::test]
    async fn a_body_of_known_length_ends_where_it_says() {
        let (result, out, rest) = through(b"helloGET", Framing::Length(5), Coding::Plain).await;
        assert!(result.is_ok());
        assert_eq!((&out[..], &rest[..]), (&b"HEAD|hello"[..], &b"GET"[..]));
    }

    #[tokio::test]
    async fn a_large_body_passes_a_small_pipe() {
        let body: Vec<u8> = (0..200_000u32).map(|index| (index % 251) as u8).collect();
        let framing = Framing::Length(body.len() as u64);
        let (result, out, _) = through(&body, framing, Coding::Plain).await;
        assert!(result.is_ok());
        assert!(out[5..] == body[..]);
    }

    #[tokio::test]
    async fn chunks_are_joined_and_taken_off() {
        let input = b"2\r\nab\r\n3\r\ncde\r\n0\r\nX-T: 1\r\nHost: x\r\n\r\nGET";
        let (_, out, rest) = through(input, Framing::Chunked, Coding::Chunked).await;
        assert_eq!(out, b"HEAD|0005\r\nabcde\r\n0\r\nX-T: 1\r\n\r\n");
        assert_eq!(rest, b"GET");
        let (_, out, _) = through(input, Framing::Chunked, Coding::Plain).await;
        assert_eq!(out, b"HEAD|abcde");
    }

    #[tokio::test]
    async fn a_body_until_close_gets_an_end_of_its_own() {
        let (result, out, _) = through(b"abc", Framing::UntilClose, Coding::Chunked).await;
        assert!(result.is_ok());
        assert_eq!(out, b"HEAD|0003\r\nabc\r\n0\r\n\r\n");
    }

    #[tokio::test]
    async fn what_is_cut_short_never_ends_cleanly() {
        for (input, framing) in [
            (&b"abc"[..], Framing::Length(5)),
            (&b"5\r\nabc"[..], Framing::Chunked),
            (&b"3\r\nabc\r\n"[..], Framing::Chunked),
        ] {
            let (result, out, _) = through(input, framing, Coding::Chunked).await;
            assert!(matches!(result, Err(FlowError::Truncated)), "{framing:?}");
            assert!(!out.ends_with(b"0\r\n\r\n"), "{framing:?}");
        }
    }

    /// Sends a kept flow twice and returns both outputs.
    async fn twice(body: &[u8], framing: Framing, coding: Coding) -> (Vec<u8>, Option<Vec<u8>>) {
        let (mut sender, from) = duplex(body.len().max(1));
        sender.write_all(body).await.unwrap();
        let mut from = wire(from);
        let mut flow = flow(framing, coding);
        flow.keep();
        let buffers = Buffers::new(WorkerMemory::unlimited());
        let mut received = Vec::new();
        for _ in 0..2 {
            let (to, mut receiver) = duplex(1024 * 1024);
            let mut to = wire(to);
            let sent = poll_fn(|cx| flow.poll(cx, &mut from, &mut to, &buffers)).await;
            sent.unwrap();
            drop(to);
            let mut out = Vec::new();
            receiver.read_to_end(&mut out).await.unwrap();
            received.push(out);
            if !flow.can_be_sent_again() {
                break;
            }
            flow = flow.again();
        }
        let mut received = received.into_iter();
        (received.next().unwrap(), received.next())
    }

    #[tokio::test]
    async fn what_is_kept_can_be_sent_again_unless_it_is_long() {
        let (first, second) = twice(b"hello", Framing::Length(5), Coding::Plain).await;
        assert_eq!((&*first, second), (&b"HEAD|hello"[..], Some(first.clone())));
        let chunks = b"2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n";
        let (first, second) = twice(chunks, Framing::Chunked, Coding::Chunked).await;
        assert_eq!(second, Some(first));
        for (length, expected) in [(MAX_REPLAYED, true), (MAX_REPLAYED + 1, false)] {
            let body = vec![b'x'; length];
            let framing = Framing::Length(length as u64);
            let (first, second) = twice(&body, framing, Coding::Plain).await;
            assert_eq!(first.len(), 5 + length);
            assert_eq!(second.is_some(), expected, "{length}");
        }
    }

    #[tokio::test]
    async fn passes_data_before_a_malformed_chunk() {
        let (result, _, _) = through(b"3\r\nabcX", Framing::Chunked, Coding::Chunked).await;
        assert!(matches!(result, Err(FlowError::Malformed(_))));
    }
}
