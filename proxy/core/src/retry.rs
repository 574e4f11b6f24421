//! Whether a request that failed is sent once more.
//!
//! A request may be processed twice only where somebody has said so (a route's `retries`) or
//! where that is harmless (RFC 9110 9.2.2); and retries must not turn an endpoint's bad minute
//! into a flood, so they have a budget.

use portolan_discovery::table::{self, RetryOn};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// The largest body that is kept for another attempt, in bytes.
pub const MAX_REPLAYED: usize = 64 * 1024;

/// How often a request that no endpoint took a byte of is sent again without a policy: while an
/// application is replaced, several of its pods may end before that is known here.
const MOST_FREE: u8 = 3;

/// A route's retries, compiled; shared by all workers.
#[derive(Debug)]
pub struct RetryPolicy {
    count: u32,
    per_try: Option<Duration>,
    connect_failure: bool,
    reset: bool,
    server_error: bool,
    any_method: bool,
    budget: RetryBudget,
}

impl From<&table::Retries> for RetryPolicy {
    fn from(retries: &table::Retries) -> Self {
        let all = retries.retry_on.is_empty();
        let on = |condition| all || retries.retry_on.contains(&condition);
        Self {
            count: retries.count,
            per_try: retries.per_try_timeout.filter(|it| !it.is_zero()),
            connect_failure: on(RetryOn::ConnectFailure),
            reset: on(RetryOn::Reset),
            server_error: on(RetryOn::ServerError),
            any_method: !all,
            budget: RetryBudget::default(),
        }
    }
}

impl RetryPolicy {
    /// How long one attempt may take until its response begins; absent: no limit of its own.
    pub fn per_try(&self) -> Option<Duration> {
        self.per_try
    }

    fn covers(&self, failure: Failure) -> bool {
        match failure {
            Failure::Unsent | Failure::Unreachable => self.connect_failure,
            Failure::Stale | Failure::Reset => self.reset,
            Failure::Status(status) => self.server_error && (500..600).contains(&status),
        }
    }
}

/// What ended an attempt before a byte of its response was passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The endpoint took no connection, or not one byte over it: nothing can happen twice.
    Unsent,
    /// As before, and there is no other endpoint or connection that could be tried at once.
    Unreachable,
    /// A connection that had served before ended without a byte of a response: the endpoint closed it,
    /// most likely as idle, while the request was on its way (RFC 9112 9.3.1).
    Stale,
    /// The connection ended, or the endpoint did not answer in time.
    Reset,
    /// The endpoint answered, with this status.
    Status(u16),
}

impl Failure {
    /// No endpoint can have begun to process the request.
    fn is_harmless(self) -> bool {
        matches!(self, Self::Unsent | Self::Unreachable)
    }
}

/// The attempts of one request.
#[derive(Debug)]
pub struct Retries<'r> {
    policy: Option<&'r RetryPolicy>,
    idempotent: bool,
    /// Of those that cost: all but the free ones.
    made: u32,
    free: u8,
}

impl<'r> Retries<'r> {
    /// A request has arrived on a route with this policy; see [`is_idempotent`].
    pub fn new(policy: Option<&'r RetryPolicy>, idempotent: bool) -> Self {
        if let Some(policy) = policy {
            policy.budget.deposit();
        }
        Self {
            policy,
            idempotent,
            made: 0,
            free: 0,
        }
    }

