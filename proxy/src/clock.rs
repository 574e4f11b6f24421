//! Coarse clock, read once per poll.
//!
//! A request moves its deadline several times within a few microseconds. Asking each time cost
//! as much as finding its route.

use pin_project_lite::pin_project;
use std::cell::Cell;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::time::Instant;

thread_local! {
    static POLLED: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// When the poll under way began; outside of one, now.
pub(crate) fn now() -> Instant {
    POLLED.get().unwrap_or_else(Instant::now)
}

/// Runs a connection, the clock standing still during each poll.
pub(crate) fn once_a_poll<F: Future>(connection: F) -> OnceAPoll<F> {
    OnceAPoll { connection }
}

pin_project! {
    /// Future of [`once_a_poll`]: an async function would keep its argument twice.
    pub(crate) struct OnceAPoll<F> {
        #[pin]
        connection: F,
    }
}

impl<F: Future> Future for OnceAPoll<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let _standing = Standing::at(Instant::now());
        self.project().connection.poll(cx)
    }
}

/// The clock stands still until this is dropped, also by a panic.
struct Standing;

impl Standing {
    fn at(now: Instant) -> Self {
        POLLED.set(Some(now));
        Self
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        POLLED.set(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn the_clock_stands_during_a_poll_and_goes_on_between_two() {
        let start = Instant::now();
        let seen = once_a_poll(async {
            let first = now();
            tokio::time::advance(Duration::from_secs(1)).await;
            (first, now())
        });
        let (first, second) = seen.await;
        assert_eq!(first, start);
        assert_eq!(second, start + Duration::from_secs(1));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(now(), start + Duration::from_secs(2));
    }
}
