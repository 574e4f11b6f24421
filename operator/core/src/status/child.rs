//! The status of an object that others delegate to: it has no hostname of its own, so what is judged is
//! whether requests come to it, and what becomes of them then.

use super::checks::{CheckFailure, LOADED, not_stored};
use super::conditions::{ConditionType, Conditions};
use super::destinations::{Destinations, told};
use super::proxies::not_loaded;
use super::{Phase, applied, hosts, judge_aspects};
use crate::index::resolve::delegation::intersect;
use crate::index::resolve::exposure::{Child, ResolvedRoot};
use crate::index::resolve::routing::Routing;
use crate::index::store::hostnames::Standing;
use crate::index::store::served_certificates::Slot;
use crate::index::{Entry, Index};
use crate::names::{Hostname, ObjectRef};
use crate::observed::Observed;
use crate::reason::Reason;
use jiff::Timestamp;
use portolan_crds::{ExposedPortStatus, Summary};

const REFERENCES: &[ConditionType] = &[ConditionType::ResolvedRefs, ConditionType::EndpointsReady];
const PROGRAMMED: &[ConditionType] = &[ConditionType::Programmed];

impl Index {
    pub(super) fn status_of_child(
        &self,
        me: &ObjectRef,
        entry: &Entry,
        child: &Child,
        seen: &Observed,
        now: Timestamp,
    ) -> ExposedPortStatus {
        let object = &entry.object;
        let destinations = Destinations::of(self, me, object, &child.routing);
        let failures = self.findings_of_child(me, child, &destinations, seen);
        let mut conditions = Conditions::new(object.generation, &object.status.conditions, now);
        match self.loosens(me, &child.routing) {
            None => {
                conditions.set_true(ConditionType::Accepted, Reason::Accepted, "object is valid")
            }
            Some(told) => {
                conditions.set_true(ConditionType::Accepted, Reason::ParentRequiresTls, &told)
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
                .find(|it| it.aspects.contains(&condition_type))
        };
        judge_aspects(&mut conditions, &destinations, certificates, failing);
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
        let roots = self.hostnames_above(me);
        let names: Vec<_> = roots.into_iter().map(|(_, host)| host).collect();
        let class = self.class_of(me);
        ExposedPortStatus {
            observed_generation: Some(object.generation),
            class_name: class.map(|class| class.as_str().to_owned()),
            summary: Some(Summary {
                status: verdict(worst, &object.status).as_str().to_owned(),
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
            children: applied(&self.children(me), seen),
        }
    }

    /// In the order in which a person would put things right.
    pub(super) fn findings_of_child(
        &self,
        me: &ObjectRef,
        child: &Child,
        destinations: &Destinations,
        seen: &Observed,
    ) -> Vec<CheckFailure> {
        let children = self.children(me);
        let class = self.class_of(me);
        let names = self.resources_of(me).into_iter();
        // Only proxies of one class are seen.
        let names: Vec<_> = names
            .filter(|(of, _)| Some(of) == class)
            .map(|(_, name)| name)
            .collect();
        [
            (PROGRAMMED, self.orphaned(me)),
            (PROGRAMMED, self.too_deep(me)),
            (PROGRAMMED, not_stored(children.iter(), seen)),
            (PROGRAMMED, self.outside(me, &child.routing)),
            (REFERENCES, told(&destinations.unresolved)),
            (PROGRAMMED, self.root_not_serving(me)),
            (LOADED, not_loaded(&seen.proxies, &names)),
            (
                &[ConditionType::EndpointsReady],
                told(&destinations.lacking),
            ),
            (
                PROGRAMMED,
                class.and_then(|it| self.shut(it, &seen.proxies)),
            ),
        ]
        .into_iter()
        .filter_map(|(aspects, found)| {
            let (reason, message) = found?;
            Some(CheckFailure {
                aspects,
                reason,
                message,
            })
        })
        .collect()
    }

    /// The hostnames under which requests may come, with their roots.
    fn hostnames_above(&self, me: &ObjectRef) -> Vec<(ObjectRef, Hostname)> {
        let roots = self.roots_of(me).into_iter();
        roots
            .flat_map(|root| {
                let link = self.linked(&root).map(|(_, link)| link.hostnames.clone());
                let hosts = link.unwrap_or_default().into_iter();
                hosts.map(move |host| (root.clone(), host))
            })
            .collect()
    }

    fn orphaned(&self, me: &ObjectRef) -> Option<(Reason, String)> {
        if !self.roots_of(me).is_empty() {
            return None;
        }
        let broken = |parent: &ObjectRef| {
            let broken = self.delegation(parent, me).err()?;
            Some((
                match broken.reason() {
                    Reason::DelegationCycle => Reason::DelegationCycle,
                    _ => Reason::Orphaned,
                },
                format!("{} delegates to this object: {broken}", parent.with_kind()),
            ))
        };
        let mut parents = self.users.delegating_to(me);
        let first = self.users.delegating_to(me).next();
        Some(parents.find_map(broken).unwrap_or_else(|| {
            let told = match first {
                None => "no ExposedPort delegates to this object; set delegate in a route of an allowed parent".to_owned(),
                Some(parent) => format!(
                    "{} delegates to this object but has no hostname, nor a parent with one; see its status",
                    parent.with_kind()
                ),
            };
            (Reason::Orphaned, told)
        }))
    }

    fn too_deep(&self, me: &ObjectRef) -> Option<(Reason, String)> {
        (!self.roots_of(me).is_empty() && self.is_too_deep(me)).then(|| {
            let told = "too many levels of delegation, so no request reaches this object; delegate to it from an object further up";
            (Reason::DelegationTooDeep, told.to_owned())
        })
    }

    /// A route that takes nothing of what is delegated, whoever delegates.
    fn outside(&self, me: &ObjectRef, routing: &Routing) -> Option<(Reason, String)> {
        let parents: Vec<_> = self.parents(me).into_iter().collect();
        let bounds: Vec<_> = parents
            .iter()
            .filter_map(|parent| Some(self.routing(parent)?.1))
            .flat_map(|above| {
                let routes = above.routes.iter();
                routes.filter(|it| it.delegate(&above.namespace).as_ref() == Some(me))
            })
            .map(|route| &route.matches)
            .collect();
        let takes_nothing = |route: &&crate::validate::RouteSpec| {
            bounds
                .iter()
                .all(|bounds| intersect(bounds, route).is_none())
        };
        let route = routing.routes.iter().find(takes_nothing)?;
        let place = route.index.unwrap_or_default();
        let parents: Vec<_> = parents.iter().map(ObjectRef::with_kind).collect();
        let parents = parents.join(", ");
        (!bounds.is_empty()).then(|| {
            let told = format!(
                "spec.routes[{place}].match: Invalid value: outside of what {parents} delegates; use a path under the delegated prefix and no other method"
            );
            (Reason::RouteOutsideParent, told)
        })
    }

    /// A route that wants less than the root asks for.
    pub(super) fn loosens(&self, me: &ObjectRef, routing: &Routing) -> Option<String> {
        let route = routing.routes.iter().find(|it| it.permits_insecure())?;
        let strict = self.roots_of(me).into_iter().find(|root| {
            let link = self.linked(root).map(|(_, link)| link);
            link.is_some_and(|link| self.asks_for_certificates(root, link))
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

    /// Whether clients must show a certificate under any hostname of a root, by its own word or by that of
    /// an older object that shares the hostname.
    fn asks_for_certificates(&self, root: &ObjectRef, link: &ResolvedRoot) -> bool {
        link.hostnames.iter().any(|host| {
            let rule = self.tls_owner(root, link, host).map_or(link, |it| it.link);
            rule.tls.client_ca.is_some()
        })
    }

    fn root_not_serving(&self, me: &ObjectRef) -> Option<(Reason, String)> {
        self.hostnames_above(me)
            .into_iter()
            .find_map(|(root, host)| {
                let (object, link) = self.linked(&root)?;
                let standing = self.hostnames.standing(&object.claim(&root), &host);
                let held = matches!(standing, Standing::Held { .. });
                let rule = self.tls_owner(&root, link, &host);
                let slot = Slot::of_host(&link.class, &host);
                let certified = rule.is_some_and(|rule| {
                    !rule.link.terminates_tls() || self.serving.certificates(&slot).next().is_some()
                });
                (!held || !certified).then(|| {
                    let told = format!(
                        "waiting for {} to serve hostname \"{host}\"; see its status",
                        root.with_kind()
                    );
                    (Reason::ParentNotServing, told)
                })
            })
    }
}

fn verdict(worst: Option<&CheckFailure>, stored: &ExposedPortStatus) -> Phase {
    match worst.map(|failure| failure.reason) {
        None => Phase::Ready,
        Some(Reason::Orphaned | Reason::DelegationCycle) => Phase::Orphaned,
        Some(_) if Phase::was_ready(stored) => Phase::Degraded,
        Some(_) => Phase::Pending,
    }
}
