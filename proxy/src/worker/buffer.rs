//! Buffers that belong to a worker and are lent to a connection while it has something to read.

use crate::memory::{Charge, Lent, MemoryPressure, WorkerMemory};
use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, ReadBuf};

/// Size of a buffer: the most that one read takes; a head usually fits in it.
pub(crate) const BUFFER: usize = 16 * 1024;
/// How many free buffers a worker keeps; more are given back to the allocator.
const SPARE: usize = 256;

/// Bytes that were read and not used yet.
#[derive(Debug)]
pub(crate) struct Buffer {
    /// Always initialised, so that reading into it needs no unsafe code and no clearing.
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
    charge: Charge,
    /// A connection has it.
    lent: bool,
}

impl Buffer {
    fn new(capacity: usize, memory: &Rc<WorkerMemory>) -> Self {
        memory.lend();
        Self {
            bytes: vec![0; capacity].into(),
            start: 0,
            end: 0,
            charge: memory.charge(capacity),
            lent: true,
        }
    }

    /// Returns the unread bytes.
    pub(crate) fn unread(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// The same, to be changed where it stands.
    pub(crate) fn unread_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.start..self.end).unwrap_or_default()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Uses up the first bytes.
    pub(crate) fn consume(&mut self, count: usize) {
        self.start += count.min(self.end - self.start);
        if self.is_empty() {
            self.clear();
        }
    }

    fn clear(&mut self) {
        self.start = 0;
        self.end = 0;
    }

    /// Returns whether nothing more can be read before something is used.
    pub(crate) fn is_full(&self) -> bool {
        self.end - self.start == self.bytes.len()
    }

    /// Makes room for a message head that does not fit.
    pub(crate) fn grow(&mut self, capacity: usize) {
        if capacity > self.bytes.len() {
            let mut larger = Self::new(capacity, self.charge.memory());
            let unread = self.unread();
            larger.end = unread.len();
            if let Some(front) = larger.bytes.get_mut(..unread.len()) {
                front.copy_from_slice(unread);
            }
            *self = larger;
        }
    }

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
    ) -> Poll<io::Result<usize>> {
        if self.start > 0 && self.end == self.bytes.len() {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let room = self.bytes.get_mut(self.end..).unwrap_or_default();
        let mut read = ReadBuf::new(room);
        ready!(Pin::new(from).poll_read(cx, &mut read))?;
        let count = read.filled().len();
        self.end += count;
        Poll::Ready(Ok(count))
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.lent {
            self.charge.memory().give_back();
        }
    }
}

/// The free buffers of one worker.
#[derive(Debug)]
pub(crate) struct Buffers {
    memory: Rc<WorkerMemory>,
    free: RefCell<Vec<Buffer>>,
    /// Empty vectors that heads were written to.
    rooms: RefCell<Vec<Vec<u8>>>,
}

impl Buffers {
    /// Buffers that are counted there.
    pub(crate) fn new(memory: Rc<WorkerMemory>) -> Self {
        Self {
            memory,
            free: RefCell::default(),
            rooms: RefCell::default(),
        }
    }

    fn lend(&self) -> Buffer {
        match self.free.borrow_mut().pop() {
            Some(mut spare) => {
                spare.lent = true;
                self.memory.lend();
                spare
            }
            None => Buffer::new(BUFFER, &self.memory),
        }
    }

    /// Returns whether a body may be read that does not need one of these buffers; if not, its task is woken
    /// when it is worth asking again.
    pub(crate) fn may_lend(&self, cx: &Context<'_>) -> bool {
        self.memory.may_lend(cx, MemoryPressure::HoldUp)
    }

    /// Counts what was read of such a body.
    pub(crate) fn lend_room(&self) -> Lent {
        Lent::new(&self.memory)
    }

    /// Takes back a buffer that is no longer read from, whatever it still holds.
    pub(crate) fn take_back(&self, mut buffer: Buffer) {
        let mut free = self.free.borrow_mut();
        let spare = free.len() < SPARE && self.memory.pressure() == MemoryPressure::Normal;
        if spare && buffer.bytes.len() == BUFFER {
            buffer.clear();
            buffer.lent = false;
            free.push(buffer);
            self.memory.give_back();
        }
    }

