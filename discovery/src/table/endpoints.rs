//! Where requests can go.

use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// What stands behind a Service port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointSet {
    /// `namespace/service:port`.
    pub name: String,
    /// Ready pods, sorted by address, without duplicates. Empty for an external name.
    pub endpoints: Vec<Endpoint>,
    /// The addresses of this name are the endpoints, as long as DNS says so.
    pub external: Option<ExternalName>,
}

/// One pod that takes requests.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Endpoint {
    /// Where it listens.
    pub address: SocketAddr,
    /// The pod's UID, empty when the endpoint is no pod: a new pod on an old address is a new endpoint.
    pub uid: String,
}

/// A Service of type ExternalName: a name that every proxy resolves by itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ExternalName {
    /// A DNS name, without a trailing dot.
    pub host: String,
    /// The port on each of its addresses.
    pub port: u16,
}
