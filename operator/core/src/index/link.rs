//! What an object means among the others: its class, its hostnames in full, who provides its certificates.

use super::classes::{Class, Classes};
use super::hostnames::Claim;
use crate::names::{ClassName, Hostname, ObjectRef, child_name};
use crate::validate::{Exposure, HostPattern, Port, Problem, Target, TlsSpec, validate};
use jiff::Timestamp;
use portolan_crds::{ExposedPort, ExposedPortStatus, IssuerRef, TlsMode};
use std::collections::BTreeMap;

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
    pub(crate) service: ObjectRef,
    pub(crate) port: Port,
    /// The labels of the pods, when the Service is ours to make.
    pub(crate) selector: Option<BTreeMap<String, String>>,
}

/// Who provides the certificates of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Certificates {
    /// Nobody: plain HTTP only.
    Disabled,
    /// A Secret of the same namespace, for every hostname.
    Secret(ObjectRef),
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
        let (service, selector) = match &spec.target {
            Target::Service(service) => (service.clone(), None),
            Target::Selector(labels) => {
                let service = child_name(&me.namespace, &me.name, "Service", "");
                (service, Some(labels.clone()))
            }
        };
        match certificates {
            Ok(certificates) if problems.is_empty() => Ok(Linked {
                class: name.clone(),
                hostnames,
                certificates,
                service: ObjectRef::new(&me.namespace, service),
                port: spec.port.clone(),
                selector,
            }),
            other => {
                problems.extend(other.err());
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
    /// The Secret that the certificate of a hostname is read from.
    pub(crate) fn secret(&self, me: &ObjectRef, host: &Hostname) -> Option<ObjectRef> {
        match &self.certificates {
            Certificates::Disabled => None,
            Certificates::Secret(secret) => Some(secret.clone()),
            Certificates::Issued(_) => Some(self.certificate(me, host)),
        }
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
    match tls {
        TlsSpec::Secret(secret) => Ok(Certificates::Secret(ObjectRef::new(&me.namespace, secret))),
        TlsSpec::Issuer(issuer) => Ok(Certificates::Issued(issuer.clone())),
        TlsSpec::Default(Some(TlsMode::Disabled)) => Ok(Certificates::Disabled),
        TlsSpec::Default(mode) => match (class.issuer(), mode) {
            (Some(issuer), _) => Ok(Certificates::Issued(issuer.clone())),
            (None, None) => Ok(Certificates::Disabled),
            (None, Some(_)) => Err(Problem::NoIssuer {
                class: name.clone(),
            }),
        },
    }
}
