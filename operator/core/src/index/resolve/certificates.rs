//! Who provides the certificates of an object, by hostname.

use crate::index::Index;
use crate::index::resolve::exposure::ResolvedRoot;
use crate::index::store::classes::Class;
use crate::index::store::grants::Referent;
use crate::index::store::namespaces::Home;
use crate::index::store::served_certificates::Slot;
use crate::names::{ClassName, Hostname, ObjectRef, child_name};
use crate::subject::Subject;
use crate::validate::{CertificateSource, TlsSpec, ValidationError};
use portolan_crds::{CertificateMode, IssuerRef};
use std::collections::BTreeMap;

/// Who provides the certificates of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Certificates {
    /// None: plain HTTP only.
    Disabled,
    /// Secrets that the object names, for every hostname; each has a key of another type.
    Secrets(Vec<ObjectRef>),
    /// cert-manager, one for each hostname.
    Issued(IssuerRef),
    /// The class: those that are shared for some hostnames, its issuer for the others.
    OfClass {
        shared: BTreeMap<Hostname, ObjectRef>,
        issuer: Option<IssuerRef>,
    },
}

/// Where the certificates of one hostname come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source<'a> {
    Nowhere,
    /// Secrets that the object names.
    Own(&'a [ObjectRef]),
    /// A Secret that the class names.
    Shared(&'a ObjectRef),
    Issued(&'a IssuerRef),
}

impl Certificates {
    /// The object's own word first, then the class's.
    pub(in crate::index) fn of(
        tls: &TlsSpec,
        hostnames: &[Hostname],
        home: Home<'_>,
        name: &ClassName,
        class: &Class,
    ) -> Result<Self, ValidationError> {
        match &tls.source {
            CertificateSource::Secrets(_) if !class.admits_secrets_of(home) => {
                Err(ValidationError::OwnSecretNotAllowed {
                    class: name.clone(),
                    namespace: home.name.to_owned(),
                })
            }
            CertificateSource::Secrets(secrets) => {
                let secrets = secrets.iter().map(|secret| secret.within(home.name));
                Ok(Self::Secrets(secrets.collect()))
            }
            CertificateSource::Issuer(issuer) if !class.admits_issuer(issuer, home) => {
                Err(ValidationError::IssuerNotAllowed {
                    class: name.clone(),
                    namespace: home.name.to_owned(),
                    kind: issuer.kind.clone(),
                    name: issuer.name.clone(),
                })
            }
            CertificateSource::Issuer(issuer) => Ok(Self::Issued(issuer.clone())),
            CertificateSource::Disabled | CertificateSource::Unsaid => Ok(Self::Disabled),
            source => {
                let shared = hostnames
                    .iter()
                    .filter_map(|host| Some((host.clone(), class.shared_certificate(host)?)));
                let shared: BTreeMap<_, _> = shared.collect();
                let missing = hostnames.iter().find(|host| !shared.contains_key(host));
                let issues = class.certificate_mode() != CertificateMode::Shared;
                match (class.issuer().filter(|_| issues), missing, source) {
                    (None, Some(host), _) if !issues => Err(ValidationError::NoSharedCertificate {
                        class: name.clone(),
                        hostname: host.clone(),
                    }),
                    (None, Some(_), CertificateSource::Class) if shared.is_empty() => {
                        Ok(Self::Disabled)
                    }
                    (None, Some(host), _) => Err(ValidationError::NoIssuer {
                        class: name.clone(),
                        hostname: host.clone(),
                    }),
                    (issuer, _, _) => Ok(Self::OfClass {
                        shared,
                        issuer: issuer.cloned(),
                    }),
                }
            }
        }
    }

    /// Where those of one hostname come from.
    pub(in crate::index) fn source(&self, host: &Hostname) -> Source<'_> {
        match self {
            Self::Disabled => Source::Nowhere,
            Self::Secrets(secrets) => Source::Own(secrets),
            Self::Issued(issuer) => Source::Issued(issuer),
            Self::OfClass { shared, issuer } => match (shared.get(host), issuer) {
                (Some(secret), _) => Source::Shared(secret),
                (None, Some(issuer)) => Source::Issued(issuer),
                (None, None) => Source::Nowhere,
            },
        }
    }

    /// Those that the object names; what is issued has a name of our own.
    pub(in crate::index) fn own_secrets(&self) -> &[ObjectRef] {
        match self {
            Self::Secrets(secrets) => secrets,
            Self::Disabled | Self::Issued(_) | Self::OfClass { .. } => &[],
        }
    }

    /// Those that the class names.
    pub(in crate::index) fn shared_secrets(&self) -> impl Iterator<Item = &ObjectRef> {
        let shared = match self {
            Self::OfClass { shared, .. } => Some(shared.values()),
            Self::Disabled | Self::Issued(_) | Self::Secrets(_) => None,
        };
        shared.into_iter().flatten()
    }
}

/// The Certificates that are made for an object where an issuer is to certify its hostnames. Each has the
/// name of the Secret that it is put into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Issued {
    class: ClassName,
    /// The one for all hostnames of the object.
    together: ObjectRef,
    /// One Certificate for all hostnames, instead of one for each.
    pub(crate) is_together: bool,
}

