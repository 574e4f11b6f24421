//! What is told of an object or a class: the truth at one moment.
//!
//! A status is a function of the index, of what was seen outside, and of the time that is passed in.
//! [`checks`] decides whether a request would succeed; here the answer gets its form.

mod certificate_checks;
mod checks;
mod child;
mod class;
mod conditions;
mod destinations;
mod diagnostics;
mod encryption;
mod metrics;
mod proxies;

use crate::index::resolve::certificates::Source;
use crate::index::resolve::exposure::{Exposure, Link, ResolvedRoot};
use crate::index::resolve::shared_hosts::HostShare;
use crate::index::store::hostnames::Standing;
use crate::index::store::served_certificates::Slot;
use crate::index::unresolved::Unresolved;
use crate::index::{Entry, Index};
use crate::names::{Hostname, ObjectRef};
use crate::observed::{ChildState, Observed};
use crate::reason::Reason;
use crate::validate::ValidationError;
use checks::{CheckContext, CheckFailure, CheckFailures};
use conditions::{ConditionType, Conditions};
use destinations::{Destinations, told};
pub use diagnostics::Diagnostic;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
pub use metrics::{CertificateMetrics, HostnameMetrics, ObjectMetrics};
use portolan_crds::{
    CHILDREN_MAX, CertificateStatus, ChildRef, ExposedPortStatus, HostnameStatus, Summary,
};

/// What an object comes to, for the column of `kubectl get`; the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Its time is over, or its Lease lapsed.
    Expired,
    /// It breaks a rule, or has no class.
    Invalid,
    /// Others may delegate to it, and nobody with a hostname does.
    Orphaned,
    /// Others have all of its hostnames.
    Conflicted,
    /// It was never ready yet.
    Pending,
    /// It is not ready, but was, or some of its hostnames are.
    Degraded,
    /// A request to each of its hostnames would succeed.
    Ready,
}

impl Phase {
    fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "Expired",
            Self::Invalid => "Invalid",
            Self::Orphaned => "Orphaned",
            Self::Conflicted => "Conflicted",
            Self::Pending => "Pending",
            Self::Degraded => "Degraded",
            Self::Ready => "Ready",
        }
    }

    /// Whether the object was ready once.
    fn was_ready(stored: &ExposedPortStatus) -> bool {
        let was = stored
            .summary
            .as_ref()
            .map(|summary| summary.status.as_str());
        [Some(Self::Ready.as_str()), Some(Self::Degraded.as_str())].contains(&was)
    }
}

impl Index {
    /// The status of an ExposedPort; `None` when it is gone.
    ///
    /// Equal input gives an equal status, and times are kept where nothing changed, so it need only be
    /// written when it differs from what is stored.
    pub fn status(
        &self,
        object: &ObjectRef,
        seen: &Observed,
        now: Timestamp,
    ) -> Option<ExposedPortStatus> {
        let entry = self.entry(object)?;
        Some(match &entry.link {
            Ok(Link::Root(link)) => self.status_of_linked(object, entry, link, seen, now),
            Ok(Link::Child(child)) => self.status_of_child(object, entry, child, seen, now),
            Err(problems) => rejected(entry, problems, now),
        })
    }

    /// When the status must be judged again without any event, because a certificate expires.
    pub fn recheck_at(
        &self,
        object: &ObjectRef,
        seen: &Observed,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let (_, link) = self.linked(object)?;
        let hosts = link.hostnames.iter();
        hosts
            .flat_map(|host| {
                let slot = Slot::of_host(&link.class, host);
                let pairs: Vec<_> = self
                    .serving
                    .certificates(&slot)
                    .map(|(_, pair)| pair.not_after)
                    .collect();
                let seen = seen
                    .proxies
                    .iter()
                    .filter_map(|proxy| proxy.served.get(host.as_str()));
                seen.map(|served| served.not_after).chain(pairs)
            })
            .filter(|not_after| *not_after > now)
            .min()
    }

