//! What a person is to think of a hostname's certificate: the first check that applies, in a word and in a
//! sentence.

use super::exposure::{SecretId, Served, Told};
use super::row::short;
use super::stored::{Leaf, Stored};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

/// How long a renewal may take before it is worth a look: issuers answer within minutes, and are tried again.
const RENEWAL_GRACE: SignedDuration = SignedDuration::from_hours(1);

/// What a person is to think of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) enum State {
    /// No certificate is stored.
    Missing,
    /// The object is not accepted, so its hostnames have none.
    Rejected,
    /// Somebody else holds the hostname.
    NotHeld,
    /// The operator has not judged it yet.
    Pending,
    /// It is past its time.
    Expired,
    /// What is stored cannot be served under this hostname.
    Unusable,
    /// Not every proxy presents it, or there is no proxy.
    NotServed,
    /// Another one than the stored one is served.
    Differs,
    /// It was to be renewed an hour ago or longer.
    Overdue,
    /// It is served, and stored as far as that is known.
    Ok,
    /// Plain HTTP, on purpose.
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

    /// Whether clients meet no certificate, or not the one that is stored: what `--check` is for.
    pub(crate) fn is_failing(self) -> bool {
        !matches!(self, Self::Overdue | Self::Ok | Self::NoTls)
    }
}

/// What is known of one certificate.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Evidence {
    pub(crate) issuer: String,
    pub(crate) renewal_time: Option<Timestamp>,
    pub(crate) served: Option<Served>,
    /// One for each Secret, the one that status names first; empty: where it is stored is not known.
    pub(crate) stored: Vec<(SecretId, Stored)>,
}

impl Evidence {
    pub(crate) fn new(told: &Told, stored: Vec<(SecretId, Stored)>) -> Self {
        Self {
            issuer: told.issuer.clone(),
            renewal_time: told.renewal_time,
            served: told.served.clone(),
            stored,
        }
    }

    /// The stored one that counts: that which is served, else the first.
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

    /// Whether this very certificate is served.
    pub(crate) fn serves(&self, leaf: &Leaf) -> bool {
        let served = self.served.as_ref();
        served.is_some_and(|served| served.fingerprint == leaf.fingerprint)
    }

    /// When clients will be turned away: the end of what is served, else of what is stored.
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

    /// `message` is what status says of the hostname.
    pub(crate) fn judge(&self, host: &str, message: &str, now: Timestamp) -> (State, String) {
        let checks = [
            self.is_expired(now),
            self.is_stored_and_usable(host, message, now),
            self.is_served(host, message),
            self.is_the_stored_one(),
            self.is_renewed_in_time(now),
        ];
        let found = checks.into_iter().flatten().next();
        found.unwrap_or((State::Ok, String::new()))
    }

    fn is_expired(&self, now: Timestamp) -> Option<(State, String)> {
        let at = self.not_after().filter(|at| *at <= now)?;
        let told = format!("the certificate has expired at {at}; {}", self.remedy());
        Some((State::Expired, told))
    }

    fn is_stored_and_usable(
        &self,
        host: &str,
        message: &str,
        now: Timestamp,
    ) -> Option<(State, String)> {
        let (secret, stored) = self.shown()?;
        let SecretId { namespace, name } = secret;
        let problem = match stored {
            Stored::Forbidden | Stored::Failed => return None,
            Stored::NotFound => {
                let told = format!(
                    "no certificate is stored in Secret {namespace}/{name}{}; {}",
                    aside(host, message),
                    self.remedy()
                );
                return Some((State::Missing, told));
            }
            Stored::Unreadable(problem) => (*problem).to_owned(),
            Stored::Certificate(leaf) if leaf.not_after <= now => {
                format!("the certificate there has expired at {}", leaf.not_after)
            }
            Stored::Certificate(leaf) if leaf.not_before > now => {
                format!("the certificate there is good from {} on", leaf.not_before)
            }
            Stored::Certificate(leaf) if !leaf.is_for(host) => {
                format!("the certificate there is for {}", few(&leaf.dns_names))
            }
            Stored::Certificate(_) => return None,
        };
        let told = format!("Secret {namespace}/{name}: {problem}; {}", self.remedy());
        Some((State::Unusable, told))
    }

    fn is_served(&self, host: &str, message: &str) -> Option<(State, String)> {
        if self.served.is_some() {
            return None;
        }
        let told = format!(
            "not every proxy presents a certificate{}; see whether the proxies of the class are ready",
            aside(host, message)
        );
        Some((State::NotServed, told))
    }

    fn is_the_stored_one(&self) -> Option<(State, String)> {
        let served = self.served.as_ref()?;
        let (secret, stored) = self.shown()?;
        let leaf = stored.leaf()?;
        // One that may not be read may be the one.
        if self.serves(leaf) || !self.stored.iter().all(|(_, it)| it.is_known()) {
            return None;
        }
        let told = format!(
            "proxies present {}, Secret {}/{} holds {}; wait a moment, then look at the proxies and the operator",
            short(&served.fingerprint),
            secret.namespace,
            secret.name,
            short(&leaf.fingerprint)
        );
        Some((State::Differs, told))
    }

    fn is_renewed_in_time(&self, now: Timestamp) -> Option<(State, String)> {
        let at = self.renewal_time?;
        if now.duration_since(at) < RENEWAL_GRACE {
            return None;
        }
        let told = format!("it was to be renewed at {at}; {}", self.remedy());
        Some((State::Overdue, told))
    }

    fn remedy(&self) -> String {
        match self.stored.first() {
            // cert-manager's Certificate has the name of the Secret that it is put into.
            Some((SecretId { namespace, name }, _)) if !self.issuer.is_empty() => {
                format!("see `kubectl -n {namespace} describe certificate {name}`")
            }
            Some(_) | None => "have a good one stored in the Secret".to_owned(),
        }
    }
}

/// What status says beside, without the hostname before it.
fn aside(host: &str, message: &str) -> String {
    let said = message.strip_prefix(host).unwrap_or(message);
    let said = said.trim_start_matches([':', ' ']);
    match said {
        "" => String::new(),
        said => format!(" ({said})"),
    }
}

/// A certificate may have hundreds of names.
fn few(names: &[String]) -> String {
    match names {
        [] => "no DNS name".to_owned(),
        [first] => first.clone(),
        [first, rest @ ..] => format!("{first} and {} more", rest.len()),
    }
}
