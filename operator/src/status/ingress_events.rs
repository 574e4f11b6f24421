//! Derives the events of Ingresses. An Ingress has no conditions, so each problem is reported as an event, once each
//! time it appears.

use super::{StatusEvent, ready};
use portolan_core::{Diagnostic, ObjectRef, Reason, ReportedStatus};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Reasons that are expected for a moment while an exposure is new.
const TRANSIENT: [Reason; 4] = [
    Reason::Applying,
    Reason::HoldPending,
    Reason::ProxiesBehind,
    Reason::CertificateNotServed,
];

/// Returns the event of a change between two statuses of a hostname.
///
/// Statuses of Ingresses do not survive a restart of the operator; after one, problems are reported again, and
/// success is not.
pub fn host_event(
    host: &str,
    before: Option<&ReportedStatus>,
    after: &ReportedStatus,
) -> Option<StatusEvent> {
    let now = ReadyState::of(after)?;
    let before = before.and_then(ReadyState::of);
    let was_ready = before.as_ref().is_some_and(|before| before.ready);
    if now.ready {
        return before.filter(|_| !was_ready).map(|_| StatusEvent {
            warning: false,
            reason: now.reason.to_owned(),
            note: format!("{host}: ready to serve requests"),
        });
    }
    let is_transient = TRANSIENT.iter().any(|reason| reason.as_str() == now.reason);
    let is_unchanged = before.is_some_and(|before| before == now);
    let is_event = !is_unchanged && (was_ready || !is_transient);
    // Issuing a certificate takes time and is not a problem yet.
    let waits = now.reason == Reason::CertificatePending.as_str();
    is_event.then(|| StatusEvent {
        warning: !waits,
        reason: now.reason.to_owned(),
        note: now.message.to_owned(),
    })
}

/// Content of the condition Ready.
#[derive(PartialEq, Eq)]
struct ReadyState<'a> {
    ready: bool,
    reason: &'a str,
    message: &'a str,
}

impl<'a> ReadyState<'a> {
    fn of(status: &'a ReportedStatus) -> Option<Self> {
        let ready = ready(&status.conditions)?;
        Some(Self {
            ready: ready.status == "True",
            reason: &ready.reason,
            message: &ready.message,
        })
    }
}

/// Problems already reported of Ingresses, other than those of one hostname.
#[derive(Debug, Default)]
pub struct IngressEvents {
    reported: Mutex<HashMap<ObjectRef, Vec<Diagnostic>>>,
}

impl IngressEvents {
    /// Records the current problems of an Ingress; returns events for those not reported yet.
    pub fn update(&self, ingress: &ObjectRef, diagnostics: Vec<Diagnostic>) -> Vec<StatusEvent> {
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        let before = reported.remove(ingress).unwrap_or_default();
        let fresh = diagnostics
            .iter()
            .filter(|diagnostic| !before.contains(*diagnostic));
        let events = fresh.map(|diagnostic| StatusEvent {
            warning: true,
            reason: diagnostic.reason.as_str().to_owned(),
            note: diagnostic.message.clone(),
        });
        let events = events.collect();
        if !diagnostics.is_empty() {
            reported.insert(ingress.clone(), diagnostics);
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn status(ready: &str, reason: &str, message: &str) -> ReportedStatus {
        let condition = json!({"type": "Ready", "status": ready, "reason": reason, "message": message,
            "lastTransitionTime": "2026-01-01T00:00:00Z"});
        ReportedStatus {
            conditions: vec![serde_json::from_value(condition).unwrap()],
            ..ReportedStatus::default()
        }
    }

    fn event(before: Option<&ReportedStatus>, after: &ReportedStatus) -> Option<String> {
        host_event("a.test", before, after).map(|event| format!("{} {}", event.reason, event.note))
    }

    #[test]
    fn a_problem_is_an_event_again_when_it_changes() {
        let missing = status("False", "ServiceNotFound", "a");
        let other = status("False", "ServiceNotFound", "b");
        assert_eq!(event(None, &missing).as_deref(), Some("ServiceNotFound a"));
        assert_eq!(event(Some(&missing), &missing), None);
        assert_eq!(
            event(Some(&missing), &other).as_deref(),
            Some("ServiceNotFound b")
        );
    }

    #[test]
    fn transient_reasons_are_events_only_after_ready() {
        let pending = status("False", "HoldPending", "");
        let ready = status("True", "Serving", "");
        let behind = status("False", "ProxiesBehind", "p");
        assert_eq!(event(None, &pending), None);
        assert_eq!(event(Some(&pending), &behind), None);
        assert_eq!(
            event(Some(&ready), &behind).as_deref(),
            Some("ProxiesBehind p")
        );
        let served = "Serving a.test: ready to serve requests";
        assert_eq!(event(Some(&pending), &ready).as_deref(), Some(served));
        assert_eq!(event(Some(&ready), &ready), None);
        assert_eq!(event(None, &ready), None, "as after a restart");
    }

    #[test]
    fn reports_a_problem_of_the_ingress_once() {
        let events = IngressEvents::default();
        let ingress = ObjectRef::new("n", "i");
        let problem = || {
            vec![Diagnostic {
                reason: Reason::InvalidSpec,
                message: "spec.rules[0].host: is missing".to_owned(),
            }]
        };
        assert_eq!(events.update(&ingress, problem()).len(), 1);
        assert_eq!(events.update(&ingress, problem()), []);
        assert_eq!(events.update(&ingress, Vec::new()), []);
        assert!(events.reported.lock().unwrap().is_empty());
        assert_eq!(events.update(&ingress, problem()).len(), 1);
    }
}
