//! Converts virtual hosts and their TLS settings.

use crate::grpc::generated as proto;
use crate::grpc::wire::{Problem, WireError, Within, each, into_all};
use crate::table::{ClientCa, ClientCaMode, HostTls, Hsts, Route, TlsVersion, VirtualHost};
use std::time::Duration;

impl From<VirtualHost> for proto::VirtualHost {
    fn from(host: VirtualHost) -> Self {
        Self {
            hostname: host.hostname,
            tls: host.tls.map(Into::into),
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
                .map(|tls| tls.try_into().within("tls"))
                .transpose()?,
            routes: each::<_, Route, _>("routes", host.routes)?,
        })
    }
}

impl From<HostTls> for proto::HostTls {
    fn from(tls: HostTls) -> Self {
        Self {
            certificates: tls.certificates,
            min_version: proto::TlsVersion::from(tls.min_version).into(),
            max_version: proto::TlsVersion::from(tls.max_version).into(),
            client_ca: tls.client_ca.map(Into::into),
            redirect: tls.redirect,
            hsts: tls.hsts.map(Into::into),
        }
    }
}

impl TryFrom<proto::HostTls> for HostTls {
    type Error = WireError;

    fn try_from(tls: proto::HostTls) -> Result<Self, WireError> {
        Ok(Self {
            min_version: version("min_version", tls.min_version())?,
            max_version: version("max_version", tls.max_version())?,
            certificates: tls.certificates,
            client_ca: tls.client_ca.map(Into::into),
            redirect: tls.redirect,
            hsts: tls.hsts.map(Into::into),
        })
    }
}

impl From<TlsVersion> for proto::TlsVersion {
    fn from(version: TlsVersion) -> Self {
        match version {
            TlsVersion::V1_2 => Self::TlsVersion12,
            TlsVersion::V1_3 => Self::TlsVersion13,
        }
    }
}

fn version(field: &str, version: proto::TlsVersion) -> Result<TlsVersion, WireError> {
    match version {
        proto::TlsVersion::TlsVersion12 => Ok(TlsVersion::V1_2),
        proto::TlsVersion::TlsVersion13 => Ok(TlsVersion::V1_3),
        proto::TlsVersion::Unspecified => Err(WireError::new(field, Problem::Unknown)),
    }
}

impl From<ClientCa> for proto::ClientCa {
    fn from(client_ca: ClientCa) -> Self {
        Self {
            trust: client_ca.trust,
            optional: client_ca.mode == ClientCaMode::Optional,
        }
    }
}

impl From<proto::ClientCa> for ClientCa {
    fn from(client_ca: proto::ClientCa) -> Self {
        Self {
            trust: client_ca.trust,
            mode: if client_ca.optional {
                ClientCaMode::Optional
            } else {
                ClientCaMode::Require
            },
        }
    }
}

impl From<Hsts> for proto::Hsts {
    fn from(hsts: Hsts) -> Self {
        Self {
            max_age_seconds: hsts.max_age.as_secs(),
            include_sub_domains: hsts.include_sub_domains,
        }
    }
}

impl From<proto::Hsts> for Hsts {
    fn from(hsts: proto::Hsts) -> Self {
        Self {
            max_age: Duration::from_secs(hsts.max_age_seconds),
            include_sub_domains: hsts.include_sub_domains,
        }
    }
}
