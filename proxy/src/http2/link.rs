//! The byte stream below a connection of HTTP/2. Writes gather until every task that has something
//! to send in this turn of the worker's loop has sent it, and leave in one call: a write for each
//! frame would cost more than all that is in them.

use crate::clock;
use crate::http2::frame_progress::FrameProgress;
use crate::worker::Worker;
use crate::worker::buffer::Buffer;
use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// From this size on a write goes out at once: gathering would copy it for nothing.
const LARGE: usize = 16 * 1024;
/// How much may gather while the other side takes nothing.
const MOST: usize = 64 * 1024;

/// A byte stream that two hold on to: the codec, which reads and writes, and the task that sees to it
/// that what was written leaves.
#[derive(Debug)]
pub(crate) struct Link<S>(Rc<RefCell<Inner<S>>>);

#[derive(Debug)]
struct Inner<S> {
    worker: Rc<Worker>,
    stream: S,
    /// Bytes read before the codec was set up.
    ahead: Option<Buffer>,
    gathered: Vec<u8>,
    written: usize,
    /// It has been seen in one turn that something gathers; in the next it leaves.
    seen: bool,
    read_at: Option<Instant>,
    /// Of a client, which may begin what it never finishes.
    frame_progress: Option<FrameProgress>,
}

impl<S> Clone for Link<S> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link<S> {
    /// Over a stream of which `ahead` was read already.
    pub(crate) fn new(worker: Rc<Worker>, stream: S, ahead: Option<Buffer>) -> Self {
        Self(Rc::new(RefCell::new(Inner {
            worker,
            stream,
            ahead,
            gathered: Vec::new(),
            written: 0,
            seen: false,
            read_at: None,
            frame_progress: None,
        })))
    }

    /// The same, following what the other side begins.
    pub(crate) fn of_client(worker: Rc<Worker>, stream: S, ahead: Option<Buffer>) -> Self {
        let link = Self::new(worker, stream, ahead);
        link.0.borrow_mut().frame_progress = Some(FrameProgress::new(clock::now()));
        link
    }

    /// Since when something is unfinished that the other side began.
    pub(crate) fn unfinished_since(&self) -> Option<Instant> {
        self.0.borrow().frame_progress.as_ref()?.since()
    }

    /// When something was last read.
    pub(crate) fn read_at(&self) -> Option<Instant> {
        self.0.borrow().read_at
    }

    /// Sends off what has gathered, a turn after it began to. Called by each poll of the connection's
    /// task after it has nothing else to do.
    pub(crate) fn poll_send_off(&self, cx: &mut Context<'_>) -> io::Result<()> {
        let mut inner = self.0.borrow_mut();
        if inner.is_empty() {
            return Ok(());
        }
        if !inner.seen {
            inner.seen = true;
            // Behind all tasks that have been woken by now.
            cx.waker().wake_by_ref();
            return Ok(());
        }
        match inner.poll_drain(cx) {
            Poll::Ready(drained) => drained,
            Poll::Pending => Ok(()),
        }
    }

    /// Returns the stream, unless another clone exists.
    pub(crate) fn into_stream(self) -> Option<S> {
        Rc::try_unwrap(self.0)
            .ok()
            .map(|inner| inner.into_inner().stream)
    }
}

