//! Traits of the two sides of an exchange, for any protocol. A body moves with credit: it is
//! read from one side only when the other has taken what was read before.

use crate::exchange::RequestContext;
use crate::worker::Worker;
use crate::worker::buffer::Buffers;
use bytes::Bytes;
use portolan_proxy_core::body::Framing;
use portolan_proxy_core::chunk::{ChunkError, Decoded};
use portolan_proxy_core::endpoint::InFlight;
use portolan_proxy_core::headers::FieldSink;
use portolan_proxy_core::reason::Reason;
use portolan_proxy_core::response::{MalformedResponse, ResponseHead};
use portolan_proxy_core::retry::Failure;
use std::io;
use std::task::{Context, Poll};
use thiserror::Error;

/// Result of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filled {
    /// Something to decode.
    More,
    /// The sender says nothing more.
    End,
}

/// Errors that end a flow early.
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

/// Where a message's body comes from.
pub(crate) trait Source {
    /// How far a body has been read.
    type Incoming;

    /// A body that is framed so, none of it read yet.
    fn incoming(framing: Framing) -> Self::Incoming;

    /// Returns whether framing stands between the bytes of such a body.
    fn is_framed(incoming: &Self::Incoming) -> bool;

    /// Returns the bytes read and not used: body, and its framing.
    fn unread(&self) -> &[u8];

    /// The next run of body in it.
    fn decode(&self, incoming: &mut Self::Incoming) -> Result<Decoded, ChunkError>;

    /// Uses up the first bytes of it.
    fn consume(&mut self, count: usize);

    /// Uses up what was decoded and gives its body.
    fn take(&mut self, decoded: &Decoded) -> Bytes;

    /// Reads, when nothing is unread. `None` when there is no memory to read into.
    fn poll_fill(
        &mut self,
        incoming: &mut Self::Incoming,
        cx: &mut Context<'_>,
        buffers: &Buffers,
    ) -> Option<Poll<io::Result<Filled>>>;

    /// Checks that the body may end here.
    fn end(incoming: &Self::Incoming) -> Result<(), FlowError>;

    /// The trailers of a body that has ended, those that may pass.
    fn trailers(incoming: &Self::Incoming, out: &mut impl FieldSink) -> Result<(), ChunkError>;

    /// Returns back a buffer that holds nothing.
    fn release_if_empty(&mut self, buffers: &Buffers);
}

/// A message on its way out: what is written of it, and how.
pub(crate) trait Outgoing: Sized {
    /// Takes in what was read from `from`, up to about a buffer full; counts body bytes in `moved`.
    /// Returns whether the message has ended.
    fn put<S: Source>(
        &mut self,
        from: &mut S,
        incoming: &mut S::Incoming,
        moved: &mut u64,
    ) -> Result<bool, ChunkError>;

    /// Takes in the end of the message.
    fn finish<S: Source>(&mut self, incoming: &S::Incoming) -> Result<(), ChunkError>;

    /// Returns whether the receiver has taken nothing yet, not even of the head.
    fn nothing_accepted(&self) -> bool;

    /// Keeps what is sent, so that it can be sent again; a long body ends that.
    fn keep(&mut self);

    /// Lets what was sent go.
    fn keep_no_more(&mut self);

    /// Returns whether what was sent is kept.
    fn is_kept(&self) -> bool;

    /// The same message for another receiver, from its beginning.
    fn again(&mut self);

    /// Returns back what it was written into, as far as nothing in it is needed.
    fn give_back_room(&mut self, buffers: &Buffers);

    /// Returns back what it was written into.
    fn recycle(self, buffers: &Buffers);
}

/// Where a message goes.
pub(crate) trait Sink {
    /// Its messages.
    type Outgoing: Outgoing;

