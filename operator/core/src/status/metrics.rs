//! The status of an object in numbers, for whoever watches many of them.
//!
//! It is read from the status that is stored, so that every replica says the same, whichever of them wrote
//! it. What a status tells of certificates in sentences only comes from the index.

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

/// An object in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectMetrics {
    /// Its class; that of the root above it, when others delegate to it. Empty: none.
    pub class: String,
    /// As in `status.summary.status`; empty before the first status.
    pub status: String,
    /// Why it is Ready, or not; empty before the first status.
    pub reason: String,
    /// Whether it is Ready; `None` when its time is over, so that nobody expects it to be.
    pub ready: Option<bool>,
    /// Whether its requests find an endpoint; `None` where that was not judged.
    pub endpoints_ready: Option<bool>,
    /// Whether a proxy that takes requests has not loaded what it needs for this object, or cannot use it.
    pub proxies_behind: bool,
    /// In the order of the status; none for an object that was not accepted.
    pub hostnames: Vec<HostnameMetrics>,
}

/// A hostname in numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostnameMetrics {
    /// With the domain of the class filled in.
    pub name: String,
    /// Whether a request to it would succeed.
    pub ready: bool,
    /// When TLS is terminated, and the namespace holds the hostname.
    pub certificate: Option<CertificateMetrics>,
}

/// The certificate of a hostname in numbers. Of several, the dates are those of the first to expire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateMetrics {
    /// Whether there is one that proxies can serve.
    pub stored: bool,
    /// Since when that one is good.
    pub not_before: Option<Timestamp>,
    /// Until when that one is good.
    pub not_after: Option<Timestamp>,
    /// When cert-manager was to renew it, or is.
    pub renewal: Option<Timestamp>,
    /// How often in a row issuing has failed; `None` when nobody issues it.
    pub failures: Option<u32>,
    /// Whether every proxy that takes requests presents the stored one; `None` when none of them was
    /// seen presenting any, or nothing is stored.
    pub served: Option<bool>,
    /// Until when the one is good that all of them present; `None` when they differ.
    pub served_not_after: Option<Timestamp>,
}

impl Index {
    /// An object in numbers; `None` when it is gone.
    pub fn metrics(&self, me: &Subject) -> Option<ObjectMetrics> {
        let status = &self.entry(me)?.object.reported;
        let phase = status.phase.as_str();
        let ready = condition(status, ConditionType::Ready);
        let is_ready = ready.is_some_and(|it| it.status == "True");
        let class = self.class_of(me).map(|class| class.as_str().to_owned());
        let link = self.linked(me).map(|(_, link)| link);
        let hostnames = status.hostnames.iter().map(|told| HostnameMetrics {
            name: told.name.clone(),
            ready: told.ready,
            certificate: link.and_then(|link| self.certificate_metrics(me, link, told)),
        });
        Some(ObjectMetrics {
            class: class.or(status.class_name.clone()).unwrap_or_default(),
            status: phase.to_owned(),
            reason: ready.map(|it| it.reason.clone()).unwrap_or_default(),
            ready: (phase != Phase::Expired.as_str()).then_some(is_ready),
            endpoints_ready: endpoints_ready(status),
            proxies_behind: condition(status, ConditionType::Programmed).is_some_and(holds_up),
            hostnames: hostnames.collect(),
        })
    }

    fn certificate_metrics(
        &self,
        me: &Subject,
        link: &ResolvedRoot,
        told: &ReportedHostname,
    ) -> Option<CertificateMetrics> {
        let shown = told.certificate.as_ref()?;
        let host = Hostname::parse(&told.name).ok()?;
        let rule = self.tls_owner(me, link, &host).map_or(link, |it| it.link);
        let slot = Slot::of_host(&link.class, &host);
        let pairs = self.serving.certificates(&slot).map(|(_, pair)| pair);
        let pairs: Vec<&KeyPair> = pairs.collect();
        let first = pairs.iter().min_by_key(|pair| pair.not_after);
        let issuance = match rule.source(&host) {
            Source::Issued(_) => Some(self.issuance(&self.issued_for(rule, &host))),
            Source::Nowhere | Source::Own(_) | Source::Shared(_) => None,
        };
        Some(CertificateMetrics {
            stored: first.is_some(),
            not_before: first.map(|pair| pair.not_before),
            not_after: first.map(|pair| pair.not_after),
            renewal: issuance.flatten().and_then(|it| it.renewal_time),
            failures: issuance.map(|it| it.map_or(0, |it| it.failures)),
            served: served(told, &shown.fingerprint, &pairs),
            served_not_after: shown.not_after,
        })
    }
}

fn condition(status: &ReportedStatus, condition_type: ConditionType) -> Option<&Condition> {
    let mut all = status.conditions.iter();
    all.find(|it| it.type_ == condition_type.as_str())
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
    reasons.iter().any(|it| it.as_str() == reason)
}

/// Whether it is proxies that Programmed waits for.
fn holds_up(programmed: &Condition) -> bool {
    let proxies = [Reason::ProxiesBehind, Reason::ProxyRefused];
    programmed.status == "False" && is_one_of(&programmed.reason, &proxies)
}

/// A status has a fingerprint when all proxies present the same; else its reason says whether one presents
/// something else, or whether nobody is there to present anything.
fn served(told: &ReportedHostname, fingerprint: &str, pairs: &[&KeyPair]) -> Option<bool> {
    let differ = [Reason::CertificateNotServed, Reason::CertificateExpired];
    match (pairs, fingerprint) {
        ([], _) => None,
        (_, "") => is_one_of(&told.reason, &differ).then_some(false),
        (pairs, shown) => Some(pairs.iter().any(|pair| pair.fingerprint == shown)),
    }
}
