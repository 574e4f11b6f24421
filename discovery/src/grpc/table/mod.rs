//! The resources of the table, from wire to plain types and back; see [`super::wire`].

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

    fn try_from(it: proto::ResourceName) -> Result<Self, WireError> {
        let kind = match it.kind() {
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
            Resource::TrustAnchors(it) => Choice::TrustAnchors(it.into()),
            Resource::ClassSettings(it) => Choice::ClassSettings(it.into()),
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
            Some(Choice::TrustAnchors(it)) => Self::TrustAnchors(it.into()),
            Some(Choice::ClassSettings(it)) => {
                Self::ClassSettings(it.try_into().within("class_settings")?)
            }
            Some(Choice::VirtualHost(it)) => {
                Self::VirtualHost(it.try_into().within("virtual_host")?)
            }
            Some(Choice::Listener(it)) => Self::Listener(it.try_into().within("listener")?),
            None => return Err(WireError::new("resource", Problem::Absent)),
        })
    }
}
