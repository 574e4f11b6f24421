//! Conditions, as the Kubernetes API conventions want them: each says which generation it speaks of,
//! and keeps its time while its status stays the same.

use crate::reason::Reason;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// What a condition is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConditionType {
    Accepted,
    ResolvedRefs,
    Programmed,
    CertificatesReady,
    EndpointsReady,
    BackendEncrypted,
    Ready,
}

impl ConditionType {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::ResolvedRefs => "ResolvedRefs",
            Self::Programmed => "Programmed",
            Self::CertificatesReady => "CertificatesReady",
            Self::EndpointsReady => "EndpointsReady",
            Self::BackendEncrypted => "BackendEncrypted",
            Self::Ready => "Ready",
        }
    }
}

/// The longest message that the API server takes.
const MESSAGE_MAX: usize = 32_768;

/// The conditions of one status, while it is made.
pub(super) struct Conditions<'a> {
    generation: i64,
    stored: &'a [Condition],
    /// The API stores whole seconds; anything finer would differ from what is read back.
    now: Timestamp,
    made: Vec<Condition>,
}

impl<'a> Conditions<'a> {
    pub(super) fn new(generation: i64, stored: &'a [Condition], now: Timestamp) -> Self {
        Self {
            generation,
            stored,
            now: Timestamp::from_second(now.as_second()).unwrap_or(now),
            made: Vec::new(),
        }
    }

    pub(super) fn set_true(
        &mut self,
        condition_type: ConditionType,
        reason: Reason,
        message: &str,
    ) {
        self.add(condition_type, "True", reason, message);
    }

    pub(super) fn set_false(
        &mut self,
        condition_type: ConditionType,
        reason: Reason,
        message: &str,
    ) {
        self.add(condition_type, "False", reason, message);
    }

    pub(super) fn unknown(&mut self, condition_type: ConditionType, reason: Reason, message: &str) {
        self.add(condition_type, "Unknown", reason, message);
    }

    pub(super) fn finish(self) -> Vec<Condition> {
        self.made
    }

    fn add(&mut self, condition_type: ConditionType, status: &str, reason: Reason, message: &str) {
        let same = |it: &&Condition| it.type_ == condition_type.as_str() && it.status == status;
        let kept = self
            .stored
            .iter()
            .find(same)
            .map(|it| it.last_transition_time.clone());
        self.made.push(Condition {
            type_: condition_type.as_str().to_owned(),
            status: status.to_owned(),
            reason: reason.to_string(),
            message: message.chars().take(MESSAGE_MAX).collect(),
            observed_generation: Some(self.generation),
            last_transition_time: kept.unwrap_or(Time(self.now)),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(stored: &[Condition], holds: bool, second: i64) -> Vec<Condition> {
        let now = Timestamp::from_millisecond(second * 1000 + 7).unwrap();
        let mut conditions = Conditions::new(3, stored, now);
        if holds {
            conditions.set_true(ConditionType::Ready, Reason::Serving, "");
        } else {
            conditions.set_false(ConditionType::Ready, Reason::NoAddress, "");
        }
        conditions.finish()
    }

    #[test]
    fn the_time_is_that_of_the_last_change_in_whole_seconds() {
        let first = made(&[], true, 10);
        assert_eq!(first[0].last_transition_time.0.as_millisecond(), 10_000);
        assert_eq!(
            made(&first, true, 20),
            first,
            "nothing changed, so nothing is written"
        );
        let broken = made(&first, false, 30);
        assert_eq!(broken[0].last_transition_time.0.as_second(), 30);
        assert_eq!(broken[0].observed_generation, Some(3));
    }
}
