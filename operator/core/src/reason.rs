//! Every reason that a condition, a hostname or a 503 may carry. Programs and people rely on these
//! words, so none is ever renamed; the page of reasons in the book is made from them.

use std::fmt;

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// Why something is as it is, in one word.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Reason {
            /// Every reason, in the order of the book.
            pub fn all() -> &'static [Self] {
                &[$(Self::$name,)+]
            }

            /// The word as it stands in a status.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }

            /// What it means and what to do, in a few sentences.
            pub fn doc(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc, "\n"),+).trim_ascii(),)+
                }
            }
        }
    };
}

reasons! {
    // All is well.
    /// The object is valid and has a class.
    Accepted,
    /// The Service, its port and the Secrets that are named exist and fit.
    ResolvedRefs,
    /// What the object refers to is there, but a Service declares something of its ports that is not supported: an `appProtocol`, for which HTTP/1.1 is used, or an annotation of Contour's that lists no port of the Service.
    UnsupportedProtocol,
    /// Everything that was made for the object is stored, and every ready proxy has it.
    Programmed,
    /// The certificate of each hostname is served by every ready proxy.
    CertificatesServed,
    /// The object is valid, but asks for a version of TLS that is no longer supported (RFC 8996); a newer one is.
    TlsVersionRaised,
    /// TLS is disabled, so no certificate is needed.
    TlsDisabled,
    /// At least one pod is ready to take requests.
    EndpointsReady,
    /// Every backend is reached over TLS; the message says whether certificates are checked.
    BackendTls,
    /// The class says that a mesh encrypts between proxies and pods (`backendEncryption: Mesh`). Portolan cannot verify that, so the condition stays Unknown.
    MeshNotSeen,
    /// Traffic to a backend is not encrypted; the message names the first. This does not affect Ready, unless the class requires TLS.
    NotEncrypted,
    /// A request would succeed.
    Serving,

    // The object itself.
    /// The object breaks a rule; the message names the field and what would be right. A class goes on without that field, and its objects are served.
    InvalidSpec,
    /// A hostname is not a DNS name. Write labels of letters, digits and inner hyphens with dots between.
    InvalidHostname,
    /// A hostname ends in `.*`, and the class has no domain. Write the name in full, or set `spec.domain` of the ExposeClass.
    NoDomain,
    /// TLS is to be terminated, and no certificate is provided for a hostname. Name `spec.tls.secret` or `spec.tls.issuerRef`, set an issuer or a shared certificate in the class, or write `mode: Disabled`.
    NoIssuer,
    /// No class was named, and no ExposeClass is the default one.
    NoClass,
    /// The class that was named does not exist.
    ClassNotFound,
    /// The class is being deleted, and takes no further objects; those that it had are served on. Name another class.
    ClassDeleting,
    /// The class gives hostnames to objects of some namespaces only (`spec.rootNamespaces`, `spec.rootNamespaceSelector`), and this is none of them. Have the namespace added or labelled, or write `allowedParents` and have an object of another namespace delegate to this one.
    RootNamespaceDenied,
    /// The class says which namespaces may have which hostnames (`spec.hostnames`), and a hostname of this object is not for its namespace. Choose another name, or have this one added there.
    HostnameNotAllowed,
    /// The class lets objects name some issuers only, and `spec.tls.issuerRef` is none of them. Leave it out for the issuer of the class, or have it added to `spec.tls.allowedIssuers` there.
    IssuerNotAllowed,
    /// The class lets objects of some namespaces only bring certificates of their own, and this is none of them. Leave `spec.tls.secret` out, or have the namespace added to `spec.tls.allowOwnSecrets` of the class.
    OwnSecretNotAllowed,
    /// The object is valid, but the class does not allow some of its annotations; they are not on the Ingress. Have them added to `spec.annotations.allow` of the class, or leave them out.
    AnnotationNotAllowed,
    /// The Ingress is served, but without what annotations of another controller ask for: Portolan does not read them, and the message names them. Write an ExposedPort, where most of it is a field, or remove them.
    AnnotationNotSupported,
    /// The time of the object is over (`spec.expiresAfter`, `spec.expiresAt`): its hostnames are free, and it takes no requests. Write a later time, or delete it; with `onExpiry: Delete` it deletes itself.
    Expired,
    /// No Lease of the object was renewed in time (`spec.lease`): its hostnames are free, and it takes no requests. Renew one that has the label `portolan.dev/exposed-port` with the name of the object; it then claims its hostnames again. An hour after this was reported the object is deleted.
    LeaseLapsed,

    // Delegation.
    /// The ExposedPort that a route is delegated to does not exist, or is not valid. Requests for it get 503, the other routes are served.
    DelegateNotFound,
    /// The ExposedPort that a route is delegated to does not allow it. Have the delegating object added to its `spec.allowedParents`.
    DelegationNotPermitted,
    /// Objects delegate to one another in a circle; the message names it in full.
    DelegationCycle,
    /// More than 16 objects stand below one another.
    DelegationTooDeep,
    /// More than 2048 routes come together below one object with a hostname; those beyond take no requests. Share them among several hostnames.
    TooManyRoutes,
    /// Others may delegate to this object, and no object with a hostname does.
    Orphaned,
    /// A route of this object lies outside of what is delegated to it, or asks for another method than the delegating route; it takes no requests there.
    RouteOutsideParent,
    /// A route wants to be served on plain HTTP too (`permitInsecure`) under a hostname for which clients must show a certificate; it is served over HTTPS only.
    ParentRequiresTls,
    /// The hostname of the root above this object is not served yet, or no more; the status of the root says why.
    ParentNotServing,

    // Who gets a hostname.
    /// The hostname is not held yet; waiting for it to be reserved.
    HoldPending,
    /// Another namespace holds the hostname; `heldBy` names it.
    HostnameHeld,
    /// Another namespace holds the wildcard above the hostname; `heldBy` names it.
    HeldByWildcard,
    /// An older object of the same namespace has a route for the same requests under the hostname; `heldBy` names it. That route is not tried, the others are.
    RouteConflict,
    /// An older object of the same namespace says something else about TLS under the hostname, and its word counts; `heldBy` names it. Nothing of this one is served there. Write the same `spec.tls` in both, or leave it out of the younger one.
    TlsConflict,

    // What was made for the object.
    /// An object that belongs to the exposure was not stored yet.
    Applying,
    /// An object that Portolan does not manage has the name that is needed. It is left alone; rename or delete it.
    ForeignObject,
    /// The API server refused an object; the message has its words.
    ApplyFailed,

    // What the object refers to.
    /// The Service does not exist in the namespace of the object.
    ServiceNotFound,
    /// The Service, or every pod behind it, has no such port.
    PortNotFound,
    /// A route or `spec.tls` refers to a Service or Secret of another namespace, and no ReferenceGrant (Gateway API) there lets ExposedPorts of this namespace do so. Have one made there, or name something of the own namespace. What the reference was for is not served; all else is.
    RefNotPermitted,
    /// The Service is of type ExternalName, and its `externalName` is no DNS name (an address is none).
    InvalidExternalName,
    /// The class requires TLS to endpoints (`backendEncryption: TLS`), and traffic to a backend is not encrypted. It is never contacted, its route gets 503, the other routes are served. Have its pods speak TLS, and say so: `tls` for the backend, or `appProtocol: https` at the port of its Service.
    BackendNotEncrypted,

    // Certificates.
    /// The cluster has no cert-manager, so no certificate can be issued. Install it, or name a Secret.
    CertManagerMissing,
    /// The certificate was requested and is not issued yet.
    CertificatePending,
    /// The certificate is to come from an issuer that does not exist. Create it, or name another one in `spec.tls.issuerRef`, or in `spec.issuerRef` of the class.
    IssuerNotFound,
    /// The certificate is to come from an issuer that cannot issue; the message has its words, with ACME those of the authority at which cert-manager could not register. The issuer's own status says more.
    IssuerNotReady,
    /// Issuing the certificate failed; cert-manager tries again. The message has its words.
    CertificateFailed,
    /// The ACME server looked whether the hostname is ours, and was not content (RFC 8555, 8); cert-manager tries again. The message has the server's words: most often the name does not lead to the proxies, or not from everywhere.
    ChallengeFailed,
    /// The Secret does not exist in the namespace of the object.
    SecretNotFound,
    /// The Secret has no `tls.crt` or no `tls.key`. It must be of type kubernetes.io/tls.
    SecretWithoutKey,
    /// The Secret has no `ca.crt` with the certificates of authorities.
    SecretWithoutCA,
    /// The certificate or the key in the Secret cannot be read, or is of a kind that is not served; the message says which.
    SecretUnreadable,
    /// The key in the Secret does not belong to its certificate, or to one that is not the first in `tls.crt`.
    SecretKeyMismatch,
    /// The certificate in the Secret is for other names than the hostname.
    SecretWrongHostname,
    /// The certificate has expired.
    CertificateExpired,
    /// A proxy does not present the newest certificate yet.
    CertificateNotServed,

    // Endpoints.
    /// No pod has the labels of the selector.
    SelectorMatchesNoPods,
    /// No pod behind the Service is ready; requests get 503.
    NoReadyEndpoints,
    /// Every backend of a route has weight 0, so nothing takes its requests; they get 503.
    AllWeightsZero,
    /// Every endpoint has an address that is never contacted: loopback, link-local, unspecified or multicast.
    EndpointRefused,
    /// The class sends requests to pods of the Service's namespace only (`endpoints: PodsOnly`), and an endpoint is none, or the Service is of type ExternalName. It is never contacted; the other endpoints are. A pod with `hostNetwork` counts as its node.
    ForeignEndpoint,

    // Proxies.
    /// A proxy has not loaded the newest state yet.
    ProxiesBehind,
    /// A proxy cannot use what it was sent; the message has its words.
    ProxyRefused,
    /// No proxy of the class takes requests.
    NoReadyProxy,
    /// The Service of the proxies has no address yet.
    NoAddress,

    // Classes.
    /// The class is valid and another, older one is the default; this one is used only by name.
    SeveralDefaults,
    /// The class is being deleted, and goes on serving the objects that use it; the message names some of them. Delete them, or have them name another class (`spec.className`): with the last one the class and its proxies go.
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
    fn every_reason_is_explained_in_a_sentence() {
        for reason in Reason::all() {
            assert!(reason.doc().ends_with('.'), "{reason}: {}", reason.doc());
            // A condition's reason, as the API server takes it.
            assert!(
                reason.as_str().chars().all(|c| c.is_ascii_alphanumeric()),
                "{reason}"
            );
        }
    }

    #[test]
    fn no_reason_stands_twice() {
        let words: std::collections::BTreeSet<_> =
            Reason::all().iter().map(|reason| reason.as_str()).collect();
        assert_eq!(words.len(), Reason::all().len());
    }
}
