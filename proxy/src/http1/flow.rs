//! A message on its way from one side to the other: its head, already written, then its body,
//! read by one framing and written by another, in bounded memory.

use crate::worker::buffer::{BUFFER, Buffer, Buffers};
use portolan_proxy_core::body::{BodyReader, Framing};
use portolan_proxy_core::chunk::{ChunkError, OpenChunk};
use portolan_proxy_core::edit;
use portolan_proxy_core::retry::MAX_REPLAYED;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    /// As it is: the length is known, or the connection ends with it.
    Plain,
    /// In chunks.
    Chunked,
}

/// What ended a flow early.
#[derive(Debug, Error)]
pub(crate) enum FlowError {
    /// The side that sends the message.
    #[error("reading: {0}")]
    Read(io::Error),
    /// The side that sends the message closed before its end.
    #[error("the body was cut short")]
    Truncated,
    /// The chunked coding was broken.
    #[error("{0}")]
    Malformed(#[from] ChunkError),
    /// The side that receives the message.
    #[error("writing: {0}")]
    Write(io::Error),
}

/// Whom a flow waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitsFor {
    Sender,
    Receiver,
    /// Neither: there is no memory to read into.
    Memory,
}

/// One message under way.
#[derive(Debug)]
pub(crate) struct Flow {
    body: BodyReader,
    coding: Coding,
    /// The head, then encoded body, not all of it written yet.
    pending: Vec<u8>,
    written: usize,
    /// What was written stays in `pending`, as long as it is no longer than this.
    kept: Option<usize>,
    /// So many bytes at the front of the input are body, to be written from where they are.
    direct: usize,
    ended: bool,
    unflushed: bool,
    waits_for: WaitsFor,
    accepted: u64,
    moved: u64,
}

impl Flow {
    /// A message whose head is `head`; its body arrives by `framing` and leaves by `coding`.
    pub(crate) fn new(head: Vec<u8>, framing: Framing, coding: Coding) -> Self {
        Self {
            body: framing.into(),
            coding,
            pending: head,
            written: 0,
            kept: None,
            direct: 0,
            ended: framing.is_empty(),
            unflushed: false,
            waits_for: WaitsFor::Receiver,
            accepted: 0,
            moved: 0,
        }
    }

    /// Body bytes so far.
    pub(crate) fn moved(&self) -> u64 {
        self.moved
    }

    /// Whether the receiver has taken nothing yet, not even of the head.
    pub(crate) fn nothing_accepted(&self) -> bool {
        self.accepted == 0
    }

    /// Keeps what is sent, so that it can be sent again; a long body ends that.
    pub(crate) fn keep(&mut self) {
        self.kept = Some(self.pending.len() + MAX_REPLAYED);
    }

    /// Lets what was sent go.
    pub(crate) fn keep_no_more(&mut self) {
        self.kept = None;
    }

    /// Whether all that was sent is still there.
    pub(crate) fn can_be_sent_again(&self) -> bool {
        self.kept.is_some() || self.accepted == 0
    }

    /// The same message for another receiver, from its beginning.
    pub(crate) fn again(self) -> Self {
        Self {
            written: 0,
            accepted: 0,
            unflushed: false,
            ..self
        }
    }

    /// Whom the last poll waited for.
    pub(crate) fn waits_for(&self) -> WaitsFor {
        self.waits_for
    }

    /// The vector that carried the head, for the next one.
    pub(crate) fn into_room(self) -> Vec<u8> {
        self.pending
    }

    /// Gives back the vector that carried the head, once nothing in it is needed: what comes after it
    /// passes without one.
    pub(crate) fn give_back_room(&mut self, buffers: &Buffers) {
        if self.kept.is_none() && self.pending.is_empty() && self.pending.capacity() > 0 {
            buffers.take_back_room(std::mem::take(&mut self.pending));
        }
    }

