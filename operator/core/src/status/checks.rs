//! Would a request succeed? A list of small checks in order; the first that fails is the answer, and all
//! that fail are told by the condition that they belong to.

use super::certificate_checks::{
    cert_manager_is_there, certificate_is_good, certificate_is_served,
};
use super::conditions::ConditionType;
use super::destinations::{Destinations, told};
use super::proxies::not_loaded;
use crate::child::Child;
use crate::index::Index;
use crate::index::resolve::exposure::{Exposure, ResolvedRoot};
use crate::index::resolve::route_tree::Server;
use crate::index::resolve::shared_hosts::HostShare;
use crate::index::store::hostnames::Standing;
use crate::index::unresolved::Unresolved;
use crate::names::{Hostname, ObjectRef};
use crate::observed::{ChildState, Observed, ObservedProxy, ServedCertificate};
use crate::reason::Reason;
use jiff::Timestamp;
use portolan_crds::Address;
use std::collections::BTreeMap;

/// Something that stands against a request's success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CheckFailure {
    /// The conditions that it makes false, besides Ready.
    pub(super) aspects: &'static [ConditionType],
    pub(super) reason: Reason,
    pub(super) message: String,
}

/// Everything that the checks look at, for one object.
pub(super) struct CheckContext<'a> {
    pub(super) index: &'a Index,
    pub(super) me: &'a ObjectRef,
    object: &'a Exposure,
    pub(super) link: &'a ResolvedRoot,
    seen: &'a Observed,
    pub(super) now: Timestamp,
    pub(super) children: Vec<Child>,
    pub(super) addresses: &'a [Address],
    destinations: Destinations,
    /// How the object stands for each of its hostnames, and how it shares those that its namespace holds.
    /// Told often, and found out once: sharing takes a look at every route of everybody.
    stands: BTreeMap<&'a Hostname, (Standing, HostShare)>,
}

/// What cannot be true while a proxy has not loaded everything.
pub(super) const LOADED: &[ConditionType] =
    &[ConditionType::Programmed, ConditionType::BackendEncrypted];

