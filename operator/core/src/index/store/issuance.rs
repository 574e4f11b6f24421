//! Progress of cert-manager with a Certificate.

use crate::index::store::truncate;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use portolan_crds::certmanager::{Certificate, CertificateCondition};

/// Progress of a Certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Issuance {
    pub(crate) renewal_time: Option<Timestamp>,
    /// Why the last attempt failed, when none has succeeded since.
    pub(crate) failure: Option<String>,
    /// How many attempts in a row have failed. It outlasts the beginning of the next one, `failure` does not.
    pub(crate) failures: u32,
    /// Reason to wait.
    pub(crate) waiting: Option<String>,
}

pub(crate) fn read(certificate: &Certificate) -> Issuance {
    let Some(status) = &certificate.status else {
        return Issuance::default();
    };
    let condition = |type_| {
        status
            .conditions
            .iter()
            .find(|condition| condition.type_ == type_)
    };
    let is = |condition: &&CertificateCondition, status| condition.status == status;
    let issuing = condition("Issuing");
    // cert-manager keeps Issuing=False with its reason until the next attempt begins.
    let failed = issuing
        .filter(|condition| is(condition, "False") && status.failed_issuance_attempts > Some(0));
    let attempts = status.failed_issuance_attempts;
    let attempts = attempts.and_then(|count| u32::try_from(count).ok());
    let not_ready = condition("Ready").filter(|condition| !is(condition, "True"));
    let waiting = issuing
        .filter(|condition| is(condition, "True"))
        .or(not_ready);
    Issuance {
        renewal_time: status.renewal_time.as_ref().map(|Time(time)| *time),
        failure: failed.map(message),
        failures: attempts.unwrap_or_default(),
        waiting: waiting.map(message),
    }
}

fn message(condition: &CertificateCondition) -> String {
    truncate::truncate(&condition.message)
}
