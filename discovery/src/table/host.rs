//! A hostname: how TLS is spoken for it, and its routes.

use super::{Action, Kind, Route};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// Everything that is served under one hostname.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VirtualHost {
    /// Lower case, without a trailing dot; perhaps `*.` and a domain, which matches exactly one label.
    pub hostname: String,
    /// Absent: the host is served on plain HTTP only.
    pub tls: Option<HostTls>,
    /// Most specific first; the first that matches is taken.
    pub routes: Vec<Route>,
}

impl VirtualHost {
    /// What the host names, by kind.
    pub(super) fn references(&self) -> impl Iterator<Item = (Kind, &String)> {
        let tls = self.tls.iter().flat_map(|tls| {
            let certificates = tls.certificates.iter().map(|it| (Kind::Certificate, it));
            let client_ca = tls
                .client_ca
                .iter()
                .map(|it| (Kind::TrustAnchors, &it.trust));
            certificates.chain(client_ca)
        });
        let backends = self.routes.iter().flat_map(|route| match &route.action {
            Action::Forward { backends } => backends.as_slice(),
            Action::Redirect(_) | Action::Respond(_) | Action::Unavailable { .. } => &[],
        });
        let backends = backends.flat_map(|backend| {
            let trust = backend.tls.iter().filter_map(|tls| tls.trust.as_ref());
            let trust = trust.map(|it| (Kind::TrustAnchors, it));
            [(Kind::Endpoints, &backend.endpoints)]
                .into_iter()
                .chain(trust)
        });
        tls.chain(backends)
    }
}

/// How TLS is terminated for a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostTls {
    /// The names of the [`Certificate`]s; the client's signature algorithms choose among them.
    /// Empty while none was issued: plain HTTP answers 503 `CertificatePending`, and the server
    /// name is unknown to TLS.
    pub certificates: Vec<String>,
    /// The oldest version that is spoken.
    pub min_version: TlsVersion,
    /// The newest version that is spoken.
    pub max_version: TlsVersion,
    /// Clients show a certificate of one of these authorities.
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

/// The versions of TLS that are spoken; older ones are not (RFC 8996).
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
    /// Whether a client may come without a certificate.
    pub mode: ClientCaMode,
}

/// What happens to a client without a certificate. One whose certificate does not hold is refused always.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ClientCaMode {
    /// It is refused.
    Require,
    /// It is served.
    Optional,
}

/// `Strict-Transport-Security` (RFC 6797 6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hsts {
    /// For how long a browser remembers; whole seconds count.
    pub max_age: Duration,
    /// Names below this one are meant too.
    pub include_sub_domains: bool,
}

/// A certificate chain and its key, both PEM, checked to fit each other by whoever compiled them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// `namespace/secret`.
    pub name: String,
    /// The leaf first, then its issuers.
    pub chain_pem: String,
    /// PKCS#8, PKCS#1 or SEC1.
    pub key_pem: String,
}

impl fmt::Debug for Certificate {
    /// Never shows the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Authorities that a peer's certificate is checked against: a client's, or an endpoint's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustAnchors {
    /// `namespace/secret`.
    pub name: String,
    /// One certificate or more.
    pub ca_pem: String,
}
