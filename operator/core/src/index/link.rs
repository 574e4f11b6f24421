//! What an object means among the others: its class, its hostnames in full, who provides its certificates.

use super::classes::{Class, Classes};
use super::hostnames::Claim;
use crate::names::{ClassName, Hostname, ObjectRef, child_name};
use crate::validate::{
    BackendSpec, CertificateSource, Exposure, HostPattern, Port, Problem, RouteSpec, Target,
    TlsSpec, TlsToBackend, validate,
};
use jiff::Timestamp;
use portolan_crds::{ExposedPort, ExposedPortStatus, IssuerRef};
use portolan_discovery::table::{ClientCaMode, Hsts, TlsVersion};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What matters of an ExposedPort.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Object {
    pub(crate) uid: String,
    pub(crate) generation: i64,
    pub(crate) created: Timestamp,
    spec: Result<Exposure, Vec<Problem>>,
    /// The class that was chosen before; it stays chosen while it exists.
    chosen: Option<ClassName>,
    /// As it is stored: conditions keep their times.
    pub(crate) status: ExposedPortStatus,
}

/// An object that is valid, and has a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Linked {
    pub(crate) class: ClassName,
    /// In the order of the spec, each once.
    pub(crate) hostnames: Vec<Hostname>,
    pub(crate) certificates: Certificates,
    pub(crate) tls: TlsPolicy,
    pub(crate) own: Option<Own>,
    /// In the order in which they are tried; never empty.
    pub(crate) routes: Arc<[RouteSpec]>,
    namespace: String,
}

/// The object's own port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Own {
    pub(crate) service: ObjectRef,
    pub(crate) port: Port,
    /// The labels of the pods, when the Service is ours to make.
    pub(crate) selector: Option<BTreeMap<String, String>>,
}

/// How TLS is terminated, where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TlsPolicy {
    pub(crate) min_version: TlsVersion,
    pub(crate) max_version: TlsVersion,
    pub(crate) hsts: Option<Hsts>,
    pub(crate) redirect: bool,
    /// The Secret with the authorities of clients.
    pub(crate) client_ca: Option<(ObjectRef, ClientCaMode)>,
    /// 1.1 was asked for, which is no longer spoken.
    pub(crate) raised: bool,
}

/// Where a backend was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// The object's own port.
    Own,
    /// One of `spec.routes[].backends`.
    Backend { route: usize, backend: usize },
}

impl Place {
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

/// Who provides the certificates of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Certificates {
    /// Nobody: plain HTTP only.
    Disabled,
    /// Secrets of the same namespace, for every hostname; each has a key of another type.
    Secrets(Vec<ObjectRef>),
    /// cert-manager, one for each hostname.
    Issued(IssuerRef),
}

impl Object {
    pub(crate) fn read(object: ExposedPort) -> Self {
        let status = object.status.unwrap_or_default();
        let metadata = object.metadata;
        Self {
            uid: metadata.uid.unwrap_or_default(),
            generation: metadata.generation.unwrap_or_default(),
            created: metadata
                .creation_timestamp
                .map(|time| time.0)
                .unwrap_or_default(),
            spec: validate(&object.spec),
            chosen: status.class_name.as_deref().and_then(ClassName::parse),
            status,
        }
    }

    /// Whether both say the same, whatever stands in their status.
    pub(crate) fn says(&self, other: &Self) -> bool {
        let facts = |it: &Self| (it.uid.clone(), it.generation, it.created);
        facts(self) == facts(other) && self.spec == other.spec
    }

    pub(crate) fn claim(&self, object: &ObjectRef) -> Claim {
        Claim {
            created: self.created,
            object: object.clone(),
        }
    }

    /// Whether it breaks no rule of its own.
    pub(crate) fn is_valid(&self) -> bool {
        self.spec.is_ok()
    }

