//! A message that leaves over HTTP/2, as it is written.

use crate::exchange::io::{Outgoing, Source};
use crate::http2::fields::Fields;
use crate::http2::received::to_io;
use crate::worker::buffer::Buffers;
use bytes::{Bytes, BytesMut};
use h2::SendStream;
use h2::ext::Protocol;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, Request, Uri, header};
use portolan_proxy_core::body::Framing;
use portolan_proxy_core::chunk::ChunkError;
use portolan_proxy_core::head::Head;
use portolan_proxy_core::headers::{self, Hop};
use portolan_proxy_core::retry::MAX_REPLAYED;
use portolan_proxy_core::route::RequestRules;
use std::io;
use std::task::{Context, Poll, ready};

/// Pieces of a body that are there together, small chunks of HTTP/1.1 say, leave in one frame up to about
/// this size: a peer takes thousands of tiny frames for an attack.
const WORTH_A_FRAME: usize = 4096;

/// State of the end of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Not known yet.
    Open,
    /// Nothing follows what is queued but perhaps trailers.
    Due,
    /// Sent, or not sent by this message.
    Sent,
}

/// A message: its head, where that is not sent yet, and the body that is to be sent next.
#[derive(Debug)]
pub(crate) struct Sent {
    /// Of a request that has no stream yet.
    head: Option<Box<Request<()>>>,
    /// The head is of a message without a body.
    bodiless: bool,
    queued: Bytes,
    trailers: Option<HeaderMap>,
    end: End,
    /// The end is sent by this message, not by its head or by another.
    ends: bool,
    /// Copy of what was sent, as long as it is short.
    kept: Option<Box<Kept>>,
    accepted: bool,
}

#[derive(Debug, Default)]
struct Kept {
    head: Option<Box<Request<()>>>,
    body: Vec<Bytes>,
    length: usize,
    trailers: Option<HeaderMap>,
    finished: bool,
}

impl Sent {
    /// Builds the request for an endpoint. `None` when HTTP/2 cannot express it.
    pub(crate) fn request(
        head: &Head<'_>,
        rules: &RequestRules,
        hop: Hop<'_>,
        framing: Framing,
        secure: bool,
    ) -> Option<Self> {
        let mut target = Vec::new();
        headers::request_target(&mut target, head, rules);
        let mut authority = Vec::new();
        headers::request_authority(&mut authority, head, rules);
        let uri = Uri::builder()
            .scheme(if secure { Scheme::HTTPS } else { Scheme::HTTP })
            .authority(Authority::from_maybe_shared(Bytes::from(authority)).ok()?)
            .path_and_query(PathAndQuery::from_maybe_shared(Bytes::from(target)).ok()?);
        let mut fields = Fields(HeaderMap::with_capacity(24));
        headers::request_fields(&mut fields, head, rules, hop);
        if head.takes_trailers {
            // RFC 9113 8.2.2: the one value that it may have here.
            let trailers = HeaderValue::from_static("trailers");
            fields.0.insert(header::TE, trailers);
        }
        if let Framing::Length(length) = framing {
            fields.length(length);
        }
        let mut request = Request::new(());
        *request.uri_mut() = uri.build().ok()?;
        *request.method_mut() = if head.websocket {
            Method::CONNECT
        } else {
            Method::from_bytes(head.method.as_bytes()).ok()?
        };
        if head.websocket {
            // RFC 8441 5.
            fields.0.remove(header::SEC_WEBSOCKET_KEY);
            let websocket = Protocol::from_static("websocket");
            request.extensions_mut().insert(websocket);
        }
        *request.headers_mut() = fields.0;
        let bodiless = framing.is_empty() && !head.websocket;
        Some(Self {
            head: Some(Box::new(request)),
            bodiless,
            // What goes through a tunnel is another message.
            ..if framing.is_empty() {
                Self::nothing()
            } else {
                Self::body()
            }
        })
    }

    /// Body that follows a head that was sent.
    pub(super) fn body() -> Self {
        Self {
            head: None,
            bodiless: false,
            queued: Bytes::new(),
            trailers: None,
            end: End::Open,
            ends: true,
            kept: None,
            accepted: false,
        }
    }

    /// A body that is there.
    pub(super) fn whole(body: Bytes) -> Self {
        Self {
            queued: body,
            end: End::Due,
            ..Self::body()
        }
    }

    /// A message that ended with its head.
    pub(super) fn nothing() -> Self {
        Self {
            end: End::Sent,
            ends: false,
            ..Self::body()
        }
    }

