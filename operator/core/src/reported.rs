//! Status of a subject as it was reported last: conditions keep their times, and metrics are read from it.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use portolan_crds::{ExposedPortStatus, HostnameStatus};

/// Reported status of an ExposedPort, from the cluster, or of a hostname of an Ingress, which has no status
/// there and is remembered by [`crate::Index::remember`] alone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReportedStatus {
    /// The generation that it was computed for.
    pub observed_generation: Option<i64>,
    /// The class that was chosen.
    pub class_name: Option<String>,
    /// As in `status.summary.status`; empty before the first status.
    pub phase: String,
    /// Every condition.
    pub conditions: Vec<Condition>,
    /// In the order of the spec.
    pub hostnames: Vec<ReportedHostname>,
}

/// Reported status of one hostname.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReportedHostname {
    /// The hostname.
    pub name: String,
    /// True if a request to it would succeed.
    pub ready: bool,
    /// Why not.
    pub reason: String,
    /// The certificate, where TLS is terminated and the namespace holds the hostname.
    pub certificate: Option<ReportedCertificate>,
}

/// Reported certificate of one hostname.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReportedCertificate {
    /// SHA-256 of the leaf that every proxy presents; empty when they differ.
    pub fingerprint: String,
    /// When that one expires.
    pub not_after: Option<Timestamp>,
}

impl From<&ExposedPortStatus> for ReportedStatus {
    fn from(status: &ExposedPortStatus) -> Self {
        let summary = status.summary.as_ref();
        Self {
            observed_generation: status.observed_generation,
            class_name: status.class_name.clone(),
            phase: summary.map_or_else(String::new, |summary| summary.status.clone()),
            conditions: status.conditions.clone(),
            hostnames: status
                .hostnames
                .iter()
                .map(ReportedHostname::from)
                .collect(),
        }
    }
}

impl From<&HostnameStatus> for ReportedHostname {
    fn from(status: &HostnameStatus) -> Self {
        let certificate = status.certificate.as_ref();
        Self {
            name: status.name.clone(),
            ready: status.ready,
            reason: status.reason.clone(),
            certificate: certificate.map(|certificate| ReportedCertificate {
                fingerprint: certificate.served_fingerprint.clone(),
                not_after: certificate.not_after.as_ref().map(|Time(time)| *time),
            }),
        }
    }
}
