//! A message on its way from one side to the other: its head, then its body, read as one side frames it
//! and written as the other does, in bounded memory.

use crate::exchange::io::{Filled, FlowError, Outgoing, Sink, Source};
use crate::worker::buffer::Buffers;
use portolan_proxy_core::body::Framing;
use std::task::{Context, Poll, ready};

/// Side that a flow waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitsFor {
    Sender,
    Receiver,
    /// Neither: there is no memory to read into.
    Memory,
}

/// One message under way.
#[derive(Debug)]
pub(crate) struct Flow<I, O> {
    incoming: I,
    outgoing: O,
    ended: bool,
    waits_for: WaitsFor,
    moved: u64,
}

/// Of a message from one side to the other.
pub(crate) type FlowOf<From, To> = Flow<<From as Source>::Incoming, <To as Sink>::Outgoing>;

impl<I, O: Outgoing> Flow<I, O> {
    /// A message whose body arrives by `framing`.
    pub(crate) fn new<S: Source<Incoming = I>>(framing: Framing, outgoing: O) -> Self {
        Self {
            incoming: S::incoming(framing),
            outgoing,
            ended: framing.is_empty(),
            waits_for: WaitsFor::Receiver,
            moved: 0,
        }
    }

    /// Body bytes so far.
    pub(crate) fn moved(&self) -> u64 {
        self.moved
    }

    /// Returns whether the receiver has taken nothing yet, not even of the head.
    pub(crate) fn nothing_accepted(&self) -> bool {
        self.outgoing.nothing_accepted()
    }

    /// Keeps what is sent, so that it can be sent again; a long body ends that.
    pub(crate) fn keep(&mut self) {
        self.outgoing.keep();
    }

    /// Lets what was sent go.
    pub(crate) fn keep_no_more(&mut self) {
        self.outgoing.keep_no_more();
    }

    /// Returns whether what was sent is kept.
    pub(crate) fn is_kept(&self) -> bool {
        self.outgoing.is_kept()
    }

    /// Returns whether all that was sent is still there.
    pub(crate) fn can_be_sent_again(&self) -> bool {
        self.outgoing.is_kept() || self.outgoing.nothing_accepted()
    }

    /// The same message for another receiver, from its beginning.
    pub(crate) fn again(mut self) -> Self {
        self.outgoing.again();
        self
    }

    /// Returns which side the last poll waited for.
    pub(crate) fn waits_for(&self) -> WaitsFor {
        self.waits_for
    }

    /// Returns back what the message was written into, as far as nothing in it is needed.
    pub(crate) fn give_back_room(&mut self, buffers: &Buffers) {
        self.outgoing.give_back_room(buffers);
    }

    /// Returns back what the message was written into.
    pub(crate) fn recycle(self, buffers: &Buffers) {
        self.outgoing.recycle(buffers);
    }

    /// Moves as much as can be moved. Ready when the message is through, to its last byte.
    pub(crate) fn poll<S, T>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut S,
        to: &mut T,
        buffers: &Buffers,
    ) -> Poll<Result<(), FlowError>>
    where
        S: Source<Incoming = I>,
        T: Sink<Outgoing = O>,
    {
        loop {
            if !self.ended && !from.unread().is_empty() {
                let put = self.outgoing.put(from, &mut self.incoming, &mut self.moved);
                self.ended = put?;
                if self.ended {
                    self.outgoing.finish::<S>(&self.incoming)?;
                }
            }
            self.waits_for = WaitsFor::Receiver;
            ready!(to.poll_write(&mut self.outgoing, from, cx)).map_err(FlowError::Write)?;
            from.release_if_empty(buffers);
            if self.ended {
                let finished = ready!(to.poll_finish(&mut self.outgoing, cx));
                return Poll::Ready(finished.map_err(FlowError::Write));
            }
            if !from.unread().is_empty() {
                continue;
            }
            self.waits_for = WaitsFor::Sender;
            let filled = from.poll_fill(&mut self.incoming, cx, buffers);
            let filled = filled.unwrap_or_else(|| {
                self.waits_for = WaitsFor::Memory;
                Poll::Pending
            });
            match filled {
                Poll::Ready(Ok(Filled::More)) => {}
                Poll::Ready(Ok(Filled::End)) => {
                    S::end(&self.incoming)?;
                    self.ended = true;
                    self.outgoing.finish::<S>(&self.incoming)?;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(FlowError::Read(error))),
                Poll::Pending => {
                    to.flush_partial(&mut self.outgoing, cx)
                        .map_err(FlowError::Write)?;
                    return Poll::Pending;
                }
            }
        }
    }
}
