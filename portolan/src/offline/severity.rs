//! Severity of reasons for files that are not in a cluster yet.

use portolan_core::Reason;
use serde::Serialize;

/// Severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// Wrong in any cluster.
    Error,
    /// Wrong unless the cluster has objects that the files do not; or valid, but rarely intended.
    Warning,
    /// Not about the files: depends on the cluster.
    None,
}

/// Returns the severity of a reason. Lists every reason, so that a new one must be added.
pub(super) fn severity(reason: Reason) -> Severity {
    use Reason as R;
    match reason {
        R::InvalidSpec
        | R::InvalidHostname
        | R::NoDomain
        | R::NoIssuer
        | R::RootNamespaceDenied
        | R::Expired
        | R::HostnameNotAllowed
        | R::IssuerNotAllowed
        | R::OwnSecretNotAllowed
        | R::DelegationNotPermitted
        | R::DelegationCycle
        | R::DelegationTooDeep
        | R::TooManyRoutes
        | R::RouteOutsideParent
        | R::ParentRequiresTls
        | R::HostnameHeld
        | R::HeldByWildcard
        | R::RouteConflict
        | R::TlsConflict
        | R::PortNotFound
        | R::InvalidExternalName
        | R::BackendNotEncrypted
        | R::ForeignEndpoint
        | R::SecretWithoutKey
        | R::SecretWithoutCA
        | R::SecretUnreadable
        | R::SecretKeyMismatch
        | R::SecretWrongHostname
        | R::CertificateExpired
        | R::ForeignObject => Severity::Error,
        R::NoClass
        | R::ClassNotFound
        | R::DelegateNotFound
        | R::Orphaned
        | R::RefNotPermitted
        | R::ServiceNotFound
        | R::SecretNotFound
        | R::EndpointRefused
        | R::AllWeightsZero
        | R::UnsupportedProtocol
        | R::TlsVersionRaised
        | R::AnnotationNotAllowed
        | R::AnnotationNotSupported
        | R::SeveralDefaults => Severity::Warning,
        R::Accepted
        | R::ResolvedRefs
        | R::Programmed
        | R::CertificatesServed
        | R::TlsDisabled
        | R::EndpointsReady
        | R::BackendTls
        | R::MeshNotSeen
        | R::NotEncrypted
        | R::Serving
        | R::ParentNotServing
        | R::HoldPending
        | R::Applying
        | R::ApplyFailed
        | R::CertManagerMissing
        | R::IssuerNotFound
        | R::IssuerNotReady
        | R::CertificatePending
        | R::CertificateFailed
        | R::ChallengeFailed
        | R::CertificateNotServed
        | R::SelectorMatchesNoPods
        | R::NoReadyEndpoints
        | R::ProxiesBehind
        | R::ProxyRefused
        | R::NoReadyProxy
        | R::NoAddress
        | R::ClassDeleting
        | R::InUse
        | R::LeaseLapsed => Severity::None,
    }
}
