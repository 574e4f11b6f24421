//! The status of a class: are its proxies there, do they take requests, and where are they reached?

use super::conditions::{ConditionType, Conditions};
use crate::index::Index;
use crate::index::store::classes::Class;
use crate::index::store::served_certificates::Slot;
use crate::names::{ClassName, ObjectRef};
use crate::observed::{AckState, ChildState, Observed, ObservedProxy};
use crate::proxy_service;
use crate::reason::Reason;
use jiff::Timestamp;
use portolan_crds::{Address, ExposeClassProxies, ExposeClassStatus};

/// How many of the objects that use a class are named; of the others it is told how many there are.
const NAMED: usize = 3;

impl Index {
    /// The status of a class; `None` when it is gone. In `seen.children` stand the children of the class.
    pub fn class_status(
        &self,
        class: &ClassName,
        seen: &Observed,
        now: Timestamp,
    ) -> Option<ExposeClassStatus> {
        let facts = self.classes.get(class)?;
        let proxies = proxy_service(&self.namespace, class);
        let service = self.services.get(&proxies);
        let addresses = service
            .map(|service| service.addresses.clone())
            .unwrap_or_default();
        let mut conditions = Conditions::new(facts.generation, &facts.status.conditions, now);
        let leaving = facts.leaving.then(|| self.leaving(class));
        let mistaken = mistaken(facts);
        match (
            leaving.as_ref().or(mistaken.as_ref()),
            self.other_default(class),
        ) {
            (Some((reason, told)), _) => {
                conditions.set_false(ConditionType::Accepted, *reason, told)
            }
            (None, Some(told)) => {
                conditions.set_true(ConditionType::Accepted, Reason::SeveralDefaults, &told)
            }
            (None, None) => {
                conditions.set_true(ConditionType::Accepted, Reason::Accepted, "class is valid")
            }
        }
        let programmed = self.unprogrammed(class, seen);
        match &programmed {
            None => conditions.set_true(
                ConditionType::Programmed,
                Reason::Programmed,
                "all objects of the proxies are up to date",
            ),
            Some((reason, told)) => conditions.set_false(ConditionType::Programmed, *reason, told),
        }
        let unresolved = self.default_certificate_problem(class);
        match &unresolved {
            None => conditions.set_true(
                ConditionType::ResolvedRefs,
                Reason::ResolvedRefs,
                "all references are resolved",
            ),
            Some((reason, told)) => {
                conditions.set_false(ConditionType::ResolvedRefs, *reason, told)
            }
        }
        let failing = mistaken
            .or(unresolved)
            .or(programmed)
            .or_else(|| unreachable(seen, self.services.answers(&proxies), &addresses));
        match &failing {
            None => conditions.set_true(
                ConditionType::Ready,
                Reason::Serving,
                "proxies are ready to serve requests",
            ),
            Some((reason, told)) => conditions.set_false(ConditionType::Ready, *reason, told),
        }
        let count = |proxies: usize| i32::try_from(proxies).unwrap_or(i32::MAX);
        Some(ExposeClassStatus {
            observed_generation: Some(facts.generation),
            description: leaving
                .or(failing)
                .map_or("valid".to_owned(), |(_, told)| told),
            conditions: conditions.finish(),
            addresses,
            proxies: Some(ExposeClassProxies {
                desired: facts.replicas(),
                connected: count(seen.proxies.len()),
                ready: count(seen.proxies.iter().filter(|proxy| proxy.ready).count()),
            }),
        })
    }

    /// What becomes of a class that is being deleted.
    fn leaving(&self, class: &ClassName) -> (Reason, String) {
        let Some((named, count)) = self.some_users_of(class, NAMED) else {
            let told = "class is being deleted and is not used by any object";
            return (Reason::ClassDeleting, told.to_owned());
        };
        let more = count - named.len();
        let mut named: Vec<_> = named.into_iter().map(ObjectRef::with_kind).collect();
        if more > 0 {
            named.push(format!("{more} more"));
        }
        let told = format!(
            "class is being deleted and accepts no new objects, but is still used by {}; delete them or move them to another class to complete the deletion",
            named.join(", ")
        );
        (Reason::InUse, told)
    }

    /// What stands against the default certificate.
    pub(super) fn default_certificate_problem(
        &self,
        class: &ClassName,
    ) -> Option<(Reason, String)> {
        let secret = self.classes.get(class)?.default_certificate()?;
        let (reason, told) = match self.serving.judge(&secret, &Slot::of_class(class)) {
            Some(Ok(())) => return None,
            Some(Err(problem)) => (problem.reason(), format!("Secret \"{secret}\": {problem}")),
            None => (
                Reason::SecretNotFound,
                format!("Secret \"{secret}\" not found; create it or reference another one"),
            ),
        };
        Some((reason, format!("spec.tls.defaultCertificate: {told}")))
    }

    pub(super) fn other_default(&self, class: &ClassName) -> Option<String> {
        let first = self.classes.default_class()?;
        let other = self.classes.defaults().find(|other| *other != class)?;
        let claims = self.classes.defaults().any(|it| it == class);
        claims.then(|| match first == class {
            true => format!(
                "ExposeClass \"{other}\" is also marked as default; this class is older and takes precedence"
            ),
            false => format!(
                "ExposeClass \"{first}\" is older and takes precedence as default; this class is used only by name"
            ),
        })
    }

    fn unprogrammed(&self, class: &ClassName, seen: &Observed) -> Option<(Reason, String)> {
        let child = seen.children.iter().find_map(|(child, state)| match state {
            ChildState::Applied => None,
            ChildState::Foreign => Some((
                Reason::ForeignObject,
                format!(
                    "{} \"{}\" already exists and is not managed by Portolan; delete or rename it",
                    child.kind, child.name
                ),
            )),
            ChildState::Failed(told) => Some((
                Reason::ApplyFailed,
                format!(
                    "{} \"{}\" was rejected by the API server: {told}",
                    child.kind, child.name
                ),
            )),
        });
        let refused = |proxy: &ObservedProxy| {
            self.resources_of_class(class).into_iter().find_map(|name| {
                match proxy.acks.get(&name) {
                    Some(AckState::Refused(told)) => {
                        let message = format!("proxy \"{}\" rejected {name}: {told}", proxy.name);
                        Some((Reason::ProxyRefused, message))
                    }
                    _ => None,
                }
            })
        };
        child.or_else(|| seen.proxies.iter().find_map(refused))
    }
}

/// What is wrong with what the class says, in one go.
fn mistaken(class: &Class) -> Option<(Reason, String)> {
    let reason = class.mistakes.first()?.reason();
    let told: Vec<_> = class.mistakes.iter().map(ToString::to_string).collect();
    Some((reason, told.join(". ")))
}

fn unreachable(seen: &Observed, answered: bool, addresses: &[Address]) -> Option<(Reason, String)> {
    if !seen.proxies.iter().any(|proxy| proxy.ready) {
        Some((Reason::NoReadyProxy, "no proxy is ready".to_owned()))
    } else if !answered {
        Some((
            Reason::NoReadyProxy,
            "waiting for a ready proxy to become an endpoint of the proxy Service".to_owned(),
        ))
    } else if addresses.is_empty() {
        Some((
            Reason::NoAddress,
            "waiting for the proxy Service to be assigned an address".to_owned(),
        ))
    } else {
        None
    }
}
