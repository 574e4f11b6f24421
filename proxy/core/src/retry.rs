//! Decides whether a failed request is retried.
//!
//! A request may be processed twice only if the route allows it (`retries`) or if that is harmless
//! (RFC 9110 9.2.2). Retries have a budget, so that they never overload an endpoint that has
//! problems.

use portolan_discovery::table::{self, RetryOn};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// Maximum size of a body that is kept for a retry, in bytes.
pub const MAX_REPLAYED: usize = 64 * 1024;

/// Maximum retries without a policy of a request that no endpoint received a byte of: during a rollout,
/// several pods may end before the proxy is updated.
const MAX_FREE: u8 = 3;

/// Compiled retry policy of a route; shared by all workers.
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
            per_try: retries.per_try_timeout.filter(|timeout| !timeout.is_zero()),
            connect_failure: on(RetryOn::ConnectFailure),
            reset: on(RetryOn::Reset),
            server_error: on(RetryOn::ServerError),
            any_method: !all,
            budget: RetryBudget::default(),
        }
    }
}

impl RetryPolicy {
    /// Returns the time limit of one attempt until its response begins; `None` is no limit.
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

/// Failure of an attempt before a byte of its response was passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The connection failed, or no byte was sent over it: nothing can be processed twice.
    Unsent,
    /// As before, and there is no other endpoint or connection to try at once.
    Unreachable,
    /// A reused connection ended without a byte of a response: the endpoint closed it, most likely as
    /// idle, while the request was in transit (RFC 9112 9.3.1).
    Stale,
    /// The connection ended, or the endpoint did not respond in time.
    Reset,
    /// The endpoint responded with this status.
    Status(u16),
}

impl Failure {
    /// Returns true if no endpoint can have begun to process the request.
    fn is_harmless(self) -> bool {
        matches!(self, Self::Unsent | Self::Unreachable)
    }
}

/// Retries of one request.
#[derive(Debug)]
pub struct Retries<'r> {
    policy: Option<&'r RetryPolicy>,
    idempotent: bool,
    /// Retries from the budget, without the free ones.
    made: u32,
    free: u8,
}

impl<'r> Retries<'r> {
    /// Starts a request on a route with this policy; see [`is_idempotent`].
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

    /// Returns the policy of the route.
    pub fn policy(&self) -> Option<&'r RetryPolicy> {
        self.policy
    }

    /// Returns the number of retries that an endpoint may have processed.
    pub fn made(&self) -> u32 {
        self.made
    }

    /// Returns true if sent data must be kept for a retry.
    pub fn needs_replay(&self) -> bool {
        self.policy.is_some_and(|policy| self.made < policy.count)
    }

    /// Returns true if the request is to be retried after this failure, and counts the retry, so the
    /// attempt must follow. `replayable` means that everything sent is still available; `now` is the
    /// time since any fixed point.
    pub fn try_retry(&mut self, failure: Failure, replayable: bool, now: Duration) -> bool {
        if !replayable {
            return false;
        }
        let max_free = match failure {
            Failure::Unsent => MAX_FREE,
            // The endpoint may have processed it, and must not get it repeatedly.
            Failure::Stale if self.idempotent => 1,
            Failure::Stale | Failure::Unreachable | Failure::Reset | Failure::Status(_) => 0,
        };
        if self.free < max_free {
            self.free += 1;
            return true;
        }
        let Some(policy) = self.policy else {
            return false;
        };
        let harmless = self.idempotent || policy.any_method || failure.is_harmless();
        let allowed = self.made < policy.count
            && policy.covers(failure)
            && harmless
            && policy.budget.withdraw(now);
        self.made += u32::from(allowed);
        allowed
    }
}

/// Returns true if a request with this method may be processed twice (RFC 9110 9.2.2).
pub fn is_idempotent(method: &str) -> bool {
    matches!(
        method,
        "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE"
    )
}

/// Retry budget of a route: one retry per five requests, up to a hundred saved, and ten a second
/// regardless of the number of requests.
#[derive(Debug, Default)]
#[repr(align(128))]
struct RetryBudget {
    /// Savings in requests: a retry costs five.
    saved: AtomicU32,
    /// Time at which the last of those ten a second will have been earned, in milliseconds.
    floor: AtomicU64,
}

const REQUESTS_PER_RETRY: u32 = 5;
const MAX_SAVED: u32 = 100 * REQUESTS_PER_RETRY;
const FLOOR_INTERVAL: u64 = 100;
const FLOOR_BURST: u64 = 10 * FLOOR_INTERVAL;