    /// Writes what can be written, some of it perhaps from where it was read.
    fn poll_write(
        &mut self,
        message: &mut Self::Outgoing,
        from: &mut impl Source,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>>;

    /// Sends off a whole message.
    fn poll_finish(
        &mut self,
        message: &mut Self::Outgoing,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>>;

    /// Sends off what was written: the rest of the message may take long.
    fn flush_partial(
        &mut self,
        message: &mut Self::Outgoing,
        cx: &mut Context<'_>,
    ) -> io::Result<()>;

    /// Says that nothing more will come.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// State of a client from which nothing is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watch {
    /// It waits.
    Waiting,
    /// It has just closed its side, and nothing came before that: it may still read, or have gone.
    Closed,
    /// It takes its request back.
    Gone,
}

/// The side of a client.
pub(crate) trait Downstream {
    /// Source of bodies and sink of messages.
    type Side: Source + Sink;
    /// Interim responses on their way.
    type InterimResponses;

    /// Source of bodies and sink of messages.
    fn side(&mut self) -> &mut Self::Side;

    /// Nothing of a request's body has come yet.
    fn is_silent(&self) -> bool;

    /// Room for interim responses.
    fn interim_responses(&self, buffers: &Buffers) -> Self::InterimResponses;

    /// Queues 100 (Continue), after which the client sends its body (RFC 9110 15.2.1).
    fn queue_continue(&mut self, interim: &mut Self::InterimResponses);

    /// Passes an interim response on.
    fn queue_interim(&mut self, interim: &mut Self::InterimResponses, head: &ResponseHead<'_, '_>);

    /// Sends interim responses off.
    fn poll_interim(
        &mut self,
        interim: &mut Self::InterimResponses,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>>;

    /// Returns whether an interim response went down in part, so that nothing can follow but its rest.
    fn is_mid_interim(interim: &Self::InterimResponses) -> bool;

    /// Returns back the room.
    fn recycle_interim(interim: Self::InterimResponses, buffers: &Buffers);

    /// Begins a response, after the notes. Returns it with whether another request may follow on the
    /// connection, as far as the response is concerned; `request_sent` tells whether the whole
    /// request was read.
    fn begin(
        &mut self,
        interim: Self::InterimResponses,
        head: &ResponseHead<'_, '_>,
        context: &RequestContext,
        request_sent: bool,
    ) -> (<Self::Side as Sink>::Outgoing, bool);

    /// Opens the tunnel that the client asked for.
    fn open_tunnel(
        &mut self,
        head: &ResponseHead<'_, '_>,
        accept: &str,
        buffers: &Buffers,
    ) -> <Self::Side as Sink>::Outgoing;

    /// Looks after a client while a response is waited for or on its way.
    fn poll_watch(&mut self, cx: &mut Context<'_>, buffers: &Buffers) -> Watch;

    /// Returns whether the client has taken back a request that is still read from it, as far as its protocol
    /// has a word for that.
    fn poll_cancelled(&mut self, cx: &mut Context<'_>) -> bool;

    /// Returns whether the connection of a client that is not read from is reset. Asks the kernel.
    fn is_reset(&self) -> bool;

    /// Ends when the client takes its request back, though nothing is read from it.
    fn gone(&mut self) -> impl Future<Output = ()>;

    /// The client may send another request after this one.
    fn may_say_more(&self) -> bool;
}

/// Why no response head comes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadFault {
    pub(crate) reason: Reason,
    /// Failure for which another attempt may be made.
    pub(crate) failure: Option<Failure>,
}

/// Answer of a response head to a tunnel request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TunnelResponse {
    /// Nothing: it is a response like any other.
    Ordinary,
    /// It is open.
    Open,
    /// It is open, but the endpoint did not prove that it understood.
    BadAccept,
}

/// The side of an endpoint, for one request.
pub(crate) trait Upstream: Sized {
    /// Requests are kept for another attempt even without retries: the protocol has an error code for what
    /// was not processed, after which it may be sent again.
    const KEEPS: bool;

    /// Source of bodies and sink of messages.
    type Side: Source + Sink;

    /// Source of bodies and sink of messages.
    fn side(&mut self) -> &mut Self::Side;

    /// The request, as its endpoint counts it.
    fn in_flight(&self) -> &InFlight;

    /// The connection carried requests before, and may have been closed since it was looked at.
    fn is_reused(&self) -> bool;

    /// Aborts a request that will never be whole, so that the endpoint sees it and nothing is kept for it.
    fn abandon(&mut self);

    /// Ready when a response head has come, whole.
    fn poll_head(&mut self, cx: &mut Context<'_>, buffers: &Buffers)
    -> Poll<Result<(), HeadFault>>;

    /// Parses that head, hands it to `handle` and consumes it.
    fn take_head<T>(
        &mut self,
        method: &str,
        buffers: &Buffers,
        handle: impl FnOnce(Result<ResponseHead<'_, '_>, MalformedResponse>) -> T,
    ) -> T;

    /// Classifies a head as the answer to a tunnel request; `accept` is the expected `Sec-WebSocket-Accept` on HTTP/1.1.
    fn tunnel_response(head: &ResponseHead<'_, '_>, accept: Option<&str>) -> TunnelResponse;

    /// Message that carries the upstream direction of a tunnel.
    fn uplink() -> <Self::Side as Sink>::Outgoing;

    /// The code of an endpoint that reset its response (RFC 9113 7), if it did.
    fn reset_code(&self) -> Option<u32>;

    /// Returns back what was read and not used.
    fn give_back(&mut self, buffers: &Buffers);

    /// The request has ended well; `keep` when another may follow on the connection.
    fn release(self, keep: bool, worker: &Worker);
}
