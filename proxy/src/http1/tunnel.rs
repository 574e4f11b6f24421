//! A WebSocket after its handshake: bytes both ways, until one side has closed and the other
//! has taken what was under way. A tunnel that says nothing holds no buffer.

use crate::http1::exchange::{Counted, End};
use crate::http1::flow::{Coding, Flow};
use crate::http1::timer::Timer;
use crate::worker::buffer::{Buffer, Buffers};
use portolan_proxy_core::body::Framing;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// Carries bytes both ways; `head` goes to the client first.
pub(crate) async fn run<C, U>(
    client: End<'_, C>,
    upstream: End<'_, U>,
    head: Vec<u8>,
    timer: &mut Timer,
    idle: Duration,
    buffers: &Buffers,
) -> Counted
where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    let mut up = Direction::new(Vec::new());
    let mut down = Direction::new(head);
    let mut moved = 0;
    timer.set(idle);
    poll_fn(|cx| {
        let went_up = up.poll(cx, client.stream, client.input, upstream.stream, buffers);
        let came_down = down.poll(cx, upstream.stream, upstream.input, client.stream, buffers);
        match (went_up, came_down) {
            (Poll::Ready(Err(())), _) | (_, Poll::Ready(Err(()))) => return Poll::Ready(()),
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => return Poll::Ready(()),
            _ => {}
        }
        let now = up.flow.moved() + down.flow.moved();
        if now > moved {
            moved = now;
            timer.set(idle);
        }
        down.flow.give_back_room(buffers);
        timer.poll(cx)
    })
    .await;
    let counted = Counted {
        received: up.flow.moved(),
        sent: down.flow.moved(),
    };
    buffers.take_back_room(up.flow.into_room());
    buffers.take_back_room(down.flow.into_room());
    counted
}

/// One way of a tunnel: until its sender closes, then the close itself.
struct Direction {
    flow: Flow,
    state: State,
}

enum State {
    Flowing,
    Closing,
    Closed,
}

impl Direction {
    fn new(head: Vec<u8>) -> Self {
        Self {
            flow: Flow::new(head, Framing::UntilClose, Coding::Plain),
            state: State::Flowing,
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        input: &mut Option<Buffer>,
        to: &mut (impl AsyncWrite + Unpin),
        buffers: &Buffers,
    ) -> Poll<Result<(), ()>> {
        loop {
            match self.state {
                State::Flowing => {
                    ready!(self.flow.poll(cx, from, input, to, buffers)).map_err(|_| ())?;
                    self.state = State::Closing;
                }
                State::Closing => {
                    ready!(Pin::new(&mut *to).poll_shutdown(cx)).map_err(|_| ())?;
                    self.state = State::Closed;
                }
                State::Closed => return Poll::Ready(Ok(())),
            }
        }
    }
}
