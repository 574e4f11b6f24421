//! Whether requests are encrypted on their way from the proxies to the endpoints: as much as can be seen.

use super::checks::CheckFailure;
use super::conditions::{ConditionType, Conditions};
use crate::index::requirements::BackendRequirements;
use crate::index::resolve::backends::ResolvedBackend;
use crate::index::unresolved::Unresolved;
use crate::reason::Reason;
use portolan_crds::BackendEncryption;

/// How a backend is reached; the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum TransportSecurity {
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
    way: TransportSecurity,
    reason: Reason,
    message: String,
}

impl Encryption {
    /// How one backend is reached, under what its class asks for.
    pub(super) fn of(
        backend: &Result<ResolvedBackend, Unresolved>,
        requirements: Option<&BackendRequirements>,
    ) -> Self {
        let (way, reason, message) = match backend {
            Err(problem) if problem.reason == Reason::BackendNotEncrypted => (
                TransportSecurity::Clear,
                problem.reason,
                problem.message.clone(),
            ),
            // Nobody is reached there, and what would be said to somebody is not known.
            Err(problem) => (
                TransportSecurity::Unseen,
                problem.reason,
                problem.message.clone(),
            ),
            Ok(backend) => match (&backend.tls, requirements) {
                (Some(tls), _) if tls.trust.is_some() => (
                    TransportSecurity::Checked,
                    Reason::BackendTls,
                    "all backends use TLS and their certificates are verified".to_owned(),
                ),
                (Some(_), _) => (
                    TransportSecurity::Unchecked,
                    Reason::BackendTls,
                    format!(
                        "backends use TLS, but the certificate of Service \"{}\" is not verified; set tls.ca and tls.subjectName for that backend",
                        backend.backend.called
                    ),
                ),
                (None, Some(requirements))
                    if requirements.encryption == BackendEncryption::Mesh =>
                {
                    (
                        TransportSecurity::Unseen,
                        Reason::MeshNotSeen,
                        format!(
                            "class \"{}\" leaves encryption between proxies and pods to a mesh, which cannot be verified",
                            requirements.class
                        ),
                    )
                }
                (None, _) => (
                    TransportSecurity::Clear,
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
    pub(super) fn tell(&self, conditions: &mut Conditions<'_>, behind: Option<&CheckFailure>) {
        const CONDITION: ConditionType = ConditionType::BackendEncrypted;
        match (self.way, behind) {
            (TransportSecurity::Checked | TransportSecurity::Unchecked, Some(failure)) => {
                conditions.unknown(CONDITION, failure.reason, &failure.message);
            }
            (TransportSecurity::Checked | TransportSecurity::Unchecked, None) => {
                conditions.set_true(CONDITION, self.reason, &self.message);
            }
            (TransportSecurity::Unseen, _) => {
                conditions.unknown(CONDITION, self.reason, &self.message)
            }
            (TransportSecurity::Clear, _) => {
                conditions.set_false(CONDITION, self.reason, &self.message)
            }
        }
    }
}