    /// An empty vector to write a head to.
    pub(crate) fn room(&self) -> Vec<u8> {
        let spare = self.rooms.borrow_mut().pop();
        spare.unwrap_or_else(|| Vec::with_capacity(1024))
    }

    /// Takes back a vector, whatever it still holds.
    pub(crate) fn take_back_room(&self, mut room: Vec<u8>) {
        let mut rooms = self.rooms.borrow_mut();
        if rooms.len() < SPARE && room.capacity() <= 4 * BUFFER {
            room.clear();
            rooms.push(room);
        }
    }

    /// Returns an empty buffer back.
    pub(crate) fn release_if_empty(&self, slot: &mut Option<Buffer>) {
        if let Some(empty) = slot.take_if(|buffer| buffer.is_empty()) {
            self.take_back(empty);
        }
    }

    /// As [`Self::poll_fill`], for heads: when there is next to no memory, new buffers are lent to a few of
    /// them only, each in its turn.
    pub(crate) fn poll_fill_head(
        &self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        slot: &mut Option<Buffer>,
    ) -> Poll<io::Result<usize>> {
        if slot.is_some() || self.memory.may_lend(cx, MemoryPressure::Pause) {
            self.poll_fill(cx, from, slot)
        } else {
            Poll::Pending
        }
    }

    /// As [`Self::poll_fill`], for bodies: while memory is short, new buffers are lent to a few of them
    /// only, each in its turn. Returns `None` when it is that which is waited for.
    pub(crate) fn poll_fill_body(
        &self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        slot: &mut Option<Buffer>,
    ) -> Option<Poll<io::Result<usize>>> {
        let lends = slot.is_some() || self.may_lend(cx);
        lends.then(|| self.poll_fill(cx, from, slot))
    }

    /// Reads what is there into `slot`, or 0 at the end of the stream. While nothing is there
    /// the reader holds no buffer: an idle connection costs no I/O memory.
    ///
    /// The buffer must not be full.
    pub(crate) fn poll_fill(
        &self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        slot: &mut Option<Buffer>,
    ) -> Poll<io::Result<usize>> {
        let buffer = slot.get_or_insert_with(|| self.lend());
        let polled = buffer.poll_read(cx, from);
        if !matches!(polled, Poll::Ready(Ok(1..))) {
            self.release_if_empty(slot);
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncWriteExt, duplex};

    fn buffers() -> Buffers {
        Buffers::new(WorkerMemory::unlimited())
    }

    async fn fill(
        buffers: &Buffers,
        from: &mut (impl AsyncRead + Unpin),
        slot: &mut Option<Buffer>,
    ) -> usize {
        std::future::poll_fn(|cx| buffers.poll_fill(cx, from, slot))
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn a_reader_that_waits_holds_no_buffer() {
        let (mut near, mut far) = duplex(64);
        let buffers = buffers();
        let mut slot = None;
        let waiting =
            std::future::poll_fn(|cx| Poll::Ready(buffers.poll_fill(cx, &mut near, &mut slot)));
        assert!(waiting.await.is_pending());
        assert!(slot.is_none());
        far.write_all(b"hello").await.unwrap();
        assert_eq!(fill(&buffers, &mut near, &mut slot).await, 5);
        assert_eq!(slot.as_ref().unwrap().unread(), b"hello");
    }

    #[tokio::test]
    async fn room_at_the_front_is_used_before_a_buffer_counts_as_full() {
        let (mut near, mut far) = duplex(64 * 1024);
        let buffers = buffers();
        let mut slot = None;
        far.write_all(&vec![b'a'; BUFFER]).await.unwrap();
        assert_eq!(fill(&buffers, &mut near, &mut slot).await, BUFFER);
        assert!(slot.as_ref().unwrap().is_full());
        slot.as_mut().unwrap().consume(10);
        far.write_all(b"0123456789").await.unwrap();
        assert_eq!(fill(&buffers, &mut near, &mut slot).await, 10);
        assert!(slot.as_ref().unwrap().unread().ends_with(b"a0123456789"));
    }

    #[test]
    fn growing_keeps_what_is_unread() {
        let mut buffer = Buffer::new(4, &buffers().memory);
        buffer.bytes.copy_from_slice(b"abcd");
        buffer.end = 4;
        buffer.consume(1);
        buffer.grow(16);
        assert_eq!((buffer.unread(), buffer.is_full()), (&b"bcd"[..], false));
    }
}
