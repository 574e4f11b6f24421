//! State of a hostname's certificate: the first check that fails, as a word and a message.

use super::exposure::{ReportedStatus, SecretId, ServedCertificate};
use super::row::short;
use super::stored::Stored;
use jiff::{SignedDuration, Timestamp};
use portolan_certificate::LeafCertificate;
use serde::Serialize;

/// Time that a renewal may take before it counts as overdue: issuers take minutes, and are retried.
const RENEWAL_GRACE: SignedDuration = SignedDuration::from_hours(1);

/// State of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) enum State {
    /// No certificate is stored.
    Missing,
    /// The object is not accepted, so its hostnames have no certificate.
    Rejected,
    /// The hostname is in use by another namespace or object.
    NotHeld,
    /// The operator has not processed it yet.
    Pending,
    /// The certificate has expired.
    Expired,
    /// The stored certificate cannot be served for this hostname.
    Unusable,
    /// Not every proxy presents it, or no proxy is ready.
    NotServed,
    /// The served certificate differs from the stored one.
    Differs,
    /// The renewal was due more than an hour ago.
    Overdue,
    /// It is served, and is the stored one as far as known.
    Ok,
    /// Plain HTTP, as configured.
    #[serde(rename = "NoTLS")]
    NoTls,
}

impl State {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "Missing",
            Self::Rejected => "Rejected",
            Self::NotHeld => "NotHeld",
            Self::Pending => "Pending",
            Self::Expired => "Expired",
            Self::Unusable => "Unusable",
            Self::NotServed => "NotServed",
            Self::Differs => "Differs",
            Self::Overdue => "Overdue",
            Self::Ok => "Ok",
            Self::NoTls => "NoTLS",
        }
    }

    /// Returns true if clients get no certificate, or not the stored one; `--check` fails on these.
    pub(crate) fn is_failing(self) -> bool {
        !matches!(self, Self::Overdue | Self::Ok | Self::NoTls)
    }
}

/// Reported and stored certificate of one hostname.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CertificateInfo {
    pub(crate) issuer: String,
    pub(crate) renewal_time: Option<Timestamp>,
    pub(crate) served: Option<ServedCertificate>,
    /// One for each Secret, the one that status names first.
    pub(crate) stored: Vec<(SecretId, Stored)>,
}

impl CertificateInfo {
    pub(crate) fn new(status: &ReportedStatus, stored: Vec<(SecretId, Stored)>) -> Self {
        Self {
            issuer: status.issuer.clone(),
            renewal_time: status.renewal_time,
            served: status.served.clone(),
            stored,
        }
    }

    /// Returns the stored certificate that is served, else the first.
    pub(crate) fn shown(&self) -> Option<&(SecretId, Stored)> {
        let is_served = |(_, stored): &&(SecretId, Stored)| {
            let leaf = stored.leaf();
            leaf.is_some_and(|leaf| self.serves(leaf))
        };
        self.stored
            .iter()
            .find(is_served)
            .or_else(|| self.stored.first())
    }

    /// Returns true if this certificate is served.
    pub(crate) fn serves(&self, leaf: &LeafCertificate) -> bool {
        let served = self.served.as_ref();
        served.is_some_and(|served| served.fingerprint == leaf.fingerprint)
    }

    /// Returns the end of the served certificate, else of the stored one.
    pub(crate) fn not_after(&self) -> Option<Timestamp> {
        let leaf = self.shown().and_then(|(_, stored)| stored.leaf());
        match &self.served {
            None => leaf.map(|leaf| leaf.not_after),
            Some(served) => served.not_after.or_else(|| {
                let same = leaf.filter(|leaf| leaf.fingerprint == served.fingerprint);
                same.map(|leaf| leaf.not_after)
            }),
        }
    }

    /// Returns the first failing check. `message` is that of the hostname in status.
    pub(crate) fn check(&self, host: &str, message: &str, now: Timestamp) -> (State, String) {
        let checks = [
            self.check_expiry(now),
            self.check_stored(host, message, now),
            self.check_served(host, message),
            self.check_same(),
            self.check_renewal(now),
        ];
        let found = checks.into_iter().flatten().next();
        found.unwrap_or((State::Ok, String::new()))
    }

    fn check_expiry(&self, now: Timestamp) -> Option<(State, String)> {
        let at = self.not_after().filter(|at| *at <= now)?;
        let problem = format!("certificate expired at {at}; {}", self.remedy());
        Some((State::Expired, problem))
    }

    fn check_stored(&self, host: &str, message: &str, now: Timestamp) -> Option<(State, String)> {
        let (secret, stored) = self.shown()?;
        let SecretId { namespace, name } = secret;
        let problem = match stored {
            Stored::Forbidden | Stored::Failed => return None,
            Stored::NotFound => {
                let problem = format!(
                    "no certificate in Secret {namespace}/{name}{}; {}",
                    parenthesised(host, message),
                    self.remedy()
                );
                return Some((State::Missing, problem));
            }
            Stored::Unreadable(problem) => (*problem).to_owned(),
            Stored::Certificate(leaf) if leaf.not_after <= now => {
                format!("certificate expired at {}", leaf.not_after)
            }
            Stored::Certificate(leaf) if leaf.not_before > now => {
                format!("certificate is not valid before {}", leaf.not_before)
            }
            Stored::Certificate(leaf) if !leaf.dns_names.covers(host) => {
                format!("certificate is for {}", leaf.dns_names)
            }
            Stored::Certificate(_) => return None,
        };
        let problem = format!("Secret {namespace}/{name}: {problem}; {}", self.remedy());
        Some((State::Unusable, problem))
    }

    fn check_served(&self, host: &str, message: &str) -> Option<(State, String)> {
        if self.served.is_some() {
            return None;
        }
        let problem = format!(
            "not every proxy presents a certificate{}; check that the proxies of the class are ready",
            parenthesised(host, message)
        );
        Some((State::NotServed, problem))
    }

    fn check_same(&self) -> Option<(State, String)> {
        let served = self.served.as_ref()?;
        let (secret, stored) = self.shown()?;
        let leaf = stored.leaf()?;
        // A Secret that cannot be read may hold the served one.
        if self.serves(leaf) || !self.stored.iter().all(|(_, stored)| stored.is_known()) {
            return None;
        }
        let problem = format!(
            "proxies present {}, Secret {}/{} holds {}; if this persists, check the proxies and the operator",
            short(&served.fingerprint),
            secret.namespace,
            secret.name,
            short(&leaf.fingerprint)
        );
        Some((State::Differs, problem))
    }

    fn check_renewal(&self, now: Timestamp) -> Option<(State, String)> {
        let at = self.renewal_time?;
        if now.duration_since(at) < RENEWAL_GRACE {
            return None;
        }
        let problem = format!("renewal was due at {at}; {}", self.remedy());
        Some((State::Overdue, problem))
    }

    fn remedy(&self) -> String {
        match self.stored.first() {
            // cert-manager's Certificate has the name of its Secret.
            Some((SecretId { namespace, name }, _)) if !self.issuer.is_empty() => {
                format!("see `kubectl -n {namespace} describe certificate {name}`")
            }
            Some(_) | None => "store a valid certificate in the Secret".to_owned(),
        }
    }
}

/// Formats the message of status in parentheses, without its leading hostname.
fn parenthesised(host: &str, message: &str) -> String {
    let detail = message.strip_prefix(host).unwrap_or(message);
    match detail.trim_start_matches([':', ' ']) {
        "" => String::new(),
        detail => format!(" ({detail})"),
    }
}
