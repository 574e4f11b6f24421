//! Builds conditions after the Kubernetes API conventions: each has the generation that it was computed from,
//! and keeps its transition time while its status stays the same.

use crate::reason::Reason;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// Type of a condition.
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

/// Maximum length of a message, as the API server validates it.
const MESSAGE_MAX: usize = 32_768;

/// Builder for the conditions of one status.
pub(super) struct Conditions<'a> {
    generation: i64,
    stored: &'a [Condition],
    /// In whole seconds, as the API stores it; anything finer would differ from what is read back.
    now: Timestamp,
    conditions: Vec<Condition>,
}

impl<'a> Conditions<'a> {
    pub(super) fn new(generation: i64, stored: &'a [Condition], now: Timestamp) -> Self {
        Self {
            generation,
            stored,
            now: Timestamp::from_second(now.as_second()).unwrap_or(now),
            conditions: Vec::new(),
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

    pub(super) fn set_unknown(
        &mut self,
        condition_type: ConditionType,
        reason: Reason,
        message: &str,
    ) {
        self.add(condition_type, "Unknown", reason, message);
    }

    pub(super) fn finish(self) -> Vec<Condition> {
        self.conditions
    }

    fn add(&mut self, condition_type: ConditionType, status: &str, reason: Reason, message: &str) {
        let same = |condition: &&Condition| {
            condition.type_ == condition_type.as_str() && condition.status == status
        };
        let transition_time = self
            .stored
            .iter()
            .find(same)
            .map(|condition| condition.last_transition_time.clone());
        self.conditions.push(Condition {
            type_: condition_type.as_str().to_owned(),
            status: status.to_owned(),
            reason: reason.to_string(),
            message: message.chars().take(MESSAGE_MAX).collect(),
            observed_generation: Some(self.generation),
            last_transition_time: transition_time.unwrap_or(Time(self.now)),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(stored: &[Condition], is_true: bool, second: i64) -> Vec<Condition> {
        let now = Timestamp::from_millisecond(second * 1000 + 7).unwrap();
        let mut conditions = Conditions::new(3, stored, now);
        if is_true {
            conditions.set_true(ConditionType::Ready, Reason::Serving, "");
        } else {
            conditions.set_false(ConditionType::Ready, Reason::NoAddress, "");
        }
        conditions.finish()
    }

    #[test]
    fn transition_time_is_the_last_change_in_whole_seconds() {
        let first = ready(&[], true, 10);
        assert_eq!(first[0].last_transition_time.0.as_millisecond(), 10_000);
        assert_eq!(
            ready(&first, true, 20),
            first,
            "an unchanged condition is equal"
        );
        let broken = ready(&first, false, 30);
        assert_eq!(broken[0].last_transition_time.0.as_second(), 30);
        assert_eq!(broken[0].observed_generation, Some(3));
    }
}