    /// Moves as much as can be moved. Ready when the message is through, to its last byte flushed.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        input: &mut Option<Buffer>,
        to: &mut (impl AsyncWrite + Unpin),
        buffers: &Buffers,
    ) -> Poll<Result<(), FlowError>> {
        loop {
            if let Some(buffer) = input.as_mut().filter(|_| !self.ended) {
                self.encode(buffer)?;
            }
            self.waits_for = WaitsFor::Receiver;
            ready!(self.poll_write(cx, to, input)).map_err(FlowError::Write)?;
            buffers.tidy(input);
            if self.ended {
                ready!(Pin::new(&mut *to).poll_flush(cx)).map_err(FlowError::Write)?;
                return Poll::Ready(Ok(()));
            }
            if input.is_some() {
                continue;
            }
            self.waits_for = WaitsFor::Sender;
            let filled = buffers.poll_fill_body(cx, from, input).unwrap_or_else(|| {
                self.waits_for = WaitsFor::Memory;
                Poll::Pending
            });
            match filled {
                Poll::Ready(Ok(0)) => self.end_of_stream()?,
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(FlowError::Read(error))),
                Poll::Pending => {
                    // What was written must not wait in a TLS record for the rest of the body.
                    if self.unflushed {
                        let flushed = Pin::new(&mut *to).poll_flush(cx);
                        if flushed.map_err(FlowError::Write)?.is_ready() {
                            self.unflushed = false;
                        }
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    /// Turns input into bytes to write, up to about a buffer full.
    fn encode(&mut self, input: &mut Buffer) -> Result<(), FlowError> {
        match self.coding {
            Coding::Plain => self.encode_plain(input),
            Coding::Chunked => {
                let chunk = OpenChunk::begin(&mut self.pending);
                let copied = self.copy(input);
                chunk.end(&mut self.pending);
                copied?;
                if self.ended {
                    edit::trailers(&mut self.pending, self.body.trailers())?;
                }
                Ok(())
            }
        }
    }

    fn encode_plain(&mut self, input: &mut Buffer) -> Result<(), FlowError> {
        if self.direct > 0 {
            return Ok(());
        }
        // A body that begins in the head's packet leaves in the head's packet.
        if self.written < self.pending.len()
            || self.kept.is_some()
            || matches!(self.body, BodyReader::Chunked(_))
        {
            return self.copy(input);
        }
        if !input.is_empty() {
            let decoded = self.body.decode(input.unread())?;
            self.direct = decoded.data.len();
            self.moved += decoded.data.len() as u64;
            self.ended = decoded.done;
        }
        Ok(())
    }

    fn copy(&mut self, input: &mut Buffer) -> Result<(), FlowError> {
        let most = self.kept.unwrap_or(0) + 2 * BUFFER;
        while !self.ended && !input.is_empty() && self.pending.len() < most {
            let decoded = self.body.decode(input.unread())?;
            self.moved += decoded.data.len() as u64;
            let data = input.unread().get(decoded.data).unwrap_or_default();
            self.pending.extend_from_slice(data);
            input.consume(decoded.consumed);
            self.ended = decoded.done;
        }
        Ok(())
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut (impl AsyncWrite + Unpin),
        input: &mut Option<Buffer>,
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
            let Some(buffer) = input else { break };
            let rest = buffer.unread().get(..self.direct).unwrap_or_default();
            let count = ready!(Pin::new(&mut *to).poll_write(cx, rest))?;
            self.count(count)?;
            self.direct -= count;
            buffer.consume(count);
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

    fn end_of_stream(&mut self) -> Result<(), FlowError> {
        if !matches!(self.body, BodyReader::UntilClose) {
            return Err(FlowError::Truncated);
        }
        self.ended = true;
        if self.coding == Coding::Chunked {
            edit::trailers(&mut self.pending, &[])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Account;
    use std::future::poll_fn;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    /// Sends `input` through a flow in one piece and gives what came out and what was left over.
    async fn through(
        input: &[u8],
        framing: Framing,
        coding: Coding,
    ) -> (Result<(), FlowError>, Vec<u8>, Vec<u8>) {
        let (mut sender, mut from) = duplex(64 * 1024);
        let (mut to, mut receiver) = duplex(1024);
        let input = input.to_vec();
        let sending = tokio::spawn(async move {
            let _ = sender.write_all(&input).await;
        });
        let receiving = tokio::spawn(async move {
            let mut out = Vec::new();
            receiver.read_to_end(&mut out).await.unwrap();
            out
        });
        let (result, rest) = run(&mut from, &mut to, framing, coding).await;
        drop((from, to));
        sending.await.unwrap();
        (result, receiving.await.unwrap(), rest)
    }

    async fn run(
        from: &mut DuplexStream,
        to: &mut DuplexStream,
        framing: Framing,
        coding: Coding,
    ) -> (Result<(), FlowError>, Vec<u8>) {
        let mut flow = Flow::new(b"HEAD|".to_vec(), framing, coding);
        let buffers = Buffers::new(Account::unlimited());
        let mut slot = None;
        let result = poll_fn(|cx| flow.poll(cx, from, &mut slot, to, &buffers)).await;
        (
            result,
            slot.map_or(Vec::new(), |rest| rest.unread().to_vec()),
        )
    }

    #[tokio::test]
    async fn a_body_of_known_length_ends_where_it_says() {
        let (result, out, rest) = through(b"helloGET", Framing::Length(5), Coding::Plain).await;
        assert!(result.is_ok());
        assert_eq!((&out[..], &rest[..]), (&b"HEAD|hello"[..], &b"GET"[..]));
    }

    #[tokio::test]
    async fn a_large_body_passes_a_small_pipe() {
        let body: Vec<u8> = (0..200_000u32).map(|it| (it % 251) as u8).collect();
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

    /// What a receiver gets of a kept flow, the first time and again.
    async fn twice(body: &[u8], framing: Framing, coding: Coding) -> (Vec<u8>, Option<Vec<u8>>) {
        let (mut sender, mut from) = duplex(body.len().max(1));
        sender.write_all(body).await.unwrap();
        let mut flow = Flow::new(b"HEAD|".to_vec(), framing, coding);
        flow.keep();
        let buffers = Buffers::new(Account::unlimited());
        let mut slot = None;
        let mut received = Vec::new();
        for _ in 0..2 {
            let (mut to, mut receiver) = duplex(1024 * 1024);
            let sent = poll_fn(|cx| flow.poll(cx, &mut from, &mut slot, &mut to, &buffers)).await;
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
    async fn data_before_a_broken_chunk_passes_and_the_break_is_told() {
        let (result, _, _) = through(b"3\r\nabcX", Framing::Chunked, Coding::Chunked).await;
        assert!(matches!(result, Err(FlowError::Malformed(_))));
    }
}
