//! What a proxy can be told: named resources, each replaced as a whole.
//!
//! A proxy knows nothing but these. They refer to one another by name only, so that the
//! endpoints of a Service that serves a thousand hosts are sent once.

mod endpoints;
mod host;
mod route;
mod settings;

pub use endpoints::{Endpoint, EndpointSet, ExternalName};
pub use host::{
    Certificate, ClientCa, ClientCaMode, HostTls, Hsts, TlsVersion, TrustAnchors, VirtualHost,
};
pub use route::{
    Action, AllowedOrigins, Backend, BackendTls, Cors, FieldMatch, FieldName, HeaderEdits,
    PathMatch, PathRewrite, Redirect, Respond, Retries, RetryOn, Route, RouteMatch, Timeouts,
    UpstreamProtocol, ValueMatch,
};
pub use settings::{ClassSettings, Listener, Protocol, TicketSeed};

use serde::{Deserialize, Serialize};
use std::fmt;

/// The kinds of resource, in the order in which they are added; removals go in reverse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// Addresses behind a Service port.
    Endpoints,
    /// A certificate chain with its private key.
    Certificate,
    /// Certificates of authorities that a peer's certificate is checked against.
    TrustAnchors,
    /// What holds for every host of the class.
    ClassSettings,
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
    /// Endpoints: `namespace/service:port-name-or-number`. Certificate and trust anchors:
    /// `namespace/secret`. Class settings: [`ClassSettings::NAME`]. Virtual host: the hostname.
    /// Listener: `http`, `https`.
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
    /// See [`TrustAnchors`].
    TrustAnchors(TrustAnchors),
    /// See [`ClassSettings`].
    ClassSettings(ClassSettings),
    /// See [`VirtualHost`].
    VirtualHost(VirtualHost),
    /// See [`Listener`].
    Listener(Listener),
}

impl Resource {
    /// Under which name the resource is sent, acknowledged and removed.
    pub fn name(&self) -> ResourceName {
        let (kind, name) = match self {
            Self::Endpoints(it) => (Kind::Endpoints, it.name.as_str()),
            Self::Certificate(it) => (Kind::Certificate, it.name.as_str()),
            Self::TrustAnchors(it) => (Kind::TrustAnchors, it.name.as_str()),
            Self::ClassSettings(_) => (Kind::ClassSettings, ClassSettings::NAME),
            Self::VirtualHost(it) => (Kind::VirtualHost, it.hostname.as_str()),
            Self::Listener(it) => (Kind::Listener, it.name.as_str()),
        };
        ResourceName {
            kind,
            name: name.to_owned(),
        }
    }

    /// The names of the resources that must be there before this one can be served.
    pub fn references(&self) -> Vec<ResourceName> {
        let name = |kind: Kind, name: &String| ResourceName {
            kind,
            name: name.clone(),
        };
        match self {
            Self::VirtualHost(host) => host.references().map(|(kind, it)| name(kind, it)).collect(),
            Self::ClassSettings(settings) => settings
                .default_certificate
                .iter()
                .map(|it| name(Kind::Certificate, it))
                .collect(),
            Self::Endpoints(_)
            | Self::Certificate(_)
            | Self::TrustAnchors(_)
            | Self::Listener(_) => Vec::new(),
        }
    }
}
