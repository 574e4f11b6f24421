//! Retry budget and deadlines of one request across attempts.

use crate::clock;
use crate::limits::Limits;
use portolan_discovery::table::Timeouts;
use portolan_proxy_core::grpc::Call;
use portolan_proxy_core::reason::Reason;
use portolan_proxy_core::retry::{Failure, Retries};
use std::sync::LazyLock;
use std::time::Duration;
use tokio::time::Instant;

/// As good as no bound, and still far from the ends of the clock and of the timer.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);
/// The pause before the first retry, doubled for each further one: an endpoint that is
/// overwhelmed for a moment must not get the same request at once.
const FIRST_PAUSE: Duration = Duration::from_millis(25);
/// Two clocks that were set for the same time fire within it of one another.
const CLOCK_TOLERANCE: Duration = Duration::from_millis(10);
/// The pause grows no further.
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// Timeouts of one request: those of its route, else those of the data plane.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EffectiveTimeouts {
    connect: Duration,
    response: Duration,
    request: Duration,
    /// For a body on which nothing moves.
    pub(crate) idle: Duration,
    /// For a tunnel on which nothing moves.
    pub(crate) tunnel_idle: Duration,
    /// The time for the request runs from its beginning, not from its end.
    from_start: bool,
}

impl EffectiveTimeouts {
    /// Combines a route's timeouts with the limits of the data plane; zero is no bound.
    ///
    /// A gRPC call is a stream of messages, and may be silent for as long as a tunnel. Its client says
    /// how long it waits, which comes before the limits but not before the route.
    pub(crate) fn new(route: &Timeouts, limits: &Limits, call: Option<Call>) -> Self {
        let call_timeout = call.and_then(|call| call.timeout);
        let wait = |own: Option<Duration>, default: Duration| match own.unwrap_or(default) {
            Duration::ZERO => NEVER,
            wait => wait.min(NEVER),
        };
        let request = match call_timeout {
            Some(call_timeout) => wait(route.request, NEVER).min(call_timeout),
            None => wait(route.request, limits.request),
        };
        Self {
            connect: wait(route.connect, limits.connect),
            response: wait(
                route.response,
                call_timeout.map_or(limits.response, |_| NEVER),
            ),
            request,
            idle: match call {
                Some(_) => wait(route.idle, limits.tunnel_idle),
                None => wait(route.idle, limits.idle),
            },
            tunnel_idle: wait(route.idle, limits.tunnel_idle),
            from_start: call_timeout.is_some(),
        }
    }
}

/// Retry budget and deadline of one request.
#[derive(Debug)]
pub(crate) struct RequestBudget<'r> {
    pub(crate) timeouts: EffectiveTimeouts,
    retries: Retries<'r>,
    /// Until when a response must have begun; known once the request has been received whole, as
    /// only the client decides how long that takes.
    deadline: Option<Instant>,
    continued: bool,
}

impl<'r> RequestBudget<'r> {
    pub(crate) fn new(timeouts: EffectiveTimeouts, retries: Retries<'r>) -> Self {
        let deadline = timeouts.from_start.then(|| clock::now() + timeouts.request);
        Self {
            timeouts,
            retries,
            deadline,
            continued: false,
        }
    }

    /// The request has been received whole.
    pub(crate) fn received(&mut self) {
        self.deadline
            .get_or_insert_with(|| clock::now() + self.timeouts.request);
    }

    /// Returns whether 100 (Continue) is due (RFC 9110 10.1.1): once, however many attempts there are.
    pub(crate) fn continues(&mut self) -> bool {
        !std::mem::replace(&mut self.continued, true)
    }

    /// Returns whether what is sent must be kept for another attempt.
    pub(crate) fn needs_replay(&self) -> bool {
        self.retries.needs_replay()
    }

    /// How long an endpoint may take to take a connection.
    pub(crate) fn for_connecting(&self) -> Duration {
        self.bounded(self.timeouts.connect).0
    }

    /// How long an endpoint that has the whole request may take to begin its response, and what is
    /// wrong when it takes longer.
    pub(crate) fn for_response(&self) -> (Duration, Reason) {
        self.bounded(self.timeouts.response)
    }

    fn bounded(&self, wait: Duration) -> (Duration, Reason) {
        let per_try = self.retries.policy().and_then(|policy| policy.per_try());
        let wait = per_try.map_or(wait, |per_try| per_try.min(wait));
        match self.left() {
            Some(left) if left < wait => (left, Reason::DeadlineExceeded),
            _ => (wait, Reason::ResponseTimeout),
        }
    }

    /// Classifies the end of an attempt by the endpoint: the reason given, or that the time is over which the client
    /// gave. The endpoint gets that time too, and ends the call at the same moment.
    pub(crate) fn classify(&self, reason: Reason) -> Reason {
        let over =
            self.timeouts.from_start && self.left().is_some_and(|left| left <= CLOCK_TOLERANCE);
        if over {
            Reason::DeadlineExceeded
        } else {
            reason
        }
    }

