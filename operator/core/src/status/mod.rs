//! Computes the status of ExposedPorts and ExposeClasses from the index, observed state and the time.
//!
//! [`checks`] decides whether requests succeed; this module turns the result into a status.

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
use crate::names::Hostname;
use crate::observed::{ChildState, Observed};
use crate::reason::Reason;
use crate::reported::ReportedStatus;
use crate::subject::Subject;
use crate::validate::ValidationError;
use checks::{CheckContext, CheckFailure, CheckFailures};
use conditions::{ConditionType, Conditions};
use destinations::{Destinations, join_messages};
pub use diagnostics::Diagnostic;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
pub use metrics::{CertificateMetrics, HostnameMetrics, ObjectMetrics};
use portolan_crds::{
    CHILDREN_MAX, CertificateStatus, ChildRef, ExposedPortStatus, HostnameStatus, Summary,
};

/// Summary of an object for the status column of `kubectl get`, from worst to best.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The object, or its Lease, has expired.
    Expired,
    /// A field is invalid, or the object has no class.
    Invalid,
    /// No object with a hostname delegates to it.
    Orphaned,
    /// All of its hostnames belong to other objects.
    Conflicted,
    /// It has not been ready yet.
    Pending,
    /// It is not ready, but was before, or some of its hostnames are.
    Degraded,
    /// Requests to each of its hostnames succeed.
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

    /// Returns true if the stored status says that the object was ready before.
    fn was_ready(reported: &ReportedStatus) -> bool {
        [Self::Ready.as_str(), Self::Degraded.as_str()].contains(&reported.phase.as_str())
    }
}

impl Index {
    /// Returns the status of an ExposedPort; `None` if it does not exist.
    ///
    /// Equal input gives an equal status, and transition times are kept, so a status need only be written if it
    /// differs from the stored one.
    pub fn status(
        &self,
        object: &Subject,
        observed: &Observed,
        now: Timestamp,
    ) -> Option<ExposedPortStatus> {
        let entry = self.entry(object)?;
        Some(match &entry.link {
            Ok(Link::Root(link)) => self.status_of_linked(object, entry, link, observed, now),
            Ok(Link::Child(child)) => self.status_of_child(object, entry, child, observed, now),
            Err(problems) => rejected(entry, problems, now),
        })
    }

    /// Returns the time at which the status changes without an event, because a certificate expires.
    pub fn recheck_at(
        &self,
        object: &Subject,
        observed: &Observed,
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
                let served = observed
                    .proxies
                    .iter()
                    .filter_map(|proxy| proxy.served.get(host.as_str()));
                served.map(|served| served.not_after).chain(pairs)
            })
            .filter(|not_after| *not_after > now)
            .min()
    }

    fn status_of_linked(
        &self,
        key: &Subject,
        entry: &Entry,
        link: &ResolvedRoot,
        observed: &Observed,
        now: Timestamp,
    ) -> ExposedPortStatus {
        let object = &entry.object;
        let context = CheckContext::new(self, key, object, link, observed, now);
        let failures = CheckFailures::collect(&context);
        let mut conditions = Conditions::new(object.generation, &object.reported.conditions, now);
        let warning = warnings(link).into_iter().next();
        match &warning {
            None => {
                conditions.set_true(ConditionType::Accepted, Reason::Accepted, "object is valid")
            }
            Some((reason, message)) => {
                conditions.set_true(ConditionType::Accepted, *reason, message)
            }
        }
        let certificates = certificates_ready(&context);
        let destinations = context.destinations();
        set_conditions_of_references(
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
            status: phase(&context, &hostnames, &object.reported)
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
                None => match warning.or_else(|| destinations.warning()) {
                    Some((_, message)) => format!("valid, with a warning: {message}"),
                    None => "valid".to_owned(),
                },
            },
            conditions: conditions.finish(),
            hostnames,
            addresses: context.addresses.to_vec(),
            children: applied(&context.children, observed),
        }
    }
}

/// Sets the conditions between Accepted and Ready.
fn set_conditions_of_references<'a>(
    conditions: &mut Conditions<'_>,
    destinations: &Destinations,
    certificates: (ConditionType, Reason, &str),
    failing: impl Fn(ConditionType) -> Option<&'a CheckFailure>,
) {
    let warning_or = |warnings: &[Unresolved], reason: Reason, message: &str| {
        join_messages(warnings).unwrap_or_else(|| (reason, message.to_owned()))
    };
    let resolved = warning_or(
        &destinations.unsupported,
        Reason::ResolvedRefs,
        "all references are resolved",
    );
    let endpoints = warning_or(
        &destinations.excluded,
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
        encryption.set_condition(conditions, failing(ConditionType::BackendEncrypted));
    }
}