impl<S: AsyncWrite + Unpin> Inner<S> {
    fn is_empty(&self) -> bool {
        self.written == self.gathered.len()
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest @ [_, ..]) = self.gathered.get(self.written..) {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.written += count,
            }
        }
        let room = std::mem::take(&mut self.gathered);
        self.worker.buffers.take_back_room(room);
        self.written = 0;
        self.seen = false;
        Pin::new(&mut self.stream).poll_flush(cx)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Link<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let inner = &mut *self.0.borrow_mut();
        let before = into.filled().len();
        if let Some(ahead) = &mut inner.ahead {
            let count = ahead.unread().len().min(into.remaining());
            into.put_slice(ahead.unread().get(..count).unwrap_or_default());
            ahead.consume(count);
            if ahead.is_empty() {
                inner.ahead = None;
            }
        } else {
            ready!(Pin::new(&mut inner.stream).poll_read(cx, into))?;
        }
        let now = clock::now();
        inner.read_at = Some(now);
        if let Some(frame_progress) = &mut inner.frame_progress {
            frame_progress.read(into.filled().get(before..).unwrap_or_default(), now);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> Inner<S> {
    /// Makes way for a write of this length. Ready with whether it goes out at once.
    fn poll_make_way(&mut self, cx: &mut Context<'_>, length: usize) -> Poll<io::Result<bool>> {
        let gathered = self.gathered.len() - self.written;
        if gathered > 0 && gathered + length > LARGE && self.poll_drain(cx)?.is_pending() {
            return if gathered + length > MOST {
                Poll::Pending
            } else {
                Poll::Ready(Ok(false))
            };
        }
        Poll::Ready(Ok(length >= LARGE))
    }

    fn gather(&mut self, bytes: &[u8]) {
        if self.gathered.capacity() == 0 {
            self.gathered = self.worker.buffers.room();
        }
        self.gathered.extend_from_slice(bytes);
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Link<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut inner = self.0.borrow_mut();
        if ready!(inner.poll_make_way(cx, bytes.len()))? {
            return Pin::new(&mut inner.stream).poll_write(cx, bytes);
        }
        inner.gather(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut inner = self.0.borrow_mut();
        let length = parts.iter().map(|part| part.len()).sum();
        if ready!(inner.poll_make_way(cx, length))? {
            return Pin::new(&mut inner.stream).poll_write_vectored(cx, parts);
        }
        for part in parts {
            inner.gather(part);
        }
        Poll::Ready(Ok(length))
    }

    /// A frame's head and its payload leave together.
    fn is_write_vectored(&self) -> bool {
        true
    }

    /// It leaves by itself.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.borrow_mut();
        ready!(inner.poll_drain(cx))?;
        Pin::new(&mut inner.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryBudget;
    use std::future::poll_fn;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    fn link(room: usize) -> (Link<DuplexStream>, DuplexStream) {
        let (near, far) = duplex(room);
        let worker = Rc::new(Worker::alone(MemoryBudget::new(None)));
        (Link::new(worker, near, None), far)
    }

    async fn at_hand(far: &mut DuplexStream) -> usize {
        let mut into = vec![0; 256 * 1024];
        let mut read = ReadBuf::new(&mut into);
        let _ = poll_fn(|cx| Poll::Ready(Pin::new(&mut *far).poll_read(cx, &mut read))).await;
        read.filled().len()
    }

    async fn turn(link: &Link<DuplexStream>) {
        poll_fn(|cx| Poll::Ready(link.poll_send_off(cx)))
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn writes_of_one_turn_leave_together_in_the_next() {
        let (mut link, mut far) = link(1024);
        link.write_all(b"one").await.unwrap();
        turn(&link).await;
        link.write_all(b"two").await.unwrap();
        link.flush().await.unwrap();
        assert_eq!(at_hand(&mut far).await, 0);
        turn(&link).await;
        assert_eq!(at_hand(&mut far).await, 6);
        turn(&link).await;
        assert_eq!(at_hand(&mut far).await, 0);
    }

    #[tokio::test]
    async fn large_write_leaves_at_once_and_in_order() {
        let (mut link, mut far) = link(256 * 1024);
        link.write_all(&[1; LARGE]).await.unwrap();
        assert_eq!(at_hand(&mut far).await, LARGE);
        link.write_all(&[2]).await.unwrap();
        link.write_all(&[3; LARGE]).await.unwrap();
        let mut first = [0];
        far.read_exact(&mut first).await.unwrap();
        assert_eq!(first, [2]);
    }

    #[tokio::test]
    async fn what_gathers_is_bounded_and_the_end_leaves_nothing_behind() {
        let (mut link, mut far) = link(1);
        let mut written = 0;
        let piece = [7; 1000];
        loop {
            let polled = poll_fn(|cx| Poll::Ready(Pin::new(&mut link).poll_write(cx, &piece)));
            match polled.await {
                Poll::Ready(count) => written += count.unwrap(),
                Poll::Pending => break,
            }
        }
        assert!((MOST - 1000..=MOST + 1).contains(&written), "{written}");
        let mut got = Vec::new();
        let (closed, read) = tokio::join!(link.shutdown(), far.read_to_end(&mut got));
        closed.unwrap();
        read.unwrap();
        assert_eq!(got.len(), written);
    }
}
