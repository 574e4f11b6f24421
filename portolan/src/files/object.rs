//! The objects that are read from files, and what the index is told of them.

use k8s_openapi::api::core::v1::{Namespace, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use portolan_core::{Change, Event, ObjectRef};
use portolan_crds::gateway::ReferenceGrant;
use portolan_crds::{ExposeClass, ExposedPort};
use std::fmt;

/// The kinds that are read; in the order in which they are taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    ExposeClass,
    IngressClass,
    Namespace,
    Service,
    EndpointSlice,
    Secret,
    ReferenceGrant,
    ExposedPort,
    Ingress,
}

/// Which object is meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) kind: Kind,
    pub(crate) object: ObjectRef,
}

/// An object as it stands in a file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Object {
    ExposeClass(Box<ExposeClass>),
    IngressClass(Box<IngressClass>),
    Namespace(Box<Namespace>),
    Service(Box<Service>),
    EndpointSlice(Box<EndpointSlice>),
    Secret(Box<Secret>),
    ReferenceGrant(Box<ReferenceGrant>),
    ExposedPort(Box<ExposedPort>),
    Ingress(Box<Ingress>),
}

impl Kind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::ExposeClass => "ExposeClass",
            Self::IngressClass => "IngressClass",
            Self::Namespace => "Namespace",
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
            Self::Secret => "Secret",
            Self::ReferenceGrant => "ReferenceGrant",
            Self::ExposedPort => "ExposedPort",
            Self::Ingress => "Ingress",
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.as_str(), self.object)
    }
}

impl Key {
    pub(crate) fn exposed_port(object: &ObjectRef) -> Self {
        Self {
            kind: Kind::ExposedPort,
            object: object.clone(),
        }
    }

    pub(crate) fn ingress(object: &ObjectRef) -> Self {
        Self {
            kind: Kind::Ingress,
            object: object.clone(),
        }
    }

    pub(crate) fn expose_class(object: &ObjectRef) -> Self {
        Self {
            kind: Kind::ExposeClass,
            object: object.clone(),
        }
    }

    /// What the index is told when the object is there no more.
    pub(crate) fn gone(&self) -> Event {
        let object = self.object.clone();
        match self.kind {
            Kind::ExposeClass => Event::ExposeClass(Change::Deleted(object)),
            Kind::IngressClass => Event::IngressClass(Change::Deleted(object)),
            Kind::Namespace => Event::Namespace(Change::Deleted(object)),
            Kind::Service => Event::Service(Change::Deleted(object)),
            Kind::EndpointSlice => Event::EndpointSlice(Change::Deleted(object)),
            Kind::Secret => Event::Secret(Change::Deleted(object)),
            Kind::ReferenceGrant => Event::ReferenceGrant(Change::Deleted(object)),
            Kind::ExposedPort => Event::ExposedPort(Change::Deleted(object)),
            Kind::Ingress => Event::Ingress(Change::Deleted(object)),
        }
    }
}

impl Object {
    /// What the index is told when the object is like this.
    pub(crate) fn applied(self) -> Event {
        match self {
            Self::ExposeClass(it) => Event::ExposeClass(Change::Applied(it)),
            Self::IngressClass(it) => Event::IngressClass(Change::Applied(it)),
            Self::Namespace(it) => Event::Namespace(Change::Applied(it)),
            Self::Service(it) => Event::Service(Change::Applied(it)),
            Self::EndpointSlice(it) => Event::EndpointSlice(Change::Applied(it)),
            Self::Secret(it) => Event::Secret(Change::Applied(it)),
            Self::ReferenceGrant(it) => Event::ReferenceGrant(Change::Applied(it)),
            Self::ExposedPort(it) => Event::ExposedPort(Change::Applied(it)),
            Self::Ingress(it) => Event::Ingress(Change::Applied(it)),
        }
    }

    pub(crate) fn key(&self) -> Key {
        let (kind, object) = match self {
            Self::ExposeClass(it) => (Kind::ExposeClass, ObjectRef::of(it.as_ref())),
            Self::IngressClass(it) => (Kind::IngressClass, ObjectRef::of(it.as_ref())),
            Self::Namespace(it) => (Kind::Namespace, ObjectRef::of(it.as_ref())),
            Self::Service(it) => (Kind::Service, ObjectRef::of(it.as_ref())),
            Self::EndpointSlice(it) => (Kind::EndpointSlice, ObjectRef::of(it.as_ref())),
            Self::Secret(it) => (Kind::Secret, ObjectRef::of(it.as_ref())),
            Self::ReferenceGrant(it) => (Kind::ReferenceGrant, ObjectRef::of(it.as_ref())),
            Self::ExposedPort(it) => (Kind::ExposedPort, ObjectRef::of(it.as_ref())),
            Self::Ingress(it) => (Kind::Ingress, ObjectRef::of(it.as_ref())),
        };
        Key { kind, object }
    }

    pub(crate) fn metadata(&mut self) -> &mut ObjectMeta {
        match self {
            Self::ExposeClass(it) => &mut it.metadata,
            Self::IngressClass(it) => &mut it.metadata,
            Self::Namespace(it) => &mut it.metadata,
            Self::Service(it) => &mut it.metadata,
            Self::EndpointSlice(it) => &mut it.metadata,
            Self::Secret(it) => &mut it.metadata,
            Self::ReferenceGrant(it) => &mut it.metadata,
            Self::ExposedPort(it) => &mut it.metadata,
            Self::Ingress(it) => &mut it.metadata,
        }
    }
}
