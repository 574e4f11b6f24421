//! One request and its response between a client and an endpoint, both directions at once.
//!
//! While the request's body goes up the response may come down: an endpoint may answer early,
//! and a client that waits for 100 or for a refusal must not wait for the end of its own upload.

use crate::http1::awaiting::{Arrived, AwaitingHead, Response};
use crate::http1::flow::{Flow, FlowError, WaitsFor};
use crate::http1::progress::Progress;
use crate::http1::timer::Timer;
use crate::limits::Limits;
use crate::upstream::effort::Effort;
use crate::worker::buffer::{BUFFER, Buffer, Buffers};
use portolan_proxy_core::reason::Reason;
use portolan_proxy_core::retry::Failure;
use portolan_proxy_core::route::ResponsePolicy;
use portolan_proxy_core::scan::MAX_HEAD;
use std::task::{Context, Poll, ready};
use std::time::Duration;
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
    /// What the route says in every response.
    pub(crate) response: ResponsePolicy,
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
    /// The request is to be sent once more, from its beginning.
    Again { request: Flow, failure: Failure },
    /// No byte of a response went down: it can be answered by us.
    Failed(Reason),
    /// The response was broken off; nothing can be said any more.
    BrokenOff { status: u16 },
    /// The client went away.
    ClientGone,
}

/// One side of an exchange, with what was read from it ahead of time.
pub(crate) struct End<'a, S> {
    pub(crate) stream: &'a mut S,
    pub(crate) input: &'a mut Option<Buffer>,
}

/// One request and its response under way.
pub(crate) struct Exchange<'a, 'r, C, U> {
    client: End<'a, C>,
    upstream: End<'a, U>,
    timer: &'a mut Timer,
    buffers: &'a Buffers,
    terms: &'a Terms,
    effort: &'a mut Effort<'r>,
    upload: Upload,
    download: Download,
    client_closed: bool,
    progress: Progress,
    /// How long a response is waited for once the client has closed its side.
    half_closed: Duration,
    /// What is wrong when the timer fires while a response is waited for.
    overdue: Reason,
    /// The timer was set nearer because the client has closed its side.
    abandoned: bool,
}

enum Upload {
    Under(Flow),
    /// Sent whole, and kept as long as it may have to be sent again.
    Done {
        moved: u64,
        kept: Option<Flow>,
    },
    /// The endpoint stopped taking it; its response may say why.
    Stopped {
        moved: u64,
        kept: Option<Flow>,
    },
}

enum Download {
    Head(AwaitingHead),
    Body(Response),
}

/// What was counted, for the log.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counted {
    pub(crate) received: u64,
    pub(crate) sent: u64,
}