/// Returns the children that are applied.
fn applied(children: &[crate::Child], observed: &Observed) -> Vec<ChildRef> {
    let applied = |child: &&crate::Child| {
        matches!(
            observed.children.get(&child.key()),
            Some(ChildState::Applied)
        )
    };
    let children = children.iter().filter(applied);
    children
        .map(crate::Child::reference)
        .take(CHILDREN_MAX)
        .collect()
}

/// Returns the warnings of a valid object.
fn warnings(link: &ResolvedRoot) -> Vec<(Reason, String)> {
    const VERSION_RAISED: &str =
        "spec.tls.minVersion: TLS 1.1 is deprecated (RFC 8996), so the minimum is 1.2; set \"1.2\"";
    let raised = link.tls.raised.then_some(VERSION_RAISED);
    let raised = raised.map(|message| (Reason::TlsVersionRaised, message.to_owned()));
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

/// Returns the status of an object that is not accepted; the other conditions are not evaluated.
fn rejected(entry: &Entry, problems: &[ValidationError], now: Timestamp) -> ExposedPortStatus {
    let object = &entry.object;
    let origin = entry.object.origin();
    let messages: Vec<_> = problems.iter().map(|error| error.message(origin)).collect();
    let message = messages.join(". ");
    let reason = problems.first().map(ValidationError::reason);
    let reason = reason.unwrap_or(Reason::InvalidSpec);
    let (phase, ends) = match problems.first() {
        // Only once it has lapsed: each renewal moves the time, which is not worth a write.
        Some(ValidationError::LeaseLapsed { at, .. }) => (Phase::Expired, at.to_string()),
        Some(ValidationError::Expired { .. }) => (Phase::Expired, ends(object)),
        _ => (Phase::Invalid, ends(object)),
    };
    let mut conditions = Conditions::new(object.generation, &object.reported.conditions, now);
    conditions.set_false(ConditionType::Accepted, reason, &message);
    for condition_type in [
        ConditionType::ResolvedRefs,
        ConditionType::Programmed,
        ConditionType::CertificatesReady,
        ConditionType::EndpointsReady,
    ] {
        conditions.set_unknown(
            condition_type,
            reason,
            "not evaluated because the object is not accepted",
        );
    }
    conditions.set_false(ConditionType::Ready, reason, &message);
    ExposedPortStatus {
        observed_generation: Some(object.generation),
        // Kept, so that the object has its class again once the class exists or the error is fixed.
        class_name: object.reported.class_name.clone(),
        summary: Some(Summary {
            status: phase.as_str().to_owned(),
            ends,
            ..Summary::default()
        }),
        description: message,
        conditions: conditions.finish(),
        ..ExposedPortStatus::default()
    }
}

fn certificates_ready(context: &CheckContext<'_>) -> (ConditionType, Reason, &'static str) {
    if context.terminates_tls() {
        (
            ConditionType::CertificatesReady,
            Reason::CertificatesServed,
            "all ready proxies present the certificate of every hostname",
        )
    } else {
        (
            ConditionType::CertificatesReady,
            Reason::TlsDisabled,
            "TLS is disabled",
        )
    }
}

fn phase(
    context: &CheckContext<'_>,
    hostnames: &[HostnameStatus],
    reported: &ReportedStatus,
) -> Phase {
    if context
        .link
        .hostnames
        .iter()
        .all(|host| context.is_taken(host))
    {
        Phase::Conflicted
    } else if hostnames.iter().all(|host| host.ready) {
        Phase::Ready
    } else if hostnames.iter().any(|host| host.ready) || Phase::was_ready(reported) {
        Phase::Degraded
    } else {
        Phase::Pending
    }
}

fn hostname(
    context: &CheckContext<'_>,
    host: &Hostname,
    failure: Option<&CheckFailure>,
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
        ready: failure.is_none(),
        reason: failure
            .map(|failure| failure.reason.to_string())
            .unwrap_or_default(),
        message: failure
            .map(|failure| failure.message.clone())
            .unwrap_or_default(),
        held_since: since,
        held_by: holder,
        certificate: certificate(context, host),
    }
}

fn certificate(context: &CheckContext<'_>, host: &Hostname) -> Option<CertificateStatus> {
    if context.is_taken(host) || !matches!(context.standing(host), Standing::Held { .. }) {
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
        secret_namespace: secret.namespace,
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
        .filter_map(|certificate| certificate.not_after.as_ref())
        .map(|Time(time)| *time)
        .min();
    earliest.map(|time| time.to_string()).unwrap_or_default()
}
