//! The task of a connection to an endpoint: it reads, flushes what was written, and finds out
//! when the peer is gone.

use crate::clock;
use crate::http2::link::Link;
use crate::upstream::http2_pool::State;
use crate::upstream::stream::Stream;
use bytes::Bytes;
use h2::client::Connection;
use h2::{Ping, PingPong};
use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// Interval of the checks that the endpoint has sent anything.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// An endpoint that is silent for so long, with requests under way, is asked to answer a PING.
const SILENT: Duration = Duration::from_secs(10);
/// One that does not even answer that in this time is gone (a node that lost its power sends no
/// reset).
const GONE: Duration = Duration::from_secs(10);

/// Runs until the connection ends: when it is broken, or when no request holds it. `settled` is notified
/// of the first bytes from the endpoint.
pub(super) async fn drive(
    mut connection: Connection<Link<Stream>, Bytes>,
    link: Link<Stream>,
    state: Rc<State>,
    settled: oneshot::Sender<()>,
) {
    let mut settled = Some(settled);
    let mut keep_alive = KeepAlive::new(connection.ping_pong());
    poll_fn(|cx| {
        if let Poll::Ready(ended) = Pin::new(&mut connection).poll(cx) {
            if let Err(error) = ended {
                tracing::debug!(%error, "upstream connection closed");
            }
            return Poll::Ready(());
        }
        if let Err(error) = link.poll_send_off(cx) {
            tracing::debug!(%error, "upstream connection failed");
            return Poll::Ready(());
        }
        let Some(heard) = link.read_at() else {
            return Poll::Pending;
        };
        if let Some(settled) = settled.take() {
            // The request that opened it may have been cancelled.
            let _ = settled.send(());
        }
        keep_alive.poll_gone(cx, heard, state.streams.get() > 0)
    })
    .await;
}

/// Detects a dead peer by PING.
struct KeepAlive {
    checks: Interval,
    pings: Option<PingPong>,
    /// When it was asked to answer, with nothing heard since.
    asked: Option<Instant>,
}

impl KeepAlive {
    fn new(pings: Option<PingPong>) -> Self {
        let mut checks = interval_at(Instant::now() + CHECK_INTERVAL, CHECK_INTERVAL);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            checks,
            pings,
            asked: None,
        }
    }

    /// Ready when the peer is gone; `heard` is when something was last read.
    fn poll_gone(&mut self, cx: &mut Context<'_>, heard: Instant, in_use: bool) -> Poll<()> {
        while self.checks.poll_tick(cx).is_ready() {
            let now = clock::now();
            if !in_use || now - heard < SILENT {
                self.asked = None;
                continue;
            }
            match (self.asked, &mut self.pings) {
                (Some(asked), _) if now - asked >= GONE => return Poll::Ready(()),
                (None, Some(pings)) => {
                    // That anything is read is the answer; the last one's is put away first.
                    let _ = pings.poll_pong(cx);
                    let _ = pings.send_ping(Ping::opaque());
                    self.asked = Some(now);
                }
                _ => {}
            }
        }
        Poll::Pending
    }
}