    /// The route's policy.
    pub fn policy(&self) -> Option<&'r RetryPolicy> {
        self.policy
    }

    /// How many attempts after the first may have been processed by an endpoint.
    pub fn made(&self) -> u32 {
        self.made
    }

    /// Whether what is sent must be kept: another attempt may need it.
    pub fn needs_replay(&self) -> bool {
        self.policy.is_some_and(|policy| self.made < policy.count)
    }

    /// Whether the request is sent once more after this failure; `replayable` when all that was
    /// sent of it is still there, `now` is the time since any fixed point. A yes is counted: the
    /// attempt must follow.
    pub fn once_more(&mut self, failure: Failure, replayable: bool, now: Duration) -> bool {
        if !replayable {
            return false;
        }
        let most_free = match failure {
            Failure::Unsent => MOST_FREE,
            // The endpoint may have processed it, and must not get it again and again.
            Failure::Stale if self.idempotent => 1,
            Failure::Stale | Failure::Unreachable | Failure::Reset | Failure::Status(_) => 0,
        };
        if self.free < most_free {
            self.free += 1;
            return true;
        }
        let Some(policy) = self.policy else {
            return false;
        };
        let harmless = self.idempotent || policy.any_method || failure.is_harmless();
        let yes = self.made < policy.count
            && policy.covers(failure)
            && harmless
            && policy.budget.withdraw(now);
        self.made += u32::from(yes);
        yes
    }
}

/// Whether a request with this method may be processed twice (RFC 9110 9.2.2).
pub fn is_idempotent(method: &str) -> bool {
    matches!(
        method,
        "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE"
    )
}

/// How many retries a route may make: one for five requests, up to a hundred saved up, and ten a
/// second whatever the number of requests.
#[derive(Debug, Default)]
#[repr(align(128))]
struct RetryBudget {
    /// In requests: a retry costs five.
    saved: AtomicU32,
    /// When the last of those ten a second will have been earned, in milliseconds.
    floor: AtomicU64,
}

const REQUESTS_PER_RETRY: u32 = 5;
const MOST_SAVED: u32 = 100 * REQUESTS_PER_RETRY;
const FLOOR_INTERVAL: u64 = 100;
const FLOOR_BURST: u64 = 10 * FLOOR_INTERVAL;

