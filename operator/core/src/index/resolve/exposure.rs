//! Links an exposure to the others: its class, its hostnames in full, the source of its certificates.

use crate::index::requirements::BackendRequirements;
use crate::index::resolve::certificates::{Certificates, Issued, Source};
use crate::index::resolve::routing::Routing;
use crate::index::store::classes::{Class, Classes};
use crate::index::store::hostnames::Claim;
use crate::index::store::namespaces::Home;
use crate::names::{ClassName, Hostname, ObjectRef};
use crate::reported::ReportedStatus;
use crate::subject::Subject;
use crate::validate::{
    ExposureSpec, HostPattern, Origin, Parents, TlsSpec, ValidationError, validate,
};
use jiff::Timestamp;
use portolan_crds::{ExposedPort, OnExpiry};
use portolan_discovery::table::{ClientCaMode, Hsts, TlsVersion};
use std::collections::{BTreeMap, BTreeSet};

/// ExposedPort, or a hostname of an Ingress, as far as it concerns the index.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Exposure {
    pub(crate) uid: String,
    pub(crate) generation: i64,
    pub(crate) created: Timestamp,
    spec: Result<ExposureSpec, Vec<ValidationError>>,
    /// The class that was chosen before; it stays chosen while it exists.
    chosen: Option<ClassName>,
    /// As it was reported last.
    pub(crate) reported: ReportedStatus,
}

/// Role of a valid object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// It asks for hostnames, and has a class.
    Root(Box<ResolvedRoot>),
    /// Others delegate to it: theirs are the hostnames and the class.
    Child(Child),
}

/// An object that others may delegate to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Child {
    pub(crate) parents: Parents,
    pub(crate) routing: Routing,
}

/// An object that is valid, and has a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ResolvedRoot {
    pub(crate) class: ClassName,
    /// Requirements of the class on backends.
    pub(crate) requirements: BackendRequirements,
    /// In the order of the spec, each once.
    pub(crate) hostnames: Vec<Hostname>,
    pub(crate) certificates: Certificates,
    pub(crate) issued: Issued,
    pub(crate) tls: TlsPolicy,
    pub(crate) routing: Routing,
    /// Those of the Ingress.
    pub(crate) annotations: BTreeMap<String, String>,
    /// The names of those that the class does not allow.
    pub(crate) refused_annotations: Vec<String>,
    /// Has TLS settings of its own, beyond those of the class.
    has_tls_settings: bool,
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
    /// 1.1 was asked for, which is no longer supported.
    pub(crate) raised: bool,
}

impl Exposure {
    pub(crate) fn read(object: ExposedPort) -> Self {
        let reported = object.status.as_ref().map(ReportedStatus::from);
        let reported = reported.unwrap_or_default();
        let metadata = object.metadata;
        Self {
            uid: metadata.uid.unwrap_or_default(),
            generation: metadata.generation.unwrap_or_default(),
            created: metadata
                .creation_timestamp
                .map(|time| time.0)
                .unwrap_or_default(),
            spec: validate(&object.spec),
            chosen: reported.class_name.as_deref().and_then(ClassName::parse),
            reported,
        }
    }

    /// A hostname of an Ingress.
    pub(crate) fn of_host(
        uid: String,
        generation: i64,
        created: Timestamp,
        spec: Result<ExposureSpec, Vec<ValidationError>>,
        reported: ReportedStatus,
    ) -> Self {
        Self {
            uid,
            generation,
            created,
            // Its IngressClass leaves it no choice: it has the class even while that is being deleted.
            chosen: spec.as_ref().ok().and_then(|spec| spec.class.clone()),
            spec,
            reported,
        }
    }

    /// Compares both without their status.
    pub(crate) fn same_spec(&self, other: &Self) -> bool {
        let facts = |exposure: &Self| (exposure.uid.clone(), exposure.generation, exposure.created);
        facts(self) == facts(other) && self.spec == other.spec
    }

    /// Returns the object that the fields of a valid spec stand in; errors of an invalid one name them already.
    pub(crate) fn origin(&self) -> &Origin {
        let spec = self.spec.as_ref();
        spec.map_or(&Origin::ExposedPort, |spec| &spec.origin)
    }

    pub(crate) fn claim(&self, object: &Subject) -> Claim {
        Claim {
            created: self.created,
            object: object.clone(),
        }
    }

    /// Returns true if it breaks no rule of its own, and asks for hostnames.
    pub(crate) fn is_root(&self) -> bool {
        self.spec.as_ref().is_ok_and(|spec| spec.parents.is_none())
    }

    /// Labels of every child, beside ours.
    pub(crate) fn child_labels(&self) -> BTreeMap<String, String> {
        let spec = self.spec.as_ref();
        spec.map(|spec| spec.metadata.labels.clone())
            .unwrap_or_default()
    }

    /// The class that the object asks for by name, in its spec or by having been given it.
    pub(crate) fn named_class(&self) -> Option<&ClassName> {
        let spec = self.spec.as_ref().ok();
        spec.and_then(|spec| spec.class.as_ref())
            .or(self.chosen.as_ref())
    }

