//! Routes of an exposure, and the Services that they lead to.

use crate::names::{ObjectRef, child_name};
use crate::subject::Subject;
use crate::validate::{BackendSpec, ExposureSpec, Port, RouteSpec, Target, TlsToBackend};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Own port and routes of an exposure, under any hostname.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Routing {
    pub(crate) own: Option<Own>,
    /// In the order in which they are tried; never empty.
    pub(crate) routes: Arc<[RouteSpec]>,
    pub(crate) namespace: String,
}

/// The object's own port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Own {
    pub(crate) service: ObjectRef,
    pub(crate) port: Port,
    /// The labels of the pods, when the Service is ours to make.
    pub(crate) selector: Option<BTreeMap<String, String>>,
}

/// Where a backend was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FieldRef {
    /// The object's own port.
    Own,
    /// One of `spec.routes[].backends`.
    Backend { route: usize, backend: usize },
}

impl FieldRef {
    pub(crate) fn of(route: &RouteSpec, backend: &BackendSpec) -> Self {
        match (route.index, backend.index) {
            (Some(route), Some(backend)) => Self::Backend { route, backend },
            _ => Self::Own,
        }
    }

    /// How a person finds one of its fields.
    pub(crate) fn field(self, name: &str) -> String {
        match self {
            Self::Own => format!("spec.{name}"),
            Self::Backend { route, backend } => {
                format!("spec.routes[{route}].backends[{backend}].{name}")
            }
        }
    }
}

impl Routing {
    pub(in crate::index) fn of(spec: &ExposureSpec, subject: &Subject) -> Self {
        let own = spec.own.as_ref().map(|(target, port)| {
            let (service, selector) = match target {
                Target::Service(service) => (service.clone(), None),
                Target::Selector(labels) => {
                    let service =
                        child_name(subject.namespace(), &subject.child_base(), "Service", "");
                    (service, Some(labels.clone()))
                }
            };
            Own {
                service: ObjectRef::new(subject.namespace(), service),
                port: port.clone(),
                selector,
            }
        });
        Self {
            own,
            routes: Arc::clone(&spec.routes),
            namespace: subject.namespace().to_owned(),
        }
    }

    /// The Secrets with authorities of endpoints.
    pub(crate) fn authorities(&self) -> impl Iterator<Item = ObjectRef> {
        let backends = self.routes.iter().flat_map(RouteSpec::backends);
        backends.filter_map(|backend| match &backend.tls {
            Some(TlsToBackend::Validated { ca, .. }) => Some(ca.within(&self.namespace)),
            Some(TlsToBackend::Unvalidated) | None => None,
        })
    }

    /// The Services that requests may go to, and the object's own.
    pub(crate) fn services(&self) -> BTreeSet<ObjectRef> {
        let own = self.own.iter().map(|own| own.service.clone());
        let backends = self.routes.iter().flat_map(RouteSpec::backends);
        let named = backends.filter_map(|backend| backend.service.as_ref());
        named
            .map(|service| service.within(&self.namespace))
            .chain(own)
            .collect()
    }

    /// The objects that routes are delegated to.
    pub(crate) fn delegates(&self) -> BTreeSet<Subject> {
        let routes = self.routes.iter();
        routes
            .filter_map(|route| route.delegate(&self.namespace))
            .collect()
    }
}
