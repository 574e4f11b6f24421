//! One request and its response between a client and an endpoint, both directions at once.
//!
//! While the request's body goes up the response may come down: an endpoint may answer early,
//! and a client that waits for 100 or for a refusal must not wait for the end of its own upload.

use crate::clock;
use crate::exchange::budget::RequestBudget;
use crate::exchange::flow::{Flow, FlowOf, WaitsFor};
use crate::exchange::io::FlowError;
use crate::exchange::io::{Downstream, HeadFault, Sink, TunnelResponse, Upstream, Watch};
use crate::exchange::progress::Progress;
use crate::exchange::timer::Timer;
use crate::exchange::{Counted, RequestContext};
use crate::limits::Limits;
use crate::worker::buffer::Buffers;
use portolan_proxy_core::reason::Reason;
use portolan_proxy_core::response::{MalformedResponse, ResponseHead};
use portolan_proxy_core::retry::Failure;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Instant;

/// How many interim responses one request may have.
const MAX_INTERIM: u8 = 8;
/// How often one looks whether a client is still there while its upload is not taken: nothing is read
/// from it then, so nothing would be heard of it.
const CLIENT_POLL: Duration = Duration::from_secs(1);

/// The request of an exchange, on its way up.
pub(crate) type RequestFlow<C, U> = FlowOf<<C as Downstream>::Side, <U as Upstream>::Side>;
type ResponseFlow<C, U> = FlowOf<<U as Upstream>::Side, <C as Downstream>::Side>;
type ResponseMessage<C> = <<C as Downstream>::Side as Sink>::Outgoing;

/// How an exchange ended.
pub(crate) enum Ending<C: Downstream, U: Upstream> {
    /// The response went down whole.
    Finished {
        status: u16,
        /// Another request may follow on the client's connection.
        keep_client: bool,
        /// The request was read to its end.
        whole: bool,
        /// Another request may follow on the endpoint's connection.
        keep_upstream: bool,
    },
    /// The endpoint speaks WebSocket; what tells the client so is not written yet.
    Tunnel { opening: ResponseMessage<C> },
    /// The request is to be sent once more, from its beginning.
    Again {
        request: RequestFlow<C, U>,
        failure: Failure,
    },
    /// No byte of a response went down: it can be answered by us.
    Failed(Reason),
    /// The response was broken off; nothing more can be sent.
    BrokenOff { status: u16 },
    /// The client went away.
    ClientGone,
}

/// One request and its response under way.
pub(crate) struct Exchange<'a, 'r, C: Downstream, U: Upstream> {
    client: &'a mut C,
    upstream: &'a mut U,
    timer: &'a mut Timer,
    buffers: &'a Buffers,
    context: &'a RequestContext,
    budget: &'a mut RequestBudget<'r>,
    upload: Upload<C, U>,
    download: Download<C, U>,
    progress: Progress,
    /// When progress was looked at.
    looked: Instant,
    /// How long a response is waited for once the client has closed its side.
    half_closed: Duration,
    /// Reason to report when the timer fires while a response is awaited.
    overdue: Reason,
    /// The timer was set nearer because the client has closed its side.
    abandoned: bool,
}

enum Upload<C: Downstream, U: Upstream> {
    Under(RequestFlow<C, U>),
    /// Sent whole, and kept as long as it may have to be sent again.
    Done {
        moved: u64,
        kept: Option<RequestFlow<C, U>>,
    },
    /// The endpoint stopped taking it; its response may say why.
    Stopped {
        moved: u64,
        kept: Option<RequestFlow<C, U>>,
    },
}

enum Download<C: Downstream, U: Upstream> {
    Head(Awaiting<C>),
    Body(Response<C, U>),
}

/// State while no final response head has come.
struct Awaiting<C: Downstream> {
    /// Interim responses on their way; taken when the response begins.
    interim: Option<C::InterimResponses>,
    interim_count: u8,
    /// An interim response of the endpoint goes or went to the client.
    passed_on: bool,
}

/// A response whose head is on its way to the client.
struct Response<C: Downstream, U: Upstream> {
    flow: ResponseFlow<C, U>,
    status: u16,
    /// Another request may follow on the client's connection.
    keep_client: bool,
    /// Another request may follow on the endpoint's connection.
    keep_upstream: bool,
}

/// Outcome of a response head.
enum Arrived<C: Downstream, U: Upstream> {
    /// Another head follows.
    Interim,
    /// The tunnel that the client asked for.
    Tunnel(ResponseMessage<C>),
    /// The response.
    Final(Response<C, U>),
    /// One that another attempt may be made for.
    Status(u16),
    /// Nothing that can be passed on.
    Malformed,
}

