//! Computes BackendEncrypted: whether traffic from the proxies to the endpoints is encrypted, as far as Portolan can observe it.

use super::checks::CheckFailure;
use super::conditions::{ConditionType, Conditions};
use crate::index::requirements::BackendRequirements;
use crate::index::resolve::backends::ResolvedBackend;
use crate::index::unresolved::Unresolved;
use crate::reason::Reason;
use portolan_crds::BackendEncryption;

/// Security of the connection to a backend, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum TransportSecurity {
    /// TLS with a verified certificate.
    Verified,
    /// TLS without verification of the certificate.
    Unverified,
    /// Not observable.
    Unknown,
    /// Not encrypted.
    Plaintext,
}

/// Security of the connections to the backends of an object: that of the worst of them.
pub(super) struct Encryption {
    transport: TransportSecurity,
    reason: Reason,
    message: String,
}

impl Encryption {
    /// Returns the security of one backend under the requirements of its class.
    pub(super) fn of(
        backend: &Result<ResolvedBackend, Unresolved>,
        requirements: Option<&BackendRequirements>,
    ) -> Self {
        let (transport, reason, message) = match backend {
            Err(problem) if problem.reason == Reason::BackendNotEncrypted => (
                TransportSecurity::Plaintext,
                problem.reason,
                problem.message.clone(),
            ),
            // Without a backend there is no connection to classify.
            Err(problem) => (
                TransportSecurity::Unknown,
                problem.reason,
                problem.message.clone(),
            ),
            Ok(backend) => match (&backend.tls, requirements) {
                (Some(tls), _) if tls.trust.is_some() => (
                    TransportSecurity::Verified,
                    Reason::BackendTls,
                    "all backends use TLS and their certificates are verified".to_owned(),
                ),
                (Some(_), _) => (
                    TransportSecurity::Unverified,
                    Reason::BackendTls,
                    format!(
                        "backends use TLS, but the certificate of Service \"{}\" is not verified; set tls.ca and tls.subjectName for that backend",
                        backend.backend.display_name
                    ),
                ),
                (None, Some(requirements))
                    if requirements.encryption == BackendEncryption::Mesh =>
                {
                    (
                        TransportSecurity::Unknown,
                        Reason::MeshNotSeen,
                        format!(
                            "class \"{}\" leaves encryption between proxies and pods to a mesh, which cannot be verified",
                            requirements.class
                        ),
                    )
                }
                (None, _) => (
                    TransportSecurity::Plaintext,
                    Reason::NotEncrypted,
                    backend.plaintext_message(),
                ),
            },
        };
        Self {
            transport,
            reason,
            message,
        }
    }

    /// Returns the worse of the two; the first if they are equal.
    pub(super) fn worst_of(first: Option<Self>, other: Self) -> Option<Self> {
        match first {
            Some(first) if first.transport >= other.transport => Some(first),
            _ => Some(other),
        }
    }

    /// Sets the condition. It is Unknown while a proxy is not up to date, because the old configuration may differ.
    pub(super) fn set_condition(
        &self,
        conditions: &mut Conditions<'_>,
        behind: Option<&CheckFailure>,
    ) {
        const CONDITION: ConditionType = ConditionType::BackendEncrypted;
        match (self.transport, behind) {
            (TransportSecurity::Verified | TransportSecurity::Unverified, Some(failure)) => {
                conditions.set_unknown(CONDITION, failure.reason, &failure.message);
            }
            (TransportSecurity::Verified | TransportSecurity::Unverified, None) => {
                conditions.set_true(CONDITION, self.reason, &self.message);
            }
            (TransportSecurity::Unknown, _) => {
                conditions.set_unknown(CONDITION, self.reason, &self.message)
            }
            (TransportSecurity::Plaintext, _) => {
                conditions.set_false(CONDITION, self.reason, &self.message)
            }
        }
    }
}
