//! What an exposure comes to: its status at this moment, from all that was seen of it.

use super::children::Outcomes;
use super::{Reconciler, now};
use crate::key::Key;
use crate::status::Patience;
use jiff::Timestamp;
use portolan_core::{ClassName, Observed, ReportedStatus, Subject};
use portolan_crds::ExposedPortStatus;

/// What follows from everything that was seen.
pub(super) struct Judged {
    pub(super) status: ExposedPortStatus,
    pub(super) again_at: Option<Timestamp>,
}

/// `None` when it is too early: what was said before stands, and the key comes back.
pub(super) fn judge(
    context: &Reconciler,
    subject: &Subject,
    class: Option<&ClassName>,
    before: Option<&ReportedStatus>,
    outcomes: &Outcomes,
) -> Option<Judged> {
    let key = Key::of_exposure(subject);
    let missing = match class.map(|class| context.proxies.patience(class)) {
        None => 0,
        Some(Patience::Judge { missing }) => missing,
        Some(Patience::Wait { until }) => {
            context.queue.add_at(key, until);
            return None;
        }
    };
    let now = now();
    // From here to the end under one lock: what proxies are asked for is what is judged.
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
    let seen = Observed {
        children: outcomes.states(),
        proxies,
    };
    let judged = Judged {
        status: state.index.status(subject, &seen, now)?,
        again_at: state.index.recheck_at(subject, &seen, now),
    };
    match context.doubts.of(subject, before, &judged.status) {
        Some(until) => {
            context.queue.add_at(key, until);
            None
        }
        None => Some(judged),
    }
}
