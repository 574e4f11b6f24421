//! One request and its response between a client and an endpoint, both directions at once.
//!
//! While the request's body goes up the response may come down: an endpoint may answer early,
//! and a client that waits for 100 or for a refusal must not wait for the end of its own upload.

use crate::http1::awaiting::{Arrived, AwaitingHead, Response};
use crate::http1::flow::{Flow, FlowError, WaitsFor};
use crate::http1::timer::Timer;
use crate::limits::Limits;
use crate::worker::buffer::{BUFFER, Buffer, Buffers};
use portolan_proxy_core::reason::Reason;
use portolan_proxy_core::scan::MAX_HEAD;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite};

/// RFC 9110 15.2.1.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What must be known of the request while its exchange goes on.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// The request was HEAD, whose responses have no body.
    pub(crate) head_only: bool,
    /// The client speaks HTTP/1.0.
    pub(crate) http10: bool,
    /// The client wants its connection kept, and so do we.
    pub(crate) keep_client: bool,
    pub(crate) expects_continue: bool,
    /// The value that `Sec-WebSocket-Accept` must have for a tunnel.
    pub(crate) websocket: Option<String>,
}

/// How an exchange ended.
#[derive(Debug)]
pub(crate) enum Ending {
    /// The response went down whole.
    Finished {
        status: u16,
        /// Another request may follow on the client's connection.
        keep_client: bool,
        /// Another request may follow on the endpoint's connection.
        keep_upstream: bool,
    },
    /// The endpoint speaks WebSocket; the 101 is in `head`, not written yet.
    Tunnel { head: Vec<u8> },
    /// Not one byte of the request was taken: it may be sent on another connection.
    NothingTaken(Flow),
    /// No byte of a response went down: it can be answered by us.
    Failed(Reason),
    /// The response was broken off; nothing can be said any more.
    BrokenOff { status: u16 },
    /// The client went away.
    ClientGone,
}

/// One request and its response under way.
pub(crate) struct Exchange<'a, C, U> {
    client: &'a mut C,
    client_input: &'a mut Option<Buffer>,
    upstream: &'a mut U,
    upstream_input: &'a mut Option<Buffer>,
    timer: &'a mut Timer,
    buffers: &'a Buffers,
    limits: &'a Limits,
    terms: &'a Terms,
    upload: Upload,
    download: Download,
    client_closed: bool,
    /// Bytes moved when the timer was last looked at, and for how long that has been all.
    progress: Progress,
}

enum Upload {
    Under(Flow),
    Done {
        moved: u64,
    },
    /// The endpoint stopped taking it; its response may say why.
    Stopped {
        moved: u64,
    },
}

enum Download {
    Head(AwaitingHead),
    Body(Response),
}

#[derive(Default)]
struct Progress {
    moved: u64,
    silent_ticks: u32,
}

/// What was counted, for the log.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counted {
    pub(crate) received: u64,
    pub(crate) sent: u64,
}