    fn status_of_linked(
        &self,
        me: &ObjectRef,
        entry: &Entry,
        link: &ResolvedRoot,
        seen: &Observed,
        now: Timestamp,
    ) -> ExposedPortStatus {
        let object = &entry.object;
        let context = CheckContext::new(self, me, object, link, seen, now);
        let failures = CheckFailures::collect(&context);
        let mut conditions = Conditions::new(object.generation, &object.status.conditions, now);
        let notice = warnings(link).into_iter().next();
        match &notice {
            None => {
                conditions.set_true(ConditionType::Accepted, Reason::Accepted, "object is valid")
            }
            Some((reason, message)) => {
                conditions.set_true(ConditionType::Accepted, *reason, message)
            }
        }
        let certificates = certificates_hold(&context);
        let destinations = context.destinations();
        judge_aspects(
            &mut conditions,
            destinations,
            certificates,
            |condition_type| failures.first_of(condition_type),
        );
        let worst = failures.worst();
        match worst {
            None => conditions.set_true(
                ConditionType::Ready,
                Reason::Serving,
                "every hostname is ready to serve requests",
            ),
            Some(failure) => {
                conditions.set_false(ConditionType::Ready, failure.reason, &failure.message)
            }
        }
        let hostnames: Vec<_> = link
            .hostnames
            .iter()
            .map(|host| hostname(&context, host, failures.of(host).first()))
            .collect();
        let summary = Summary {
            status: verdict(&context, &hostnames, &object.status)
                .as_str()
                .to_owned(),
            hosts: hosts(&link.hostnames),
            certificate_expires: expires(&hostnames),
            ends: ends(object),
        };
        ExposedPortStatus {
            observed_generation: Some(object.generation),
            class_name: Some(link.class.as_str().to_owned()),
            summary: Some(summary),
            description: match worst {
                Some(failure) => failure.message.clone(),
                None => match notice.or_else(|| destinations.warning()) {
                    Some((_, message)) => format!("valid, with a warning: {message}"),
                    None => "valid".to_owned(),
                },
            },
            conditions: conditions.finish(),
            hostnames,
            addresses: context.addresses.to_vec(),
            children: applied(&context.children, seen),
        }
    }
}

/// The conditions between Accepted and Ready.
fn judge_aspects<'a>(
    conditions: &mut Conditions<'_>,
    destinations: &Destinations,
    certificates: (ConditionType, Reason, &str),
    failing: impl Fn(ConditionType) -> Option<&'a CheckFailure>,
) {
    let told = |warnings: &[Unresolved], reason: Reason, message: &str| {
        told(warnings).unwrap_or_else(|| (reason, message.to_owned()))
    };
    let resolved = told(
        &destinations.misunderstood,
        Reason::ResolvedRefs,
        "all references are resolved",
    );
    let endpoints = told(
        &destinations.left_out,
        Reason::EndpointsReady,
        "every backend has at least one ready endpoint",
    );
    for (condition_type, reason, message) in [
        (ConditionType::ResolvedRefs, resolved.0, resolved.1.as_str()),
        (
            ConditionType::Programmed,
            Reason::Programmed,
            "all ready proxies have loaded the current configuration",
        ),
        certificates,
        (
            ConditionType::EndpointsReady,
            endpoints.0,
            endpoints.1.as_str(),
        ),
    ] {
        match failing(condition_type) {
            None => conditions.set_true(condition_type, reason, message),
            Some(failure) => conditions.set_false(condition_type, failure.reason, &failure.message),
        }
    }
    if let Some(encryption) = &destinations.encryption {
        encryption.tell(conditions, failing(ConditionType::BackendEncrypted));
    }
}

/// The children that are stored as they should be.
fn applied(children: &[crate::Child], seen: &Observed) -> Vec<ChildRef> {
    let applied = |child: &&crate::Child| {
        matches!(seen.children.get(&child.key()), Some(ChildState::Applied))
    };
    let children = children.iter().filter(applied);
    children
        .map(crate::Child::reference)
        .take(CHILDREN_MAX)
        .collect()
}