    /// The class that the object asks for by name, in its spec or by having been given it.
    pub(crate) fn named_class(&self) -> Option<&ClassName> {
        let spec = self.spec.as_ref().ok();
        spec.and_then(|spec| spec.class.as_ref())
            .or(self.chosen.as_ref())
    }

    /// Whether another default class may be another class for this object.
    pub(crate) fn takes_default(&self) -> bool {
        self.spec.as_ref().is_ok_and(|spec| spec.class.is_none())
    }

    pub(crate) fn link(&self, me: &ObjectRef, classes: &Classes) -> Result<Linked, Vec<Problem>> {
        let spec = self.spec.as_ref().map_err(Clone::clone)?;
        let name = self.class(classes).map_err(|problem| vec![problem])?;
        let Some(class) = classes.get(name) else {
            return Err(vec![Problem::ClassNotFound(name.clone())]);
        };
        let mut problems = Vec::new();
        let mut hostnames = Vec::with_capacity(spec.hostnames.len());
        for (index, pattern) in spec.hostnames.iter().enumerate() {
            match hostname(index, pattern, me, name, class) {
                Ok(host) if hostnames.contains(&host) => {}
                Ok(host) => hostnames.push(host),
                Err(problem) => problems.push(problem),
            }
        }
        let certificates = certificates(&spec.tls, me, name, class);
        let tls = tls_policy(&spec.tls, me, name, class);
        let own = spec.own.as_ref().map(|(target, port)| {
            let (service, selector) = match target {
                Target::Service(service) => (service.clone(), None),
                Target::Selector(labels) => {
                    let service = child_name(&me.namespace, &me.name, "Service", "");
                    (service, Some(labels.clone()))
                }
            };
            Own {
                service: ObjectRef::new(&me.namespace, service),
                port: port.clone(),
                selector,
            }
        });
        match (certificates, tls) {
            (Ok(certificates), Ok(tls)) if problems.is_empty() => Ok(Linked {
                class: name.clone(),
                hostnames,
                certificates,
                tls,
                own,
                routes: Arc::clone(&spec.routes),
                namespace: me.namespace.clone(),
            }),
            (certificates, tls) => {
                problems.extend(certificates.err());
                problems.extend(tls.err());
                Err(problems)
            }
        }
    }

    /// The class that the object has, whether or not it can be realised there.
    pub(crate) fn class<'a>(&'a self, classes: &'a Classes) -> Result<&'a ClassName, Problem> {
        let spec = self.spec.as_ref().ok().and_then(|spec| spec.class.as_ref());
        let exists = |name: &&ClassName| classes.get(name).is_some();
        match spec {
            Some(name) if exists(&name) => Ok(name),
            Some(name) => Err(Problem::ClassNotFound(name.clone())),
            None => {
                let chosen = self.chosen.as_ref().filter(exists);
                chosen
                    .or_else(|| classes.default_class())
                    .ok_or(Problem::NoClass)
            }
        }
    }
}

impl Linked {
    /// The Secrets that the certificates of a hostname are read from.
    pub(crate) fn secrets(&self, me: &ObjectRef, host: &Hostname) -> Vec<ObjectRef> {
        match &self.certificates {
            Certificates::Disabled => Vec::new(),
            Certificates::Secrets(secrets) => secrets.clone(),
            Certificates::Issued(_) => vec![self.certificate(me, host)],
        }
    }

    /// The Secrets with authorities: of clients, and of endpoints.
    pub(crate) fn authorities(&self) -> BTreeSet<ObjectRef> {
        let of_clients = self.tls.client_ca.iter().map(|(secret, _)| secret.clone());
        let backends = self.routes.iter().flat_map(RouteSpec::backends);
        let of_endpoints = backends.filter_map(|backend| match &backend.tls {
            Some(TlsToBackend::Validated { ca_secret, .. }) => Some(self.beside(ca_secret)),
            Some(TlsToBackend::Unvalidated) | None => None,
        });
        of_clients.chain(of_endpoints).collect()
    }

