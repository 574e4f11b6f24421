//! Destinations of requests.

use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// Endpoints of a Service port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointSet {
    /// `namespace/service:port`.
    pub name: String,
    /// Ready pods, sorted by address, without duplicates. Empty for an external name.
    pub endpoints: Vec<Endpoint>,
    /// A DNS name whose addresses are the endpoints, resolved by every proxy.
    pub external: Option<ExternalName>,
}

/// Address that accepts requests, usually of a pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Endpoint {
    /// Address and port.
    pub address: SocketAddr,
    /// UID of the pod, empty when the endpoint is not a pod: a new pod on an old address is a new endpoint.
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