    fn left(&self) -> Option<Duration> {
        let deadline = self.deadline?;
        Some(deadline.saturating_duration_since(clock::now()))
    }

    /// Returns whether the request is sent once more after this failure. A yes is counted: the attempt must
    /// follow. See [`Retries::try_retry`].
    pub(crate) fn try_retry(&mut self, failure: Failure, possible: bool) -> bool {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        let in_time = self.left() != Some(Duration::ZERO);
        self.retries
            .try_retry(failure, possible && in_time, START.elapsed())
    }

    /// How long to wait at most before the next attempt; `None` before one that costs nothing.
    pub(crate) fn longest_pause(&self) -> Option<Duration> {
        let doublings = self.retries.made().checked_sub(1)?;
        Some((FIRST_PAUSE * (1 << doublings.min(8))).min(LONGEST_PAUSE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portolan_discovery::table;
    use portolan_proxy_core::retry::RetryPolicy;

    fn timeouts(timeouts: Timeouts) -> EffectiveTimeouts {
        EffectiveTimeouts::new(&timeouts, &Limits::default(), None)
    }

    fn policy(count: u32, per_try: Option<Duration>) -> RetryPolicy {
        RetryPolicy::from(&table::Retries {
            count,
            per_try_timeout: per_try,
            retry_on: Vec::new(),
        })
    }

    #[test]
    fn a_route_comes_before_the_limits_and_zero_is_none() {
        let own = timeouts(Timeouts {
            connect: Some(Duration::from_secs(1)),
            response: Some(Duration::ZERO),
            request: None,
            idle: Some(Duration::from_secs(7)),
        });
        assert_eq!(own.connect, Duration::from_secs(1));
        assert_eq!(own.response, NEVER);
        assert_eq!(own.request, Limits::default().request);
        assert_eq!(own.idle, own.tunnel_idle);
        let none = timeouts(Timeouts::default());
        assert_eq!(none.tunnel_idle, Limits::default().tunnel_idle);
    }

    #[tokio::test(start_paused = true)]
    async fn all_attempts_together_have_a_deadline() {
        let timeouts = timeouts(Timeouts {
            response: Some(Duration::from_secs(8)),
            request: Some(Duration::from_secs(10)),
            ..Timeouts::default()
        });
        let policy = policy(5, None);
        let mut budget = RequestBudget::new(timeouts, Retries::new(Some(&policy), true));
        tokio::time::advance(Duration::from_secs(100)).await;
        assert_eq!(budget.for_response().0, Duration::from_secs(8));
        budget.received();
        tokio::time::advance(Duration::from_secs(8)).await;
        assert!(budget.try_retry(Failure::Reset, true));
        budget.received();
        let left = (Duration::from_secs(2), Reason::DeadlineExceeded);
        assert_eq!(budget.for_response(), left);
        assert_eq!(budget.for_connecting(), Duration::from_secs(2));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(!budget.try_retry(Failure::Reset, true));
    }

    #[tokio::test(start_paused = true)]
    async fn classifies_a_call_ended_at_its_deadline() {
        let call = |timeout| Some(Call { timeout });
        let call_timeout = call(Some(Duration::from_millis(300)));
        let of = |call| {
            let timeouts = EffectiveTimeouts::new(&Timeouts::default(), &Limits::default(), call);
            RequestBudget::new(timeouts, Retries::new(None, true))
        };
        let (bounded, free) = (of(call_timeout), of(call(None)));
        let closed = Reason::UpstreamClosed;
        assert_eq!(bounded.classify(closed), closed);
        tokio::time::advance(Duration::from_millis(295)).await;
        assert_eq!(bounded.classify(closed), Reason::DeadlineExceeded);
        assert_eq!(free.classify(closed), closed);
    }

    #[test]
    fn an_attempt_may_have_less_time_than_the_response() {
        let policy = policy(1, Some(Duration::from_millis(150)));
        let budget = RequestBudget::new(
            timeouts(Timeouts::default()),
            Retries::new(Some(&policy), true),
        );
        assert_eq!(budget.for_response().0, Duration::from_millis(150));
    }

    #[test]
    fn pauses_grow_up_to_a_bound_and_a_free_attempt_has_none() {
        let policy = policy(9, None);
        let mut budget = RequestBudget::new(
            timeouts(Timeouts::default()),
            Retries::new(Some(&policy), true),
        );
        assert!(budget.try_retry(Failure::Unsent, true));
        assert_eq!(budget.longest_pause(), None);
        let mut pauses = Vec::new();
        while budget.try_retry(Failure::Reset, true) {
            pauses.push(budget.longest_pause().unwrap().as_millis());
        }
        assert_eq!(pauses[..5], [25, 50, 100, 200, 250]);
    }
}
