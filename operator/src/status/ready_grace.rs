//! Suppresses NotReady for short, expected gaps (endpoint churn, certificate rotation), so that Ready does not flap.
//!
//! Whenever a pod of the application comes or goes, proxies are behind for some milliseconds; a renewed certificate,
//! or the certificates of a new proxy, are not observed at once. Requests succeed meanwhile. Reporting each of these
//! would turn Ready off and on, with two writes and two events per object. A new spec has no grace: it is not reported
//! ready before it is served.

use super::ready;
use portolan_core::{ObjectRef, Reason, ReportedStatus, Subject};
use portolan_crds::ExposedPortStatus;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Grace for an object that was ready before it is reported as not ready.
const GRACE: Duration = Duration::from_secs(2);

/// Objects within their grace, each with the time at which it began.
#[derive(Debug, Default)]
pub struct ReadyGrace {
    since: Mutex<HashMap<Subject, Instant>>,
}

impl ReadyGrace {
    /// Returns the end of the grace of an object, or `None` if its status is to be written.
    pub fn until(
        &self,
        object: &Subject,
        before: Option<&ReportedStatus>,
        after: &ExposedPortStatus,
    ) -> Option<Instant> {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        if !is_transient(before, after) {
            since.remove(object);
            return None;
        }
        let now = Instant::now();
        let until = *since.entry(object.clone()).or_insert(now) + GRACE;
        (now < until).then_some(until)
    }

    /// Forgets the hostnames of an Ingress other than those present.
    pub fn forget_hosts(&self, ingress: &ObjectRef, present: &[Subject]) {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        since.retain(|host, _| host.ingress() != Some(ingress) || present.contains(host));
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, object: &Subject) {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        since.remove(object);
    }
}

/// Returns true if the object was ready, its spec is unchanged, and it is not ready only because proxies have not
/// loaded the current configuration yet.
fn is_transient(before: Option<&ReportedStatus>, after: &ExposedPortStatus) -> bool {
    let (Some(before), Some(now)) = (before, ready(&after.conditions)) else {
        return false;
    };
    let was_ready = ready(&before.conditions).is_some_and(|ready| ready.status == "True");
    let transient = [Reason::ProxiesBehind, Reason::CertificateNotServed];
    was_ready
        && before.observed_generation == after.observed_generation
        && now.status != "True"
        && transient.iter().any(|reason| reason.as_str() == now.reason)
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
    async fn proxies_behind_are_reported_after_the_grace() {
        let ready_grace = ReadyGrace::default();
        let ready = status("True", "Serving", 1);
        let behind = status("False", "ProxiesBehind", 1);
        let until = Instant::now() + GRACE;
        assert_eq!(
            ready_grace.until(&shop(), Some(&reported(&ready)), &behind),
            Some(until)
        );
        tokio::time::advance(GRACE / 2).await;
        assert_eq!(
            ready_grace.until(&shop(), Some(&reported(&ready)), &behind),
            Some(until)
        );
        tokio::time::advance(GRACE / 2).await;
        assert_eq!(
            ready_grace.until(&shop(), Some(&reported(&ready)), &behind),
            None
        );
    }

    #[tokio::test(start_paused = true)]
    async fn each_gap_has_its_own_grace() {
        let ready_grace = ReadyGrace::default();
        let ready = status("True", "Serving", 1);
        let behind = status("False", "ProxiesBehind", 1);
        ready_grace.until(&shop(), Some(&reported(&ready)), &behind);
        assert_eq!(
            ready_grace.until(&shop(), Some(&reported(&ready)), &ready),
            None
        );
        assert!(
            ready_grace.since.lock().unwrap().is_empty(),
            "it has passed"
        );
        tokio::time::advance(2 * GRACE).await;
        assert!(
            ready_grace
                .until(&shop(), Some(&reported(&ready)), &behind)
                .is_some()
        );
    }

    #[test]
    fn other_failures_are_reported_at_once() {
        let ready = status("True", "Serving", 1);
        let broken = status("False", "NoReadyEndpoints", 1);
        assert!(!is_transient(Some(&reported(&ready)), &broken));
        let new_spec = status("False", "ProxiesBehind", 2);
        assert!(!is_transient(Some(&reported(&ready)), &new_spec));
        let behind = status("False", "ProxiesBehind", 1);
        assert!(
            !is_transient(Some(&reported(&behind)), &behind),
            "it was not ready before"
        );
        assert!(!is_transient(None, &behind));
    }
}