    /// Returns true if another default class may be another class for this object.
    pub(crate) fn takes_default(&self) -> bool {
        let spec = self.spec.as_ref().ok();
        spec.is_some_and(|spec| spec.class.is_none() && spec.parents.is_none())
    }

    /// Returns true if it lives only while a Lease is renewed.
    pub(crate) fn needs_lease(&self) -> bool {
        let spec = self.spec.as_ref();
        spec.is_ok_and(|spec| spec.lifetime.lease.is_some())
    }

    /// When it lapses that was renewed last at that time, or never; `None`: it needs no Lease.
    pub(crate) fn lease_expiry(&self, renewed: Option<Timestamp>) -> Option<Timestamp> {
        let spec = self.spec.as_ref().ok()?;
        // The creator of an object has as long to create a Lease for it, whatever one of its name had.
        let from = renewed.map_or(self.created, |renewed| renewed.max(self.created));
        spec.lifetime.lease_expiry(from)
    }

    /// When its time is over; `None`: never.
    pub(crate) fn end(&self) -> Option<Timestamp> {
        let spec = self.spec.as_ref().ok()?;
        spec.lifetime.end(self.created)
    }

    /// Action at that time.
    pub(crate) fn on_expiry(&self) -> OnExpiry {
        let spec = self.spec.as_ref();
        spec.map(|spec| spec.lifetime.on_expiry).unwrap_or_default()
    }

    pub(crate) fn link(
        &self,
        subject: &Subject,
        renewed: Option<Timestamp>,
        classes: &Classes,
        home: Home<'_>,
        now: Timestamp,
    ) -> Result<Link, Vec<ValidationError>> {
        let spec = self.spec.as_ref().map_err(Clone::clone)?;
        if let Some(at) = self.end().filter(|end| *end <= now) {
            let field = spec.lifetime.field();
            return Err(vec![ValidationError::Expired { field, at }]);
        }
        if let Some(at) = self.lease_expiry(renewed).filter(|lapse| *lapse <= now) {
            let object = subject.name().to_owned();
            return Err(vec![ValidationError::LeaseLapsed { object, at }]);
        }
        let routing = Routing::of(spec, subject);
        match &spec.parents {
            None => self
                .root(spec, routing, subject, classes, home)
                .map(|root| Link::Root(Box::new(root))),
            Some(parents) => Ok(Link::Child(Child {
                parents: parents.clone(),
                routing,
            })),
        }
    }

    fn root(
        &self,
        spec: &ExposureSpec,
        routing: Routing,
        subject: &Subject,
        classes: &Classes,
        home: Home<'_>,
    ) -> Result<ResolvedRoot, Vec<ValidationError>> {
        let name = self.class(classes).map_err(|problem| vec![problem])?;
        let Some(class) = classes.get(name) else {
            return Err(vec![ValidationError::ClassNotFound(name.clone())]);
        };
        let mut problems = Vec::new();
        if !class.admits_roots_of(home) {
            problems.push(ValidationError::RootNamespace {
                class: name.clone(),
                namespace: subject.namespace().to_owned(),
            });
        }
        let mut hostnames = Vec::with_capacity(spec.hostnames.len());
        for (index, pattern) in spec.hostnames.iter().enumerate() {
            match hostname(index, pattern, subject, name, class) {
                Ok(host) if hostnames.contains(&host) => {}
                Ok(host) => hostnames.push(host),
                Err(problem) => problems.push(problem),
            }
        }
        let foreign = hostnames
            .iter()
            .filter(|host| !class.admits_hostname(host, home));
        problems.extend(foreign.map(|host| ValidationError::HostnameNotAllowed {
            hostname: host.clone(),
            class: name.clone(),
            namespace: subject.namespace().to_owned(),
        }));
        let certificates = Certificates::of(&spec.tls, &hostnames, home, name, class);
        let tls = tls_policy(&spec.tls, subject, name, class);
        let annotations = spec.metadata.annotations.clone().into_iter();
        let (annotations, refused): (BTreeMap<_, _>, BTreeMap<_, _>) =
            annotations.partition(|(key, _)| class.admits_annotation(key));
        match (certificates, tls) {
            (Ok(certificates), Ok(tls)) if problems.is_empty() => Ok(ResolvedRoot {
                class: name.clone(),
                requirements: BackendRequirements::of(name, class),
                hostnames,
                certificates,
                issued: Issued::of(subject, name, class),
                tls,
                routing,
                annotations,
                refused_annotations: refused.into_keys().collect(),
                has_tls_settings: spec.tls.says_anything(),
            }),
            (certificates, tls) => {
                problems.extend(certificates.err());
                problems.extend(tls.err());
                Err(problems)
            }
        }
    }