impl<'a, C, U> Exchange<'a, C, U>
where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    /// An exchange of the request that `request` sends to the endpoint.
    #[expect(
        clippy::too_many_arguments,
        reason = "the two connections with what belongs to them"
    )]
    pub(crate) fn new(
        client: &'a mut C,
        client_input: &'a mut Option<Buffer>,
        upstream: &'a mut U,
        upstream_input: &'a mut Option<Buffer>,
        request: Flow,
        terms: &'a Terms,
        timer: &'a mut Timer,
        buffers: &'a Buffers,
        limits: &'a Limits,
    ) -> Self {
        let mut notes = buffers.room();
        // A client that has begun to send its body does not wait any more (RFC 9110 10.1.1).
        if terms.expects_continue && client_input.is_none() {
            notes.extend_from_slice(CONTINUE);
        }
        timer.set(limits.progress);
        Self {
            client,
            client_input,
            upstream,
            upstream_input,
            timer,
            buffers,
            limits,
            terms,
            upload: Upload::Under(request),
            download: Download::Head(AwaitingHead::new(notes)),
            client_closed: false,
            progress: Progress::default(),
        }
    }

    /// Runs to the end.
    pub(crate) async fn run(mut self) -> (Ending, Counted) {
        let ending = match std::future::poll_fn(|cx| self.poll(cx)).await {
            // Our answer would stand in the middle of an interim response.
            Ending::Failed(_) if self.download.has_begun() => Ending::BrokenOff { status: 0 },
            ending => ending,
        };
        let counted = Counted {
            received: self.upload.moved(),
            sent: self.download.moved(),
        };
        if let Upload::Under(flow) = self.upload {
            self.buffers.take_back_room(flow.into_room());
        }
        match self.download {
            Download::Head(head) => self.buffers.take_back_room(head.into_room()),
            Download::Body(response) => self.buffers.take_back_room(response.flow.into_room()),
        }
        (ending, counted)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        if let Some(ending) = self.poll_upload(cx) {
            return Poll::Ready(ending);
        }
        if let Poll::Ready(ending) = self.poll_download(cx) {
            return Poll::Ready(ending);
        }
        if self.poll_client_gone(cx) {
            return Poll::Ready(Ending::ClientGone);
        }
        self.poll_timer(cx)
    }

    fn poll_upload(&mut self, cx: &mut Context<'_>) -> Option<Ending> {
        let Upload::Under(flow) = &mut self.upload else {
            return None;
        };
        let polled = flow.poll(
            cx,
            self.client,
            self.client_input,
            self.upstream,
            self.buffers,
        );
        let moved = flow.moved();
        let untaken = flow.nothing_accepted();
        match polled {
            Poll::Pending => return None,
            Poll::Ready(Ok(())) => {
                self.give_up_upload(Upload::Done { moved });
                if matches!(self.download, Download::Head(_)) {
                    self.timer.set(self.limits.response);
                }
            }
            Poll::Ready(Err(FlowError::Write(_))) if untaken => {
                if let Some(request) = self.end_upload(Upload::Stopped { moved: 0 }) {
                    return Some(Ending::NothingTaken(request));
                }
            }
            // The endpoint may have said why before it closed.
            Poll::Ready(Err(FlowError::Write(_))) => self.give_up_upload(Upload::Stopped { moved }),
            Poll::Ready(Err(FlowError::Malformed(_))) => {
                return Some(self.fail(Reason::MalformedRequest));
            }
            Poll::Ready(Err(FlowError::Read(_) | FlowError::Truncated)) => {
                return Some(Ending::ClientGone);
            }
        }
        None
    }

    fn end_upload(&mut self, ended: Upload) -> Option<Flow> {
        match std::mem::replace(&mut self.upload, ended) {
            Upload::Under(flow) => Some(flow),
            Upload::Done { .. } | Upload::Stopped { .. } => None,
        }
    }

    fn give_up_upload(&mut self, ended: Upload) {
        if let Some(flow) = self.end_upload(ended) {
            self.buffers.take_back_room(flow.into_room());
        }
    }

    fn poll_download(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        loop {
            match &mut self.download {
                Download::Head(head) => {
                    if ready!(head.poll_notes(cx, self.client)).is_err() {
                        return Poll::Ready(Ending::ClientGone);
                    }
                    if let Some(ending) = ready!(self.poll_head(cx)) {
                        return Poll::Ready(ending);
                    }
                }
                Download::Body(response) => {
                    let status = response.status;
                    let polled = response.flow.poll(
                        cx,
                        self.upstream,
                        self.upstream_input,
                        self.client,
                        self.buffers,
                    );
                    return Poll::Ready(match ready!(polled) {
                        Ok(()) => {
                            // An early response leaves half a request behind on both sides.
                            let whole = matches!(self.upload, Upload::Done { .. });
                            let surplus = self.upstream_input.is_some();
                            Ending::Finished {
                                status,
                                keep_client: response.keep_client && whole && !self.client_closed,
                                keep_upstream: response.keep_upstream && whole && !surplus,
                            }
                        }
                        Err(FlowError::Write(_)) => Ending::ClientGone,
                        Err(_) => Ending::BrokenOff { status },
                    });
                }
            }
        }
    }

    /// Reads towards the next response head. `Some` ends the exchange; `None` changed the state.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Option<Ending>> {
        let Download::Head(head) = &mut self.download else {
            return Poll::Ready(None);
        };
        let unread = self.upstream_input.as_ref().map_or(&[][..], Buffer::unread);
        match head.find(unread) {
            Ok(Some(length)) => return Poll::Ready(self.take_head(length)),
            Ok(None) if unread.len() < MAX_HEAD => {}
            Ok(None) | Err(_) => {
                return Poll::Ready(Some(Ending::Failed(Reason::MalformedResponse)));
            }
        }
        if let Some(full) = self.upstream_input.as_mut().filter(|it| it.is_full()) {
            full.grow(MAX_HEAD);
        }
        let filled = self
            .buffers
            .poll_fill(cx, self.upstream, self.upstream_input);
        match ready!(filled) {
            Ok(1..) => Poll::Ready(None),
            Ok(0) | Err(_) => {
                let partial = self.upstream_input.is_some();
                Poll::Ready(Some(Ending::Failed(match partial {
                    true => Reason::MalformedResponse,
                    false => Reason::UpstreamClosed,
                })))
            }
        }
    }

    /// Takes in a whole response head and does what follows from it.
    fn take_head(&mut self, length: usize) -> Option<Ending> {
        let (Some(input), Download::Head(awaiting)) =
            (self.upstream_input.as_mut(), &mut self.download)
        else {
            return None;
        };
        let bytes = input.unread().get(..length).unwrap_or_default();
        let request_sent = matches!(self.upload, Upload::Done { .. });
        let arrived = awaiting.take(bytes, self.terms, request_sent, self.buffers);
        input.consume(length);
        self.buffers.tidy(self.upstream_input);
        match arrived {
            Arrived::Interim => None,
            Arrived::Tunnel { head } => Some(Ending::Tunnel { head }),
            Arrived::Malformed => Some(Ending::Failed(Reason::MalformedResponse)),
            Arrived::Final(response) => {
                self.download = Download::Body(response);
                self.progress = Progress {
                    moved: self.moved(),
                    silent_ticks: 0,
                };
                self.timer.set(self.limits.progress);
                None
            }
        }
    }

    /// Watches a client that has nothing to say. What it sends ahead is the next request, read
    /// up to one buffer; a reset takes the request back.
    fn poll_client_gone(&mut self, cx: &mut Context<'_>) -> bool {
        if matches!(self.upload, Upload::Under(_)) {
            return false;
        }
        while !self.client_closed && !self.client_input.as_ref().is_some_and(Buffer::is_full) {
            let ahead = self.client_input.as_ref().map_or(0, |it| it.unread().len());
            if ahead >= BUFFER {
                break;
            }
            let filled = self.buffers.poll_fill(cx, self.client, self.client_input);
            match filled {
                Poll::Pending => break,
                Poll::Ready(Ok(1..)) => {}
                // Half-closed after a whole request: the client still reads.
                Poll::Ready(Ok(0)) => self.client_closed = true,
                Poll::Ready(Err(_)) => return true,
            }
        }
        false
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        while self.timer.poll(cx).is_ready() {
            if let Some(ending) = self.judge_progress() {
                return Poll::Ready(ending);
            }
            self.timer.set(self.limits.progress);
        }
        Poll::Pending
    }

    /// Called when the timer fires: who let it come to that?
    fn judge_progress(&mut self) -> Option<Ending> {
        let since = self.moved() - self.progress.moved;
        self.progress.moved += since;
        self.progress.silent_ticks = match since {
            0 => self.progress.silent_ticks + 1,
            _ => 0,
        };
        let slow = since < self.limits.least_progress;
        let silent = self.limits.progress * self.progress.silent_ticks >= self.limits.idle;
        match (&self.upload, &self.download) {
            (Upload::Under(flow), Download::Head(_)) => match flow.waits_for() {
                WaitsFor::Sender if slow => Some(Ending::Failed(Reason::RequestTimeout)),
                WaitsFor::Receiver if silent => Some(Ending::Failed(Reason::ResponseTimeout)),
                _ => None,
            },
            (_, Download::Head(_)) => Some(Ending::Failed(Reason::ResponseTimeout)),
            (_, Download::Body(response)) => match response.flow.waits_for() {
                WaitsFor::Receiver if slow => Some(Ending::ClientGone),
                WaitsFor::Sender if silent => Some(Ending::BrokenOff {
                    status: response.status,
                }),
                _ => None,
            },
        }
    }

    /// Body bytes in both directions.
    fn moved(&self) -> u64 {
        self.upload.moved() + self.download.moved()
    }

    fn fail(&self, reason: Reason) -> Ending {
        match &self.download {
            Download::Head(_) => Ending::Failed(reason),
            Download::Body(response) => Ending::BrokenOff {
                status: response.status,
            },
        }
    }
}

impl Upload {
    fn moved(&self) -> u64 {
        match self {
            Self::Under(flow) => flow.moved(),
            Self::Done { moved } | Self::Stopped { moved } => *moved,
        }
    }
}

impl Download {
    /// Whether part of an interim response went down.
    fn has_begun(&self) -> bool {
        matches!(self, Self::Head(head) if head.is_within_a_note())
    }

    fn moved(&self) -> u64 {
        match self {
            Self::Head(_) => 0,
            Self::Body(response) => response.flow.moved(),
        }
    }
}
