//! Checks the backends and delegates of an object: missing references, missing endpoints, unsupported protocols.

use super::encryption::Encryption;
use crate::index::Index;
use crate::index::resolve::exposure::Exposure;
use crate::index::resolve::routing::Routing;
use crate::index::unresolved::Unresolved;
use crate::reason::Reason;
use crate::subject::Subject;
use crate::validate::RouteSpec;
use std::collections::{BTreeMap, BTreeSet};

/// Maximum number of problems of one kind that a message lists.
const MESSAGES_MAX: usize = 4;

/// Problems of the backends and delegates of an object.
pub(super) struct Destinations {
    /// References of routes that do not exist or are not usable.
    pub(super) unresolved: Vec<Unresolved>,
    /// Backends without a ready endpoint, each with the cause.
    pub(super) missing: Vec<Unresolved>,
    /// Endpoints that are excluded while others are ready. A warning only.
    pub(super) excluded: Vec<Unresolved>,
    /// Declarations of Services that are not supported. A warning only.
    pub(super) unsupported: Vec<Unresolved>,
    /// `None` if no route has a backend.
    pub(super) encryption: Option<Encryption>,
}

impl Destinations {
    pub(super) fn of(index: &Index, key: &Subject, object: &Exposure, routing: &Routing) -> Self {
        let (mut unresolved, mut missing) = (BTreeMap::new(), BTreeMap::new());
        let (mut unsupported, mut excluded) = (BTreeSet::new(), BTreeMap::new());
        for problem in broken_delegations(index, key, routing) {
            unresolved.insert(problem.message.clone(), problem);
        }
        let mut encryption = None;
        let classes = index.requirements_on(key);
        // An object without a root is checked too.
        let without_root = classes.is_empty().then_some(None);
        let requirements = classes.into_iter().map(Some).chain(without_root);
        let backends = requirements.flat_map(|requirements| {
            let all = index.backends(object, routing, requirements);
            all.map(move |backend| (backend, requirements))
        });
        for (backend, requirements) in backends {
            let backend_encryption = Encryption::of(&backend, requirements);
            encryption = Encryption::worst_of(encryption, backend_encryption);
            if let Ok(backend) = &backend {
                unsupported.extend(index.services.misunderstood(&backend.backend));
            }
            let behind = match backend {
                Err(problem) => {
                    unresolved.insert(problem.message.clone(), problem);
                    continue;
                }
                // It gets no requests, so it needs no endpoints.
                Ok(backend) if backend.weight == 0 => continue,
                Ok(backend) => index.services.behind(&backend.backend, requirements),
            };
            let by_message = |problem: Unresolved| (problem.message.clone(), problem);
            missing.extend(behind.missing.map(by_message));
            excluded.extend(behind.excluded.map(by_message));
        }
        for problem in routing.routes.iter().filter_map(weightless) {
            missing.insert(problem.message.clone(), problem);
        }
        Self {
            encryption,
            unresolved: unresolved.into_values().collect(),
            missing: missing.into_values().collect(),
            excluded: excluded.into_values().collect(),
            unsupported: unsupported
                .into_iter()
                .map(|message| Unresolved {
                    reason: Reason::UnsupportedProtocol,
                    message,
                })
                .collect(),
        }
    }

    /// Returns the warning about requests that succeed nevertheless.
    pub(super) fn warning(&self) -> Option<(Reason, String)> {
        join_messages(&self.unsupported).or_else(|| join_messages(&self.excluded))
    }
}

fn broken_delegations(
    index: &Index,
    key: &Subject,
    routing: &Routing,
) -> impl Iterator<Item = Unresolved> {
    routing.routes.iter().filter_map(|route| {
        let to = route.delegate(&routing.namespace)?;
        let broken = index.delegation(key, &to).err()?;
        let place = route.index.unwrap_or_default();
        Some(Unresolved {
            reason: broken.reason(),
            message: format!("spec.routes[{place}].delegate: {broken}"),
        })
    })
}

fn weightless(route: &RouteSpec) -> Option<Unresolved> {
    let backends = route.backends();
    if backends.is_empty() || backends.iter().any(|backend| backend.weight > 0) {
        return None;
    }
    let place = route.index.unwrap_or_default();
    Some(Unresolved {
        reason: Reason::AllWeightsZero,
        message: format!(
            "spec.routes[{place}].backends: Invalid value: every weight is 0; set at least one weight above 0"
        ),
    })
}

/// Returns the reason of the first problem and the messages of all; beyond [`MESSAGES_MAX`] only their number.
pub(super) fn join_messages(problems: &[Unresolved]) -> Option<(Reason, String)> {
    let first = problems.first()?;
    let mut message = String::new();
    for problem in problems.iter().take(MESSAGES_MAX) {
        let dot = if message.is_empty() { "" } else { ". " };
        message.extend([dot, &problem.message]);
    }
    if let Some(more) = problems
        .len()
        .checked_sub(MESSAGES_MAX)
        .filter(|more| *more > 0)
    {
        message.push_str(&format!(" (and {more} more)"));
    }
    Some((first.reason, message))
}
