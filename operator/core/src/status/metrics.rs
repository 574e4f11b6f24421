//! Computes the values of the metrics of an object.
//!
//! They are read from the stored status, so that every replica reports the same, whichever wrote it. Values of
//! certificates that a status has only in its messages come from the index.

use super::Phase;
use super::conditions::ConditionType;
use crate::index::Index;
use crate::index::resolve::certificates::Source;
use crate::index::resolve::exposure::ResolvedRoot;
use crate::index::store::secrets::KeyPair;
use crate::index::store::served_certificates::Slot;
use crate::names::Hostname;
use crate::reason::Reason;
use crate::reported::{ReportedHostname, ReportedStatus};
use crate::subject::Subject;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// Values of the metrics of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectMetrics {
    /// Class of the object, or of its root if it has no hostname. Empty if there is none.
    pub class: String,
    /// `status.summary.status`; empty before the first status.
    pub status: String,
    /// Reason of the condition Ready; empty before the first status.
    pub reason: String,
    /// True if the object is Ready; `None` if it has expired.
    pub ready: Option<bool>,
    /// True if every backend has a ready endpoint; `None` if that was not evaluated.
    pub endpoints_ready: Option<bool>,
    /// True if a ready proxy has not loaded, or rejected, the configuration of the object.
    pub proxies_behind: bool,
    /// In the order of the status; empty if the object is not accepted.
    pub hostnames: Vec<HostnameMetrics>,
}

/// Values of the metrics of a hostname.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostnameMetrics {
    /// Full hostname, with the domain of the class.
    pub name: String,
    /// True if requests to the hostname succeed.
    pub ready: bool,
    /// Present if TLS is terminated and the namespace holds the hostname.
    pub certificate: Option<CertificateMetrics>,
}

/// Values of the metrics of a certificate. Of several, the times are those of the first to expire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateMetrics {
    /// True if a certificate that proxies can serve is stored.
    pub stored: bool,
    /// Start of its validity.
    pub not_before: Option<Timestamp>,
    /// End of its validity.
    pub not_after: Option<Timestamp>,
    /// Time at which cert-manager renews it.
    pub renewal: Option<Timestamp>,
    /// Number of consecutive failures to issue it; `None` if it is not issued by cert-manager.
    pub failures: Option<u32>,
    /// True if every ready proxy presents the stored certificate; `None` if no certificate is stored, or
    /// none was observed.
    pub served: Option<bool>,
    /// End of the validity of the certificate that all of them present; `None` if they differ.
    pub served_not_after: Option<Timestamp>,
}

impl Index {
    /// Returns the values of an object; `None` if it does not exist.
    pub fn metrics(&self, key: &Subject) -> Option<ObjectMetrics> {
        let status = &self.entry(key)?.object.reported;
        let phase = status.phase.as_str();
        let ready = condition(status, ConditionType::Ready);
        let is_ready = ready.is_some_and(|ready| ready.status == "True");
        let class = self.class_of(key).map(|class| class.as_str().to_owned());
        let link = self.linked(key).map(|(_, link)| link);
        let hostnames = status.hostnames.iter().map(|host| HostnameMetrics {
            name: host.name.clone(),
            ready: host.ready,
            certificate: link.and_then(|link| self.certificate_metrics(key, link, host)),
        });
        Some(ObjectMetrics {
            class: class.or(status.class_name.clone()).unwrap_or_default(),
            status: phase.to_owned(),
            reason: ready.map(|ready| ready.reason.clone()).unwrap_or_default(),
            ready: (phase != Phase::Expired.as_str()).then_some(is_ready),
            endpoints_ready: endpoints_ready(status),
            proxies_behind: condition(status, ConditionType::Programmed)
                .is_some_and(is_proxies_behind),
            hostnames: hostnames.collect(),
        })
    }

    fn certificate_metrics(
        &self,
        key: &Subject,
        link: &ResolvedRoot,
        status: &ReportedHostname,
    ) -> Option<CertificateMetrics> {
        let certificate = status.certificate.as_ref()?;
        let host = Hostname::parse(&status.name).ok()?;
        let owner = self
            .tls_owner(key, link, &host)
            .map_or(link, |owner| owner.link);
        let slot = Slot::of_host(&link.class, &host);
        let pairs = self.serving.certificates(&slot).map(|(_, pair)| pair);
        let pairs: Vec<&KeyPair> = pairs.collect();
        let first = pairs.iter().min_by_key(|pair| pair.not_after);
        let issuance = match owner.source(&host) {
            Source::Issued(_) => Some(self.issuance(&self.issued_for(owner, &host))),
            Source::Nowhere | Source::Own(_) | Source::Shared(_) => None,
        };
        Some(CertificateMetrics {
            stored: first.is_some(),
            not_before: first.map(|pair| pair.not_before),
            not_after: first.map(|pair| pair.not_after),
            renewal: issuance
                .flatten()
                .and_then(|issuance| issuance.renewal_time),
            failures: issuance.map(|issuance| issuance.map_or(0, |issuance| issuance.failures)),
            served: served(status, &certificate.fingerprint, &pairs),
            served_not_after: certificate.not_after,
        })
    }
}

fn condition(status: &ReportedStatus, condition_type: ConditionType) -> Option<&Condition> {
    let mut all = status.conditions.iter();
    all.find(|condition| condition.type_ == condition_type.as_str())
}

fn endpoints_ready(status: &ReportedStatus) -> Option<bool> {
    match condition(status, ConditionType::EndpointsReady)?
        .status
        .as_str()
    {
        "True" => Some(true),
        "False" => Some(false),
        _ => None,
    }
}

fn is_one_of(reason: &str, reasons: &[Reason]) -> bool {
    reasons.iter().any(|one| one.as_str() == reason)
}

/// Returns true if Programmed is false because of a proxy.
fn is_proxies_behind(programmed: &Condition) -> bool {
    let proxies = [Reason::ProxiesBehind, Reason::ProxyRefused];
    programmed.status == "False" && is_one_of(&programmed.reason, &proxies)
}

/// Returns true if all proxies present a stored certificate. The status has a fingerprint if all proxies present
/// the same certificate; otherwise its reason tells a differing one from none at all.
fn served(status: &ReportedHostname, fingerprint: &str, pairs: &[&KeyPair]) -> Option<bool> {
    let differ = [Reason::CertificateNotServed, Reason::CertificateExpired];
    match (pairs, fingerprint) {
        ([], _) => None,
        (_, "") => is_one_of(&status.reason, &differ).then_some(false),
        (pairs, fingerprint) => Some(pairs.iter().any(|pair| pair.fingerprint == fingerprint)),
    }
}
