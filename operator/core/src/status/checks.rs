//! Readiness checks of an object: an ordered list of small checks. Ready reports the first that fails; each other
//! condition reports the first failure that concerns it.

use super::certificate_checks::{cert_manager_installed, certificate_served, certificate_valid};
use super::conditions::ConditionType;
use super::destinations::{Destinations, join_messages};
use super::proxies::not_loaded;
use crate::child::Child;
use crate::index::Index;
use crate::index::resolve::exposure::{Exposure, ResolvedRoot};
use crate::index::resolve::route_tree::Server;
use crate::index::resolve::shared_hosts::HostShare;
use crate::index::store::hostnames::Standing;
use crate::index::unresolved::Unresolved;
use crate::names::Hostname;
use crate::observed::{ChildState, Observed, ObservedProxy, ServedCertificate};
use crate::reason::Reason;
use crate::subject::Subject;
use jiff::Timestamp;
use portolan_crds::Address;
use std::collections::BTreeMap;

/// Failure of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CheckFailure {
    /// Conditions that it makes false, besides Ready.
    pub(super) condition_types: &'static [ConditionType],
    pub(super) reason: Reason,
    pub(super) message: String,
}

/// Input of the checks of one object.
pub(super) struct CheckContext<'a> {
    pub(super) index: &'a Index,
    pub(super) key: &'a Subject,
    object: &'a Exposure,
    pub(super) link: &'a ResolvedRoot,
    observed: &'a Observed,
    pub(super) now: Timestamp,
    pub(super) children: Vec<Child>,
    pub(super) addresses: &'a [Address],
    destinations: Destinations,
    /// Standing and share of each hostname. Computed once, because a share compares the routes of all objects
    /// with the hostname.
    claims: BTreeMap<&'a Hostname, (Standing, HostShare)>,
}

/// Conditions that cannot be true while a proxy has not loaded the current configuration.
pub(super) const LOADED: &[ConditionType] =
    &[ConditionType::Programmed, ConditionType::BackendEncrypted];

