//! What people are told of Ingresses. An Ingress has no conditions, so whatever stands against it is an
//! event, once for each time that it becomes so.

use super::{News, ready};
use portolan_core::{Diagnostic, ObjectRef, Reason, ReportedStatus};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// What passes by itself within moments while an exposure is new.
const PASSING: [Reason; 4] = [
    Reason::Applying,
    Reason::HoldPending,
    Reason::ProxiesBehind,
    Reason::CertificateNotServed,
];

/// What is worth an event between two statuses of a hostname.
///
/// What was told before a restart of the operator is not known after it: trouble is told again, and
/// that all is well is not.
pub fn of_host(
    host: &str,
    before: Option<&ReportedStatus>,
    after: &ReportedStatus,
) -> Option<News> {
    let now = Said::of(after)?;
    let before = before.and_then(Said::of);
    let was_ready = before.as_ref().is_some_and(|it| it.ready);
    if now.ready {
        return before.filter(|_| !was_ready).map(|_| News {
            warning: false,
            reason: now.reason.to_owned(),
            note: format!("{host}: a request would succeed"),
        });
    }
    let passes = PASSING.iter().any(|it| it.as_str() == now.reason);
    let said_before = before.is_some_and(|it| it == now);
    let is_news = !said_before && (was_ready || !passes);
    // An authority takes its time; that is no trouble yet.
    let waits = now.reason == Reason::CertificatePending.as_str();
    is_news.then(|| News {
        warning: !waits,
        reason: now.reason.to_owned(),
        note: now.message.to_owned(),
    })
}

/// What the condition Ready says.
#[derive(PartialEq, Eq)]
struct Said<'a> {
    ready: bool,
    reason: &'a str,
    message: &'a str,
}

impl<'a> Said<'a> {
    fn of(status: &'a ReportedStatus) -> Option<Self> {
        let ready = ready(&status.conditions)?;
        Some(Self {
            ready: ready.status == "True",
            reason: &ready.reason,
            message: &ready.message,
        })
    }
}

/// What was told of Ingresses beside their hostnames.
#[derive(Debug, Default)]
pub struct Told {
    of: Mutex<HashMap<ObjectRef, Vec<Diagnostic>>>,
}

impl Told {
    /// What stands against an Ingress now and was not told yet.
    pub fn news(&self, ingress: &ObjectRef, diagnostics: Vec<Diagnostic>) -> Vec<News> {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        let before = of.remove(ingress).unwrap_or_default();
        let fresh = diagnostics.iter().filter(|it| !before.contains(*it));
        let news = fresh.map(|it| News {
            warning: true,
            reason: it.reason.as_str().to_owned(),
            note: it.message.clone(),
        });
        let news = news.collect();
        if !diagnostics.is_empty() {
            of.insert(ingress.clone(), diagnostics);
        }
        news
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

    fn told(before: Option<&ReportedStatus>, after: &ReportedStatus) -> Option<String> {
        of_host("a.test", before, after).map(|news| format!("{} {}", news.reason, news.note))
    }

    #[test]
    fn trouble_is_told_at_once_and_again_when_it_is_another() {
        let missing = status("False", "ServiceNotFound", "a");
        let other = status("False", "ServiceNotFound", "b");
        assert_eq!(told(None, &missing).as_deref(), Some("ServiceNotFound a"));
        assert_eq!(told(Some(&missing), &missing), None);
        assert_eq!(
            told(Some(&missing), &other).as_deref(),
            Some("ServiceNotFound b")
        );
    }

    #[test]
    fn what_passes_is_no_news_unless_something_was_lost_over_it() {
        let pending = status("False", "HoldPending", "");
        let ready = status("True", "Serving", "");
        let behind = status("False", "ProxiesBehind", "p");
        assert_eq!(told(None, &pending), None);
        assert_eq!(told(Some(&pending), &behind), None);
        assert_eq!(
            told(Some(&ready), &behind).as_deref(),
            Some("ProxiesBehind p")
        );
        let served = "Serving a.test: a request would succeed";
        assert_eq!(told(Some(&pending), &ready).as_deref(), Some(served));
        assert_eq!(told(Some(&ready), &ready), None);
        assert_eq!(told(None, &ready), None, "as after a restart");
    }

    #[test]
    fn what_is_wrong_beside_hostnames_is_told_once() {
        let told = Told::default();
        let ingress = ObjectRef::new("n", "i");
        let problem = || {
            vec![Diagnostic {
                reason: Reason::InvalidSpec,
                message: "spec.rules[0].host: Required value: a host such as shop.example.com"
                    .to_owned(),
            }]
        };
        assert_eq!(told.news(&ingress, problem()).len(), 1);
        assert_eq!(told.news(&ingress, problem()), []);
        assert_eq!(told.news(&ingress, Vec::new()), []);
        assert!(told.of.lock().unwrap().is_empty());
        assert_eq!(told.news(&ingress, problem()).len(), 1);
    }
}