    /// The head, if it is to be sent, and whether it says all.
    pub(super) fn take_head(&mut self) -> Option<(Request<()>, bool)> {
        let head = self.head.take()?;
        if let Some(kept) = &mut self.kept {
            kept.head = Some(head.clone());
        }
        Some((*head, self.bodiless))
    }

    /// The head has gone, or gone astray: then it can be sent again only if it is kept.
    pub(super) fn sent_head(&mut self, well: bool) {
        self.accepted = well || self.kept.is_none();
    }

    /// Returns whether the head asks for a tunnel.
    pub(super) fn asks_for_tunnel(&self) -> bool {
        let head = self.head.as_ref();
        head.is_some_and(|head| head.extensions().get::<Protocol>().is_some())
    }

    /// Sends what is queued, as fast as the receiver gives credit, and the end once it is due.
    pub(super) fn poll_send(
        &mut self,
        stream: &mut SendStream<Bytes>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.queued.is_empty() {
            if stream.capacity() == 0 {
                stream.reserve_capacity(self.queued.len());
                match ready!(stream.poll_capacity(cx)) {
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Poll::Ready(Err(to_io(error))),
                    None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
                }
            }
            let room = stream.capacity().min(self.queued.len());
            if room == 0 {
                continue;
            }
            let piece = self.queued.split_to(room);
            let last = self.queued.is_empty() && self.end == End::Due && self.trailers.is_none();
            stream.send_data(piece, last).map_err(to_io)?;
            if last {
                self.end = End::Sent;
            }
        }
        if self.end == End::Due {
            self.end = End::Sent;
            match self.trailers.take() {
                Some(trailers) => stream.send_trailers(trailers),
                None => stream.send_data(Bytes::new(), true),
            }
            .map_err(to_io)?;
        }
        Poll::Ready(Ok(()))
    }
}

impl Outgoing for Sent {
    fn put<S: Source>(
        &mut self,
        from: &mut S,
        incoming: &mut S::Incoming,
        moved: &mut u64,
    ) -> Result<bool, ChunkError> {
        if !self.queued.is_empty() {
            return Ok(false);
        }
        let mut gathered = BytesMut::new();
        let mut ended = false;
        while !ended && self.queued.len() + gathered.len() < WORTH_A_FRAME {
            if from.unread().is_empty() {
                break;
            }
            let decoded = from.decode(incoming)?;
            *moved += decoded.data.len() as u64;
            ended = decoded.done;
            let piece = from.take(&decoded);
            if self.queued.is_empty() && gathered.is_empty() {
                self.queued = piece;
            } else if !piece.is_empty() {
                gathered.extend_from_slice(&std::mem::take(&mut self.queued));
                gathered.extend_from_slice(&piece);
            }
        }
        if !gathered.is_empty() {
            self.queued = gathered.freeze();
        }
        self.keep_body();
        Ok(ended)
    }

    fn finish<S: Source>(&mut self, incoming: &S::Incoming) -> Result<(), ChunkError> {
        let mut trailers = Fields::default();
        S::trailers(incoming, &mut trailers)?;
        self.trailers = (!trailers.0.is_empty()).then_some(trailers.0);
        self.end = End::Due;
        if let Some(kept) = &mut self.kept {
            kept.trailers.clone_from(&self.trailers);
            kept.finished = true;
        }
        Ok(())
    }

    fn nothing_accepted(&self) -> bool {
        !self.accepted
    }

    fn keep(&mut self) {
        self.kept = Some(Box::default());
    }

    fn keep_no_more(&mut self) {
        self.kept = None;
    }

    fn is_kept(&self) -> bool {
        self.kept.is_some()
    }

    fn again(&mut self) {
        let Some(kept) = &mut self.kept else { return };
        if let Some(head) = kept.head.take() {
            self.head = Some(head);
        }
        self.queued = kept.body.concat().into();
        kept.body = vec![self.queued.clone()];
        if self.ends {
            self.trailers.clone_from(&kept.trailers);
            self.end = if kept.finished { End::Due } else { End::Open };
        }
        self.accepted = false;
    }

    fn give_back_room(&mut self, _buffers: &Buffers) {}

    fn recycle(self, _buffers: &Buffers) {}
}

impl Sent {
    fn keep_body(&mut self) {
        if let Some(kept) = &mut self.kept
            && !self.queued.is_empty()
        {
            kept.length += self.queued.len();
            kept.body.push(self.queued.clone());
        }
        self.kept.take_if(|kept| kept.length > MAX_REPLAYED);
    }
}
