//! Converts the resources of the table from the wire to plain types and back; see [`super::wire`].

mod endpoints;
mod host;
mod route;
mod settings;

use super::generated as proto;
use super::wire::{Problem, WireError, Within};
use crate::table::{Kind, Resource, ResourceName};

impl From<ResourceName> for proto::ResourceName {
    fn from(ResourceName { kind, name }: ResourceName) -> Self {
        let kind = match kind {
            Kind::Endpoints => proto::Kind::Endpoints,
            Kind::Certificate => proto::Kind::Certificate,
            Kind::TrustAnchors => proto::Kind::TrustAnchors,
            Kind::ClassSettings => proto::Kind::ClassSettings,
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

    fn try_from(name: proto::ResourceName) -> Result<Self, WireError> {
        let kind = match name.kind() {
            proto::Kind::Endpoints => Kind::Endpoints,
            proto::Kind::Certificate => Kind::Certificate,
            proto::Kind::TrustAnchors => Kind::TrustAnchors,
            proto::Kind::ClassSettings => Kind::ClassSettings,
            proto::Kind::VirtualHost => Kind::VirtualHost,
            proto::Kind::Listener => Kind::Listener,
            proto::Kind::Unspecified => return Err(WireError::new("kind", Problem::Unknown)),
        };
        Ok(Self {
            kind,
            name: name.name,
        })
    }
}

impl From<Resource> for proto::Resource {
    fn from(resource: Resource) -> Self {
        use proto::resource::Resource as Choice;
        let resource = match resource {
            Resource::Endpoints(set) => Choice::Endpoints(set.into()),
            Resource::Certificate(certificate) => Choice::Certificate(certificate.into()),
            Resource::TrustAnchors(anchors) => Choice::TrustAnchors(anchors.into()),
            Resource::ClassSettings(settings) => Choice::ClassSettings(settings.into()),
            Resource::VirtualHost(host) => Choice::VirtualHost(host.into()),
            Resource::Listener(listener) => Choice::Listener(listener.into()),
        };
        Self {
            resource: Some(resource),
        }
    }
}

impl TryFrom<proto::Resource> for Resource {
    type Error = WireError;

    fn try_from(resource: proto::Resource) -> Result<Self, WireError> {
        use proto::resource::Resource as Choice;
        Ok(match resource.resource {
            Some(Choice::Endpoints(set)) => Self::Endpoints(set.try_into().within("endpoints")?),
            Some(Choice::Certificate(certificate)) => Self::Certificate(certificate.into()),
            Some(Choice::TrustAnchors(anchors)) => Self::TrustAnchors(anchors.into()),
            Some(Choice::ClassSettings(settings)) => {
                Self::ClassSettings(settings.try_into().within("class_settings")?)
            }
            Some(Choice::VirtualHost(host)) => {
                Self::VirtualHost(host.try_into().within("virtual_host")?)
            }
            Some(Choice::Listener(listener)) => {
                Self::Listener(listener.try_into().within("listener")?)
            }
            None => return Err(WireError::new("resource", Problem::Missing)),
        })
    }
}
