//! Derives events from the changes between two statuses. Only transitions are events, so an unchanged object records
//! none.

use super::ready;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::runtime::events::{Event, EventType};
use portolan_core::Reason;
use portolan_crds::{ExposeClassStatus, ExposedPortStatus};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// Maximum length of the note of an event, as the API limits it.
const LONGEST_NOTE: usize = 1000;

/// Event of a changed status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusEvent {
    /// True for an event of type Warning.
    pub warning: bool,
    /// One of the documented reasons.
    pub reason: String,
    /// Message for people.
    pub note: String,
}

impl StatusEvent {
    /// Converts it for the recorder.
    pub fn to_event(&self) -> Event {
        Event {
            type_: if self.warning {
                EventType::Warning
            } else {
                EventType::Normal
            },
            reason: self.reason.clone(),
            note: Some(truncate(&self.note)),
            // Events that differ only in their note would be aggregated under the note of the first.
            action: format!("Judge-{:016x}", digest(&self.note)),
            secondary: None,
        }
    }
}

/// Returns the events of an ExposedPort.
pub fn object_events(
    before: Option<&ExposedPortStatus>,
    after: &ExposedPortStatus,
) -> Vec<StatusEvent> {
    let earlier = before.map(|status| status.conditions.as_slice());
    let mut events = of_conditions(earlier.unwrap_or_default(), &after.conditions);
    let holders: BTreeMap<&str, &str> = before
        .iter()
        .flat_map(|status| &status.hostnames)
        .map(|host| (host.name.as_str(), host.held_by.as_str()))
        .collect();
    let lost = after.hostnames.iter().filter(|host| {
        let known = holders.get(host.name.as_str()).copied();
        !host.held_by.is_empty() && known.unwrap_or_default() != host.held_by
    });
    events.extend(lost.map(|host| StatusEvent {
        warning: true,
        reason: Reason::HostnameHeld.as_str().to_owned(),
        note: format!(
            "hostname \"{}\" is already in use by \"{}\"",
            host.name, host.held_by
        ),
    }));
    events
}

/// Returns the events of an ExposeClass.
pub fn class_events(
    before: Option<&ExposeClassStatus>,
    after: &ExposeClassStatus,
) -> Vec<StatusEvent> {
    let before = before.map(|status| status.conditions.as_slice());
    of_conditions(before.unwrap_or_default(), &after.conditions)
}

fn of_conditions(before: &[Condition], after: &[Condition]) -> Vec<StatusEvent> {
    let ready = ready_changed(before, after);
    let foreign = foreign_appeared(before, after);
    // Once is enough if Ready was just lost because of it.
    let is_reported = |event: &StatusEvent| {
        ready
            .as_ref()
            .is_some_and(|ready| ready.reason == event.reason)
    };
    let foreign = foreign.filter(|event| !is_reported(event));
    ready.into_iter().chain(foreign).collect()
}

/// Returns true if the status of the condition Ready changed.
pub fn readiness_differs(before: Option<&ExposedPortStatus>, after: &ExposedPortStatus) -> bool {
    let is_ready = |status: &ExposedPortStatus| {
        let ready = ready(&status.conditions);
        ready.map(|ready| ready.status.clone())
    };
    before.and_then(is_ready) != is_ready(after)
}

/// Returns the event of a changed Ready. A new object that is not ready yet is not an event.
fn ready_changed(before: &[Condition], after: &[Condition]) -> Option<StatusEvent> {
    let now = ready(after)?.clone();
    let was_ready = ready(before).is_some_and(|ready| ready.status == "True");
    let is_ready = now.status == "True";
    (is_ready != was_ready).then_some(StatusEvent {
        warning: !is_ready,
        reason: now.reason,
        note: now.message,
    })
}

/// Returns the event of a foreign object that newly conflicts with a child.
fn foreign_appeared(before: &[Condition], after: &[Condition]) -> Option<StatusEvent> {
    let foreign = Reason::ForeignObject.as_str();
    let conflict = |conditions: &[Condition]| {
        conditions
            .iter()
            .find(|condition| condition.reason == foreign)
            .cloned()
    };
    let now = conflict(after)?;
    conflict(before).is_none().then_some(StatusEvent {
        warning: true,
        reason: now.reason,
        note: now.message,
    })
}

fn digest(note: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    note.hash(&mut hasher);
    hasher.finish()
}

fn truncate(note: &str) -> String {
    match note.char_indices().nth(LONGEST_NOTE) {
        Some((end, _)) => note.get(..end).unwrap_or(note).to_owned(),
        None => note.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn status(conditions: &[(&str, &str, &str)], held_by: &str) -> ExposedPortStatus {
        let conditions: Vec<_> = conditions
            .iter()
            .map(|(kind, status, reason)| {
                json!({"type": kind, "status": status, "reason": reason, "message": "m",
                    "lastTransitionTime": "2026-01-01T00:00:00Z"})
            })
            .collect();
        let host = json!({"name": "shop.example.com", "ready": false, "heldBy": held_by});
        let hostnames = json!([host]);
        serde_json::from_value(json!({"conditions": conditions, "hostnames": hostnames})).unwrap()
    }

    fn reasons(before: Option<&ExposedPortStatus>, after: &ExposedPortStatus) -> Vec<String> {
        let events = object_events(before, after);
        events.into_iter().map(|event| event.reason).collect()
    }

    #[test]
    fn only_changes_of_ready_are_events() {
        let pending = status(&[("Ready", "False", "CertificatePending")], "");
        let ready = status(&[("Ready", "True", "Serving")], "");
        let broken = status(&[("Ready", "False", "NoReadyEndpoints")], "");
        assert!(
            reasons(None, &pending).is_empty(),
            "new objects are not ready yet"
        );
        assert_eq!(reasons(Some(&pending), &ready), ["Serving"]);
        assert!(reasons(Some(&ready), &ready).is_empty());
        assert_eq!(reasons(Some(&ready), &broken), ["NoReadyEndpoints"]);
    }

    #[test]
    fn a_lost_hostname_is_one_event_per_holder() {
        let ours = status(&[], "");
        let lost = status(&[], "team-b");
        assert_eq!(reasons(Some(&ours), &lost), ["HostnameHeld"]);
        assert!(reasons(Some(&lost), &lost).is_empty());
        assert_eq!(
            reasons(Some(&lost), &status(&[], "team-c")),
            ["HostnameHeld"]
        );
    }

    #[test]
    fn a_foreign_object_is_one_event() {
        let ready = status(&[("Ready", "True", "Serving")], "");
        let foreign = ("Programmed", "False", "ForeignObject");
        let lost = status(&[foreign, ("Ready", "False", "ForeignObject")], "");
        assert_eq!(reasons(Some(&ready), &lost), ["ForeignObject"]);
        assert!(reasons(Some(&lost), &lost).is_empty());
        assert_eq!(reasons(None, &status(&[foreign], "")), ["ForeignObject"]);
    }

    #[test]
    fn different_notes_are_different_events() {
        let action = |note: &str| {
            let event = StatusEvent {
                warning: true,
                reason: "ServiceNotFound".to_owned(),
                note: note.to_owned(),
            };
            event.to_event().action
        };
        assert_eq!(action("a"), action("a"), "the same again is counted");
        assert_ne!(action("a"), action("b"));
        assert!(action("a").len() <= 128, "as long as the API takes it");
    }

    #[test]
    fn truncates_a_note_at_a_character() {
        assert_eq!(
            truncate(&"ä".repeat(2 * LONGEST_NOTE)).chars().count(),
            LONGEST_NOTE
        );
        assert_eq!(truncate("short"), "short");
    }
}