impl<'a, 'r, C: Downstream, U: Upstream> Exchange<'a, 'r, C, U> {
    /// An exchange of the request that `request` sends to the endpoint.
    #[expect(
        clippy::too_many_arguments,
        reason = "the two sides, and what the worker lends them"
    )]
    pub(crate) fn new(
        client: &'a mut C,
        upstream: &'a mut U,
        request: RequestFlow<C, U>,
        context: &'a RequestContext,
        budget: &'a mut RequestBudget<'r>,
        timer: &'a mut Timer,
        buffers: &'a Buffers,
        limits: &'a Limits,
    ) -> Self {
        let mut interim = client.interim_responses(buffers);
        // A client that has begun to send its body does not wait any more (RFC 9110 10.1.1).
        if context.expects_continue && client.is_silent() && budget.continues() {
            client.queue_continue(&mut interim);
        }
        let progress = Progress::new(limits, budget.timeouts.idle);
        timer.set(progress.tick());
        Self {
            client,
            upstream,
            timer,
            buffers,
            context,
            budget,
            upload: Upload::Under(request),
            download: Download::Head(Awaiting {
                interim: Some(interim),
                interim_count: 0,
                passed_on: false,
            }),
            progress,
            looked: clock::now(),
            overdue: Reason::ResponseTimeout,
            abandoned: false,
            half_closed: limits.linger,
        }
    }

    /// Runs to the end.
    pub(crate) async fn run(mut self) -> (Ending<C, U>, Counted) {
        let ending = match std::future::poll_fn(|cx| self.poll(cx)).await {
            // Our answer would stand in the middle of an interim response.
            Ending::Failed(_) if self.download.is_mid_interim() => Ending::BrokenOff { status: 0 },
            ending => ending,
        };
        let counted = Counted {
            received: self.upload.moved(),
            sent: self.download.moved(),
        };
        let broken_off = matches!(
            ending,
            Ending::ClientGone | Ending::Failed(_) | Ending::BrokenOff { .. }
        );
        if broken_off && matches!(self.upload, Upload::Under(_)) {
            self.upstream.abandon();
        }
        self.give_back_upload();
        match self.download {
            Download::Head(awaiting) => {
                if let Some(interim) = awaiting.interim {
                    C::recycle_interim(interim, self.buffers);
                }
            }
            Download::Body(response) => response.flow.recycle(self.buffers),
        }
        (ending, counted)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ending<C, U>> {
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

    fn poll_upload(&mut self, cx: &mut Context<'_>) -> Option<Ending<C, U>> {
        let Upload::Under(flow) = &mut self.upload else {
            return None;
        };
        let polled = flow.poll(cx, self.client.side(), self.upstream.side(), self.buffers);
        let moved = flow.moved();
        let untaken = flow.nothing_accepted();
        match polled {
            Poll::Pending => return None,
            Poll::Ready(Ok(())) => {
                let kept = self.end_upload();
                self.upload = Upload::Done { moved, kept };
                self.budget.received();
                if matches!(self.download, Download::Head(_)) {
                    let (wait, overdue) = self.budget.for_response();
                    self.timer.set(wait);
                    self.overdue = overdue;
                }
            }
            Poll::Ready(Err(FlowError::Write(_))) if untaken => {
                return Some(self.fail(Reason::UpstreamClosed, Some(Failure::Unsent)));
            }
            // The endpoint may have sent a response before it closed.
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
    fn take_upload(&mut self) -> Option<RequestFlow<C, U>> {
        let moved = self.upload.moved();
        let taken = Upload::Stopped { moved, kept: None };
        match std::mem::replace(&mut self.upload, taken) {
            Upload::Under(flow) => Some(flow),
            Upload::Done { kept, .. } | Upload::Stopped { kept, .. } => kept,
        }
    }

    /// The request after its last byte was sent, when it may be needed again.
    fn end_upload(&mut self) -> Option<RequestFlow<C, U>> {
        let flow = self.take_upload()?;
        if flow.is_kept() && matches!(self.download, Download::Head(_)) {
            return Some(flow);
        }
        flow.recycle(self.buffers);
        None
    }

    /// Nothing will be sent again.
    fn give_back_kept(&mut self) {
        match &mut self.upload {
            Upload::Under(flow) => flow.keep_no_more(),
            Upload::Done { kept, .. } | Upload::Stopped { kept, .. } => {
                if let Some(flow) = kept.take() {
                    flow.recycle(self.buffers);
                }
            }
        }
    }

    fn give_back_upload(&mut self) {
        if let Some(flow) = self.take_upload() {
            flow.recycle(self.buffers);
        }
    }

    fn poll_download(&mut self, cx: &mut Context<'_>) -> Poll<Ending<C, U>> {
        loop {
            match &mut self.download {
                Download::Head(awaiting) => {
                    if let Some(interim) = &mut awaiting.interim
                        && ready!(self.client.poll_interim(interim, cx)).is_err()
                    {
                        return Poll::Ready(Ending::ClientGone);
                    }
                    if let Some(ending) = ready!(self.poll_head(cx)) {
                        return Poll::Ready(ending);
                    }
                }
                Download::Body(response) => {
                    let status = response.status;
                    let (from, to) = (self.upstream.side(), self.client.side());
                    let polled = response.flow.poll(cx, from, to, self.buffers);
                    return Poll::Ready(match ready!(polled) {
                        Ok(()) => {
                            // An early response leaves half a request behind on both sides.
                            let whole = matches!(self.upload, Upload::Done { .. });
                            let keep_client = response.keep_client && whole;
                            Ending::Finished {
                                status,
                                keep_client: keep_client && self.client.may_say_more(),
                                whole,
                                keep_upstream: response.keep_upstream && whole,
                            }
                        }
                        Err(FlowError::Write(_)) => Ending::ClientGone,
                        Err(_) => Ending::BrokenOff { status },
                    });
                }
            }
        }
    }

    /// Waits for the next response head. `Some` ends the exchange; `None` changed the state.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Option<Ending<C, U>>> {
        let head = ready!(self.upstream.poll_head(cx, self.buffers));
        if let Err(HeadFault { reason, failure }) = head {
            return Poll::Ready(Some(self.fail(reason, failure)));
        }
        let Download::Head(awaiting) = &mut self.download else {
            return Poll::Ready(None);
        };
        let request_sent = matches!(self.upload, Upload::Done { .. });
        let (client, context, buffers) = (&mut *self.client, self.context, self.buffers);
        let budget = &mut *self.budget;
        let possible = !awaiting.has_forwarded() && self.upload.can_be_sent_again();
        let method = if context.head_only { "HEAD" } else { "GET" };
        let arrived = self.upstream.take_head(method, buffers, |head| match head {
            Err(MalformedResponse) => Arrived::Malformed,
            Ok(head) => {
                let accept = context.accept.as_deref();
                match (U::tunnel_response(&head, accept), accept) {
                    (TunnelResponse::Open, Some(accept)) => {
                        Arrived::Tunnel(client.open_tunnel(&head, accept, buffers))
                    }
                    (TunnelResponse::Open | TunnelResponse::BadAccept, _) => Arrived::Malformed,
                    _ if head.is_interim() => awaiting.on_interim::<U>(&head, client, context),
                    _ if budget.try_retry(Failure::Status(head.status), possible) => {
                        Arrived::Status(head.status)
                    }
                    _ => awaiting.on_response(&head, client, context, request_sent, buffers),
                }
            }
        });
        Poll::Ready(match arrived {
            Arrived::Interim => None,
            Arrived::Tunnel(opening) => Some(Ending::Tunnel { opening }),
            Arrived::Malformed => Some(self.fail(Reason::MalformedResponse, None)),
            Arrived::Status(status) => self.take_upload().map(|request| Ending::Again {
                request: request.again(),
                failure: Failure::Status(status),
            }),
            Arrived::Final(response) => {
                self.give_back_kept();
                self.download = Download::Body(response);
                self.progress.restart(self.moved());
                self.looked = clock::now();
                self.timer.set(self.progress.tick());
                None
            }
        })
    }

    /// Watches a client that has nothing to say. A reset takes the request back. So does a close that
    /// nothing follows, after a while: it is what most clients do to cancel, and it looks like a
    /// half-close, after which a client still reads (nginx, Envoy and HAProxy cancel at once).
    fn poll_client_gone(&mut self, cx: &mut Context<'_>) -> bool {
        if let Upload::Under(flow) = &self.upload {
            if flow.waits_for() != WaitsFor::Sender {
                self.timer.set_at_most(CLIENT_POLL);
            }
            return self.client.poll_cancelled(cx);
        }
        match self.client.poll_watch(cx, self.buffers) {
            Watch::Waiting => {}
            Watch::Gone => return true,
            Watch::Closed => {
                if matches!(self.download, Download::Head(_)) {
                    self.abandoned = self.timer.set_at_most(self.half_closed);
                }
            }
        }
        false
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<Ending<C, U>> {
        while self.timer.poll(cx).is_ready() {
            if let Some(ending) = self.check_progress() {
                return Poll::Ready(ending);
            }
            let untaken =
                matches!(&self.upload, Upload::Under(flow) if flow.waits_for() != WaitsFor::Sender);
            let tick = self.progress.tick();
            self.timer
                .set(if untaken { tick.min(CLIENT_POLL) } else { tick });
        }
        Poll::Pending
    }

    /// Called when the timer fires: who let it come to that?
    fn check_progress(&mut self) -> Option<Ending<C, U>> {
        let now = clock::now();
        let check = self.progress.look(self.moved(), now - self.looked);
        self.looked = now;
        if matches!(self.upload, Upload::Under(_)) && self.client.is_reset() {
            return Some(Ending::ClientGone);
        }
        match (&self.upload, &self.download) {
            (Upload::Under(flow), Download::Head(_)) => match flow.waits_for() {
                WaitsFor::Sender if check.slow && !self.context.grpc => {
                    Some(self.fail(Reason::RequestTimeout, None))
                }
                WaitsFor::Sender if check.silent && self.context.grpc => {
                    Some(self.fail(Reason::RequestTimeout, None))
                }
                WaitsFor::Memory if check.silent => Some(self.fail(Reason::Overloaded, None)),
                WaitsFor::Receiver if check.silent => {
                    Some(self.fail(Reason::ResponseTimeout, Some(Failure::Reset)))
                }
                _ => None,
            },
            (_, Download::Head(_)) if self.abandoned => Some(Ending::ClientGone),
            (_, Download::Head(_)) => Some(self.fail(self.overdue, Some(Failure::Reset))),
            (_, Download::Body(response)) => match response.flow.waits_for() {
                WaitsFor::Receiver if check.slow => Some(Ending::ClientGone),
                WaitsFor::Sender | WaitsFor::Memory if check.silent => Some(Ending::BrokenOff {
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
    fn fail(&mut self, reason: Reason, failure: Option<Failure>) -> Ending<C, U> {
        let awaiting = match &self.download {
            Download::Body(response) => {
                return Ending::BrokenOff {
                    status: response.status,
                };
            }
            Download::Head(awaiting) => awaiting,
        };
        let possible = !awaiting.has_forwarded() && self.upload.can_be_sent_again();
        let reason = match failure {
            Some(_) => self.budget.classify(reason),
            None => reason,
        };
        let Some(failure) = failure.filter(|failure| self.budget.try_retry(*failure, possible))
        else {
            return Ending::Failed(reason);
        };
        match self.take_upload() {
            Some(request) => Ending::Again {
                request: request.again(),
                failure,
            },
            None => Ending::Failed(reason),
        }
    }
}

impl<C: Downstream> Awaiting<C> {
    /// Returns whether the client has got anything that came from the endpoint, or part of anything: then no
    /// other endpoint may be asked.
    fn has_forwarded(&self) -> bool {
        self.passed_on || self.interim.as_ref().is_some_and(C::is_mid_interim)
    }

    fn on_interim<U: Upstream>(
        &mut self,
        head: &ResponseHead<'_, '_>,
        client: &mut C,
        context: &RequestContext,
    ) -> Arrived<C, U> {
        // An unrequested 101 is no interim response that can be passed on.
        if head.status == 101 || self.interim_count == MAX_INTERIM {
            return Arrived::Malformed;
        }
        self.interim_count += 1;
        // We have sent our own 100, and HTTP/1.0 knows no interim responses.
        if head.status != 100
            && !context.http10
            && let Some(interim) = &mut self.interim
        {
            self.passed_on = true;
            client.queue_interim(interim, head);
        }
        Arrived::Interim
    }

    fn on_response<U: Upstream>(
        &mut self,
        head: &ResponseHead<'_, '_>,
        client: &mut C,
        context: &RequestContext,
        request_sent: bool,
        buffers: &Buffers,
    ) -> Arrived<C, U> {
        let interim = self
            .interim
            .take()
            .unwrap_or_else(|| client.interim_responses(buffers));
        let (message, keep_client) = client.begin(interim, head, context, request_sent);
        Arrived::Final(Response {
            flow: Flow::new::<U::Side>(head.framing, message),
            status: head.status,
            keep_client,
            keep_upstream: head.keeps_alive,
        })
    }
}

impl<C: Downstream, U: Upstream> Upload<C, U> {
    fn moved(&self) -> u64 {
        match self {
            Self::Under(flow) => flow.moved(),
            Self::Done { moved, .. } | Self::Stopped { moved, .. } => *moved,
        }
    }

    /// Returns whether the request can be sent once more, from its beginning.
    fn can_be_sent_again(&self) -> bool {
        match self {
            Self::Under(flow) => flow.can_be_sent_again(),
            Self::Done { kept, .. } | Self::Stopped { kept, .. } => {
                kept.as_ref().is_some_and(Flow::can_be_sent_again)
            }
        }
    }
}

impl<C: Downstream, U: Upstream> Download<C, U> {
    /// Returns whether part of an interim response went down.
    fn is_mid_interim(&self) -> bool {
        let Self::Head(awaiting) = self else {
            return false;
        };
        awaiting.interim.as_ref().is_some_and(C::is_mid_interim)
    }

    fn moved(&self) -> u64 {
        match self {
            Self::Head(_) => 0,
            Self::Body(response) => response.flow.moved(),
        }
    }
}
