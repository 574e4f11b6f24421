//! Objects that are read from files, and their events for the index.

use k8s_openapi::api::core::v1::{Namespace, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use portolan_core::{Change, Event, ObjectRef};
use portolan_crds::gateway::ReferenceGrant;
use portolan_crds::{ExposeClass, ExposedPort};
use std::fmt;

/// Supported kinds, in the order in which they are applied.
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

/// Identity of an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) kind: Kind,
    pub(crate) object: ObjectRef,
}

/// An object of a file.
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

    /// Returns the event for the deleted object.
    pub(crate) fn deleted(&self) -> Event {
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
    /// Returns the event for the new or changed object.
    pub(crate) fn applied(self) -> Event {
        match self {
            Self::ExposeClass(class) => Event::ExposeClass(Change::Applied(class)),
            Self::IngressClass(class) => Event::IngressClass(Change::Applied(class)),
            Self::Namespace(namespace) => Event::Namespace(Change::Applied(namespace)),
            Self::Service(service) => Event::Service(Change::Applied(service)),
            Self::EndpointSlice(slice) => Event::EndpointSlice(Change::Applied(slice)),
            Self::Secret(secret) => Event::Secret(Change::Applied(secret)),
            Self::ReferenceGrant(grant) => Event::ReferenceGrant(Change::Applied(grant)),
            Self::ExposedPort(exposed_port) => Event::ExposedPort(Change::Applied(exposed_port)),
            Self::Ingress(ingress) => Event::Ingress(Change::Applied(ingress)),
        }
    }

    pub(crate) fn key(&self) -> Key {
        let (kind, object) = match self {
            Self::ExposeClass(class) => (Kind::ExposeClass, ObjectRef::of(class.as_ref())),
            Self::IngressClass(class) => (Kind::IngressClass, ObjectRef::of(class.as_ref())),
            Self::Namespace(namespace) => (Kind::Namespace, ObjectRef::of(namespace.as_ref())),
            Self::Service(service) => (Kind::Service, ObjectRef::of(service.as_ref())),
            Self::EndpointSlice(slice) => (Kind::EndpointSlice, ObjectRef::of(slice.as_ref())),
            Self::Secret(secret) => (Kind::Secret, ObjectRef::of(secret.as_ref())),
            Self::ReferenceGrant(grant) => (Kind::ReferenceGrant, ObjectRef::of(grant.as_ref())),
            Self::ExposedPort(exposed_port) => {
                (Kind::ExposedPort, ObjectRef::of(exposed_port.as_ref()))
            }
            Self::Ingress(ingress) => (Kind::Ingress, ObjectRef::of(ingress.as_ref())),
        };
        Key { kind, object }
    }

    pub(crate) fn metadata(&mut self) -> &mut ObjectMeta {
        match self {
            Self::ExposeClass(class) => &mut class.metadata,
            Self::IngressClass(class) => &mut class.metadata,
            Self::Namespace(namespace) => &mut namespace.metadata,
            Self::Service(service) => &mut service.metadata,
            Self::EndpointSlice(slice) => &mut slice.metadata,
            Self::Secret(secret) => &mut secret.metadata,
            Self::ReferenceGrant(grant) => &mut grant.metadata,
            Self::ExposedPort(exposed_port) => &mut exposed_port.metadata,
            Self::Ingress(ingress) => &mut ingress.metadata,
        }
    }
}
