//! Computes the status of an ExposeClass: its spec, its proxies and their addresses.

use super::conditions::{ConditionType, Conditions};
use crate::index::Index;
use crate::index::store::classes::Class;
use crate::index::store::served_certificates::Slot;
use crate::names::ClassName;
use crate::observed::{AckState, ChildState, Observed, ObservedProxy};
use crate::proxy_service;
use crate::reason::Reason;
use crate::subject::Subject;
use jiff::Timestamp;
use portolan_crds::{Address, ExposeClassProxies, ExposeClassStatus};

/// Maximum number of objects of a class that a message names; the others are counted.
const NAMED_MAX: usize = 3;

impl Index {
    /// Returns the status of a class; `None` if it does not exist. `observed.children` are the children of the class.
    pub fn class_status(
        &self,
        class: &ClassName,
        observed: &Observed,
        now: Timestamp,
    ) -> Option<ExposeClassStatus> {
        let facts = self.classes.get(class)?;
        let proxies = proxy_service(&self.namespace, class);
        let service = self.services.get(&proxies);
        let addresses = service
            .map(|service| service.addresses.clone())
            .unwrap_or_default();
        let mut conditions = Conditions::new(facts.generation, &facts.status.conditions, now);
        let leaving = facts.leaving.then(|| self.deletion(class));
        let invalid_spec = invalid_spec(facts);
        match (
            leaving.as_ref().or(invalid_spec.as_ref()),
            self.other_default(class),
        ) {
            (Some((reason, message)), _) => {
                conditions.set_false(ConditionType::Accepted, *reason, message)
            }
            (None, Some(message)) => {
                conditions.set_true(ConditionType::Accepted, Reason::SeveralDefaults, &message)
            }
            (None, None) => {
                conditions.set_true(ConditionType::Accepted, Reason::Accepted, "class is valid")
            }
        }
        let programmed = self.unprogrammed(class, observed);
        match &programmed {
            None => conditions.set_true(
                ConditionType::Programmed,
                Reason::Programmed,
                "all objects of the proxies are up to date",
            ),
            Some((reason, message)) => {
                conditions.set_false(ConditionType::Programmed, *reason, message)
            }
        }
        let unresolved = self.default_certificate_problem(class);
        match &unresolved {
            None => conditions.set_true(
                ConditionType::ResolvedRefs,
                Reason::ResolvedRefs,
                "all references are resolved",
            ),
            Some((reason, message)) => {
                conditions.set_false(ConditionType::ResolvedRefs, *reason, message)
            }
        }
        let failing = invalid_spec
            .or(unresolved)
            .or(programmed)
            .or_else(|| unreachable(observed, self.services.is_reachable(&proxies), &addresses));
        match &failing {
            None => conditions.set_true(
                ConditionType::Ready,
                Reason::Serving,
                "proxies are ready to serve requests",
            ),
            Some((reason, message)) => conditions.set_false(ConditionType::Ready, *reason, message),
        }
        let count = |proxies: usize| i32::try_from(proxies).unwrap_or(i32::MAX);
        Some(ExposeClassStatus {
            observed_generation: Some(facts.generation),
            description: leaving
                .or(failing)
                .map_or("valid".to_owned(), |(_, message)| message),
            conditions: conditions.finish(),
            addresses,
            proxies: Some(ExposeClassProxies {
                desired: facts.replicas(),
                connected: count(observed.proxies.len()),
                ready: count(observed.proxies.iter().filter(|proxy| proxy.ready).count()),
            }),
        })
    }

    /// Returns the state of a class that is being deleted.
    fn deletion(&self, class: &ClassName) -> (Reason, String) {
        let Some((named, count)) = self.some_users_of(class, NAMED_MAX) else {
            let message = "class is being deleted and is not used by any object";
            return (Reason::ClassDeleting, message.to_owned());
        };
        let more = count - named.len();
        let mut named: Vec<_> = named.into_iter().map(Subject::with_kind).collect();
        if more > 0 {
            named.push(format!("{more} more"));
        }
        let message = format!(
            "class is being deleted and accepts no new objects, but is still used by {}; delete them or move them to another class to complete the deletion",
            named.join(", ")
        );
        (Reason::InUse, message)
    }

    /// Returns the problem of the default certificate.
    pub(super) fn default_certificate_problem(
        &self,
        class: &ClassName,
    ) -> Option<(Reason, String)> {
        let secret = self.classes.get(class)?.default_certificate()?;
        let (reason, message) = match self.serving.judge(&secret, &Slot::of_class(class)) {
            Some(Ok(())) => return None,
            Some(Err(problem)) => (problem.reason(), format!("Secret \"{secret}\": {problem}")),
            None => (
                Reason::SecretNotFound,
                format!("Secret \"{secret}\" not found; create it or reference another one"),
            ),
        };
        Some((reason, format!("spec.tls.defaultCertificate: {message}")))
    }

    pub(super) fn other_default(&self, class: &ClassName) -> Option<String> {
        let first = self.classes.default_class()?;
        let other = self.classes.defaults().find(|other| *other != class)?;
        let is_default = self.classes.defaults().any(|default| default == class);
        is_default.then(|| if first == class {
            format!(
                "ExposeClass \"{other}\" is also marked as default; this class is older and takes precedence"
            )
        } else {
            format!(
                "ExposeClass \"{first}\" is older and takes precedence as default; this class is used only by name"
            )
        })
    }

    fn unprogrammed(&self, class: &ClassName, observed: &Observed) -> Option<(Reason, String)> {
        let child = observed.children.iter().find_map(|(child, state)| match state {
            ChildState::Applied => None,
            ChildState::Foreign => Some((
                Reason::ForeignObject,
                format!(
                    "{} \"{}\" already exists and is not managed by Portolan; delete or rename it",
                    child.kind, child.name
                ),
            )),
            ChildState::Failed(error) => Some((
                Reason::ApplyFailed,
                format!(
                    "{} \"{}\" was rejected by the API server: {error}",
                    child.kind, child.name
                ),
            )),
        });
        let refused = |proxy: &ObservedProxy| {
            self.resources_of_class(class).into_iter().find_map(|name| {
                match proxy.acks.get(&name) {
                    Some(AckState::Refused(error)) => {
                        let message = format!("proxy \"{}\" rejected {name}: {error}", proxy.name);
                        Some((Reason::ProxyRefused, message))
                    }
                    _ => None,
                }
            })
        };
        child.or_else(|| observed.proxies.iter().find_map(refused))
    }
}

/// Returns all invalid fields of the class in one message.
fn invalid_spec(class: &Class) -> Option<(Reason, String)> {
    let reason = class.mistakes.first()?.reason();
    let messages: Vec<_> = class.mistakes.iter().map(ToString::to_string).collect();
    Some((reason, messages.join(". ")))
}

fn unreachable(
    observed: &Observed,
    has_endpoints: bool,
    addresses: &[Address],
) -> Option<(Reason, String)> {
    if !observed.proxies.iter().any(|proxy| proxy.ready) {
        Some((Reason::NoReadyProxy, "no proxy is ready".to_owned()))
    } else if !has_endpoints {
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
