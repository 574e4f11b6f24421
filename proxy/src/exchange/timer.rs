//! One timer for each connection.

use crate::clock;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

/// A deadline that is moved with every request and seldom reached.
///
/// The runtime's timer is touched only when it would fire too late; one that fires too early is
/// set again. So a request that goes well moves a number, not a timer.
#[derive(Debug)]
pub(crate) struct Timer {
    deadline: Instant,
    sleep: Pin<Box<Sleep>>,
}

impl Timer {
    pub(crate) fn new(after: Duration) -> Self {
        let deadline = clock::now() + after;
        Self {
            deadline,
            sleep: Box::pin(sleep_until(deadline)),
        }
    }

    /// Moves the deadline.
    pub(crate) fn set(&mut self, after: Duration) {
        self.deadline = clock::now() + after;
        if self.sleep.deadline() > self.deadline {
            self.sleep.as_mut().reset(self.deadline);
        }
    }

    /// Moves the deadline nearer. Returns whether it was further away.
    pub(crate) fn set_at_most(&mut self, after: Duration) -> bool {
        let nearer = Instant::now() + after < self.deadline;
        if nearer {
            self.set(after);
        }
        nearer
    }

    /// Ready once the deadline has passed.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.sleep.as_mut().poll(cx).is_ready() {
            if Instant::now() >= self.deadline {
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(self.deadline);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    #[tokio::test(start_paused = true)]
    async fn a_deadline_moves_both_ways() {
        let start = Instant::now();
        let mut timer = Timer::new(Duration::from_secs(10));
        timer.set(Duration::from_secs(60));
        poll_fn(|cx| timer.poll(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 60);
        timer.set(Duration::from_secs(60));
        timer.set(Duration::from_secs(5));
        poll_fn(|cx| timer.poll(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 65);
        timer.set(Duration::from_secs(10));
        assert!(!timer.set_at_most(Duration::from_secs(20)));
        assert!(timer.set_at_most(Duration::from_secs(1)));
        poll_fn(|cx| timer.poll(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 66);
    }
}
