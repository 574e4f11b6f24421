//! What passes by itself within a moment, and is no reason to say that an object is not ready.
//!
//! Each time a pod of the application comes or goes, proxies are behind for some milliseconds; a
//! renewed certificate, or a proxy that has just begun, is not seen presented at once. Requests
//! succeed meanwhile. Telling each of these would turn Ready off and on, with two writes and two
//! events for each object. A new spec is another matter: of it nothing is said before it is served.

use super::ready;
use portolan_core::{ObjectRef, Reason, ReportedStatus, Subject};
use portolan_crds::ExposedPortStatus;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long an object that was ready may be in doubt before it is told.
const MOMENT: Duration = Duration::from_secs(2);

/// The objects that are in doubt, and since when.
#[derive(Debug, Default)]
pub struct Doubts {
    since: Mutex<HashMap<Subject, Instant>>,
}

impl Doubts {
    /// Until when nothing is to be said of the object, if it is in doubt and not for long.
    pub fn of(
        &self,
        object: &Subject,
        before: Option<&ReportedStatus>,
        after: &ExposedPortStatus,
    ) -> Option<Instant> {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        if !may_pass(before, after) {
            since.remove(object);
            return None;
        }
        let now = Instant::now();
        let until = *since.entry(object.clone()).or_insert(now) + MOMENT;
        (now < until).then_some(until)
    }

    /// Forgets the hostnames of an Ingress that are no longer there.
    pub fn forget_hosts(&self, ingress: &ObjectRef, but: &[Subject]) {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        since.retain(|host, _| host.ingress() != Some(ingress) || but.contains(host));
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, object: &Subject) {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        since.remove(object);
    }
}

/// Whether the object was ready, is said to be so no longer only because of what proxies have not
/// done yet, and nobody asked for anything new.
fn may_pass(before: Option<&ReportedStatus>, after: &ExposedPortStatus) -> bool {
    let (Some(before), Some(now)) = (before, ready(&after.conditions)) else {
        return false;
    };
    let was_ready = ready(&before.conditions).is_some_and(|it| it.status == "True");
    let passing = [Reason::ProxiesBehind, Reason::CertificateNotServed];
    was_ready
        && before.observed_generation == after.observed_generation
        && now.status != "True"
        && passing.iter().any(|reason| reason.as_str() == now.reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn status(ready: &str, reason: &str, generation: i64) -> ExposedPortStatus {
        let condition = json!({"type": "Ready", "status": ready, "reason": reason, "message": "m",
            "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let status = json!({"observedGeneration": generation, "conditions": [condition]});
        serde_json::from_value(status).unwrap()
    }

    fn reported(status: &ExposedPortStatus) -> ReportedStatus {
        ReportedStatus::from(status)
    }

    fn shop() -> Subject {
        Subject::exposed_port("team-a", "shop")
    }

    #[tokio::test(start_paused = true)]
    async fn proxies_that_are_behind_for_a_moment_are_no_news_but_for_longer_they_are() {
        let doubts = Doubts::default();
        let ready = status("True", "Serving", 1);
        let behind = status("False", "ProxiesBehind", 1);
        let until = Instant::now() + MOMENT;
        assert_eq!(
            doubts.of(&shop(), Some(&reported(&ready)), &behind),
            Some(until)
        );
        tokio::time::advance(MOMENT / 2).await;
        assert_eq!(
            doubts.of(&shop(), Some(&reported(&ready)), &behind),
            Some(until)
        );
        tokio::time::advance(MOMENT / 2).await;
        assert_eq!(doubts.of(&shop(), Some(&reported(&ready)), &behind), None);
    }

    #[tokio::test(start_paused = true)]
    async fn each_doubt_has_its_own_moment() {
        let doubts = Doubts::default();
        let ready = status("True", "Serving", 1);
        let behind = status("False", "ProxiesBehind", 1);
        doubts.of(&shop(), Some(&reported(&ready)), &behind);
        assert_eq!(doubts.of(&shop(), Some(&reported(&ready)), &ready), None);
        assert!(doubts.since.lock().unwrap().is_empty(), "it has passed");
        tokio::time::advance(2 * MOMENT).await;
        assert!(
            doubts
                .of(&shop(), Some(&reported(&ready)), &behind)
                .is_some()
        );
    }

    #[test]
    fn what_does_not_pass_by_itself_is_told_at_once() {
        let ready = status("True", "Serving", 1);
        let broken = status("False", "NoReadyEndpoints", 1);
        assert!(!may_pass(Some(&reported(&ready)), &broken));
        let new_spec = status("False", "ProxiesBehind", 2);
        assert!(!may_pass(Some(&reported(&ready)), &new_spec));
        let behind = status("False", "ProxiesBehind", 1);
        assert!(
            !may_pass(Some(&reported(&behind)), &behind),
            "it was not ready before"
        );
        assert!(!may_pass(None, &behind));
    }
}