    /// The Secrets that the object names; each has to be watched.
    pub(crate) fn named_secrets(&self) -> BTreeSet<ObjectRef> {
        let mut named = self.authorities();
        if let Certificates::Secrets(secrets) = &self.certificates {
            named.extend(secrets.iter().cloned());
        }
        named
    }

    /// The Services that requests may go to, and the object's own.
    pub(crate) fn services(&self) -> BTreeSet<ObjectRef> {
        let own = self.own.iter().map(|own| own.service.clone());
        let backends = self.routes.iter().flat_map(RouteSpec::backends);
        let named = backends.filter_map(|backend| backend.service.as_ref());
        named
            .map(|service| self.beside(service))
            .chain(own)
            .collect()
    }

    /// Something of the object's namespace.
    pub(crate) fn beside(&self, name: &str) -> ObjectRef {
        ObjectRef::new(&self.namespace, name)
    }

    /// The Certificate of a hostname, and the Secret that it is put into: they share a name.
    pub(crate) fn certificate(&self, me: &ObjectRef, host: &Hostname) -> ObjectRef {
        let name = child_name(&me.namespace, &me.name, "Certificate", host.as_str());
        ObjectRef::new(&me.namespace, name)
    }

    pub(crate) fn terminates_tls(&self) -> bool {
        self.certificates != Certificates::Disabled
    }
}

fn hostname(
    index: usize,
    pattern: &HostPattern,
    me: &ObjectRef,
    name: &ClassName,
    class: &Class,
) -> Result<Hostname, Problem> {
    match pattern {
        HostPattern::Full(host) => Ok(host.clone()),
        HostPattern::UnderDomain(prefix) => {
            let domain = class
                .domain(&me.namespace)
                .ok_or_else(|| Problem::NoDomain {
                    index,
                    pattern: format!("{prefix}.*"),
                    class: name.clone(),
                })?;
            Hostname::parse(&format!("{prefix}.{domain}"))
                .map_err(|source| Problem::Hostname { index, source })
        }
    }
}

/// The object's own word first, then the class's.
fn certificates(
    tls: &TlsSpec,
    me: &ObjectRef,
    name: &ClassName,
    class: &Class,
) -> Result<Certificates, Problem> {
    match &tls.source {
        CertificateSource::Secrets(secrets) => {
            let secrets = secrets
                .iter()
                .map(|secret| ObjectRef::new(&me.namespace, secret));
            Ok(Certificates::Secrets(secrets.collect()))
        }
        CertificateSource::Issuer(issuer) => Ok(Certificates::Issued(issuer.clone())),
        CertificateSource::Disabled => Ok(Certificates::Disabled),
        source => match (class.issuer(), source) {
            (Some(issuer), _) => Ok(Certificates::Issued(issuer.clone())),
            (None, CertificateSource::Class) => Ok(Certificates::Disabled),
            (None, _) => Err(Problem::NoIssuer {
                class: name.clone(),
            }),
        },
    }
}

/// The class may ask for a newer version than the object, never for an older one.
fn tls_policy(
    tls: &TlsSpec,
    me: &ObjectRef,
    name: &ClassName,
    class: &Class,
) -> Result<TlsPolicy, Problem> {
    let min_version = tls
        .min_version
        .into_iter()
        .chain(class.min_tls_version())
        .max()
        .unwrap_or(TlsVersion::V1_2);
    if min_version > tls.max_version {
        return Err(Problem::VersionBelowClass {
            class: name.clone(),
        });
    }
    Ok(TlsPolicy {
        min_version,
        max_version: tls.max_version,
        hsts: tls.hsts,
        redirect: tls.redirect,
        client_ca: tls.client_ca.as_ref().map(|(secret, mode)| {
            let secret = ObjectRef::new(&me.namespace, secret);
            (secret, *mode)
        }),
        raised: tls.raised,
    })
}