    /// The class that the object has, whether or not it can be realised there. One that is being
    /// deleted is had only by those that had it before.
    pub(crate) fn class<'a>(
        &'a self,
        classes: &'a Classes,
    ) -> Result<&'a ClassName, ValidationError> {
        let spec = self.spec.as_ref().ok().and_then(|spec| spec.class.as_ref());
        let chosen = self
            .chosen
            .as_ref()
            .filter(|name| classes.get(name).is_some());
        match spec {
            Some(name) if classes.takes(name) || chosen == Some(name) => Ok(name),
            Some(name) if classes.get(name).is_some() => {
                Err(ValidationError::ClassDeleting(name.clone()))
            }
            Some(name) => Err(ValidationError::ClassNotFound(name.clone())),
            None => chosen
                .or_else(|| classes.default_class())
                .ok_or(ValidationError::NoClass),
        }
    }
}

impl Link {
    pub(crate) fn routing(&self) -> &Routing {
        match self {
            Self::Root(root) => &root.routing,
            Self::Child(child) => &child.routing,
        }
    }

    /// The Secrets with authorities: of clients, and of endpoints.
    pub(crate) fn authorities(&self) -> BTreeSet<ObjectRef> {
        let of_clients = match self {
            Self::Root(root) => root
                .tls
                .client_ca
                .as_ref()
                .map(|(secret, _)| secret.clone()),
            Self::Child(_) => None,
        };
        let of_endpoints = self.routing().authorities();
        of_clients.into_iter().chain(of_endpoints).collect()
    }

    /// The Secrets that the object names.
    pub(crate) fn own_secrets(&self) -> BTreeSet<ObjectRef> {
        let mut named = self.authorities();
        if let Self::Root(root) = self {
            named.extend(root.certificates.own_secrets().iter().cloned());
        }
        named
    }

    /// The Secrets that the class names for the object's hostnames.
    pub(crate) fn shared_secrets(&self) -> impl Iterator<Item = &ObjectRef> {
        let root = match self {
            Self::Root(root) => Some(root),
            Self::Child(_) => None,
        };
        root.into_iter()
            .flat_map(|root| root.certificates.shared_secrets())
    }

    /// The namespaces that it refers into, beside its own.
    pub(crate) fn other_namespaces(&self) -> BTreeSet<String> {
        let routing = self.routing();
        let named = routing.services().into_iter().chain(self.own_secrets());
        named
            .map(|object| object.namespace)
            .filter(|namespace| *namespace != routing.namespace)
            .collect()
    }
}

impl ResolvedRoot {
    /// The Secrets that the certificates of a hostname may be read from.
    pub(crate) fn secrets(&self, host: &Hostname) -> Vec<ObjectRef> {
        match self.source(host) {
            Source::Nowhere => Vec::new(),
            Source::Own(secrets) => secrets.to_vec(),
            Source::Shared(secret) => vec![secret.clone()],
            Source::Issued(_) => vec![self.issued.certificate(host), self.issued.former(host)],
        }
    }

    pub(crate) fn source(&self, host: &Hostname) -> Source<'_> {
        self.certificates.source(host)
    }

    /// Returns true if a hostname can be served under what an older object of its namespace says about TLS: it
    /// says the same, or nothing.
    pub(crate) fn tls_agrees(&self, elder: &Self, host: &Hostname) -> bool {
        let same = self.source(host) == elder.source(host) && self.tls == elder.tls;
        !self.has_tls_settings || same
    }

    pub(crate) fn terminates_tls(&self) -> bool {
        self.certificates != Certificates::Disabled
    }
}

fn hostname(
    index: usize,
    pattern: &HostPattern,
    subject: &Subject,
    name: &ClassName,
    class: &Class,
) -> Result<Hostname, ValidationError> {
    match pattern {
        HostPattern::Full(host) => Ok(host.clone()),
        HostPattern::UnderDomain(prefix) => {
            let domain =
                class
                    .domain(subject.namespace())
                    .ok_or_else(|| ValidationError::NoDomain {
                        index,
                        pattern: format!("{prefix}.*"),
                        class: name.clone(),
                    })?;
            Hostname::parse(&format!("{prefix}.{domain}"))
                .map_err(|source| ValidationError::Hostname { index, source })
        }
    }
}

/// The class may ask for a newer version than the object, never for an older one.
fn tls_policy(
    tls: &TlsSpec,
    subject: &Subject,
    name: &ClassName,
    class: &Class,
) -> Result<TlsPolicy, ValidationError> {
    let min_version = tls
        .min_version
        .into_iter()
        .chain(class.min_tls_version())
        .max()
        .unwrap_or(TlsVersion::V1_2);
    if min_version > tls.max_version {
        return Err(ValidationError::VersionBelowClass {
            class: name.clone(),
        });
    }
    Ok(TlsPolicy {
        min_version,
        max_version: tls.max_version,
        hsts: tls.hsts,
        redirect: tls.redirect,
        client_ca: tls
            .client_ca
            .as_ref()
            .map(|(secret, mode)| (secret.within(subject.namespace()), *mode)),
        raised: tls.raised,
    })
}
