//! Endpoints and certificates.

use crate::grpc::generated as proto;
use crate::grpc::wire::{Problem, WireError, Within, each, into_all};
use crate::table::{Certificate, Endpoint, EndpointSet, ExternalName, TrustAnchors};

impl From<EndpointSet> for proto::EndpointSet {
    fn from(it: EndpointSet) -> Self {
        Self {
            name: it.name,
            endpoints: into_all(it.endpoints),
            external: it.external.map(Into::into),
        }
    }
}

impl TryFrom<proto::EndpointSet> for EndpointSet {
    type Error = WireError;

    fn try_from(it: proto::EndpointSet) -> Result<Self, WireError> {
        Ok(Self {
            name: it.name,
            endpoints: each::<_, Endpoint, _>("endpoints", it.endpoints)?,
            external: it
                .external
                .map(|it| it.try_into().within("external"))
                .transpose()?,
        })
    }
}

impl From<ExternalName> for proto::ExternalName {
    fn from(it: ExternalName) -> Self {
        Self {
            host: it.host,
            port: it.port.into(),
        }
    }
}

impl TryFrom<proto::ExternalName> for ExternalName {
    type Error = WireError;

    fn try_from(it: proto::ExternalName) -> Result<Self, WireError> {
        Ok(Self {
            port: port("port", it.port)?,
            host: it.host,
        })
    }
}

/// A port, which the wire carries as a wider number.
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

    fn try_from(it: proto::Endpoint) -> Result<Self, WireError> {
        let address = it.address.parse();
        Ok(Self {
            address: address.map_err(|_| WireError::new("address", Problem::Address))?,
            uid: it.uid,
        })
    }
}

impl From<Certificate> for proto::Certificate {
    fn from(it: Certificate) -> Self {
        Self {
            name: it.name,
            chain_pem: it.chain_pem,
            key_pem: it.key_pem,
        }
    }
}

impl From<proto::Certificate> for Certificate {
    fn from(it: proto::Certificate) -> Self {
        Self {
            name: it.name,
            chain_pem: it.chain_pem,
            key_pem: it.key_pem,
        }
    }
}

impl From<TrustAnchors> for proto::TrustAnchors {
    fn from(it: TrustAnchors) -> Self {
        Self {
            name: it.name,
            ca_pem: it.ca_pem,
        }
    }
}

impl From<proto::TrustAnchors> for TrustAnchors {
    fn from(it: proto::TrustAnchors) -> Self {
        Self {
            name: it.name,
            ca_pem: it.ca_pem,
        }
    }
}
