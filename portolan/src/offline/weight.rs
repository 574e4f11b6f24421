//! What a reason means for files that are in no cluster yet.

use portolan_core::Reason;
use serde::Serialize;

/// How much a diagnostic about a file weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Weight {
    /// It would be wrong in any cluster.
    Error,
    /// It is wrong unless the cluster has something that the files have not; or it is lawful, and rarely
    /// meant.
    Warning,
    /// It says nothing about the files: only a cluster can tell.
    Nothing,
}

/// Every reason by name, so that a new one is weighed, too.
pub(super) fn weight(reason: Reason) -> Weight {
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
        | R::ForeignObject => Weight::Error,
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
        | R::SeveralDefaults => Weight::Warning,
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
        | R::LeaseLapsed => Weight::Nothing,
    }
}