/// What an object is told that is valid, and of which not everything can be done.
fn warnings(link: &ResolvedRoot) -> Vec<(Reason, String)> {
    const VERSION_RAISED: &str =
        "spec.tls.minVersion: TLS 1.1 is deprecated (RFC 8996), so the minimum is 1.2; set \"1.2\"";
    let raised = link.tls.raised.then_some(VERSION_RAISED);
    let raised = raised.map(|told| (Reason::TlsVersionRaised, told.to_owned()));
    let refused = link.refused_annotations.first().map(|first| {
        let more = match link.refused_annotations.len() {
            1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        (
            Reason::AnnotationNotAllowed,
            format!(
                "spec.annotations[{first}]{more}: Forbidden: not allowed by ExposeClass \"{}\" and not copied to the Ingress; add it to spec.annotations.allow of the class, or remove it",
                link.class
            ),
        )
    });
    raised.into_iter().chain(refused).collect()
}

/// The status of an object that is not accepted: nothing beyond that was judged.
fn rejected(entry: &Entry, problems: &[ValidationError], now: Timestamp) -> ExposedPortStatus {
    let object = &entry.object;
    let told: Vec<_> = problems.iter().map(ToString::to_string).collect();
    let message = told.join(". ");
    let reason = problems.first().map(ValidationError::reason);
    let reason = reason.unwrap_or(Reason::InvalidSpec);
    let (verdict, ends) = match problems.first() {
        // When it would lapse otherwise is another time with each renewal, and not worth a write each.
        Some(ValidationError::LeaseLapsed { at, .. }) => (Phase::Expired, at.to_string()),
        Some(ValidationError::Expired { .. }) => (Phase::Expired, ends(object)),
        _ => (Phase::Invalid, ends(object)),
    };
    let mut conditions = Conditions::new(object.generation, &object.status.conditions, now);
    conditions.set_false(ConditionType::Accepted, reason, &message);
    for condition_type in [
        ConditionType::ResolvedRefs,
        ConditionType::Programmed,
        ConditionType::CertificatesReady,
        ConditionType::EndpointsReady,
    ] {
        conditions.unknown(
            condition_type,
            reason,
            "not evaluated because the object is not accepted",
        );
    }
    conditions.set_false(ConditionType::Ready, reason, &message);
    ExposedPortStatus {
        observed_generation: Some(object.generation),
        // Kept, so that a class that is back, or a mistake put right, finds the object where it was.
        class_name: object.status.class_name.clone(),
        summary: Some(Summary {
            status: verdict.as_str().to_owned(),
            ends,
            ..Summary::default()
        }),
        description: message,
        conditions: conditions.finish(),
        ..ExposedPortStatus::default()
    }
}

fn certificates_hold(context: &CheckContext<'_>) -> (ConditionType, Reason, &'static str) {
    match context.terminates_tls() {
        false => (
            ConditionType::CertificatesReady,
            Reason::TlsDisabled,
            "TLS is disabled",
        ),
        true => (
            ConditionType::CertificatesReady,
            Reason::CertificatesServed,
            "all ready proxies present the certificate of every hostname",
        ),
    }
}

fn verdict(
    context: &CheckContext<'_>,
    hostnames: &[HostnameStatus],
    stored: &ExposedPortStatus,
) -> Phase {
    if context
        .link
        .hostnames
        .iter()
        .all(|host| context.has_lost(host))
    {
        Phase::Conflicted
    } else if hostnames.iter().all(|host| host.ready) {
        Phase::Ready
    } else if hostnames.iter().any(|host| host.ready) || Phase::was_ready(stored) {
        Phase::Degraded
    } else {
        Phase::Pending
    }
}

fn hostname(
    context: &CheckContext<'_>,
    host: &Hostname,
    failing: Option<&CheckFailure>,
) -> HostnameStatus {
    let (since, holder) = match context.standing(host) {
        Standing::Held { since } => {
            let holder = match context.share(host) {
                HostShare::Full => String::new(),
                HostShare::RouteConflict { by: other, .. }
                | HostShare::TlsConflict { than: other } => other.to_string(),
            };
            (Some(Time(*since)), holder)
        }
        Standing::HoldPending => (None, String::new()),
        Standing::HeldBy { namespace } | Standing::HeldByWildcard { namespace, .. } => {
            (None, namespace.clone())
        }
    };
    let scheme = if context.tls_owner(host).1.terminates_tls() {
        "https"
    } else {
        "http"
    };
    HostnameStatus {
        name: host.as_str().to_owned(),
        url: if host.is_wildcard() {
            String::new()
        } else {
            format!("{scheme}://{host}")
        },
        ready: failing.is_none(),
        reason: failing
            .map(|failure| failure.reason.to_string())
            .unwrap_or_default(),
        message: failing
            .map(|failure| failure.message.clone())
            .unwrap_or_default(),
        held_since: since,
        held_by: holder,
        certificate: certificate(context, host),
    }
}

fn certificate(context: &CheckContext<'_>, host: &Hostname) -> Option<CertificateStatus> {
    if context.has_lost(host) || !matches!(context.standing(host), Standing::Held { .. }) {
        return None;
    }
    let (_, link) = context.tls_owner(host);
    let served = context.served_by_all(host);
    let (secret, issuer, renewal_time) = match link.source(host) {
        Source::Issued(issuer) => {
            let secret = context.index.issued_for(link, host);
            let issuance = context.index.issuance(&secret);
            let renewal_time = issuance.and_then(|issuance| issuance.renewal_time);
            (
                secret,
                format!("{}/{}", issuer.kind, issuer.name),
                renewal_time,
            )
        }
        _ => (link.secrets(host).into_iter().next()?, String::new(), None),
    };
    Some(CertificateStatus {
        secret_name: secret.name,
        not_after: served.map(|served| Time(served.not_after)),
        renewal_time: renewal_time.map(Time),
        served_fingerprint: served
            .map(|served| served.fingerprint.clone())
            .unwrap_or_default(),
        issuer,
    })
}

fn hosts(hostnames: &[Hostname]) -> String {
    match hostnames {
        [] => String::new(),
        [first] => first.to_string(),
        [first, rest @ ..] => format!("{first} +{}", rest.len()),
    }
}

fn ends(object: &Exposure) -> String {
    object.end().map(|end| end.to_string()).unwrap_or_default()
}

fn expires(hostnames: &[HostnameStatus]) -> String {
    let certificates = hostnames
        .iter()
        .filter_map(|host| host.certificate.as_ref());
    let earliest = certificates
        .filter_map(|it| it.not_after.as_ref())
        .map(|Time(time)| *time)
        .min();
    earliest.map(|time| time.to_string()).unwrap_or_default()
}
