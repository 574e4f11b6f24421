//! A WebSocket after its handshake: bytes both ways, until one side has closed and the other
//! has taken what was under way. An idle tunnel holds no buffer.

use crate::exchange::Counted;
use crate::exchange::flow::{Flow, FlowOf};
use crate::exchange::io::{Downstream, Sink, Source, Upstream};
use crate::exchange::timer::Timer;
use crate::worker::buffer::Buffers;
use portolan_proxy_core::body::Framing;
use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// Totals of a tunnel.
pub(crate) struct Carried {
    pub(crate) counted: Counted,
    /// Both sides have closed; else it was broken off.
    pub(crate) whole: bool,
    /// The code of an endpoint that broke it off, if it gave one (RFC 9113 7).
    pub(crate) code: Option<u32>,
}

/// Carries bytes both ways; `opening` goes to the client first.
pub(crate) async fn run<C: Downstream, U: Upstream>(
    client: &mut C,
    upstream: &mut U,
    opening: <C::Side as Sink>::Outgoing,
    uplink: <U::Side as Sink>::Outgoing,
    timer: &mut Timer,
    idle: Duration,
    buffers: &Buffers,
) -> Carried {
    let mut up = Direction::<C::Side, U::Side>::new(uplink);
    let mut down = Direction::<U::Side, C::Side>::new(opening);
    let mut moved = 0;
    timer.set(idle);
    let whole = poll_fn(|cx| {
        let went_up = up.poll(cx, client.side(), upstream.side(), buffers);
        let came_down = down.poll(cx, upstream.side(), client.side(), buffers);
        match (went_up, came_down) {
            (Poll::Ready(Err(())), _) | (_, Poll::Ready(Err(()))) => return Poll::Ready(false),
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => return Poll::Ready(true),
            _ => {}
        }
        if client.poll_cancelled(cx) {
            return Poll::Ready(false);
        }
        let now = up.flow.moved() + down.flow.moved();
        if now > moved {
            moved = now;
            timer.set(idle);
        }
        down.flow.give_back_room(buffers);
        timer.poll(cx).map(|()| false)
    })
    .await;
    let counted = Counted {
        received: up.flow.moved(),
        sent: down.flow.moved(),
    };
    up.flow.recycle(buffers);
    down.flow.recycle(buffers);
    Carried {
        counted,
        whole,
        code: upstream.reset_code(),
    }
}

/// One direction of a tunnel: until its sender closes, then the close itself.
struct Direction<S: Source, T: Sink> {
    flow: FlowOf<S, T>,
    state: State,
}

enum State {
    Flowing,
    Closing,
    Closed,
}

impl<S: Source, T: Sink> Direction<S, T> {
    fn new(opening: T::Outgoing) -> Self {
        Self {
            flow: Flow::new::<S>(Framing::UntilClose, opening),
            state: State::Flowing,
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut S,
        to: &mut T,
        buffers: &Buffers,
    ) -> Poll<Result<(), ()>> {
        loop {
            match self.state {
                State::Flowing => {
                    ready!(self.flow.poll(cx, from, to, buffers)).map_err(|_| ())?;
                    self.state = State::Closing;
                }
                State::Closing => {
                    ready!(to.poll_close(cx)).map_err(|_| ())?;
                    self.state = State::Closed;
                }
                State::Closed => return Poll::Ready(Ok(())),
            }
        }
    }
}
