//! Configuration of a proxy: named resources, each replaced as a whole.
//!
//! A proxy has no other configuration. Resources reference one another by name only, so that the
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

/// Kinds of resources, in the order in which they are added; removals go in reverse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// Addresses of a Service port.
    Endpoints,
    /// A certificate chain with its private key.
    Certificate,
    /// Certificates of authorities that peers are verified against.
    TrustAnchors,
    /// Settings of every host of the class.
    ClassSettings,
    /// Settings and routes of one hostname.
    VirtualHost,
    /// An open port.
    Listener,
}

/// Name of a resource, unique within one class.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ResourceName {
    /// Kind of the resource.
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

/// Object and generation that a resource was compiled from.
///
/// Sent with the resource and returned with its acknowledgement; not part of
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
    /// Returns the name under which the resource is sent, acknowledged and removed.
    pub fn name(&self) -> ResourceName {
        let (kind, name) = match self {
            Self::Endpoints(set) => (Kind::Endpoints, set.name.as_str()),
            Self::Certificate(certificate) => (Kind::Certificate, certificate.name.as_str()),
            Self::TrustAnchors(anchors) => (Kind::TrustAnchors, anchors.name.as_str()),
            Self::ClassSettings(_) => (Kind::ClassSettings, ClassSettings::NAME),
            Self::VirtualHost(host) => (Kind::VirtualHost, host.hostname.as_str()),
            Self::Listener(listener) => (Kind::Listener, listener.name.as_str()),
        };
        ResourceName {
            kind,
            name: name.to_owned(),
        }
    }

    /// Returns the names of the resources that must exist before this one can be served.
    pub fn references(&self) -> Vec<ResourceName> {
        let name = |kind: Kind, name: &String| ResourceName {
            kind,
            name: name.clone(),
        };
        match self {
            Self::VirtualHost(host) => host
                .references()
                .map(|(kind, text)| name(kind, text))
                .collect(),
            Self::ClassSettings(settings) => settings
                .default_certificate
                .iter()
                .map(|text| name(Kind::Certificate, text))
                .collect(),
            Self::Endpoints(_)
            | Self::Certificate(_)
            | Self::TrustAnchors(_)
            | Self::Listener(_) => Vec::new(),
        }
    }
}