impl RetryBudget {
    fn deposit(&self) {
        // Read first: a route without failures stays at its maximum, and the cache line stays shared.
        if self.saved.load(Ordering::Relaxed) < MAX_SAVED {
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
    fn without_a_policy_only_unsent_requests_are_retried() {
        for idempotent in [true, false] {
            let mut retries = Retries::new(None, idempotent);
            assert!(!retries.try_retry(Failure::Reset, true, NOW));
            assert!(!retries.try_retry(Failure::Status(503), true, NOW));
            assert!(!retries.try_retry(Failure::Unreachable, true, NOW));
            for _ in 0..MAX_FREE {
                assert!(retries.try_retry(Failure::Unsent, true, NOW));
            }
            assert!(!retries.try_retry(Failure::Unsent, true, NOW));
            assert!(!retries.needs_replay());
        }
    }

    #[test]
    fn a_stale_connection_is_a_free_retry_if_idempotent() {
        let mut retries = Retries::new(None, true);
        assert!(retries.try_retry(Failure::Stale, true, NOW));
        assert!(!retries.try_retry(Failure::Stale, true, NOW), "once");
        assert!(
            retries.try_retry(Failure::Unsent, true, NOW),
            "the next pod has ended, too"
        );
        assert_eq!(retries.made(), 0);
        assert!(!Retries::new(None, false).try_retry(Failure::Stale, true, NOW));
        let explicit = policy(1, &[RetryOn::Reset]);
        assert!(Retries::new(Some(&explicit), false).try_retry(Failure::Stale, true, NOW));
    }

    #[test]
    fn reprocessing_depends_on_method_and_policy() {
        let default = policy(1, &[]);
        let explicit = policy(1, &[RetryOn::Reset]);
        let once = |policy, method, failure| {
            Retries::new(Some(policy), is_idempotent(method)).try_retry(failure, true, NOW)
        };
        for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"] {
            assert!(once(&default, method, Failure::Reset), "{method}");
        }
        for method in ["POST", "PATCH", "get", "LOCK"] {
            assert!(!once(&default, method, Failure::Reset), "{method}");
            assert!(once(&explicit, method, Failure::Reset), "{method}");
        }
        assert!(!once(&explicit, "GET", Failure::Status(503)));
        assert!(once(&default, "POST", Failure::Unreachable));
    }

    #[test]
    fn retries_only_server_errors() {
        let policy = policy(1, &[RetryOn::ServerError]);
        for (status, expected) in [
            (500, true),
            (503, true),
            (599, true),
            (429, false),
            (200, false),
        ] {
            let mut retries = Retries::new(Some(&policy), true);
            let retried = retries.try_retry(Failure::Status(status), true, NOW);
            assert_eq!(retried, expected, "{status}");
        }
    }

    #[test]
    fn retries_need_the_sent_data() {
        let policy = policy(3, &[]);
        let mut retries = Retries::new(Some(&policy), true);
        assert!(!retries.try_retry(Failure::Reset, false, NOW));
        assert!(!retries.try_retry(Failure::Unsent, false, NOW));
        assert_eq!(retries.made(), 0);
    }

    #[test]
    fn allows_ten_retries_a_second_with_few_requests() {
        let budget = RetryBudget::default();
        let allowed = |now| (0..100).filter(|_| budget.withdraw(now)).count();
        assert_eq!(allowed(NOW), 10);
        assert_eq!(allowed(NOW + Duration::from_millis(500)), 5);
        assert_eq!(allowed(NOW + Duration::from_secs(3600)), 10);
    }

    proptest! {
        #[test]
        fn the_count_limits_retries(
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
                .map(|failure| (failure, retries.try_retry(failure, true, NOW)))
                .filter(|(failure, retried)| *retried && *failure != Failure::Unsent)
                .count();
            // One on a stale connection may have been processed.
            prop_assert!(processed <= count as usize + 1);
            prop_assert!(retries.made() <= count);
        }

        /// For any sequence of requests and failures, retries are at most a fifth of the requests, ten
        /// a second, and ten at the start.
        #[test]
        fn the_budget_holds(events in prop::collection::vec((0u64..200, any::<bool>()), 1..2000)) {
            let budget = RetryBudget::default();
            let (mut now, mut requests, mut retries) = (0, 0u64, 0u64);
            for (after, fails) in events {
                now += after;
                requests += 1;
                budget.deposit();
                // Each failure retries as often as it can.
                while fails && budget.withdraw(Duration::from_millis(now)) {
                    retries += 1;
                }
            }
            prop_assert!(retries <= requests / 5 + now / 100 + 10);
        }
    }
}
