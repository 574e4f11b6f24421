//! Resolves the backends of routes to Services and Secrets.

use crate::index::Index;
use crate::index::requirements::BackendRequirements;
use crate::index::resolve::exposure::Exposure;
use crate::index::resolve::routing::{FieldRef, Routing};
use crate::index::store::grants::Referent;
use crate::index::store::secrets::Authorities;
use crate::index::store::services::{Backend, ServiceLookup};
use crate::index::unresolved::Unresolved;
use crate::names::ObjectRef;
use crate::reason::Reason;
use crate::validate::{BackendSpec, RouteSpec, TlsToBackend};
use portolan_discovery::table::{self, BackendTls, UpstreamProtocol};
use std::sync::Arc;

/// Alternative in a remedy that only an ExposedPort has: an Ingress has no field for TLS to a backend.
pub(in crate::index) const TLS_OR: &str = "tls on this backend, or ";

/// A backend that requests can be sent to.
#[derive(Clone, Debug)]
pub(crate) struct ResolvedBackend {
    pub(crate) backend: Backend,
    pub(crate) weight: u32,
    pub(crate) tls: Option<BackendTls>,
    /// The Secret with the authorities that its certificate is checked against.
    pub(crate) authorities: Option<ObjectRef>,
    pub(in crate::index) place: FieldRef,
    /// Its Service is created by Portolan.
    made: bool,
}

impl ResolvedBackend {
    /// Message that requests are sent there unencrypted, after the field that leads there.
    pub(crate) fn plaintext_message(&self) -> String {
        format!("{}: {}", self.tls_field(), self.plaintext_detail())
    }

    /// The field that decides whether TLS is used.
    pub(in crate::index) fn tls_field(&self) -> String {
        self.place.field(match (self.place, self.made) {
            (FieldRef::Own, true) => "port",
            (FieldRef::Own, false) => "service",
            (FieldRef::Backend { .. }, _) => "tls",
        })
    }

    /// Message that requests are sent there unencrypted, with the protocol.
    pub(in crate::index) fn plaintext_detail(&self) -> String {
        let protocol = match self.backend.app_protocol.protocol {
            UpstreamProtocol::Http1 => "HTTP/1.1",
            UpstreamProtocol::Http2 => "HTTP/2",
        };
        format!(
            "traffic to Service {:?} port {} is not encrypted ({protocol})",
            self.backend.display_name,
            self.backend.port_display(),
        )
    }

    /// How to have it reached over TLS.
    pub(in crate::index) fn tls_remedy(&self) -> String {
        let protocol = match self.backend.app_protocol.protocol {
            UpstreamProtocol::Http1 => "https",
            UpstreamProtocol::Http2 => "h2",
        };
        let port = self.backend.port_display();
        match (self.place, self.made) {
            (FieldRef::Own, true) => format!(
                "set tls on a route with backends: [{{port: {port}, tls: {{}}}}], or name a Service whose port has appProtocol: {protocol}"
            ),
            (FieldRef::Own, false) => format!(
                "set appProtocol: {protocol} on that port of the Service, or use a route with backends that have tls"
            ),
            (FieldRef::Backend { .. }, true) => "set tls on this backend".to_owned(),
            (FieldRef::Backend { .. }, false) => {
                format!("set {TLS_OR}appProtocol: {protocol} on that port of the Service")
            }
        }
    }

    /// The entry of the table.
    pub(crate) fn row(&self) -> table::Backend {
        table::Backend {
            endpoints: self.backend.endpoints_name(),
            weight: self.weight,
            protocol: self.backend.app_protocol.protocol,
            tls: self.tls.clone(),
        }
    }
}

