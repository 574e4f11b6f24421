//! What is worth an event: what changed between two statuses for the person who looks at the object.
//! Transitions only, so an object that stays as it is says nothing.

use super::ready;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::runtime::events::{Event, EventType};
use portolan_core::Reason;
use portolan_crds::{ExposeClassStatus, ExposedPortStatus};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// A note on an event is cut at this length by the API.
const LONGEST_NOTE: usize = 1000;

/// Something that happened to an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// Whether somebody should look.
    pub warning: bool,
    /// One of the documented reasons.
    pub reason: String,
    /// A sentence.
    pub note: String,
}

impl News {
    /// As the recorder publishes it.
    pub fn event(&self) -> Event {
        Event {
            type_: if self.warning {
                EventType::Warning
            } else {
                EventType::Normal
            },
            reason: self.reason.clone(),
            note: Some(cut(&self.note)),
            // Events that differ in their note alone would be told as one, in the words of the first.
            action: format!("Judge-{:016x}", digest(&self.note)),
            secondary: None,
        }
    }
}

/// What happened to an ExposedPort.
pub fn of_object(before: Option<&ExposedPortStatus>, after: &ExposedPortStatus) -> Vec<News> {
    let earlier = before.map(|status| status.conditions.as_slice());
    let mut news = of_conditions(earlier.unwrap_or_default(), &after.conditions);
    let holders: BTreeMap<&str, &str> = before
        .iter()
        .flat_map(|status| &status.hostnames)
        .map(|host| (host.name.as_str(), host.held_by.as_str()))
        .collect();
    let lost = after.hostnames.iter().filter(|host| {
        let known = holders.get(host.name.as_str()).copied();
        !host.held_by.is_empty() && known.unwrap_or_default() != host.held_by
    });
    news.extend(lost.map(|host| News {
        warning: true,
        reason: Reason::HostnameHeld.as_str().to_owned(),
        note: format!("{} is held by {}", host.name, host.held_by),
    }));
    news
}

/// What happened to an ExposeClass.
pub fn of_class(before: Option<&ExposeClassStatus>, after: &ExposeClassStatus) -> Vec<News> {
    let before = before.map(|status| status.conditions.as_slice());
    of_conditions(before.unwrap_or_default(), &after.conditions)
}

fn of_conditions(before: &[Condition], after: &[Condition]) -> Vec<News> {
    let ready = ready_changed(before, after);
    let foreign = foreign_appeared(before, after);
    // When Ready was just lost over it, once is enough.
    let told = |it: &News| {
        ready
            .as_ref()
            .is_some_and(|ready| ready.reason == it.reason)
    };
    let foreign = foreign.filter(|it| !told(it));
    ready.into_iter().chain(foreign).collect()
}

/// Whether the condition Ready of an ExposedPort is another one.
pub fn readiness_differs(before: Option<&ExposedPortStatus>, after: &ExposedPortStatus) -> bool {
    let is_ready = |status: &ExposedPortStatus| {
        let ready = ready(&status.conditions);
        ready.map(|it| it.status.clone())
    };
    before.and_then(is_ready) != is_ready(after)
}

/// Ready is another one. That an object is not ready while it is new is no news.
fn ready_changed(before: &[Condition], after: &[Condition]) -> Option<News> {
    let now = ready(after)?.clone();
    let was_ready = ready(before).is_some_and(|it| it.status == "True");
    let is_ready = now.status == "True";
    (is_ready != was_ready).then_some(News {
        warning: !is_ready,
        reason: now.reason,
        note: now.message,
    })
}

/// A foreign object stands in the way that did not before.
fn foreign_appeared(before: &[Condition], after: &[Condition]) -> Option<News> {
    let foreign = Reason::ForeignObject.as_str();
    let stands =
        |conditions: &[Condition]| conditions.iter().find(|it| it.reason == foreign).cloned();
    let now = stands(after)?;
    stands(before).is_none().then_some(News {
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

fn cut(note: &str) -> String {
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
        let news = of_object(before, after);
        news.into_iter().map(|news| news.reason).collect()
    }

    #[test]
    fn becoming_ready_and_losing_it_is_news_and_staying_so_is_not() {
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
    fn losing_a_hostname_is_told_once_for_each_new_holder() {
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
    fn a_foreign_object_is_told_once_whichever_condition_names_it() {
        let ready = status(&[("Ready", "True", "Serving")], "");
        let foreign = ("Programmed", "False", "ForeignObject");
        let lost = status(&[foreign, ("Ready", "False", "ForeignObject")], "");
        assert_eq!(reasons(Some(&ready), &lost), ["ForeignObject"]);
        assert!(reasons(Some(&lost), &lost).is_empty());
        assert_eq!(reasons(None, &status(&[foreign], "")), ["ForeignObject"]);
    }

    #[test]
    fn two_notes_are_two_events() {
        let action = |note: &str| {
            let news = News {
                warning: true,
                reason: "ServiceNotFound".to_owned(),
                note: note.to_owned(),
            };
            news.event().action
        };
        assert_eq!(action("a"), action("a"), "the same again is counted");
        assert_ne!(action("a"), action("b"));
        assert!(action("a").len() <= 128, "as long as the API takes it");
    }

    #[test]
    fn a_note_is_cut_at_a_character() {
        assert_eq!(
            cut(&"ä".repeat(2 * LONGEST_NOTE)).chars().count(),
            LONGEST_NOTE
        );
        assert_eq!(cut("short"), "short");
    }
}
