//! The resources of the table, from wire to plain types and back; see [`super::wire`].

use super::generated as proto;
use super::wire::{Problem, WireError, Within, each, into_all, present};
use crate::table::{
    Action, Backend, Certificate, Endpoint, EndpointSet, HostTls, Kind, Listener, PathMatch,
    Protocol, Resource, ResourceName, Route, VirtualHost,
};

impl From<ResourceName> for proto::ResourceName {
    fn from(ResourceName { kind, name }: ResourceName) -> Self {
        let kind = match kind {
            Kind::Endpoints => proto::Kind::Endpoints,
            Kind::Certificate => proto::Kind::Certificate,
            Kind::VirtualHost => proto::Kind::VirtualHost,
            Kind::Listener => proto::Kind::Listener,
        };
        Self {
            kind: kind.into(),
            name,
        }
    }
}

impl TryFrom<proto::ResourceName> for ResourceName {
    type Error = WireError;

    fn try_from(it: proto::ResourceName) -> Result<Self, WireError> {
        let kind = match it.kind() {
            proto::Kind::Endpoints => Kind::Endpoints,
            proto::Kind::Certificate => Kind::Certificate,
            proto::Kind::VirtualHost => Kind::VirtualHost,
            proto::Kind::Listener => Kind::Listener,
            proto::Kind::Unspecified => return Err(WireError::new("kind", Problem::Unknown)),
        };
        Ok(Self {
            kind,
            name: it.name,
        })
    }
}

impl From<Resource> for proto::Resource {
    fn from(resource: Resource) -> Self {
        use proto::resource::Resource as Choice;
        let resource = match resource {
            Resource::Endpoints(it) => Choice::Endpoints(it.into()),
            Resource::Certificate(it) => Choice::Certificate(it.into()),
            Resource::VirtualHost(it) => Choice::VirtualHost(it.into()),
            Resource::Listener(it) => Choice::Listener(it.into()),
        };
        Self {
            resource: Some(resource),
        }
    }
}

impl TryFrom<proto::Resource> for Resource {
    type Error = WireError;

    fn try_from(it: proto::Resource) -> Result<Self, WireError> {
        use proto::resource::Resource as Choice;
        Ok(match it.resource {
            Some(Choice::Endpoints(it)) => Self::Endpoints(it.try_into().within("endpoints")?),
            Some(Choice::Certificate(it)) => Self::Certificate(it.into()),
            Some(Choice::VirtualHost(it)) => {
                Self::VirtualHost(it.try_into().within("virtual_host")?)
            }
            Some(Choice::Listener(it)) => Self::Listener(it.try_into().within("listener")?),
            None => return Err(WireError::new("resource", Problem::Absent)),
        })
    }
}

impl From<EndpointSet> for proto::EndpointSet {
    fn from(EndpointSet { name, endpoints }: EndpointSet) -> Self {
        Self {
            name,
            endpoints: into_all(endpoints),
        }
    }
}

impl TryFrom<proto::EndpointSet> for EndpointSet {
    type Error = WireError;

    fn try_from(it: proto::EndpointSet) -> Result<Self, WireError> {
        Ok(Self {
            name: it.name,
            endpoints: each::<_, Endpoint, _>("endpoints", it.endpoints)?,
        })
    }
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

impl From<VirtualHost> for proto::VirtualHost {
    fn from(host: VirtualHost) -> Self {
        Self {
            hostname: host.hostname,
            tls: host
                .tls
                .map(|HostTls { certificate }| proto::HostTls { certificate }),
            routes: into_all(host.routes),
        }
    }
}

impl TryFrom<proto::VirtualHost> for VirtualHost {
    type Error = WireError;

    fn try_from(host: proto::VirtualHost) -> Result<Self, WireError> {
        Ok(Self {
            hostname: host.hostname,
            tls: host
                .tls
                .map(|proto::HostTls { certificate }| HostTls { certificate }),
            routes: each::<_, Route, _>("routes", host.routes)?,
        })
    }
}

impl From<Route> for proto::Route {
    fn from(Route { path, action }: Route) -> Self {
        let action = match action {
            Action::Forward { backends } => proto::route::Action::Forward(proto::Forward {
                backends: into_all(backends),
            }),
            Action::Unavailable { reason } => {
                proto::route::Action::Unavailable(proto::Unavailable { reason })
            }
        };
        Self {
            path: Some(path.into()),
            action: Some(action),
        }
    }
}

impl TryFrom<proto::Route> for Route {
    type Error = WireError;

    fn try_from(route: proto::Route) -> Result<Self, WireError> {
        let path = present("path", route.path)?;
        let action = match route.action {
            Some(proto::route::Action::Forward(it)) => Action::Forward {
                backends: into_all(it.backends),
            },
            Some(proto::route::Action::Unavailable(it)) => {
                Action::Unavailable { reason: it.reason }
            }
            None => return Err(WireError::new("action", Problem::Absent)),
        };
        Ok(Self { path, action })
    }
}

impl From<PathMatch> for proto::PathMatch {
    fn from(PathMatch::Prefix(prefix): PathMatch) -> Self {
        Self {
            r#match: Some(proto::path_match::Match::Prefix(prefix)),
        }
    }
}

impl TryFrom<proto::PathMatch> for PathMatch {
    type Error = WireError;

    fn try_from(it: proto::PathMatch) -> Result<Self, WireError> {
        match it.r#match {
            Some(proto::path_match::Match::Prefix(prefix)) => Ok(Self::Prefix(prefix)),
            None => Err(WireError::new("match", Problem::Absent)),
        }
    }
}

impl From<Backend> for proto::Backend {
    fn from(Backend { endpoints, weight }: Backend) -> Self {
        Self { endpoints, weight }
    }
}

impl From<proto::Backend> for Backend {
    fn from(proto::Backend { endpoints, weight }: proto::Backend) -> Self {
        Self { endpoints, weight }
    }
}

impl From<Listener> for proto::Listener {
    fn from(it: Listener) -> Self {
        let protocol = match it.protocol {
            Protocol::Http => proto::Protocol::Http,
            Protocol::Https => proto::Protocol::Https,
        };
        Self {
            name: it.name,
            port: it.port.into(),
            protocol: protocol.into(),
        }
    }
}

impl TryFrom<proto::Listener> for Listener {
    type Error = WireError;

    fn try_from(it: proto::Listener) -> Result<Self, WireError> {
        let protocol = match it.protocol() {
            proto::Protocol::Http => Protocol::Http,
            proto::Protocol::Https => Protocol::Https,
            proto::Protocol::Unspecified => {
                return Err(WireError::new("protocol", Problem::Unknown));
            }
        };
        let port = u16::try_from(it.port);
        Ok(Self {
            port: port.map_err(|_| WireError::new("port", Problem::Port))?,
            name: it.name,
            protocol,
        })
    }
}
