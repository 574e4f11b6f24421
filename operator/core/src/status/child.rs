//! Computes the status of an object without hostnames that others delegate to: it is ready if requests reach
//! it and succeed.

use super::checks::{CheckFailure, LOADED, not_applied};
use super::conditions::{ConditionType, Conditions};
use super::destinations::{Destinations, join_messages};
use super::proxies::not_loaded;
use super::{Phase, applied, hosts, set_conditions_of_references};
use crate::index::resolve::delegation::intersect;
use crate::index::resolve::exposure::{Child, ResolvedRoot};
use crate::index::resolve::routing::Routing;
use crate::index::store::hostnames::Standing;
use crate::index::store::served_certificates::Slot;
use crate::index::{Entry, Index};
use crate::names::Hostname;
use crate::observed::Observed;
use crate::reason::Reason;
use crate::reported::ReportedStatus;
use crate::subject::Subject;
use jiff::Timestamp;
use portolan_crds::{ExposedPortStatus, Summary};

const REFERENCES: &[ConditionType] = &[ConditionType::ResolvedRefs, ConditionType::EndpointsReady];
const PROGRAMMED: &[ConditionType] = &[ConditionType::Programmed];

impl Index {
    pub(super) fn status_of_child(
        &self,
        key: &Subject,
        entry: &Entry,
        child: &Child,
        observed: &Observed,
        now: Timestamp,
    ) -> ExposedPortStatus {
        let object = &entry.object;
        let destinations = Destinations::of(self, key, object, &child.routing);
        let failures = self.check_child(key, child, &destinations, observed);
        let mut conditions = Conditions::new(object.generation, &object.reported.conditions, now);
        match self.insecure_route(key, &child.routing) {
            None => {
                conditions.set_true(ConditionType::Accepted, Reason::Accepted, "object is valid")
            }
            Some(message) => {
                conditions.set_true(ConditionType::Accepted, Reason::ParentRequiresTls, &message)
            }
        }
        let certificates = (
            ConditionType::CertificatesReady,
            Reason::CertificatesServed,
            "certificates belong to the ExposedPort with the hostname",
        );
        let failing = |condition_type| {
            failures
                .iter()
                .find(|failure| failure.condition_types.contains(&condition_type))
        };
        set_conditions_of_references(&mut conditions, &destinations, certificates, failing);
        let worst = failures.first();
        match worst {
            None => conditions.set_true(
                ConditionType::Ready,
                Reason::Serving,
                "ready to serve requests",
            ),
            Some(failure) => {
                conditions.set_false(ConditionType::Ready, failure.reason, &failure.message)
            }
        }
        let roots = self.hostnames_of_roots(key);
        let names: Vec<_> = roots.into_iter().map(|(_, host)| host).collect();
        let class = self.class_of(key);
        ExposedPortStatus {
            observed_generation: Some(object.generation),
            class_name: class.map(|class| class.as_str().to_owned()),
            summary: Some(Summary {
                status: phase(worst, &object.reported).as_str().to_owned(),
                hosts: hosts(&names),
                certificate_expires: String::new(),
                ends: super::ends(object),
            }),
            description: worst.map_or("valid".to_owned(), |failure| failure.message.clone()),
            conditions: conditions.finish(),
            hostnames: Vec::new(),
            addresses: class
                .map(|class| self.addresses(class).to_vec())
                .unwrap_or_default(),
            children: applied(&self.children(key), observed),
        }
    }

    /// Returns all failures, in the order in which to fix them.
    pub(super) fn check_child(
        &self,
        key: &Subject,
        child: &Child,
        destinations: &Destinations,
        observed: &Observed,
    ) -> Vec<CheckFailure> {
        let children = self.children(key);
        let class = self.class_of(key);
        let names = self.resources_of(key).into_iter();
        // Only the proxies of its own class are observed.
        let names: Vec<_> = names
            .filter(|(of, _)| Some(of) == class)
            .map(|(_, name)| name)
            .collect();
        [
            (PROGRAMMED, self.orphaned(key)),
            (PROGRAMMED, self.too_deep(key)),
            (PROGRAMMED, not_applied(children.iter(), observed)),
            (PROGRAMMED, self.route_outside_parent(key, &child.routing)),
            (REFERENCES, join_messages(&destinations.unresolved)),
            (PROGRAMMED, self.root_not_serving(key)),
            (LOADED, not_loaded(&observed.proxies, &names)),
            (
                &[ConditionType::EndpointsReady],
                join_messages(&destinations.missing),
            ),
            (
                PROGRAMMED,
                class.and_then(|class| self.proxies_unreachable(class, &observed.proxies)),
            ),
        ]
        .into_iter()
        .filter_map(|(condition_types, failure)| {
            let (reason, message) = failure?;
            Some(CheckFailure {
                condition_types,
                reason,
                message,
            })
        })
        .collect()
    }

    /// Returns the hostnames under which requests may reach the object, with their roots.
    fn hostnames_of_roots(&self, key: &Subject) -> Vec<(Subject, Hostname)> {
        let roots = self.roots_of(key).into_iter();
        roots
            .flat_map(|root| {
                let link = self.linked(&root).map(|(_, link)| link.hostnames.clone());
                let hosts = link.unwrap_or_default().into_iter();
                hosts.map(move |host| (root.clone(), host))
            })
            .collect()
    }

