//! What a proxy can be told: named resources, each replaced as a whole.
//!
//! A proxy knows nothing but these. They refer to one another by name only, so that the
//! endpoints of a Service that serves a thousand hosts are sent once.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::SocketAddr;

/// The kinds of resource, in the order in which they are added; removals go in reverse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// Pod addresses behind a Service port.
    Endpoints,
    /// A certificate chain with its private key.
    Certificate,
    /// Everything that is served under one hostname.
    VirtualHost,
    /// A port that is open.
    Listener,
}

/// The name of a resource: unique within one class.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ResourceName {
    /// What kind of resource it is.
    pub kind: Kind,
    /// Endpoints: `namespace/service:port-name-or-number`. Certificate: `namespace/secret`.
    /// Virtual host: the hostname. Listener: `http`, `https`.
    pub name: String,
}

impl fmt::Display for ResourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.kind, self.name)
    }
}

/// The object and the generation of it that a resource was compiled from.
///
/// Travels with the resource and comes back with its acknowledgement; it is no part of
/// the version, so a new generation that compiles to the same bytes sends nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Origin {
    /// `metadata.uid` of the object.
    pub uid: String,
    /// `metadata.generation` of the object.
    pub generation: i64,
}

/// One entry of the table.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub enum Resource {
    /// See [`EndpointSet`].
    Endpoints(EndpointSet),
    /// See [`Certificate`].
    Certificate(Certificate),
    /// See [`VirtualHost`].
    VirtualHost(VirtualHost),
    /// See [`Listener`].
    Listener(Listener),
}

impl Resource {
    /// Under which name the resource is sent, acknowledged and removed.
    pub fn name(&self) -> ResourceName {
        let (kind, name) = match self {
            Self::Endpoints(it) => (Kind::Endpoints, &it.name),
            Self::Certificate(it) => (Kind::Certificate, &it.name),
            Self::VirtualHost(it) => (Kind::VirtualHost, &it.hostname),
            Self::Listener(it) => (Kind::Listener, &it.name),
        };
        ResourceName {
            kind,
            name: name.clone(),
        }
    }

    /// The names of the resources that must be there before this one can be served.
    pub fn references(&self) -> Vec<ResourceName> {
        let Self::VirtualHost(host) = self else {
            return Vec::new();
        };
        let certificate = match &host.tls {
            Some(HostTls {
                certificate: Some(name),
            }) => Some(ResourceName {
                kind: Kind::Certificate,
                name: name.clone(),
            }),
            _ => None,
        };
        let backends = host.routes.iter().flat_map(|route| match &route.action {
            Action::Forward { backends } => backends.as_slice(),
            Action::Unavailable { .. } => &[],
        });
        let endpoints = backends.map(|backend| ResourceName {
            kind: Kind::Endpoints,
            name: backend.endpoints.clone(),
        });
        certificate.into_iter().chain(endpoints).collect()
    }
}

/// The ready pods behind a Service port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointSet {
    /// `namespace/service:port`.
    pub name: String,
    /// Sorted by address, without duplicates.
    pub endpoints: Vec<Endpoint>,
}

/// One pod that takes requests.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Endpoint {
    /// Where it listens.
    pub address: SocketAddr,
    /// The pod's UID, empty when the endpoint is no pod: a new pod on an old address is a new endpoint.
    pub uid: String,
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

/// How TLS is terminated for a host. Plain HTTP is redirected to HTTPS as soon as there is a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostTls {
    /// The name of the [`Certificate`]. Absent while none was issued: plain HTTP answers
    /// 503 `CertificatePending`, and the server name is unknown to TLS.
    pub certificate: Option<String>,
}

/// One row of a virtual host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Which request paths it takes.
    pub path: PathMatch,
    /// What is done with the request.
    pub action: Action,
}

/// How a path is matched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PathMatch {
    /// By whole segments: `/blog` takes `/blog` and `/blog/x`, never `/blogger`. `/` takes everything.
    Prefix(String),
}

/// What is done with a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Sent on to a ready endpoint; 503 `NoReadyEndpoints` when there is none.
    Forward {
        /// Chosen by weight.
        backends: Vec<Backend>,
    },
    /// Answered 503 with this value in `x-portolan-reason`, because the route cannot be resolved.
    Unavailable {
        /// A documented reason, such as `ServiceNotFound`.
        reason: String,
    },
}

/// A share of a route's requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backend {
    /// The name of the [`EndpointSet`].
    pub endpoints: String,
    /// Relative to the route's other backends; 0 gets nothing.
    pub weight: u32,
}

/// A port that is open on every proxy of the class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// `http` or `https`.
    pub name: String,
    /// The pod's port.
    pub port: u16,
    /// What is spoken there.
    pub protocol: Protocol,
}

/// What is spoken on a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protocol {
    /// HTTP in the clear.
    Http,
    /// HTTP over TLS, the certificate chosen by server name.
    Https,
}
