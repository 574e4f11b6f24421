//! Virtual hosts: the TLS settings and routes of a hostname.

use super::{Action, Kind, Route};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// Settings and routes of one hostname.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VirtualHost {
    /// Lower case, without a trailing dot; perhaps `*.` and a domain, which matches exactly one label.
    pub hostname: String,
    /// If absent, the host is served on plain HTTP only.
    pub tls: Option<HostTls>,
    /// Routes, most specific first; the first match wins.
    pub routes: Vec<Route>,
}

impl VirtualHost {
    /// Returns the names of the resources that the host references, by kind.
    pub(super) fn references(&self) -> impl Iterator<Item = (Kind, &String)> {
        let tls = self.tls.iter().flat_map(|tls| {
            let certificates = tls
                .certificates
                .iter()
                .map(|name| (Kind::Certificate, name));
            let client_ca = tls
                .client_ca
                .iter()
                .map(|ca| (Kind::TrustAnchors, &ca.trust));
            certificates.chain(client_ca)
        });
        let backends = self.routes.iter().flat_map(|route| match &route.action {
            Action::Forward { backends } => backends.as_slice(),
            Action::Redirect(_) | Action::Respond(_) | Action::Unavailable { .. } => &[],
        });
        let backends = backends.flat_map(|backend| {
            let trust = backend.tls.iter().filter_map(|tls| tls.trust.as_ref());
            let trust = trust.map(|name| (Kind::TrustAnchors, name));
            [(Kind::Endpoints, &backend.endpoints)]
                .into_iter()
                .chain(trust)
        });
        tls.chain(backends)
    }
}

/// TLS termination of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostTls {
    /// The names of the [`Certificate`]s; the client's signature algorithms choose among them.
    /// Empty while none was issued: the response on plain HTTP is 503 `CertificatePending`, and the server
    /// name is unknown to TLS.
    pub certificates: Vec<String>,
    /// Minimum version.
    pub min_version: TlsVersion,
    /// Maximum version.
    pub max_version: TlsVersion,
    /// Authorities that client certificates are verified against.
    pub client_ca: Option<ClientCa>,
    /// Plain HTTP is redirected to HTTPS, but for routes with [`Route::permit_insecure`].
    pub redirect: bool,
    /// `Strict-Transport-Security` (RFC 6797).
    pub hsts: Option<Hsts>,
}

impl Default for HostTls {
    /// TLS 1.2 and 1.3, redirected from plain HTTP, no certificate yet.
    fn default() -> Self {
        Self {
            certificates: Vec::new(),
            min_version: TlsVersion::V1_2,
            max_version: TlsVersion::V1_3,
            client_ca: None,
            redirect: true,
            hsts: None,
        }
    }
}

/// Supported versions of TLS; older ones are deprecated (RFC 8996).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TlsVersion {
    /// RFC 5246.
    V1_2,
    /// RFC 8446.
    V1_3,
}

/// Mutual TLS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientCa {
    /// The name of the [`TrustAnchors`].
    pub trust: String,
    /// Requirement for a client certificate.
    pub mode: ClientCaMode,
}

/// Handling of a client without a certificate. An invalid certificate is always rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ClientCaMode {
    /// Rejected.
    Require,
    /// Served.
    Optional,
}

/// `Strict-Transport-Security` (RFC 6797 6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hsts {
    /// `max-age`, in whole seconds.
    pub max_age: Duration,
    /// `includeSubDomains`.
    pub include_sub_domains: bool,
}

/// A certificate chain and its key, both PEM, checked by the operator to match.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// `namespace/secret`.
    pub name: String,
    /// The leaf, followed by its issuers.
    pub chain_pem: String,
    /// PKCS#8, PKCS#1 or SEC1.
    pub key_pem: String,
}

impl fmt::Debug for Certificate {
    /// Omits the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Authorities that the certificates of clients or endpoints are verified against.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustAnchors {
    /// `namespace/secret`.
    pub name: String,
    /// One or more certificates in PEM.
    pub ca_pem: String,
}
