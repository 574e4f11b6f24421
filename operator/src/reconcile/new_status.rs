//! Computes the new status of an exposure from the index and observed state.

use super::child_set::Outcomes;
use super::{Reconciler, now};
use crate::key::Key;
use crate::status::ProxyInfo;
use jiff::Timestamp;
use portolan_core::{ClassName, Observed, ReportedStatus, Subject};
use portolan_crds::ExposedPortStatus;

/// New status of an exposure.
pub(super) struct NewStatus {
    /// Status to write.
    pub(super) status: ExposedPortStatus,
    /// Time at which it changes without an event.
    pub(super) recheck_at: Option<Timestamp>,
}

/// Returns `None` if the status cannot be computed yet, or a gap is within its grace; the key is queued again.
pub(super) fn compute_status(
    context: &Reconciler,
    subject: &Subject,
    class: Option<&ClassName>,
    before: Option<&ReportedStatus>,
    outcomes: &Outcomes,
) -> Option<NewStatus> {
    let key = Key::of_exposure(subject);
    let missing = match class.map(|class| context.proxies.info(class)) {
        None => 0,
        Some(ProxyInfo::Complete { missing }) => missing,
        Some(ProxyInfo::Pending { until }) => {
            context.queue.add_at(key, until);
            return None;
        }
    };
    let now = now();
    // Under one lock to the end, so that the versions asked of the proxies are those of the index.
    let state = context.model.read();
    let resources = state.index.resources_of(subject);
    let proxies = match class {
        Some(class) => {
            let names = resources.iter().filter(|(of, _)| of == class);
            let names = names.map(|(_, name)| name);
            context.proxies.observe(class, names, missing)
        }
        None => Vec::new(),
    };
    let observed = Observed {
        children: outcomes.states(),
        proxies,
    };
    let new_status = NewStatus {
        status: state.index.status(subject, &observed, now)?,
        recheck_at: state.index.recheck_at(subject, &observed, now),
    };
    match context
        .ready_grace
        .until(subject, before, &new_status.status)
    {
        Some(until) => {
            context.queue.add_at(key, until);
            None
        }
        None => Some(new_status),
    }
}