/// Check of one hostname.
type Check = fn(&CheckContext<'_>, &Hostname) -> Option<CheckFailure>;

/// All checks, in the order in which to fix their failures. The object is already known to be valid and to have a
/// class.
const CHECKS: [Check; 10] = [
    hostname_reserved,
    no_route_conflict,
    children_applied,
    references_resolved,
    cert_manager_installed,
    certificate_valid,
    certificate_served,
    proxies_up_to_date,
    backends_have_endpoints,
    proxies_reachable,
];

/// Failures by hostname, each with the position of its check in [`CHECKS`].
pub(super) struct CheckFailures(Vec<(Hostname, Vec<(usize, CheckFailure)>)>);

impl CheckFailures {
    pub(super) fn collect(context: &CheckContext<'_>) -> Self {
        let check = |host: &Hostname| {
            let all = CHECKS.iter().enumerate();
            let mut failures: Vec<_> = all
                .filter_map(|(order, check)| Some((order, check(context, host)?)))
                .collect();
            // Further failures of a hostname that belongs to others are of no use.
            if context.is_taken(host) || *context.standing(host) == Standing::HoldPending {
                failures.truncate(1);
            }
            (host.clone(), failures)
        };
        Self(context.link.hostnames.iter().map(check).collect())
    }

    /// Returns the failures of one hostname, in order.
    pub(super) fn of(&self, host: &Hostname) -> Vec<CheckFailure> {
        let failures = self
            .0
            .iter()
            .filter(|(hostname, _)| hostname == host)
            .flat_map(|(_, failures)| failures);
        failures.map(|(_, failure)| failure.clone()).collect()
    }

    /// Returns the failure that makes a condition false: that of the first check that any hostname fails.
    pub(super) fn first_of(&self, condition_type: ConditionType) -> Option<&CheckFailure> {
        self.first(|failure| failure.condition_types.contains(&condition_type))
    }

    /// Returns the failure that makes Ready false.
    pub(super) fn worst(&self) -> Option<&CheckFailure> {
        self.first(|_| true)
    }

    fn first(&self, concerns: impl Fn(&CheckFailure) -> bool) -> Option<&CheckFailure> {
        let all = self.0.iter().flat_map(|(_, failures)| failures);
        let first = all
            .filter(|(_, failure)| concerns(failure))
            .min_by_key(|(order, _)| *order);
        first.map(|(_, failure)| failure)
    }
}

impl<'a> CheckContext<'a> {
    pub(super) fn new(
        index: &'a Index,
        key: &'a Subject,
        object: &'a Exposure,
        link: &'a ResolvedRoot,
        observed: &'a Observed,
        now: Timestamp,
    ) -> Self {
        let mut destinations = Destinations::of(index, key, object, &link.routing);
        destinations.unresolved.extend(index.client_ca(link).err());
        if !link.routing.delegates().is_empty() {
            let root = Server {
                name: key,
                object,
                link,
            };
            let exceeded = index.limit_exceeded(root).map(|(at, broken)| Unresolved {
                reason: broken.reason(),
                message: format!("ExposedPort {at}: {broken}"),
            });
            destinations.unresolved.extend(exceeded);
        }
        let claim = object.claim(key);
        let claims = link.hostnames.iter().map(|host| {
            let standing = index.hostnames.standing(&claim, host);
            let share = match standing {
                Standing::Held { .. } => index.share(key, link, host),
                _ => HostShare::Full,
            };
            (host, (standing, share))
        });
        Self {
            index,
            key,
            object,
            link,
            observed,
            now,
            children: index.children(key),
            addresses: index.addresses(&link.class),
            destinations,
            claims: claims.collect(),
        }
    }

    pub(super) fn destinations(&self) -> &Destinations {
        &self.destinations
    }

    pub(super) fn standing(&self, host: &Hostname) -> &Standing {
        let claim = self.claims.get(host);
        claim.map_or(&Standing::HoldPending, |(standing, _)| standing)
    }

    /// Returns how a hostname of the namespace is shared with other objects of the namespace.
    pub(super) fn share(&self, host: &Hostname) -> &HostShare {
        self.claims
            .get(host)
            .map_or(&HostShare::Full, |(_, share)| share)
    }

    /// Returns true if a hostname belongs entirely to other objects.
    pub(super) fn is_taken(&self, host: &Hostname) -> bool {
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

    /// Returns the object whose TLS settings apply to a hostname: the oldest that serves it.
    pub(super) fn tls_owner(&self, host: &Hostname) -> (&Subject, &ResolvedRoot) {
        let owner = self.index.tls_owner(self.key, self.link, host);
        owner.map_or((self.key, self.link), |owner| (owner.name, owner.link))
    }

    /// Returns true if any hostname is served over TLS.
    pub(super) fn terminates_tls(&self) -> bool {
        let mut hosts = self.link.hostnames.iter();
        hosts.any(|host| self.tls_owner(host).1.terminates_tls())
    }

    /// Returns the certificate that every ready proxy presents; `None` if one presents none, or they differ.
    pub(super) fn served_by_all(&self, host: &Hostname) -> Option<&ServedCertificate> {
        let mut all = self
            .ready_proxies()
            .map(|proxy| proxy.served.get(host.as_str()));
        let first = all.next()??;
        all.all(|other| other == Some(first)).then_some(first)
    }

    pub(super) fn ready_proxies(&self) -> impl Iterator<Item = &ObservedProxy> {
        self.observed.proxies.iter().filter(|proxy| proxy.ready)
    }
}

pub(super) fn failure(
    condition_types: &'static [ConditionType],
    reason: Reason,
    message: String,
) -> Option<CheckFailure> {
    Some(CheckFailure {
        condition_types,
        reason,
        message,
    })
}

fn hostname_reserved(context: &CheckContext<'_>, host: &Hostname) -> Option<CheckFailure> {
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
            let message = format!(
                "{route}: conflicts on hostname \"{host}\" with the older {}, which has a route for the same requests; change or remove one of them",
                by.with_kind()
            );
            (Reason::RouteConflict, message)
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

fn children_applied(context: &CheckContext<'_>, host: &Hostname) -> Option<CheckFailure> {
    let certificate = context.tls_owner(host).1.issued.certificate(host);
    let concerns = |child: &&Child| child.kind != "Certificate" || child.name == certificate.name;
    let children = context.children.iter().filter(concerns);
    let (reason, message) = not_applied(children, context.observed)?;
    failure(&[ConditionType::Programmed], reason, message)
}

/// Returns the first child that is not applied.
pub(super) fn not_applied<'a>(
    mut children: impl Iterator<Item = &'a Child>,
    observed: &Observed,
) -> Option<(Reason, String)> {
    children.find_map(|child| {
        Some(match observed.children.get(&child.key()) {
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
            Some(ChildState::Failed(error)) => (
                Reason::ApplyFailed,
                format!(
                    "{} \"{}\" was rejected by the API server: {error}",
                    child.kind, child.name
                ),
            ),
        })
    })
}

fn references_resolved(context: &CheckContext<'_>, host: &Hostname) -> Option<CheckFailure> {
    let of_tls_owner = || {
        let (owner, link) = context.tls_owner(host);
        let problem = context.index.client_ca(link).err()?;
        Some((problem.reason, format!("{owner}: {}", problem.message)))
    };
    let (reason, message) =
        join_messages(&context.destinations.unresolved).or_else(of_tls_owner)?;
    failure(
        &[ConditionType::ResolvedRefs, ConditionType::EndpointsReady],
        reason,
        message,
    )
}

fn proxies_up_to_date(context: &CheckContext<'_>, host: &Hostname) -> Option<CheckFailure> {
    let link = context.link;
    let own = context.index.host_resources(context.object, link, host);
    let names: Vec<_> = context
        .index
        .resources_of_class(&link.class)
        .into_iter()
        .chain(own)
        .collect();
    let (reason, message) = not_loaded(&context.observed.proxies, &names)?;
    failure(LOADED, reason, message)
}

fn backends_have_endpoints(context: &CheckContext<'_>, _: &Hostname) -> Option<CheckFailure> {
    let (reason, message) = join_messages(&context.destinations.missing)?;
    failure(&[ConditionType::EndpointsReady], reason, message)
}

/// A proxy is reachable only once it is an endpoint of its Service, which is later than its own readiness.
fn proxies_reachable(context: &CheckContext<'_>, _: &Hostname) -> Option<CheckFailure> {
    let (reason, message) = context
        .index
        .proxies_unreachable(&context.link.class, &context.observed.proxies)?;
    let no_ready_proxy = context.ready_proxies().next().is_none();
    let condition_types: &[ConditionType] = if no_ready_proxy && context.terminates_tls() {
        // No proxy presents the certificates.
        &[ConditionType::Programmed, ConditionType::CertificatesReady]
    } else {
        &[ConditionType::Programmed]
    };
    failure(condition_types, reason, message)
}
