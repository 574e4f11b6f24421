//! Before a response: interim responses pass, a tunnel opens, or the response's head arrives.

use crate::http1::exchange::Terms;
use crate::http1::flow::{Coding, Flow};
use crate::worker::buffer::Buffers;
use portolan_proxy_core::body::Framing;
use portolan_proxy_core::edit::{self, Persistence};
use portolan_proxy_core::field::slots;
use portolan_proxy_core::response::ResponseHead;
use portolan_proxy_core::scan::{BadLineEnd, HeadScan};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::AsyncWrite;

/// How many interim responses one request may have.
const MAX_INTERIM: u8 = 8;

/// What is known while no final response head has come.
pub(super) struct AwaitingHead {
    scan: HeadScan,
    interim: u8,
    /// An interim response of the endpoint goes or went to the client.
    passed_on: bool,
    /// Interim responses on their way to the client.
    notes: Vec<u8>,
    written: usize,
    unflushed: bool,
}

/// A response whose head is on its way to the client.
pub(super) struct Response {
    pub(super) flow: Flow,
    pub(super) status: u16,
    /// Another request may follow on the client's connection.
    pub(super) keep_client: bool,
    /// Another request may follow on the endpoint's connection.
    pub(super) keep_upstream: bool,
}

/// What a response head leads to.
pub(super) enum Arrived {
    /// Another head follows.
    Interim,
    /// The 101 that the client asked for, not written yet.
    Tunnel { head: Vec<u8> },
    /// The response.
    Final(Response),
    /// Nothing that can be passed on.
    Malformed,
}

impl AwaitingHead {
    /// Begins with what the client is to be told first.
    pub(super) fn new(notes: Vec<u8>) -> Self {
        Self {
            scan: HeadScan::default(),
            interim: 0,
            passed_on: false,
            notes,
            written: 0,
            unflushed: false,
        }
    }

    /// The length of the next head, once it is whole.
    pub(super) fn find(&mut self, unread: &[u8]) -> Result<Option<usize>, BadLineEnd> {
        self.scan.find(unread)
    }

    /// Whether an interim response went down in part.
    pub(super) fn is_within_a_note(&self) -> bool {
        self.written > 0
    }

    /// Whether the client has got anything that came from the endpoint, or part of anything: then no
    /// other endpoint may be asked.
    pub(super) fn has_told(&self) -> bool {
        self.passed_on || self.is_within_a_note()
    }

    /// The vector that carried the notes, for another use.
    pub(super) fn into_room(self) -> Vec<u8> {
        self.notes
    }

    /// Judges a whole head.
    pub(super) fn take(
        &mut self,
        bytes: &[u8],
        terms: &Terms,
        request_sent: bool,
        buffers: &Buffers,
    ) -> Arrived {
        let mut room = slots();
        let method = if terms.head_only { "HEAD" } else { "GET" };
        match ResponseHead::parse(bytes, &mut room, method) {
            Err(_) => Arrived::Malformed,
            Ok(head) if head.is_interim() => self.interim(&head, terms, buffers),
            Ok(head) => Arrived::Final(self.response(&head, terms, request_sent)),
        }
    }

    fn interim(
        &mut self,
        head: &ResponseHead<'_, '_>,
        terms: &Terms,
        buffers: &Buffers,
    ) -> Arrived {
        match (head.status, &terms.websocket) {
            (101, Some(accept)) if head.accepts_websocket(accept) => {
                let mut switching = buffers.room();
                edit::switching(&mut switching, head);
                Arrived::Tunnel { head: switching }
            }
            // Not asked for, or to something else than what was asked for.
            (101, _) => Arrived::Malformed,
            _ if self.interim == MAX_INTERIM => Arrived::Malformed,
            (status, _) => {
                self.interim += 1;
                self.scan = HeadScan::default();
                // We have sent our own 100, and HTTP/1.0 knows no interim responses.
                if status != 100 && !terms.http10 {
                    self.passed_on = true;
                    edit::interim(&mut self.notes, head);
                }
                Arrived::Interim
            }
        }
    }

    fn response(
        &mut self,
        head: &ResponseHead<'_, '_>,
        terms: &Terms,
        request_sent: bool,
    ) -> Response {
        // HTTP/1.0 has no chunks; HTTP/1.1 gets an end that can be told from a broken connection.
        let (body, coding) = match (head.framing, terms.http10) {
            (Framing::Chunked | Framing::UntilClose, false) => (Framing::Chunked, Coding::Chunked),
            (Framing::Chunked | Framing::UntilClose, true) => (Framing::UntilClose, Coding::Plain),
            (framing, _) => (framing, Coding::Plain),
        };
        let keep_client = terms.keep_client && request_sent && body != Framing::UntilClose;
        let persistence = match (keep_client, terms.http10) {
            (false, _) => Persistence::Closed,
            (true, true) => Persistence::KeptAloud,
            (true, false) => Persistence::Kept,
        };
        let mut written = std::mem::take(&mut self.notes);
        edit::response(&mut written, head, body, persistence, &terms.response);
        Response {
            flow: Flow::new(written, head.framing, coding),
            status: head.status,
            keep_client,
            keep_upstream: head.keeps_alive,
        }
    }

    /// Tells the client what it is to be told.
    pub(super) fn poll_notes(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<()>> {
        while let Some(rest @ [_, ..]) = self.notes.get(self.written..) {
            let count = ready!(Pin::new(&mut *client).poll_write(cx, rest))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += count;
            self.unflushed = true;
        }
        self.notes.clear();
        self.written = 0;
        if self.unflushed {
            ready!(Pin::new(&mut *client).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}
