//! Cached addresses of one name, and for how long they hold.
//!
//! | DNS says | the endpoints | looked up again |
//! |---|---|---|
//! | addresses | are these | after their TTL, at least 1 s, at most 1 h |
//! | no such name, no addresses | none | after the negative TTL (RFC 2308), 1 s to 1 min |
//! | an error, or nothing | stay, until 1 h after their TTL (RFC 8767) | after 1, 2, 4, … 30 s |

use crate::telemetry::inventory::LookupResult;
use std::net::IpAddr;
use std::time::Duration;
use tokio::time::Instant;

/// An address is looked up again no sooner: a TTL of 0 must not become a flood.
const SHORTEST: Duration = Duration::from_secs(1);
/// And no later, whatever the TTL says: a mistake in a zone must end.
const LONGEST: Duration = Duration::from_secs(3600);
/// "No such name" is believed no longer, so that a name that appears is found.
const LONGEST_ABSENT: Duration = Duration::from_secs(60);
/// How long after their TTL addresses serve on while DNS does not answer.
const STALE: Duration = Duration::from_secs(3600);
/// The pause after the first failure, doubled up to the longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Outcome of a DNS lookup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The name has these addresses.
    Found {
        addresses: Vec<IpAddr>,
        ttl: Duration,
    },
    /// An authoritative server says that it has none.
    Absent { ttl: Option<Duration> },
    /// The lookup failed.
    Failed { why: String },
}

impl Outcome {
    /// The result that is counted for the metrics.
    pub(super) fn result(&self) -> LookupResult {
        match self {
            Self::Found { .. } => LookupResult::Found,
            Self::Absent { .. } => LookupResult::Absent,
            Self::Failed { .. } => LookupResult::Failed,
        }
    }
}

/// Cached addresses of a name.
#[derive(Debug, Default)]
pub(super) struct AddressCache {
    pub(super) addresses: Vec<IpAddr>,
    stale_until: Option<Instant>,
    failures: u32,
}

impl AddressCache {
    /// Takes in an outcome; gives when to look again.
    pub(super) fn hear(&mut self, outcome: Outcome, now: Instant) -> Instant {
        match outcome {
            Outcome::Found { mut addresses, ttl } => {
                addresses.sort();
                addresses.dedup();
                self.addresses = addresses;
                self.failures = 0;
                let ttl = ttl.clamp(SHORTEST, LONGEST);
                self.stale_until = Some(now + ttl + STALE);
                now + ttl
            }
            Outcome::Absent { ttl } => {
                self.addresses.clear();
                self.failures = 0;
                now + ttl.unwrap_or(SHORTEST).clamp(SHORTEST, LONGEST_ABSENT)
            }
            Outcome::Failed { .. } => {
                let doublings = self.failures.min(8);
                self.failures = self.failures.saturating_add(1);
                if self.stale_until.is_some_and(|until| until <= now) {
                    self.addresses.clear();
                }
                now + (SHORTEST * (1 << doublings)).min(LONGEST_PAUSE)
            }
        }
    }

    /// Returns whether the last look failed.
    pub(super) fn is_failing(&self) -> bool {
        self.failures > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    fn found(last: u8, seconds: u64) -> Outcome {
        Outcome::Found {
            addresses: vec![address(last)],
            ttl: Duration::from_secs(seconds),
        }
    }

    fn failed() -> Outcome {
        Outcome::Failed {
            why: "SERVFAIL".into(),
        }
    }

    fn seconds(until: Instant, now: Instant) -> u64 {
        until.duration_since(now).as_secs()
    }

    #[test]
    fn a_ttl_is_kept_to_within_bounds() {
        let (mut known, now) = (AddressCache::default(), Instant::now());
        for (ttl, waited) in [(0, 1), (1, 1), (30, 30), (3600, 3600), (1_000_000, 3600)] {
            assert_eq!(seconds(known.hear(found(1, ttl), now), now), waited);
        }
    }

    #[test]
    fn an_error_takes_nothing_away_until_the_answer_is_too_old() {
        let (mut known, start) = (AddressCache::default(), Instant::now());
        known.hear(found(1, 10), start);
        let mut now = start + Duration::from_secs(10);
        let mut pauses = Vec::new();
        for _ in 0..7 {
            let next = known.hear(failed(), now);
            assert_eq!(known.addresses, [address(1)]);
            pauses.push(seconds(next, now));
            now = next;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
        known.hear(failed(), start + Duration::from_secs(3609));
        assert!(!known.addresses.is_empty() && known.is_failing());
        known.hear(failed(), start + Duration::from_secs(3610));
        assert!(known.addresses.is_empty());
        known.hear(found(2, 10), now);
        assert_eq!(
            (&known.addresses, known.is_failing()),
            (&vec![address(2)], false)
        );
    }

    #[test]
    fn a_name_that_is_gone_is_gone_at_once() {
        let (mut known, now) = (AddressCache::default(), Instant::now());
        known.hear(found(1, 10), now);
        let absent = |ttl: Option<u64>| Outcome::Absent {
            ttl: ttl.map(Duration::from_secs),
        };
        assert_eq!(seconds(known.hear(absent(Some(5)), now), now), 5);
        assert!(known.addresses.is_empty());
        assert_eq!(seconds(known.hear(absent(Some(86_400)), now), now), 60);
        assert_eq!(seconds(known.hear(absent(None), now), now), 1);
    }
}