impl<'a, 'r, C, U> Exchange<'a, 'r, C, U>
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
        client: End<'a, C>,
        upstream: End<'a, U>,
        request: Flow,
        terms: &'a Terms,
        effort: &'a mut Effort<'r>,
        timer: &'a mut Timer,
        buffers: &'a Buffers,
        limits: &'a Limits,
    ) -> Self {
        let mut notes = buffers.room();
        // A client that has begun to send its body does not wait any more (RFC 9110 10.1.1).
        if terms.expects_continue && client.input.is_none() && effort.continues() {
            notes.extend_from_slice(CONTINUE);
        }
        let progress = Progress::new(limits, effort.waits.idle);
        timer.set(progress.tick());
        Self {
            client,
            upstream,
            timer,
            buffers,
            terms,
            effort,
            upload: Upload::Under(request),
            download: Download::Head(AwaitingHead::new(notes)),
            client_closed: false,
            progress,
            overdue: Reason::ResponseTimeout,
            abandoned: false,
            half_closed: limits.linger,
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
        self.give_back_upload();
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
            self.client.stream,
            self.client.input,
            self.upstream.stream,
            self.buffers,
        );
        let moved = flow.moved();
        let untaken = flow.nothing_accepted();
        match polled {
            Poll::Pending => return None,
            Poll::Ready(Ok(())) => {
                let kept = self.end_upload();
                self.upload = Upload::Done { moved, kept };
                self.effort.received();
                if matches!(self.download, Download::Head(_)) {
                    let (wait, overdue) = self.effort.for_response();
                    self.timer.set(wait);
                    self.overdue = overdue;
                }
            }
            Poll::Ready(Err(FlowError::Write(_))) if untaken => {
                return Some(self.fail(Reason::UpstreamClosed, Some(Failure::Unsent)));
            }
            // The endpoint may have said why before it closed.
            Poll::Ready(Err(FlowError::Write(_))) => {
                let kept = self.end_upload();
                self.upload = Upload::Stopped { moved, kept };
            }
            Poll::Ready(Err(FlowError::Malformed(_))) => {
                return Some(self.fail(Reason::MalformedRequest, None));
            }
            Poll::Ready(Err(FlowError::Read(_) | FlowError::Truncated)) => {
                return Some(Ending::ClientGone);
            }
        }
        None
    }

    /// The request, whether it was sent or not, leaving nothing behind.
    fn take_upload(&mut self) -> Option<Flow> {
        let moved = self.upload.moved();
        let taken = Upload::Stopped { moved, kept: None };
        match std::mem::replace(&mut self.upload, taken) {
            Upload::Under(flow) => Some(flow),
            Upload::Done { kept, .. } | Upload::Stopped { kept, .. } => kept,
        }
    }

    /// The request after its last byte was sent, when it may be needed again.
    fn end_upload(&mut self) -> Option<Flow> {
        let flow = self.take_upload()?;
        if self.effort.needs_replay() && matches!(self.download, Download::Head(_)) {
            return Some(flow);
        }
        self.buffers.take_back_room(flow.into_room());
        None
    }

    /// Nothing will be sent again.
    fn give_back_kept(&mut self) {
        match &mut self.upload {
            Upload::Under(flow) => flow.keep_no_more(),
            Upload::Done { kept, .. } | Upload::Stopped { kept, .. } => {
                if let Some(flow) = kept.take() {
                    self.buffers.take_back_room(flow.into_room());
                }
            }
        }
    }

    fn give_back_upload(&mut self) {
        if let Some(flow) = self.take_upload() {
            self.buffers.take_back_room(flow.into_room());
        }
    }

    fn poll_download(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        loop {
            match &mut self.download {
                Download::Head(head) => {
                    if ready!(head.poll_notes(cx, self.client.stream)).is_err() {
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
                        self.upstream.stream,
                        self.upstream.input,
                        self.client.stream,
                        self.buffers,
                    );
                    return Poll::Ready(match ready!(polled) {
                        Ok(()) => {
                            // An early response leaves half a request behind on both sides.
                            let whole = matches!(self.upload, Upload::Done { .. });
                            let surplus = self.upstream.input.is_some();
                            // What a client sent before it closed its side is answered.
                            let more = !self.client_closed || self.client.input.is_some();
                            Ending::Finished {
                                status,
                                keep_client: response.keep_client && whole && more,
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
        let unread = self.upstream.input.as_ref().map_or(&[][..], Buffer::unread);
        match head.find(unread) {
            Ok(Some(length)) => return Poll::Ready(self.take_head(length)),
            Ok(None) if unread.len() < MAX_HEAD => {}
            Ok(None) | Err(_) => {
                return Poll::Ready(Some(self.fail(Reason::MalformedResponse, None)));
            }
        }
        if let Some(full) = self.upstream.input.as_mut().filter(|it| it.is_full()) {
            full.grow(MAX_HEAD);
        }
        let filled = self
            .buffers
            .poll_fill(cx, self.upstream.stream, self.upstream.input);
        Poll::Ready(match ready!(filled) {
            Ok(1..) => None,
            Ok(0) | Err(_) => Some(match self.upstream.input {
                Some(_) => self.fail(Reason::MalformedResponse, Some(Failure::Reset)),
                None => self.fail(Reason::UpstreamClosed, Some(Failure::Reset)),
            }),
        })
    }

    /// Takes in a whole response head and does what follows from it.
    fn take_head(&mut self, length: usize) -> Option<Ending> {
        let (Some(input), Download::Head(awaiting)) =
            (self.upstream.input.as_mut(), &mut self.download)
        else {
            return None;
        };
        let bytes = input.unread().get(..length).unwrap_or_default();
        let request_sent = matches!(self.upload, Upload::Done { .. });
        let arrived = awaiting.take(bytes, self.terms, request_sent, self.buffers);
        input.consume(length);
        self.buffers.tidy(self.upstream.input);
        match arrived {
            Arrived::Interim => None,
            Arrived::Tunnel { head } => Some(Ending::Tunnel { head }),
            Arrived::Malformed => Some(self.fail(Reason::MalformedResponse, None)),
            Arrived::Final(response) => {
                if let Some(request) = self.once_more(Failure::Status(response.status)) {
                    let failure = Failure::Status(response.status);
                    return Some(Ending::Again { request, failure });
                }
                self.give_back_kept();
                self.download = Download::Body(response);
                self.progress.restart(self.moved());
                self.timer.set(self.progress.tick());
                None
            }
        }
    }

    /// Watches a client that has nothing to say. What it sends ahead is the next request, read
    /// up to one buffer; a reset takes the request back. So does a close that nothing follows, after a
    /// while: it is what most clients do to cancel, and it looks like a half-close, after which a
    /// client still reads (nginx, Envoy and HAProxy cancel at once).
    fn poll_client_gone(&mut self, cx: &mut Context<'_>) -> bool {
        if matches!(self.upload, Upload::Under(_)) {
            return false;
        }
        while !self.client_closed && !self.client.input.as_ref().is_some_and(Buffer::is_full) {
            let ahead = self.client.input.as_ref().map_or(0, |it| it.unread().len());
            if ahead >= BUFFER {
                break;
            }
            let filled = self
                .buffers
                .poll_fill(cx, self.client.stream, self.client.input);
            match filled {
                Poll::Pending => break,
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(Ok(0)) => {
                    self.client_closed = true;
                    if self.client.input.is_none() && matches!(self.download, Download::Head(_)) {
                        self.abandoned = self.timer.set_at_most(self.half_closed);
                    }
                }
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
            self.timer.set(self.progress.tick());
        }
        Poll::Pending
    }

    /// Called when the timer fires: who let it come to that?
    fn judge_progress(&mut self) -> Option<Ending> {
        let verdict = self.progress.look(self.moved());
        match (&self.upload, &self.download) {
            (Upload::Under(flow), Download::Head(_)) => match flow.waits_for() {
                WaitsFor::Sender if verdict.slow => Some(self.fail(Reason::RequestTimeout, None)),
                WaitsFor::Memory if verdict.silent => Some(self.fail(Reason::Overloaded, None)),
                WaitsFor::Receiver if verdict.silent => {
                    Some(self.fail(Reason::ResponseTimeout, Some(Failure::Reset)))
                }
                _ => None,
            },
            (_, Download::Head(_)) if self.abandoned => Some(Ending::ClientGone),
            (_, Download::Head(_)) => Some(self.fail(self.overdue, Some(Failure::Reset))),
            (_, Download::Body(response)) => match response.flow.waits_for() {
                WaitsFor::Receiver if verdict.slow => Some(Ending::ClientGone),
                WaitsFor::Sender | WaitsFor::Memory if verdict.silent => Some(Ending::BrokenOff {
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

    /// Ends the exchange, perhaps for another attempt when `failure` is the endpoint's.
    fn fail(&mut self, reason: Reason, failure: Option<Failure>) -> Ending {
        if let Download::Body(response) = &self.download {
            return Ending::BrokenOff {
                status: response.status,
            };
        }
        let failure = failure.and_then(|failure| Some((failure, self.once_more(failure)?)));
        match failure {
            Some((failure, request)) => Ending::Again { request, failure },
            None => Ending::Failed(reason),
        }
    }

    /// The request, from its beginning, when it is to be sent once more.
    fn once_more(&mut self, failure: Failure) -> Option<Flow> {
        let Download::Head(head) = &self.download else {
            return None;
        };
        let untold = !head.has_told();
        let replayable = match &self.upload {
            Upload::Under(flow) => flow.can_be_sent_again(),
            Upload::Done { kept, .. } | Upload::Stopped { kept, .. } => {
                kept.as_ref().is_some_and(Flow::can_be_sent_again)
            }
        };
        if !self.effort.once_more(failure, untold && replayable) {
            return None;
        }
        self.take_upload().map(Flow::again)
    }
}

impl Upload {
    fn moved(&self) -> u64 {
        match self {
            Self::Under(flow) => flow.moved(),
            Self::Done { moved, .. } | Self::Stopped { moved, .. } => *moved,
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
