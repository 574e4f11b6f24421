//! Whether requests are encrypted on their way from the proxies to the endpoints: as much as can be seen.

use super::checks::Finding;
use super::conditions::{Aspect, Conditions};
use crate::index::requirements::Demands;
use crate::index::resolve::backends::Resolved;
use crate::index::unresolved::Unresolved;
use crate::reason::Reason;
use portolan_crds::BackendEncryption;

/// How a backend is reached; the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    /// Over TLS, and the certificate is checked.
    Checked,
    /// Over TLS, and nobody checks to whom.
    Unchecked,
    /// That cannot be told.
    Unseen,
    /// In the clear.
    Clear,
}

/// How the backends of an object are reached: as the worst of them is.
pub(super) struct Encryption {
    way: Way,
    reason: Reason,
    message: String,
}

impl Encryption {
    /// How one backend is reached, under what its class asks for.
    pub(super) fn of(backend: &Result<Resolved, Unresolved>, demands: Option<&Demands>) -> Self {
        let (way, reason, message) = match backend {
            Err(problem) if problem.reason == Reason::BackendNotEncrypted => {
                (Way::Clear, problem.reason, problem.message.clone())
            }
            // Nobody is reached there, and what would be said to somebody is not known.
            Err(problem) => (Way::Unseen, problem.reason, problem.message.clone()),
            Ok(backend) => match (&backend.tls, demands) {
                (Some(tls), _) if tls.trust.is_some() => (
                    Way::Checked,
                    Reason::BackendTls,
                    "every backend is reached over TLS, and its certificate is checked".to_owned(),
                ),
                (Some(_), _) => (
                    Way::Unchecked,
                    Reason::BackendTls,
                    format!(
                        "every backend is reached over TLS, but nobody checks the certificate of Service {}; write tls with ca and subjectName for that backend",
                        backend.backend.called
                    ),
                ),
                (None, Some(demands)) if demands.encryption == BackendEncryption::Mesh => (
                    Way::Unseen,
                    Reason::MeshNotSeen,
                    format!(
                        "class {} says that a mesh encrypts between proxies and pods; nothing of that can be seen from here",
                        demands.class
                    ),
                ),
                (None, _) => (
                    Way::Clear,
                    Reason::NotEncrypted,
                    backend.told_in_the_clear(),
                ),
            },
        };
        Self {
            way,
            reason,
            message,
        }
    }

    /// The worse one; of two alike the first.
    pub(super) fn or_worse(first: Option<Self>, other: Self) -> Option<Self> {
        match first {
            Some(first) if first.way >= other.way => Some(first),
            _ => Some(other),
        }
    }

    /// Tells it; while a proxy is not up to date, nobody knows what it does.
    pub(super) fn tell(&self, conditions: &mut Conditions<'_>, behind: Option<&Finding>) {
        const ASPECT: Aspect = Aspect::BackendEncrypted;
        match (self.way, behind) {
            (Way::Checked | Way::Unchecked, Some(finding)) => {
                conditions.unknown(ASPECT, finding.reason, &finding.message);
            }
            (Way::Checked | Way::Unchecked, None) => {
                conditions.hold(ASPECT, self.reason, &self.message);
            }
            (Way::Unseen, _) => conditions.unknown(ASPECT, self.reason, &self.message),
            (Way::Clear, _) => conditions.fail(ASPECT, self.reason, &self.message),
        }
    }
}
