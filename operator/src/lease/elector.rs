//! Decisions of leader election, without I/O: takes the observed Lease and the time, returns the next step.
//!
//! As in client-go, a rival's Lease has run out when its record did not change for its whole duration
//! *by our own monotonic clock*. Times written into the Lease are for people only, so neither a stepped
//! clock nor a corrupted duration steals a Lease or keeps a dead one alive.
//!
//! If the Lease is deleted, a rival may create it before the old leader reads it again:
//! for at most one retry period two replicas write. Both write the same function of the same cluster,
//! under UID preconditions, so this costs repeated writes and nothing else.

use std::time::Duration;
use tokio::time::Instant;

/// Durations of the election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// After this long without renewal another replica takes over; the same for all replicas.
    pub duration: Duration,
    /// A leader that could not renew for this long stops writing; less than `duration`, and the
    /// difference is more than a request in flight may take.
    pub renew_deadline: Duration,
    /// Between two attempts to renew or to take over.
    pub retry: Duration,
}

impl Terms {
    /// The proportions of client-go's defaults (15 s, 10 s, 2 s) for any duration.
    pub fn lasting(duration: Duration) -> Self {
        Self {
            duration,
            renew_deadline: duration * 2 / 3,
            retry: duration * 2 / 15,
        }
    }
}

/// Content of the Lease.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    /// Empty when it was released.
    pub(crate) holder: String,
    /// How often the holder changed.
    pub(crate) transitions: u64,
    /// Changes with each write, by whomever.
    pub(crate) resource_version: String,
}

/// Next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// There is no Lease: create it.
    Create,
    /// Write ourselves into it, on condition that it is still at this version.
    Take {
        resource_version: String,
        transitions: u64,
    },
    /// It is ours: renew it, on the same condition.
    Renew {
        resource_version: String,
        transitions: u64,
    },
    /// Another replica holds it.
    Wait,
}

/// State of the election in one replica.
#[derive(Debug)]
pub(crate) struct Elector {
    identity: String,
    terms: Terms,
    /// The last record that was seen, and since when it looks so.
    seen: Option<(Record, Instant)>,
    /// Until when we may write.
    until: Option<Instant>,
}

impl Elector {
    pub(crate) fn new(identity: String, terms: Terms) -> Self {
        Self {
            identity,
            terms,
            seen: None,
            until: None,
        }
    }

    /// Takes in what was read; `None`: there is no Lease.
    pub(crate) fn observe(&mut self, record: Option<Record>, now: Instant) {
        match (record, &self.seen) {
            (None, _) => self.seen = None,
            (Some(record), Some((known, _))) if *known == record => {}
            (Some(record), _) => {
                if record.holder != self.identity {
                    // Taken by another replica, or released: the Lease covers no further write.
                    self.until = None;
                }
                self.seen = Some((record, now));
            }
        }
    }

    /// Takes in our own successful write, which was sent at `sent`: the term counts from then, the
    /// earliest moment from which a rival can count.
    pub(crate) fn wrote(&mut self, record: Record, sent: Instant) {
        self.seen = Some((record, sent));
        self.until = Some(sent + self.terms.renew_deadline);
    }

    /// Returns the next step.
    pub(crate) fn step(&self, now: Instant) -> Step {
        let Some((record, since)) = &self.seen else {
            return Step::Create;
        };
        let resource_version = record.resource_version.clone();
        if record.holder == self.identity {
            return Step::Renew {
                resource_version,
                transitions: record.transitions,
            };
        }
        let free = record.holder.is_empty() || now >= *since + self.terms.duration;
        if free {
            Step::Take {
                resource_version,
                transitions: record.transitions.saturating_add(1),
            }
        } else {
            Step::Wait
        }
    }

    /// Until when a write is covered, if one is covered now.
    pub(crate) fn covered_until(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| now < *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn record(holder: &str, version: &str) -> Record {
        Record {
            holder: holder.into(),
            transitions: 3,
            resource_version: version.into(),
        }
    }

    fn elector() -> (Elector, Instant) {
        let terms = Terms::lasting(15 * SECOND);
        (Elector::new("me".into(), terms), Instant::now())
    }

    fn take(version: &str) -> Step {
        Step::Take {
            resource_version: version.into(),
            transitions: 4,
        }
    }

    #[test]
    fn terms_have_the_usual_proportions() {
        let terms = Terms::lasting(15 * SECOND);
        assert_eq!(
            (terms.renew_deadline, terms.retry),
            (10 * SECOND, 2 * SECOND)
        );
    }

    #[test]
    fn a_missing_or_released_lease_is_taken_at_once() {
        let (mut elector, now) = elector();
        elector.observe(None, now);
        assert_eq!(elector.step(now), Step::Create);
        elector.observe(Some(record("", "7")), now);
        assert_eq!(elector.step(now), take("7"));
    }

    #[test]
    fn waits_for_the_whole_duration_of_a_rival() {
        let (mut elector, start) = elector();
        elector.observe(Some(record("rival", "1")), start);
        elector.observe(Some(record("rival", "1")), start + 14 * SECOND);
        assert_eq!(elector.step(start + 14 * SECOND), Step::Wait);
        elector.observe(Some(record("rival", "2")), start + 14 * SECOND);
        assert_eq!(
            elector.step(start + 15 * SECOND),
            Step::Wait,
            "it was renewed"
        );
        assert_eq!(elector.step(start + 29 * SECOND), take("2"));
    }

    #[test]
    fn permission_ends_before_a_rival_may_take_over() {
        let (mut elector, sent) = elector();
        elector.wrote(record("me", "5"), sent);
        assert_eq!(
            elector.covered_until(sent + 9 * SECOND),
            Some(sent + 10 * SECOND)
        );
        assert_eq!(elector.covered_until(sent + 10 * SECOND), None);
    }

    #[test]
    fn a_stolen_lease_ends_permission_at_once() {
        let (mut elector, sent) = elector();
        elector.wrote(record("me", "5"), sent);
        elector.observe(Some(record("rival", "6")), sent + SECOND);
        assert_eq!(elector.covered_until(sent + SECOND), None);
        assert_eq!(elector.step(sent + SECOND), Step::Wait);
    }

    #[test]
    fn a_deleted_lease_is_recreated_by_its_holder() {
        let (mut elector, sent) = elector();
        elector.wrote(record("me", "5"), sent);
        elector.observe(None, sent + SECOND);
        assert_eq!(elector.step(sent + SECOND), Step::Create);
        assert!(elector.covered_until(sent + SECOND).is_some());
    }

    #[test]
    fn our_own_lease_is_renewed_under_its_version() {
        let (mut elector, sent) = elector();
        elector.wrote(record("me", "5"), sent);
        let renew = Step::Renew {
            resource_version: "5".into(),
            transitions: 3,
        };
        assert_eq!(elector.step(sent + 2 * SECOND), renew);
    }
}