impl Index {
    /// Resolves every backend of every route, in the order in which routes are tried. `requirements`
    /// are those of the class that the requests come through, if any.
    pub(crate) fn backends<'a>(
        &'a self,
        object: &'a Exposure,
        routing: &'a Routing,
        requirements: Option<&'a BackendRequirements>,
    ) -> impl Iterator<Item = Result<ResolvedBackend, Unresolved>> + 'a {
        routing
            .routes
            .iter()
            .flat_map(move |route| self.backends_of(object, routing, route, requirements))
    }

    /// Resolves every backend of one route.
    pub(crate) fn backends_of<'a>(
        &'a self,
        object: &'a Exposure,
        routing: &'a Routing,
        route: &'a RouteSpec,
        requirements: Option<&'a BackendRequirements>,
    ) -> impl Iterator<Item = Result<ResolvedBackend, Unresolved>> + 'a {
        let specs = route.backends().iter();
        specs.map(move |spec| {
            let place = FieldRef::of(route, spec);
            let resolved = self.resolve_backend(object, routing, spec, place)?;
            requirements.map_or(Ok(()), |requirements| {
                requirements.check(&resolved, &self.services)
            })?;
            Ok(resolved)
        })
    }

    fn resolve_backend(
        &self,
        object: &Exposure,
        routing: &Routing,
        spec: &BackendSpec,
        place: FieldRef,
    ) -> Result<ResolvedBackend, Unresolved> {
        let own = routing.own.as_ref();
        let (service, owner) = match (&spec.service, own) {
            (Some(named), _) => (named.within(&routing.namespace), None),
            (None, Some(own)) => {
                let made = own.selector.is_some();
                (own.service.clone(), made.then_some(object.uid.as_str()))
            }
            // Validation lets no backend through that would have no Service.
            (None, None) => return Err(no_service(place)),
        };
        let lookup = ServiceLookup {
            from: &routing.namespace,
            at: place,
        };
        let field = place.field("service");
        self.consent(&routing.namespace, Referent::Service, &service, &field)?;
        let backend = self.services.resolve(&service, &spec.port, owner, lookup)?;
        let (tls, authorities) = match &spec.tls {
            Some(TlsToBackend::Validated { ca, subject }) => {
                let secret = ca.within(&routing.namespace);
                let field = place.field("tls.ca.secret");
                self.authorities(&routing.namespace, &secret, &field)?;
                let tls = BackendTls {
                    server_name: subject.clone(),
                    trust: Some(secret.to_string()),
                    subject_name: None,
                };
                (Some(tls), Some(secret))
            }
            Some(TlsToBackend::Unvalidated) => (Some(unvalidated(&service)), None),
            None => (
                backend.app_protocol.tls.then(|| unvalidated(&service)),
                None,
            ),
        };
        Ok(ResolvedBackend {
            backend,
            weight: spec.weight,
            tls,
            authorities,
            place,
            made: owner.is_some(),
        })
    }

    /// The authorities in a Secret, which an object of a namespace names in the field `at`.
    pub(crate) fn authorities(
        &self,
        from: &str,
        secret: &ObjectRef,
        at: &str,
    ) -> Result<Arc<Authorities>, Unresolved> {
        self.consent(from, Referent::Secret, secret, at)?;
        let name = secret.display_name(from);
        match self.serving.authorities(secret) {
            Some(Ok(authorities)) => Ok(authorities),
            Some(Err(problem)) => Err(Unresolved {
                reason: problem.reason(),
                message: format!("{at}: Invalid value: Secret {name:?}: {problem}"),
            }),
            None => Err(Unresolved {
                reason: Reason::SecretNotFound,
                message: format!(
                    "{at}: Not found: Secret {name:?} not found; create it or name an existing one"
                ),
            }),
        }
    }
}

/// TLS without verification; the server name is that of the Service in the cluster.
fn unvalidated(service: &ObjectRef) -> BackendTls {
    BackendTls {
        server_name: format!("{}.{}.svc", service.name, service.namespace),
        trust: None,
        subject_name: None,
    }
}

fn no_service(place: FieldRef) -> Unresolved {
    Unresolved {
        reason: Reason::ServiceNotFound,
        message: format!(
            "{}: Required value: the name of a Service",
            place.field("service")
        ),
    }
}
