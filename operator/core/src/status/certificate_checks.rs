//! Checks that the certificate of a hostname is requested, issued, valid and presented by every ready proxy.

use super::checks::{CheckContext, CheckFailure, failure};
use super::conditions::ConditionType;
use crate::index::resolve::certificates::Source;
use crate::index::store::grants::Referent;
use crate::index::store::secrets::SecretProblem;
use crate::index::store::served_certificates::Slot;
use crate::names::{Hostname, ObjectRef};
use crate::reason::Reason;
use crate::validate::OWN_SECRET;
use portolan_crds::IssuerRef;

pub(super) fn cert_manager_installed(
    context: &CheckContext<'_>,
    host: &Hostname,
) -> Option<CheckFailure> {
    let is_issued = matches!(context.tls_owner(host).1.source(host), Source::Issued(_));
    if !is_issued || context.index.cert_manager {
        return None;
    }
    let message = format!("{host}: cert-manager is not installed; install it or set {OWN_SECRET}");
    failure(
        &[ConditionType::CertificatesReady],
        Reason::CertManagerMissing,
        message,
    )
}

pub(super) fn certificate_valid(
    context: &CheckContext<'_>,
    host: &Hostname,
) -> Option<CheckFailure> {
    let slot = Slot::of_host(&context.link.class, host);
    let judge = |secret: &ObjectRef| context.index.serving.judge(secret, &slot);
    let (_, link) = context.tls_owner(host);
    match link.source(host) {
        Source::Nowhere => None,
        Source::Own(secrets) => secrets.iter().find_map(|secret| {
            let from = &link.routing.namespace;
            let consent = context
                .index
                .consent(from, Referent::Secret, secret, OWN_SECRET);
            match consent {
                Err(refused) => {
                    let message = format!("{host}: {}", refused.message);
                    failure(SECRET_CONDITIONS, refused.reason, message)
                }
                Ok(()) => secret_valid(host, &secret.display_name(from), OWN_SECRET, judge(secret)),
            }
        }),
        Source::Shared(secret) => {
            let of = format!("spec.certificates.shared of class \"{}\"", link.class);
            secret_valid(host, &secret.to_string(), &of, judge(secret))
        }
        Source::Issued(issuer) => {
            let secret = context.index.issued_for(link, host);
            // A certificate shared by all hostnames of the object serves the others until it is reissued with this one.
            let judged = judge(&secret).filter(|judged| {
                let lacks = matches!(judged, Err(SecretProblem::WrongHostname { .. }));
                !(link.issued.is_together && lacks)
            });
            let (reason, message) = match judged {
                Some(Ok(())) => return None,
                Some(Err(problem)) => {
                    let message = format!("Secret \"{}\": {problem}", secret.name);
                    (problem.reason(), message)
                }
                None => not_issued(context, host, issuer, &secret),
            };
            let message = format!("{host}: {message}");
            failure(&[ConditionType::CertificatesReady], reason, message)
        }
    }
}

/// Returns why a certificate is not issued: a failure, if there is one, before what is pending.
fn not_issued(
    context: &CheckContext<'_>,
    host: &Hostname,
    issuer: &IssuerRef,
    secret: &ObjectRef,
) -> (Reason, String) {
    let challenge = context.index.challenges.newest(&secret.namespace, host);
    let issuance = context.index.issuance(secret);
    if let Some(challenge) = challenge.filter(|challenge| challenge.failed) {
        let message = format!("{} challenge failed: {}", challenge.kind, challenge.detail);
        return (Reason::ChallengeFailed, message);
    }
    if let Some(error) = issuance.and_then(|issuance| issuance.failure.as_ref()) {
        return (Reason::CertificateFailed, error.clone());
    }
    if let Some(challenge) = challenge.filter(|challenge| !challenge.detail.is_empty()) {
        let message = format!(
            "waiting for {} challenge: {}",
            challenge.kind, challenge.detail
        );
        return (Reason::CertificatePending, message);
    }
    if let Some(problem) = context.index.issuers.trouble(issuer, &secret.namespace) {
        return problem;
    }
    let detail = issuance.and_then(|issuance| issuance.waiting.clone());
    let waiting = || format!("waiting for certificate \"{}\" to be issued", secret.name);
    (Reason::CertificatePending, detail.unwrap_or_else(waiting))
}

fn secret_valid(
    host: &Hostname,
    name: &str,
    field: &str,
    judged: Option<Result<(), SecretProblem>>,
) -> Option<CheckFailure> {
    let (reason, message) = match judged {
        Some(Ok(())) => return None,
        Some(Err(problem)) => (
            problem.reason(),
            format!("{host}: Secret \"{name}\": {problem}"),
        ),
        None => (
            Reason::SecretNotFound,
            format!("{host}: Secret \"{name}\" not found; create it or correct {field}"),
        ),
    };
    failure(SECRET_CONDITIONS, reason, message)
}

/// Conditions that are false if a Secret with a certificate is missing or invalid.
const SECRET_CONDITIONS: &[ConditionType] = &[
    ConditionType::CertificatesReady,
    ConditionType::ResolvedRefs,
];

pub(super) fn certificate_served(
    context: &CheckContext<'_>,
    host: &Hostname,
) -> Option<CheckFailure> {
    let slot = Slot::of_host(&context.link.class, host);
    let pairs: Vec<_> = context.index.serving.certificates(&slot).collect();
    if pairs.is_empty() {
        return None;
    }
    // Of several, a proxy presents the one that fits the client.
    let current = |fingerprint: &str| {
        pairs
            .iter()
            .any(|(_, pair)| pair.fingerprint == fingerprint)
    };
    context.ready_proxies().find_map(|proxy| {
        let served = proxy.served.get(host.as_str());
        let (reason, message) = match served {
            Some(served) if served.not_after <= context.now => (
                Reason::CertificateExpired,
                format!(
                    "{host}: the certificate presented by proxy \"{}\" expired at {}",
                    proxy.name, served.not_after
                ),
            ),
            Some(served) if current(&served.fingerprint) => return None,
            _ => (
                Reason::CertificateNotServed,
                format!(
                    "{host}: waiting for proxy \"{}\" to present the current certificate",
                    proxy.name
                ),
            ),
        };
        failure(&[ConditionType::CertificatesReady], reason, message)
    })
}
