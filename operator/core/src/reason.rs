//! Reasons of conditions, hostnames and 503 responses. They are part of the API, so none is ever renamed;
//! the reference page of reasons in the docs is generated from their doc comments.

use std::fmt;

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// Machine-readable cause of a condition or hostname status, in CamelCase.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Reason {
            /// Returns all reasons, in the order of the reference page.
            pub fn all() -> &'static [Self] {
                &[$(Self::$name,)+]
            }

            /// Returns the reason as written in a status.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }

            /// Returns the meaning and the remedy, in a few sentences.
            pub fn doc(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc, "\n"),+).trim_ascii(),)+
                }
            }
        }
    };
}

reasons! {
    // Success.
    /// The object is valid and has a class.
    Accepted,
    /// The Services, ports and Secrets that the object references exist and are usable.
    ResolvedRefs,
    /// All references exist, but a Service declares an `appProtocol` that is not supported (HTTP/1.1 is used instead), or a Contour annotation that lists none of its ports. Correct the Service.
    UnsupportedProtocol,
    /// All child objects are applied, and every ready proxy has loaded the configuration of the object.
    Programmed,
    /// Every ready proxy serves the certificate of each hostname.
    CertificatesServed,
    /// The object is valid, but `spec.tls.minVersion` asks for a deprecated version of TLS (RFC 8996); the oldest supported version is used instead. Set `minVersion` to a supported version.
    TlsVersionRaised,
    /// TLS is disabled, so no certificate is needed.
    TlsDisabled,
    /// Each backend has at least one ready endpoint.
    EndpointsReady,
    /// All backends use TLS; the message says whether their certificates are verified.
    BackendTls,
    /// The class leaves encryption between proxies and pods to a service mesh (`backendEncryption: Mesh`). Portolan cannot verify this, so the condition is Unknown.
    MeshNotSeen,
    /// Traffic to a backend is not encrypted; the message names the first one. This does not affect Ready, unless the class requires TLS.
    NotEncrypted,
    /// The object is ready: requests to its hostnames succeed.
    Serving,

    // The object itself.
    /// A field is invalid; the message names it and says what would be right. A class ignores the invalid field and keeps serving its objects.
    InvalidSpec,
    /// A hostname is not a valid DNS name. Use labels of letters, digits and inner hyphens, separated by dots.
    InvalidHostname,
    /// A hostname ends in `.*`, but the class has no domain. Write the full hostname, or set `spec.domain` of the ExposeClass.
    NoDomain,
    /// TLS is terminated, but no certificate source is configured for a hostname. Set `spec.tls.secret` or `spec.tls.issuerRef`, set an issuer or a shared certificate in the class, or set `mode: Disabled`.
    NoIssuer,
    /// The object names no class, and no ExposeClass is marked as default. Set `spec.className`, or mark a class as default.
    NoClass,
    /// The ExposeClass does not exist. Create it, or name another class.
    ClassNotFound,
    /// The class is being deleted and accepts no new objects; objects that already use it are still served. Name another class.
    ClassDeleting,
    /// The class allows hostnames only in some namespaces (`spec.rootNamespaces`, `spec.rootNamespaceSelector`), and the namespace of the object is not one of them. Add or label the namespace, or set `allowedParents` and delegate to this object from an allowed namespace.
    RootNamespaceDenied,
    /// The class restricts which namespaces may use which hostnames (`spec.hostnames`), and does not allow this hostname in the namespace of the object. Choose another hostname, or add this one to `spec.hostnames` of the class.
    HostnameNotAllowed,
    /// The class restricts which issuers objects may use, and `spec.tls.issuerRef` is not one of them. Remove it to use the issuer of the class, or add it to `spec.tls.allowedIssuers` of the class.
    IssuerNotAllowed,
    /// The class restricts which namespaces may use their own certificates, and the namespace of the object is not one of them. Remove `spec.tls.secret`, or add the namespace to `spec.tls.allowOwnSecrets` of the class.
    OwnSecretNotAllowed,
    /// The object is valid, but the class does not allow some of its annotations; they are not copied to the Ingress. Add them to `spec.annotations.allow` of the class, or remove them.
    AnnotationNotAllowed,
    /// The Ingress is served, but has annotations of another ingress controller that Portolan ignores; the message names them. Use an ExposedPort, which has fields for most of them, or remove the annotations.
    AnnotationNotSupported,
    /// The object has expired (`spec.expiresAfter`, `spec.expiresAt`): its hostnames are released and it serves no requests. Set a later time, or delete the object; with `onExpiry: Delete` it is deleted automatically.
    Expired,
    /// No Lease of the object was renewed in time (`spec.lease`): its hostnames are released and it serves no requests. Renew a Lease whose label `portolan.dev/exposed-port` is the name of the object; the object then requests its hostnames again. Otherwise the object is deleted an hour after this reason is first reported.
    LeaseLapsed,

    // Delegation.
    /// The ExposedPort that a route delegates to does not exist or is not valid. Requests that match the route get 503; other routes are served.
    DelegateNotFound,
    /// The ExposedPort that a route delegates to does not allow it. Add the delegating object to `spec.allowedParents` of that ExposedPort.
    DelegationNotPermitted,
    /// ExposedPorts delegate to one another in a cycle; the message lists it in full. Remove one of these delegations.
    DelegationCycle,
    /// The chain of delegation is longer than 16 objects. Delegate from an object further up.
    DelegationTooDeep,
    /// More than 2048 routes are delegated below one object with a hostname; the routes beyond the limit serve no requests. Split them across several hostnames.
    TooManyRoutes,
    /// The object accepts delegation, but no object with a hostname delegates to it. Set `delegate` in a route of an allowed parent.
    Orphaned,
    /// A route of this object matches requests outside of what is delegated to it, or a method that the delegating route does not; the route serves no requests there. Use a path and method within the delegating route.
    RouteOutsideParent,
    /// A route sets `permitInsecure` to be served over plain HTTP too, but its hostname requires client certificates; the route is served over HTTPS only. Remove `permitInsecure`.
    ParentRequiresTls,
    /// The hostname of the root object above this one is not served yet, or no longer; see the status of the root object.
    ParentNotServing,

    // Hostname ownership.
    /// The hostname is being reserved for the namespace. This usually takes less than a second.
    HoldPending,
    /// The hostname is already in use by another namespace, named in `heldBy`. Choose another hostname, or ask its owner to release it.
    HostnameHeld,
    /// A wildcard that covers the hostname is already in use by another namespace, named in `heldBy`. Choose another hostname, or ask its owner to release it.
    HeldByWildcard,
    /// An older object of the same namespace, named in `heldBy`, has a route for the same requests on the hostname. The route of this object is not used; its other routes are. Change or remove one of the two routes.
    RouteConflict,
    /// An older object of the same namespace, named in `heldBy`, has different TLS settings for the hostname and takes precedence. This object serves nothing on the hostname. Use the same `spec.tls` in both objects, or remove it from the newer one.
    TlsConflict,

    // Child objects.
    /// A child object is not created or updated yet. This usually takes less than a second.
    Applying,
    /// An object with the name of a child object already exists and is not managed by Portolan, which leaves it unchanged. Rename or delete it.
    ForeignObject,
    /// The API server rejected a child object; the message contains its error.
    ApplyFailed,

    // References.
    /// The Service does not exist in the namespace of the object. Create it, or reference another one.
    ServiceNotFound,
    /// The Service, or each pod behind it, has no such port. Use a port that it has.
    PortNotFound,
    /// A route or `spec.tls` references a Service or Secret of another namespace, and no ReferenceGrant (Gateway API) in that namespace permits it for ExposedPorts of this namespace. Create a ReferenceGrant there, or reference an object of the same namespace. Only what depends on the reference is not served.
    RefNotPermitted,
    /// The Service is of type ExternalName, and its `externalName` is not a DNS name (IP addresses are not supported). Set it to a DNS name.
    InvalidExternalName,
    /// The class requires TLS to endpoints (`backendEncryption: TLS`), and traffic to a backend would not be encrypted. The backend is never contacted and its route gets 503; other routes are served. Serve TLS in its pods, and set `tls` for the backend, or `appProtocol: https` on the port of its Service.
    BackendNotEncrypted,

    // Certificates.
    /// cert-manager is not installed in the cluster, so no certificate can be issued. Install it, or set `spec.tls.secret`.
    CertManagerMissing,
    /// The certificate is requested but not issued yet; the message says what cert-manager waits for.
    CertificatePending,
    /// The issuer of the certificate does not exist. Create it, or set another one in `spec.tls.issuerRef`, or in `spec.issuerRef` of the class.
    IssuerNotFound,
    /// The issuer of the certificate is not ready; the message contains its error, which for ACME is usually a failed registration with the certificate authority. See the status of the issuer.
    IssuerNotReady,
    /// Issuing the certificate failed, and cert-manager retries; the message contains its error.
    CertificateFailed,
    /// The ACME server could not validate the hostname (RFC 8555, 8), and cert-manager retries; the message contains the error of the server. Usually DNS does not resolve the hostname to the proxies, or not from everywhere.
    ChallengeFailed,
    /// The Secret does not exist in the namespace of the object. Create it, or correct the reference.
    SecretNotFound,
    /// The Secret has no `tls.crt` or no `tls.key`. Use a Secret of type kubernetes.io/tls.
    SecretWithoutKey,
    /// The Secret has no `ca.crt`. Add the certificates of the trusted authorities under this key.
    SecretWithoutCA,
    /// The certificate or private key in the Secret cannot be parsed, or is of an unsupported type; the message says which.
    SecretUnreadable,
    /// The private key in the Secret does not match the certificate, or matches one that is not the first in `tls.crt`. Put the certificate of the key first.
    SecretKeyMismatch,
    /// The certificate in the Secret does not cover the hostname. Use a certificate whose DNS names include it.
    SecretWrongHostname,
    /// The certificate has expired. Renew it.
    CertificateExpired,
    /// A proxy does not serve the current certificate yet. This usually takes less than a second.
    CertificateNotServed,

    // Endpoints.
    /// No pod matches the selector. Correct `spec.selector`, or the labels of the pods.
    SelectorMatchesNoPods,
    /// The Service has no ready endpoints; requests get 503. See the readiness of its pods.
    NoReadyEndpoints,
    /// Every backend of a route has weight 0; its requests get 503. Set at least one weight above 0.
    AllWeightsZero,
    /// Every endpoint has an address that Portolan never contacts: loopback, link-local, unspecified or multicast.
    EndpointRefused,
    /// The class allows only pods of the namespace of the Service as endpoints (`endpoints: PodsOnly`), and an endpoint is not such a pod, or the Service is of type ExternalName. The endpoint is never contacted; other endpoints are. A pod with `hostNetwork` does not count as a pod, because its address is that of its node.
    ForeignEndpoint,

    // Proxies.
    /// A proxy has not loaded the current configuration yet. This usually takes less than a second; see the runbook of `PortolanProxiesBehind` if it persists.
    ProxiesBehind,
    /// A proxy rejected its configuration and keeps serving the previous one; the message contains its error.
    ProxyRefused,
    /// The class has no ready proxy. See the pods of its Deployment.
    NoReadyProxy,
    /// The Service of the proxies has no address yet. See its events; a Service of type LoadBalancer needs an implementation in the cluster.
    NoAddress,

    // Classes.
    /// The class is valid, but more than one class is marked as default. The oldest takes precedence; the others are used only by name.
    SeveralDefaults,
    /// The class is being deleted but still serves the objects that use it; the message names some of them. Delete them, or set another class in `spec.className`; when the last one is gone, the class and its proxies are deleted.
    InUse,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_doc_sentence() {
        for reason in Reason::all() {
            assert!(reason.doc().ends_with('.'), "{reason}: {}", reason.doc());
            // The API server validates the reason of a condition.
            assert!(
                reason.as_str().chars().all(|c| c.is_ascii_alphanumeric()),
                "{reason}"
            );
        }
    }

    #[test]
    fn reasons_are_unique() {
        let words: std::collections::BTreeSet<_> =
            Reason::all().iter().map(|reason| reason.as_str()).collect();
        assert_eq!(words.len(), Reason::all().len());
    }
}