    fn orphaned(&self, key: &Subject) -> Option<(Reason, String)> {
        if !self.roots_of(key).is_empty() {
            return None;
        }
        let broken = |parent: &Subject| {
            let broken = self.delegation(parent, key).err()?;
            Some((
                match broken.reason() {
                    Reason::DelegationCycle => Reason::DelegationCycle,
                    _ => Reason::Orphaned,
                },
                format!("{} delegates to this object: {broken}", parent.with_kind()),
            ))
        };
        let mut parents = self.users.delegating_to(key);
        let first = self.users.delegating_to(key).next();
        Some(parents.find_map(broken).unwrap_or_else(|| {
            let message = match first {
                None => "no ExposedPort delegates to this object; set delegate in a route of an allowed parent".to_owned(),
                Some(parent) => format!(
                    "{} delegates to this object but has no hostname, nor a parent with one; see its status",
                    parent.with_kind()
                ),
            };
            (Reason::Orphaned, message)
        }))
    }

    fn too_deep(&self, key: &Subject) -> Option<(Reason, String)> {
        (!self.roots_of(key).is_empty() && self.is_too_deep(key)).then(|| {
            let message = "too many levels of delegation, so no request reaches this object; delegate to it from an object further up";
            (Reason::DelegationTooDeep, message.to_owned())
        })
    }

    /// Reports a route that matches nothing of what any parent delegates.
    fn route_outside_parent(&self, key: &Subject, routing: &Routing) -> Option<(Reason, String)> {
        let parents: Vec<_> = self.parents(key).into_iter().collect();
        let bounds: Vec<_> = parents
            .iter()
            .filter_map(|parent| Some(self.routing(parent)?.1))
            .flat_map(|parent| {
                let routes = parent.routes.iter();
                routes.filter(|route| route.delegate(&parent.namespace).as_ref() == Some(key))
            })
            .map(|route| &route.matches)
            .collect();
        let matches_nothing = |route: &&crate::validate::RouteSpec| {
            bounds
                .iter()
                .all(|bounds| intersect(bounds, route).is_none())
        };
        let route = routing.routes.iter().find(matches_nothing)?;
        let place = route.index.unwrap_or_default();
        let parents: Vec<_> = parents.iter().map(Subject::with_kind).collect();
        let parents = parents.join(", ");
        (!bounds.is_empty()).then(|| {
            let message = format!(
                "spec.routes[{place}].match: Invalid value: outside of what {parents} delegates; use a path under the delegated prefix and no other method"
            );
            (Reason::RouteOutsideParent, message)
        })
    }

    /// Reports a route with `permitInsecure` under a root that requires client certificates.
    pub(super) fn insecure_route(&self, key: &Subject, routing: &Routing) -> Option<String> {
        let route = routing
            .routes
            .iter()
            .find(|route| route.permits_insecure())?;
        let strict = self.roots_of(key).into_iter().find(|root| {
            let link = self.linked(root).map(|(_, link)| link);
            link.is_some_and(|link| self.requires_client_certificate(root, link))
        })?;
        let place = match route.index {
            Some(index) => format!("spec.routes[{index}]"),
            None => "spec.policy".to_owned(),
        };
        Some(format!(
            "{place}.permitInsecure: Forbidden: {} requires client certificates, so this is served over HTTPS only; remove it",
            strict.with_kind()
        ))
    }

    /// Returns true if any hostname of a root requires client certificates, by the TLS settings of the root or
    /// of an older object that shares the hostname.
    fn requires_client_certificate(&self, root: &Subject, link: &ResolvedRoot) -> bool {
        link.hostnames.iter().any(|host| {
            let owner = self
                .tls_owner(root, link, host)
                .map_or(link, |owner| owner.link);
            owner.tls.client_ca.is_some()
        })
    }

    fn root_not_serving(&self, key: &Subject) -> Option<(Reason, String)> {
        self.hostnames_of_roots(key)
            .into_iter()
            .find_map(|(root, host)| {
                let (object, link) = self.linked(&root)?;
                let standing = self.hostnames.standing(&object.claim(&root), &host);
                let held = matches!(standing, Standing::Held { .. });
                let owner = self.tls_owner(&root, link, &host);
                let slot = Slot::of_host(&link.class, &host);
                let has_certificate = owner.is_some_and(|owner| {
                    !owner.link.terminates_tls()
                        || self.serving.certificates(&slot).next().is_some()
                });
                (!held || !has_certificate).then(|| {
                    let message = format!(
                        "waiting for {} to serve hostname \"{host}\"; see its status",
                        root.with_kind()
                    );
                    (Reason::ParentNotServing, message)
                })
            })
    }
}

fn phase(worst: Option<&CheckFailure>, reported: &ReportedStatus) -> Phase {
    match worst.map(|failure| failure.reason) {
        None => Phase::Ready,
        Some(Reason::Orphaned | Reason::DelegationCycle) => Phase::Orphaned,
        Some(_) if Phase::was_ready(reported) => Phase::Degraded,
        Some(_) => Phase::Pending,
    }
}