impl RetryBudget {
    fn deposit(&self) {
        // Read first: a route without failures stays at its most, and its line stays shared.
        if self.saved.load(Ordering::Relaxed) < MOST_SAVED {
            self.saved.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn withdraw(&self, now: Duration) -> bool {
        let saved = |saved: u32| saved.checked_sub(REQUESTS_PER_RETRY);
        let relaxed = Ordering::Relaxed;
        if self.saved.fetch_update(relaxed, relaxed, saved).is_ok() {
            return true;
        }
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX / 2);
        // The generic cell rate algorithm (ITU-T I.371): the time up to which all is used.
        let earned = |until: u64| {
            let until = until.max(now) + FLOOR_INTERVAL;
            (until <= now + FLOOR_BURST).then_some(until)
        };
        self.floor.fetch_update(relaxed, relaxed, earned).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Duration = Duration::from_secs(1000);

    fn policy(count: u32, retry_on: &[RetryOn]) -> RetryPolicy {
        RetryPolicy::from(&table::Retries {
            count,
            per_try_timeout: None,
            retry_on: retry_on.to_vec(),
        })
    }

    #[test]
    fn without_a_policy_only_what_was_not_sent_is_sent_again_and_not_for_ever() {
        for idempotent in [true, false] {
            let mut retries = Retries::new(None, idempotent);
            assert!(!retries.once_more(Failure::Reset, true, NOW));
            assert!(!retries.once_more(Failure::Status(503), true, NOW));
            assert!(!retries.once_more(Failure::Unreachable, true, NOW));
            for _ in 0..MOST_FREE {
                assert!(retries.once_more(Failure::Unsent, true, NOW));
            }
            assert!(!retries.once_more(Failure::Unsent, true, NOW));
            assert!(!retries.needs_replay());
        }
    }

    #[test]
    fn a_connection_that_was_closed_as_idle_costs_an_idempotent_request_nothing() {
        let mut retries = Retries::new(None, true);
        assert!(retries.once_more(Failure::Stale, true, NOW));
        assert!(!retries.once_more(Failure::Stale, true, NOW), "once");
        assert!(
            retries.once_more(Failure::Unsent, true, NOW),
            "the next pod has ended, too"
        );
        assert_eq!(retries.made(), 0);
        assert!(!Retries::new(None, false).once_more(Failure::Stale, true, NOW));
        let told = policy(1, &[RetryOn::Reset]);
        assert!(Retries::new(Some(&told), false).once_more(Failure::Stale, true, NOW));
    }

    #[test]
    fn what_may_be_processed_twice_depends_on_method_and_consent() {
        let silent = policy(1, &[]);
        let told = policy(1, &[RetryOn::Reset]);
        let once = |policy, method, failure| {
            Retries::new(Some(policy), is_idempotent(method)).once_more(failure, true, NOW)
        };
        for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"] {
            assert!(once(&silent, method, Failure::Reset), "{method}");
        }
        for method in ["POST", "PATCH", "get", "LOCK"] {
            assert!(!once(&silent, method, Failure::Reset), "{method}");
            assert!(once(&told, method, Failure::Reset), "{method}");
        }
        assert!(!once(&told, "GET", Failure::Status(503)));
        assert!(once(&silent, "POST", Failure::Unreachable));
    }

    #[test]
    fn only_server_errors_are_a_failure_of_the_endpoint() {
        let policy = policy(1, &[RetryOn::ServerError]);
        for (status, expected) in [
            (500, true),
            (503, true),
            (599, true),
            (429, false),
            (200, false),
        ] {
            let mut retries = Retries::new(Some(&policy), true);
            let yes = retries.once_more(Failure::Status(status), true, NOW);
            assert_eq!(yes, expected, "{status}");
        }
    }

    #[test]
    fn what_is_not_kept_is_not_sent_again() {
        let policy = policy(3, &[]);
        let mut retries = Retries::new(Some(&policy), true);
        assert!(!retries.once_more(Failure::Reset, false, NOW));
        assert!(!retries.once_more(Failure::Unsent, false, NOW));
        assert_eq!(retries.made(), 0);
    }

    #[test]
    fn ten_a_second_are_allowed_however_few_requests_there_are() {
        let budget = RetryBudget::default();
        let allowed = |now| (0..100).filter(|_| budget.withdraw(now)).count();
        assert_eq!(allowed(NOW), 10);
        assert_eq!(allowed(NOW + Duration::from_millis(500)), 5);
        assert_eq!(allowed(NOW + Duration::from_secs(3600)), 10);
    }

    proptest! {
        #[test]
        fn one_request_is_processed_at_most_twice_and_count_times(
            count in 0u32..6,
            failures in prop::collection::vec(
                prop_oneof![
                    Just(Failure::Unsent),
                    Just(Failure::Unreachable),
                    Just(Failure::Reset),
                    Just(Failure::Stale),
                    (200u16..600).prop_map(Failure::Status),
                ],
                0..20,
            ),
        ) {
            let policy = policy(count, &[]);
            let mut retries = Retries::new(Some(&policy), true);
            let processed = failures
                .into_iter()
                .map(|failure| (failure, retries.once_more(failure, true, NOW)))
                .filter(|(failure, yes)| *yes && *failure != Failure::Unsent)
                .count();
            // One that a stale connection took may have been.
            prop_assert!(processed <= count as usize + 1);
            prop_assert!(retries.made() <= count);
        }

        /// However requests and failures are spread, retries are at most a fifth of the requests, ten
        /// a second, and ten at the start.
        #[test]
        fn the_budget_holds(events in prop::collection::vec((0u64..200, any::<bool>()), 1..2000)) {
            let budget = RetryBudget::default();
            let (mut now, mut requests, mut retries) = (0, 0u64, 0u64);
            for (after, fails) in events {
                now += after;
                requests += 1;
                budget.deposit();
                // Each failure asks for as many as it can get.
                while fails && budget.withdraw(Duration::from_millis(now)) {
                    retries += 1;
                }
            }
            prop_assert!(retries <= requests / 5 + now / 100 + 10);
        }
    }
}
