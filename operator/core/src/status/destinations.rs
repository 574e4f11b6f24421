//! Where an object's requests go: what of it is missing, who is not ready there, what is not understood.

use super::encryption::Encryption;
use crate::index::Index;
use crate::index::resolve::exposure::Exposure;
use crate::index::resolve::routing::Routing;
use crate::index::unresolved::Unresolved;
use crate::names::ObjectRef;
use crate::reason::Reason;
use crate::validate::RouteSpec;
use std::collections::{BTreeMap, BTreeSet};

/// How many problems of one kind are told in full.
const TOLD_MAX: usize = 4;

/// What was found out about where an object's requests go.
pub(super) struct Destinations {
    /// What routes refer to and is not there, or of no use.
    pub(super) unresolved: Vec<Unresolved>,
    /// Why no pod takes requests, for each backend without one.
    pub(super) lacking: Vec<Unresolved>,
    /// Who is not contacted, while others are there. It stands against nothing.
    pub(super) left_out: Vec<Unresolved>,
    /// What Services say of their ports and nobody understands. It stands against nothing.
    pub(super) misunderstood: Vec<Unresolved>,
    /// Absent where nothing is passed on.
    pub(super) encryption: Option<Encryption>,
}

impl Destinations {
    pub(super) fn of(index: &Index, me: &ObjectRef, object: &Exposure, routing: &Routing) -> Self {
        let (mut unresolved, mut lacking) = (BTreeMap::new(), BTreeMap::new());
        let (mut misunderstood, mut left_out) = (BTreeSet::new(), BTreeMap::new());
        for problem in broken_delegations(index, me, routing) {
            unresolved.insert(problem.message.clone(), problem);
        }
        let mut encryption = None;
        let asking = index.requirements_on(me);
        // An object that nobody with a hostname delegates to is judged, too.
        let nobody = asking.is_empty().then_some(None);
        let requirements = asking.into_iter().map(Some).chain(nobody);
        let backends = requirements.flat_map(|requirements| {
            let all = index.backends(object, routing, requirements);
            all.map(move |backend| (backend, requirements))
        });
        for (backend, requirements) in backends {
            let way = Encryption::of(&backend, requirements);
            encryption = Encryption::or_worse(encryption, way);
            if let Ok(backend) = &backend {
                misunderstood.extend(index.services.misunderstood(&backend.backend));
            }
            let behind = match backend {
                Err(problem) => {
                    unresolved.insert(problem.message.clone(), problem);
                    continue;
                }
                // Nothing is sent there, so nobody need be there.
                Ok(backend) if backend.weight == 0 => continue,
                Ok(backend) => index.services.behind(&backend.backend, requirements),
            };
            let by_message = |it: Unresolved| (it.message.clone(), it);
            lacking.extend(behind.lacking.map(by_message));
            left_out.extend(behind.left_out.map(by_message));
        }
        for problem in routing.routes.iter().filter_map(weightless) {
            lacking.insert(problem.message.clone(), problem);
        }
        Self {
            encryption,
            unresolved: unresolved.into_values().collect(),
            lacking: lacking.into_values().collect(),
            left_out: left_out.into_values().collect(),
            misunderstood: misunderstood
                .into_iter()
                .map(|message| Unresolved {
                    reason: Reason::UnsupportedProtocol,
                    message,
                })
                .collect(),
        }
    }

    /// What is told although nothing stands against a request's success.
    pub(super) fn warning(&self) -> Option<(Reason, String)> {
        told(&self.misunderstood).or_else(|| told(&self.left_out))
    }
}

fn broken_delegations(
    index: &Index,
    me: &ObjectRef,
    routing: &Routing,
) -> impl Iterator<Item = Unresolved> {
    routing.routes.iter().filter_map(|route| {
        let to = route.delegate(&routing.namespace)?;
        let broken = index.delegation(me, &to).err()?;
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

/// The reason of the first, and what all of them say; the rest is counted where they are many.
pub(super) fn told(problems: &[Unresolved]) -> Option<(Reason, String)> {
    let first = problems.first()?;
    let mut message = String::new();
    for problem in problems.iter().take(TOLD_MAX) {
        let dot = if message.is_empty() { "" } else { ". " };
        message.extend([dot, &problem.message]);
    }
    if let Some(more) = problems
        .len()
        .checked_sub(TOLD_MAX)
        .filter(|more| *more > 0)
    {
        message.push_str(&format!(" (and {more} more)"));
    }
    Some((first.reason, message))
}
