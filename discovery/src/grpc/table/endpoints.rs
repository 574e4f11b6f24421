//! Converts endpoints and certificates.

use crate::grpc::generated as proto;
use crate::grpc::wire::{Problem, WireError, Within, each, into_all};
use crate::table::{Certificate, Endpoint, EndpointSet, ExternalName, TrustAnchors};

impl From<EndpointSet> for proto::EndpointSet {
    fn from(set: EndpointSet) -> Self {
        Self {
            name: set.name,
            endpoints: into_all(set.endpoints),
            external: set.external.map(Into::into),
        }
    }
}

impl TryFrom<proto::EndpointSet> for EndpointSet {
    type Error = WireError;

    fn try_from(set: proto::EndpointSet) -> Result<Self, WireError> {
        Ok(Self {
            name: set.name,
            endpoints: each::<_, Endpoint, _>("endpoints", set.endpoints)?,
            external: set
                .external
                .map(|name| name.try_into().within("external"))
                .transpose()?,
        })
    }
}

impl From<ExternalName> for proto::ExternalName {
    fn from(external: ExternalName) -> Self {
        Self {
            host: external.host,
            port: external.port.into(),
        }
    }
}

impl TryFrom<proto::ExternalName> for ExternalName {
    type Error = WireError;

    fn try_from(external: proto::ExternalName) -> Result<Self, WireError> {
        Ok(Self {
            port: port("port", external.port)?,
            host: external.host,
        })
    }
}

/// Converts a port, which the wire carries as a wider number.
pub(super) fn port(field: &str, port: u32) -> Result<u16, WireError> {
    u16::try_from(port).map_err(|_| WireError::new(field, Problem::Port))
}

impl From<Endpoint> for proto::Endpoint {
    fn from(Endpoint { address, uid }: Endpoint) -> Self {
        Self {
            address: address.to_string(),
            uid,
        }
    }
}

impl TryFrom<proto::Endpoint> for Endpoint {
    type Error = WireError;

    fn try_from(endpoint: proto::Endpoint) -> Result<Self, WireError> {
        let address = endpoint.address.parse();
        Ok(Self {
            address: address.map_err(|_| WireError::new("address", Problem::Address))?,
            uid: endpoint.uid,
        })
    }
}

impl From<Certificate> for proto::Certificate {
    fn from(certificate: Certificate) -> Self {
        Self {
            name: certificate.name,
            chain_pem: certificate.chain_pem,
            key_pem: certificate.key_pem,
        }
    }
}

impl From<proto::Certificate> for Certificate {
    fn from(certificate: proto::Certificate) -> Self {
        Self {
            name: certificate.name,
            chain_pem: certificate.chain_pem,
            key_pem: certificate.key_pem,
        }
    }
}

impl From<TrustAnchors> for proto::TrustAnchors {
    fn from(anchors: TrustAnchors) -> Self {
        Self {
            name: anchors.name,
            ca_pem: anchors.ca_pem,
        }
    }
}

impl From<proto::TrustAnchors> for TrustAnchors {
    fn from(anchors: proto::TrustAnchors) -> Self {
        Self {
            name: anchors.name,
            ca_pem: anchors.ca_pem,
        }
    }
}