/// One check of one hostname.
type Check = fn(&CheckContext<'_>, &Hostname) -> Option<CheckFailure>;

/// In the order in which a person would put things right. That the object is valid and has a class was
/// settled before.
const CHECKS: [Check; 10] = [
    is_held,
    no_route_conflict,
    children_are_stored,
    references_are_there,
    cert_manager_is_there,
    certificate_is_good,
    certificate_is_served,
    proxies_are_up_to_date,
    endpoints_are_ready,
    proxies_reachable,
];

/// What was found, by hostname.
pub(super) struct CheckFailures(Vec<(Hostname, Vec<(usize, CheckFailure)>)>);

impl CheckFailures {
    pub(super) fn collect(context: &CheckContext<'_>) -> Self {
        let judge = |host: &Hostname| {
            let all = CHECKS.iter().enumerate();
            let mut found: Vec<_> = all
                .filter_map(|(order, check)| Some((order, check(context, host)?)))
                .collect();
            // What would be wrong with a hostname that others have is of no use to anybody.
            if context.has_lost(host) || *context.standing(host) == Standing::HoldPending {
                found.truncate(1);
            }
            (host.clone(), found)
        };
        Self(context.link.hostnames.iter().map(judge).collect())
    }

    /// What stands against one hostname, in order.
    pub(super) fn of(&self, host: &Hostname) -> Vec<CheckFailure> {
        let found = self
            .0
            .iter()
            .filter(|(of, _)| of == host)
            .flat_map(|(_, found)| found);
        found.map(|(_, failure)| failure.clone()).collect()
    }

    /// What makes a condition false: the first check that any hostname fails.
    pub(super) fn first_of(&self, condition_type: ConditionType) -> Option<&CheckFailure> {
        self.first(|failure| failure.aspects.contains(&condition_type))
    }

    /// What makes the object not ready.
    pub(super) fn worst(&self) -> Option<&CheckFailure> {
        self.first(|_| true)
    }

    fn first(&self, counts: impl Fn(&CheckFailure) -> bool) -> Option<&CheckFailure> {
        let all = self.0.iter().flat_map(|(_, found)| found);
        let first = all
            .filter(|(_, failure)| counts(failure))
            .min_by_key(|(order, _)| *order);
        first.map(|(_, failure)| failure)
    }
}

impl<'a> CheckContext<'a> {
    pub(super) fn new(
        index: &'a Index,
        me: &'a ObjectRef,
        object: &'a Exposure,
        link: &'a ResolvedRoot,
        seen: &'a Observed,
        now: Timestamp,
    ) -> Self {
        let mut destinations = Destinations::of(index, me, object, &link.routing);
        destinations.unresolved.extend(index.client_ca(link).err());
        if !link.routing.delegates().is_empty() {
            let root = Server {
                name: me,
                object,
                link,
            };
            let cut = index.limit_exceeded(root).map(|(at, broken)| Unresolved {
                reason: broken.reason(),
                message: format!("ExposedPort {at}: {broken}"),
            });
            destinations.unresolved.extend(cut);
        }
        let claim = object.claim(me);
        let stands = link.hostnames.iter().map(|host| {
            let standing = index.hostnames.standing(&claim, host);
            let share = match standing {
                Standing::Held { .. } => index.share(me, link, host),
                _ => HostShare::Full,
            };
            (host, (standing, share))
        });
        Self {
            index,
            me,
            object,
            link,
            seen,
            now,
            children: index.children(me),
            addresses: index.addresses(&link.class),
            destinations,
            stands: stands.collect(),
        }
    }

    pub(super) fn destinations(&self) -> &Destinations {
        &self.destinations
    }

    pub(super) fn standing(&self, host: &Hostname) -> &Standing {
        let known = self.stands.get(host);
        known.map_or(&Standing::HoldPending, |(standing, _)| standing)
    }

    /// How a hostname that the namespace holds is shared with other objects of it.
    pub(super) fn share(&self, host: &Hostname) -> &HostShare {
        self.stands
            .get(host)
            .map_or(&HostShare::Full, |(_, share)| share)
    }

    /// Whether others have all of a hostname.
    pub(super) fn has_lost(&self, host: &Hostname) -> bool {
        match self.standing(host) {
            Standing::HoldPending => false,
            Standing::HeldBy { .. } | Standing::HeldByWildcard { .. } => true,
            Standing::Held { .. } => match self.share(host) {
                HostShare::Full => false,
                HostShare::RouteConflict { wholly, .. } => *wholly,
                HostShare::TlsConflict { .. } => true,
            },
        }
    }

    /// Whose word on TLS counts for a hostname: that of the oldest object that serves it.
    pub(super) fn tls_owner(&self, host: &Hostname) -> (&ObjectRef, &ResolvedRoot) {
        let rule = self.index.tls_owner(self.me, self.link, host);
        rule.map_or((self.me, self.link), |it| (it.name, it.link))
    }

    /// Whether any hostname is served over TLS.
    pub(super) fn terminates_tls(&self) -> bool {
        let mut hosts = self.link.hostnames.iter();
        hosts.any(|host| self.tls_owner(host).1.terminates_tls())
    }

    /// What every ready proxy presents; `None` when one presents nothing, or they differ.
    pub(super) fn served_by_all(&self, host: &Hostname) -> Option<&ServedCertificate> {
        let mut all = self
            .ready_proxies()
            .map(|proxy| proxy.served.get(host.as_str()));
        let first = all.next()??;
        all.all(|other| other == Some(first)).then_some(first)
    }

    pub(super) fn ready_proxies(&self) -> impl Iterator<Item = &ObservedProxy> {
        self.seen.proxies.iter().filter(|proxy| proxy.ready)
    }
}

pub(super) fn failure(
    aspects: &'static [ConditionType],
    reason: Reason,
    message: String,
) -> Option<CheckFailure> {
    Some(CheckFailure {
        aspects,
        reason,
        message,
    })
}

fn is_held(context: &CheckContext<'_>, host: &Hostname) -> Option<CheckFailure> {
    let (reason, message) = match context.standing(host) {
        Standing::Held { .. } => return None,
        Standing::HoldPending => (
            Reason::HoldPending,
            format!("waiting for hostname \"{host}\" to be reserved"),
        ),
        Standing::HeldBy { namespace } => (
            Reason::HostnameHeld,
            format!(
                "hostname \"{host}\" is already in use by namespace \"{namespace}\"; choose another hostname or ask its owner to release it"
            ),
        ),
        Standing::HeldByWildcard {
            wildcard,
            namespace,
        } => (
            Reason::HeldByWildcard,
            format!(
                "hostname \"{host}\" is covered by \"{wildcard}\", which is already in use by namespace \"{namespace}\"; choose another hostname or ask its owner to release it"
            ),
        ),
    };
    failure(&[ConditionType::Programmed], reason, message)
}

fn no_route_conflict(context: &CheckContext<'_>, host: &Hostname) -> Option<CheckFailure> {
    let (reason, message) = match context.share(host) {
        HostShare::Full => return None,
        HostShare::RouteConflict { route, by, .. } => {
            let told = format!(
                "{route}: conflicts on hostname \"{host}\" with the older {}, which has a route for the same requests; change or remove one of them",
                by.with_kind()
            );
            (Reason::RouteConflict, told)
        }
        HostShare::TlsConflict { than } => (
            Reason::TlsConflict,
            format!(
                "spec.tls: conflicts on hostname \"{host}\" with the TLS settings of the older {}; use the same settings or remove them here",
                than.with_kind()
            ),
        ),
    };
    failure(&[ConditionType::Programmed], reason, message)
}

fn children_are_stored(context: &CheckContext<'_>, host: &Hostname) -> Option<CheckFailure> {
    let certificate = context.tls_owner(host).1.issued.certificate(host);
    let concerns = |child: &&Child| child.kind != "Certificate" || child.name == certificate.name;
    let children = context.children.iter().filter(concerns);
    let (reason, message) = not_stored(children, context.seen)?;
    failure(&[ConditionType::Programmed], reason, message)
}

/// The first child that is not stored as it should be.
pub(super) fn not_stored<'a>(
    mut children: impl Iterator<Item = &'a Child>,
    seen: &Observed,
) -> Option<(Reason, String)> {
    children.find_map(|child| {
        Some(match seen.children.get(&child.key()) {
            Some(ChildState::Applied) => return None,
            None => (
                Reason::Applying,
                format!(
                    "waiting for {} \"{}\" to be created",
                    child.kind, child.name
                ),
            ),
            Some(ChildState::Foreign) => (
                Reason::ForeignObject,
                format!(
                    "{} \"{}\" already exists and is not managed by Portolan; delete or rename it",
                    child.kind, child.name
                ),
            ),
            Some(ChildState::Failed(told)) => (
                Reason::ApplyFailed,
                format!(
                    "{} \"{}\" was rejected by the API server: {told}",
                    child.kind, child.name
                ),
            ),
        })
    })
}

