//! A client's connection that speaks HTTP/2, from its preface to its close.

use crate::clock;
use crate::exchange::timer::Timer;
use crate::host::Negotiated;
use crate::http2::link::Link;
use crate::http2::{CONNECTION_WINDOW, SEND_BUFFER, STREAM_WINDOW, STREAMS};
use crate::memory::MemoryPressure;
use crate::server::http2_stream::{self, Common};
use crate::transport::Transport;
use crate::worker::Worker;
use crate::worker::buffer::Buffer;
use crate::worker::idle::Waiting;
use crate::worker::linger::linger;
use bytes::Bytes;
use h2::Reason as Code;
use h2::server::Connection;
use portolan_proxy_core::scan::MAX_HEAD;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use tokio::task::spawn_local;
use tokio::time::{Instant, timeout};

/// Serves a connection of which `ahead` was read already.
pub(crate) async fn serve<S: Transport>(
    worker: Rc<Worker>,
    stream: S,
    ahead: Option<Buffer>,
    client: Rc<str>,
    negotiated: Option<Negotiated>,
) {
    let link = Link::of_client(Rc::clone(&worker), stream, ahead);
    let mut handshaking = h2::server::Builder::new();
    handshaking
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(STREAMS)
        // In the measure of RFC 9113 6.5.2, where each field counts 32 bytes more than it has.
        .max_header_list_size(MAX_HEAD as u32)
        .max_send_buffer_size(SEND_BUFFER)
        .enable_connect_protocol();
    let handshake = handshaking.handshake::<_, Bytes>(link.clone());
    // Our settings leave before the client's have come: it may wait for them.
    let handshake = send_off_within(&link, handshake);
    if let Ok(Ok(connection)) = timeout(worker.limits.head, handshake).await {
        let common = Rc::new(Common::new(Rc::clone(&worker), client, negotiated));
        Serving {
            timer: Timer::new(worker.limits.idle),
            connection,
            link: link.clone(),
            common,
            awaited: Awaited::Nothing,
            goodbye: Goodbye::NotSent,
            narrow: false,
        }
        .run()
        .await;
    }
    if let Some(mut stream) = link.into_stream() {
        linger(&worker, &mut stream, &mut None).await;
    }
}

/// Sends off what is written while something is done.
async fn send_off_within<S: Transport, T>(link: &Link<S>, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    poll_fn(|cx| {
        let polled = work.as_mut().poll(cx);
        // A broken connection is what the work finds too.
        let _ = link.poll_send_off(cx);
        polled
    })
    .await
}

/// Event that the timer is set for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    Nothing,
    /// A request, on a connection that has none.
    Request,
    /// The rest of what the client began at this time.
    Rest(Instant),
}

/// Progress of the GOAWAY exchange with the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goodbye {
    NotSent,
    /// It is asked to send no more, and to confirm that it has heard so.
    Announced,
    /// It knows which of its requests is the last that counts.
    Final,
}

struct Serving<S: Transport> {
    timer: Timer,
    connection: Connection<Link<S>, Bytes>,
    link: Link<S>,
    common: Rc<Common>,
    awaited: Awaited,
    goodbye: Goodbye,
    /// Bodies are read with small windows, for want of memory.
    narrow: bool,
}

impl<S: Transport> Serving<S> {
    async fn run(mut self) {
        let worker = Rc::clone(&self.common.worker);
        let mut waiting = Waiting::new(&worker.idle);
        poll_fn(|cx| {
            if self.poll_requests(cx).is_ready() {
                return Poll::Ready(());
            }
            if let Err(error) = self.link.poll_send_off(cx) {
                tracing::debug!(%error, "client connection failed");
                return Poll::Ready(());
            }
            self.fit_windows(worker.memory.pressure());
            self.await_what_is_due();
            if self.common.streams.get() > 0 {
                waiting.work(cx);
                self.common.driver.replace(Some(cx.waker().clone()));
            } else if !waiting.wait(cx) {
                self.leave(cx);
            }
            if self.awaited == Awaited::Nothing || self.timer.poll(cx).is_pending() {
                return Poll::Pending;
            }
            match (self.awaited, self.goodbye) {
                (Awaited::Request, Goodbye::NotSent) => self.leave(cx),
                (Awaited::Request, Goodbye::Announced) => self.end(cx),
                _ => return Poll::Ready(()),
            }
            Poll::Pending
        })
        .await;
    }

    /// Sets the timer when something else is waited for than before.
    fn await_what_is_due(&mut self) {
        let awaited = match (self.link.unfinished_since(), self.common.streams.get()) {
            (Some(since), _) => Awaited::Rest(since),
            (None, 0) => Awaited::Request,
            (None, _) => Awaited::Nothing,
        };
        if awaited == self.awaited {
            return;
        }
        self.awaited = awaited;
        let limits = &self.common.worker.limits;
        match awaited {
            Awaited::Nothing => {}
            // One that got GOAWAY is not waited for long.
            Awaited::Request if self.goodbye != Goodbye::NotSent => self.timer.set(limits.linger),
            Awaited::Request => self.timer.set(limits.idle),
            Awaited::Rest(since) => {
                let passed = clock::now() - since;
                self.timer.set(limits.head.saturating_sub(passed));
            }
        }
    }

    /// Starts what the client asks for. Ready when it asks for nothing any more.
    fn poll_requests(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.common.worker.is_closing() {
            self.leave(cx);
        }
        if self.common.is_too_much() && self.goodbye != Goodbye::Final {
            self.goodbye = Goodbye::Final;
            self.connection.abrupt_shutdown(Code::ENHANCE_YOUR_CALM);
        }
        loop {
            match self.connection.poll_accept(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Ready(Some(Err(error))) => {
                    tracing::debug!(client = %self.common.client, %error, "client connection closed");
                    return Poll::Ready(());
                }
                Poll::Ready(Some(Ok((request, respond)))) => {
                    let serving = http2_stream::serve(Rc::clone(&self.common), request, respond);
                    spawn_local(clock::once_a_poll(serving));
                }
            }
        }
    }

    /// Sends GOAWAY in the two steps of RFC 9113 6.8, so that the next request takes another connection. What is
    /// on its way is served.
    fn leave(&mut self, cx: &mut Context<'_>) {
        if self.goodbye == Goodbye::NotSent {
            self.goodbye = Goodbye::Announced;
            self.connection.graceful_shutdown();
            if self.awaited == Awaited::Request {
                self.timer.set(self.common.worker.limits.linger);
            }
            cx.waker().wake_by_ref();
        }
    }

    /// The second of them, to a client that has not confirmed the first in time: what it may be sending
    /// meanwhile will not have been processed, and it can know that.
    fn end(&mut self, cx: &mut Context<'_>) {
        self.goodbye = Goodbye::Final;
        self.connection.abrupt_shutdown(Code::NO_ERROR);
        self.timer.set(self.common.worker.limits.linger);
        cx.waker().wake_by_ref();
    }

    /// When memory is short, less of each body is let come before what was read has gone.
    fn fit_windows(&mut self, pressure: MemoryPressure) {
        let narrow = pressure >= MemoryPressure::HoldUp;
        if narrow != self.narrow {
            self.narrow = narrow;
            let window = if narrow {
                STREAM_WINDOW
            } else {
                CONNECTION_WINDOW
            };
            self.connection.set_target_window_size(window);
        }
    }
}

/// Wakes the task of a connection when its last stream has ended.
pub(super) fn wake(driver: &std::cell::RefCell<Option<Waker>>) {
    if let Some(driver) = driver.borrow_mut().take() {
        driver.wake();
    }
}
