//! Which operator is followed. A synchronous state machine; time comes in as an argument.
//!
//! The leader with the highest epoch; without a leader for two seconds, whichever operator lives.
//! An operator that lost the lease but lives is followed on until there is a leader again: it knows
//! as much as the others, and changing costs something.

use portolan_discovery::session::{FAIL_OVER, Heartbeat};
use std::collections::BTreeMap;
use tokio::time::Instant;

/// A stream to an operator; a new stream to the same one is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct StreamId(pub(super) u64);

#[derive(Debug)]
pub(super) struct Election {
    heard: BTreeMap<StreamId, Liveness>,
    followed: Option<StreamId>,
    /// When a leader last gave a sign; at first, when we began to listen.
    led: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Liveness {
    at: Instant,
    heartbeat: Heartbeat,
}

impl Liveness {
    fn lasts(&self, now: Instant) -> bool {
        now < self.at + FAIL_OVER
    }
}

impl Election {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            heard: BTreeMap::new(),
            followed: None,
            led: now,
        }
    }

    pub(super) fn heard(&mut self, id: StreamId, heartbeat: Heartbeat, now: Instant) {
        if heartbeat.leader {
            self.led = now;
        }
        self.heard.insert(id, Liveness { at: now, heartbeat });
    }

    pub(super) fn lost(&mut self, id: StreamId) {
        self.heard.remove(&id);
    }

    /// Decides which operator to follow from now on.
    pub(super) fn decide(&mut self, now: Instant) -> Option<StreamId> {
        let alive = || {
            self.heard
                .iter()
                .filter(|(_, liveness)| liveness.lasts(now))
        };
        let rank = |(id, liveness): &(&StreamId, &Liveness)| (liveness.heartbeat.epoch, **id);
        let leader = alive()
            .filter(|(_, liveness)| liveness.heartbeat.leader)
            .max_by_key(rank);
        let kept = || alive().find(|(id, _)| Some(**id) == self.followed);
        let heir = || {
            alive()
                .max_by_key(rank)
                .filter(|_| now >= self.led + FAIL_OVER)
        };
        self.followed = leader.or_else(kept).or_else(heir).map(|(id, _)| *id);
        self.followed
    }

    /// When the passing of time alone may change the decision.
    pub(super) fn decide_again_at(&self, now: Instant) -> Option<Instant> {
        let silences = self.heard.values().map(|liveness| liveness.at + FAIL_OVER);
        let leaderless = Some(self.led + FAIL_OVER).filter(|_| !self.heard.is_empty());
        silences.chain(leaderless).filter(|at| *at > now).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const A: StreamId = StreamId(1);
    const B: StreamId = StreamId(2);

    fn leader(epoch: u64) -> Heartbeat {
        Heartbeat {
            epoch,
            leader: true,
        }
    }

    fn standby(epoch: u64) -> Heartbeat {
        Heartbeat {
            epoch,
            leader: false,
        }
    }

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn follows_a_leader_at_once_and_a_standby_after_two_seconds() {
        let start = Instant::now();
        let mut election = Election::new(start);
        election.heard(A, standby(0), start + ms(1500));
        assert_eq!(
            election.decide(start + ms(1500)),
            None,
            "a leader may still come"
        );
        assert_eq!(
            election.decide_again_at(start + ms(1500)),
            Some(start + ms(2000))
        );
        assert_eq!(election.decide(start + ms(2000)), Some(A));
        election.heard(B, leader(1), start + ms(2100));
        assert_eq!(election.decide(start + ms(2100)), Some(B));
    }

    #[test]
    fn follows_the_leader_with_the_higher_epoch() {
        let start = Instant::now();
        let mut election = Election::new(start);
        election.heard(B, leader(6), start);
        assert_eq!(election.decide(start), Some(B));
        election.heard(A, leader(7), start);
        assert_eq!(election.decide(start), Some(A));
        election.heard(B, leader(6), start + ms(500));
        assert_eq!(election.decide(start + ms(500)), Some(A));
    }

    #[test]
    fn a_silent_leader_is_left_after_two_seconds_and_not_before() {
        let start = Instant::now();
        let mut election = Election::new(start);
        election.heard(A, leader(7), start);
        election.heard(B, standby(0), start + ms(1900));
        assert_eq!(election.decide(start + ms(1999)), Some(A));
        assert_eq!(
            election.decide_again_at(start + ms(1999)),
            Some(start + ms(2000))
        );
        assert_eq!(election.decide(start + ms(2000)), Some(B));
    }

    #[test]
    fn a_leader_whose_stream_broke_has_two_seconds_to_come_back() {
        let start = Instant::now();
        let mut election = Election::new(start);
        election.heard(A, leader(7), start);
        election.heard(B, standby(0), start + ms(900));
        assert_eq!(election.decide(start + ms(900)), Some(A));
        election.lost(A);
        assert_eq!(election.decide(start + ms(1000)), None);
        let again = StreamId(3);
        election.heard(again, leader(7), start + ms(1500));
        assert_eq!(election.decide(start + ms(1500)), Some(again));
        election.lost(again);
        election.heard(B, standby(0), start + ms(3400));
        assert_eq!(election.decide(start + ms(3500)), Some(B));
    }

    #[test]
    fn follows_a_former_leader_until_another_leads() {
        let start = Instant::now();
        let mut election = Election::new(start);
        election.heard(A, leader(7), start);
        election.decide(start);
        for round in 1..20 {
            let now = start + ms(500 * round);
            election.heard(A, standby(7), now);
            election.heard(B, standby(9), now);
            assert_eq!(election.decide(now), Some(A));
        }
        election.heard(B, leader(10), start + ms(9600));
        assert_eq!(election.decide(start + ms(9600)), Some(B));
    }

    #[test]
    fn follows_no_operator_when_none_is_alive() {
        let start = Instant::now();
        let mut election = Election::new(start);
        assert_eq!(election.decide(start + ms(5000)), None);
        assert_eq!(election.decide_again_at(start + ms(5000)), None);
        election.heard(A, leader(1), start);
        assert_eq!(election.decide(start + ms(5000)), None);
    }
}