fn references_are_there(context: &CheckContext<'_>, host: &Hostname) -> Option<CheckFailure> {
    let of_rule = || {
        let (rule, link) = context.tls_owner(host);
        let problem = context.index.client_ca(link).err()?;
        Some((problem.reason, format!("{rule}: {}", problem.message)))
    };
    let (reason, message) = told(&context.destinations.unresolved).or_else(of_rule)?;
    failure(
        &[ConditionType::ResolvedRefs, ConditionType::EndpointsReady],
        reason,
        message,
    )
}

fn proxies_are_up_to_date(context: &CheckContext<'_>, host: &Hostname) -> Option<CheckFailure> {
    let link = context.link;
    let own = context.index.host_resources(context.object, link, host);
    let names: Vec<_> = context
        .index
        .resources_of_class(&link.class)
        .into_iter()
        .chain(own)
        .collect();
    let (reason, message) = not_loaded(&context.seen.proxies, &names)?;
    failure(LOADED, reason, message)
}

fn endpoints_are_ready(context: &CheckContext<'_>, _: &Hostname) -> Option<CheckFailure> {
    let (reason, message) = told(&context.destinations.lacking)?;
    failure(&[ConditionType::EndpointsReady], reason, message)
}

/// A proxy is ready first, the kubelet sees it next, and only as an endpoint of its Service it is reached.
fn proxies_reachable(context: &CheckContext<'_>, _: &Hostname) -> Option<CheckFailure> {
    let (reason, message) = context
        .index
        .shut(&context.link.class, &context.seen.proxies)?;
    let nobody = context.ready_proxies().next().is_none();
    let aspects: &[ConditionType] = match nobody && context.terminates_tls() {
        false => &[ConditionType::Programmed],
        // Nobody presents the certificates.
        true => &[ConditionType::Programmed, ConditionType::CertificatesReady],
    };
    failure(aspects, reason, message)
}
