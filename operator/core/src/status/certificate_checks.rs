//! Whether a hostname has its certificate: asked for, issued, good, and presented by every ready proxy.

use super::checks::{CheckContext, CheckFailure, failure};
use super::conditions::ConditionType;
use crate::index::resolve::certificates::Source;
use crate::index::store::grants::Referent;
use crate::index::store::secrets::SecretProblem;
use crate::index::store::served_certificates::Slot;
use crate::names::{Hostname, ObjectRef};
use crate::reason::Reason;
use portolan_crds::IssuerRef;

pub(super) fn cert_manager_is_there(
    context: &CheckContext<'_>,
    host: &Hostname,
) -> Option<CheckFailure> {
    let wanted = matches!(context.tls_owner(host).1.source(host), Source::Issued(_));
    if !wanted || context.index.cert_manager {
        return None;
    }
    let message =
        format!("{host}: cert-manager is not installed; install it or set spec.tls.secret");
    failure(
        &[ConditionType::CertificatesReady],
        Reason::CertManagerMissing,
        message,
    )
}

pub(super) fn certificate_is_good(
    context: &CheckContext<'_>,
    host: &Hostname,
) -> Option<CheckFailure> {
    let slot = Slot::of_host(&context.link.class, host);
    let judge = |secret: &ObjectRef| context.index.serving.judge(secret, &slot);
    let (_, link) = context.tls_owner(host);
    match link.source(host) {
        Source::Nowhere => None,
        Source::Own(secrets) => secrets.iter().find_map(|secret| {
            const FIELD: &str = "spec.tls.secret";
            let from = &link.routing.namespace;
            let consent = context.index.consent(from, Referent::Secret, secret, FIELD);
            match consent {
                Err(refused) => {
                    let told = format!("{host}: {}", refused.message);
                    failure(WITHOUT_SECRET, refused.reason, told)
                }
                Ok(()) => secret_is_good(host, &secret.called_in(from), FIELD, judge(secret)),
            }
        }),
        Source::Shared(secret) => {
            let of = format!("spec.certificates.shared of class \"{}\"", link.class);
            secret_is_good(host, &secret.to_string(), &of, judge(secret))
        }
        Source::Issued(issuer) => {
            let secret = context.index.issued_for(link, host);
            // One for all hostnames of an object serves the others until it is issued with this one as well.
            let judged = judge(&secret).filter(|judged| {
                let lacks = matches!(judged, Err(SecretProblem::WrongHostname { .. }));
                !(link.issued.is_together && lacks)
            });
            let (reason, told) = match judged {
                Some(Ok(())) => return None,
                Some(Err(problem)) => {
                    let told = format!("Secret \"{}\": {problem}", secret.name);
                    (problem.reason(), told)
                }
                None => not_issued(context, host, issuer, &secret),
            };
            let message = format!("{host}: {told}");
            failure(&[ConditionType::CertificatesReady], reason, message)
        }
    }
}

/// Why a certificate does not come: what failed, before what is waited for.
fn not_issued(
    context: &CheckContext<'_>,
    host: &Hostname,
    issuer: &IssuerRef,
    secret: &ObjectRef,
) -> (Reason, String) {
    let trial = context.index.challenges.newest(&secret.namespace, host);
    let issuance = context.index.issuance(secret);
    if let Some(trial) = trial.filter(|trial| trial.failed) {
        let told = format!("{} challenge failed: {}", trial.kind, trial.words);
        return (Reason::ChallengeFailed, told);
    }
    if let Some(told) = issuance.and_then(|it| it.failure.as_ref()) {
        return (Reason::CertificateFailed, told.clone());
    }
    if let Some(trial) = trial.filter(|trial| !trial.words.is_empty()) {
        let told = format!("waiting for {} challenge: {}", trial.kind, trial.words);
        return (Reason::CertificatePending, told);
    }
    if let Some(trouble) = context.index.issuers.trouble(issuer, &secret.namespace) {
        return trouble;
    }
    let detail = issuance.and_then(|issuance| issuance.waiting.clone());
    let waiting = || format!("waiting for certificate \"{}\" to be issued", secret.name);
    (Reason::CertificatePending, detail.unwrap_or_else(waiting))
}

fn secret_is_good(
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
    failure(WITHOUT_SECRET, reason, message)
}

/// A certificate that somebody was to bring is missing, or of no use.
const WITHOUT_SECRET: &[ConditionType] = &[
    ConditionType::CertificatesReady,
    ConditionType::ResolvedRefs,
];

pub(super) fn certificate_is_served(
    context: &CheckContext<'_>,
    host: &Hostname,
) -> Option<CheckFailure> {
    let slot = Slot::of_host(&context.link.class, host);
    let pairs: Vec<_> = context.index.serving.certificates(&slot).collect();
    if pairs.is_empty() {
        return None;
    }
    // Of several, a proxy shows the one that fits its visitor.
    let current = |shown: &str| pairs.iter().any(|(_, pair)| pair.fingerprint == shown);
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