impl Issued {
    pub(in crate::index) fn of(subject: &Subject, name: &ClassName, class: &Class) -> Self {
        let together = child_name(
            subject.namespace(),
            &subject.child_base(),
            "Certificate",
            "",
        );
        Self {
            class: name.clone(),
            together: ObjectRef::new(subject.namespace(), together),
            is_together: class.certificate_mode() == CertificateMode::PerExposure,
        }
    }

    /// The Certificate that is made for a hostname.
    pub(crate) fn certificate(&self, host: &Hostname) -> ObjectRef {
        if self.is_together {
            self.together.clone()
        } else {
            self.alone(host)
        }
    }

    /// The Certificate that was created for it before its class changed to another mode.
    pub(crate) fn former(&self, host: &Hostname) -> ObjectRef {
        if self.is_together {
            self.alone(host)
        } else {
            self.together.clone()
        }
    }

    /// Its name is that of the hostname, not of the object, so that the Secret outlives a hand-over within
    /// the namespace.
    fn alone(&self, host: &Hostname) -> ObjectRef {
        let namespace = &self.together.namespace;
        let readable = host.as_str().replace('*', "wildcard");
        let of = format!("{}/{host}", self.class);
        let name = child_name(namespace, &readable, "Certificate", &of);
        ObjectRef::new(namespace, name)
    }
}

impl Index {
    /// The Secrets that the certificates of a hostname are read from: of those that its object names, the
    /// ones that it may refer to; of those that are issued, the one that serves.
    pub(in crate::index) fn secrets_for(
        &self,
        link: &ResolvedRoot,
        host: &Hostname,
    ) -> Vec<ObjectRef> {
        let from = &link.routing.namespace;
        match link.source(host) {
            Source::Nowhere => Vec::new(),
            Source::Own(secrets) => {
                let secrets = secrets.iter();
                let permitted =
                    secrets.filter(|secret| self.grants.permit(from, Referent::Secret, secret));
                permitted.cloned().collect()
            }
            Source::Shared(secret) => vec![secret.clone()],
            Source::Issued(_) => vec![self.issued_for(link, host)],
        }
    }

    /// The Secret of a hostname that an issuer certifies. cert-manager keeps what it issued when its
    /// Certificate goes, so after a change of mode that serves on until the new one can.
    pub(crate) fn issued_for(&self, link: &ResolvedRoot, host: &Hostname) -> ObjectRef {
        let slot = Slot::of_host(&link.class, host);
        let serves = |secret: &ObjectRef| self.serving.judge(secret, &slot) == Some(Ok(()));
        let (wanted, former) = (link.issued.certificate(host), link.issued.former(host));
        if !serves(&wanted) && serves(&former) {
            former
        } else {
            wanted
        }
    }
}
