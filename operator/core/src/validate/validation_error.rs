//! What is wrong with an object: the field, the problem, and what would be right.

use super::field_error::FieldError;
use super::tls::ADDITIONAL_SECRETS_MAX;
use crate::names::{ClassName, Hostname, HostnameError};
use crate::reason::Reason;
use jiff::Timestamp;
use portolan_crds::HOSTNAMES_MAX;
use thiserror::Error;

/// What is wrong with an object: the field, the problem, and what would be right.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum ValidationError {
    #[error("{at}: {mistake}")]
    At { at: String, mistake: FieldError },
    #[error(
        "spec.port: is missing; write the port that the application listens on, or with service a port of that Service"
    )]
    NoPort,
    #[error(
        "spec.port: nothing has this port; write selector with the labels of your pods, or service with the name of your Service"
    )]
    PortOfNothing,
    #[error(
        "spec.selector, spec.service: both are set; keep one: selector lets Portolan make the Service, service names your own"
    )]
    TwoTargets,
    #[error(
        "spec: neither selector nor service is set; write selector with the labels of your pods, service with the name of your Service, or an action for every route"
    )]
    NoTarget,
    #[error(
        "spec.hostnames: none is given; write at least one, such as shop.example.com, or allowedParents for an object that others delegate to"
    )]
    NoHostname,
    #[error(
        "spec.allowedParents: others delegate to this object, and theirs are the hostnames, tls and className; remove those fields, or allowedParents"
    )]
    ChildAndRoot,
    #[error(
        "spec.hostnames: {0} are given; one object takes at most {HOSTNAMES_MAX}, so make a second one"
    )]
    TooManyHostnames(usize),
    #[error("spec.hostnames[{index}]: {source}")]
    Hostname { index: usize, source: HostnameError },
    #[error(
        "spec.className: {0:?} is no name of a class; write small letters, digits and inner hyphens"
    )]
    ClassName(String),
    #[error(
        "spec.expiresAfter, spec.expiresAt: both are set; keep expiresAfter for a time after creation, or expiresAt for a date"
    )]
    TwoEnds,
    #[error(
        "{field}: the object expired at {at}, so its hostnames are free and nobody is served; write a later time, or delete it"
    )]
    Expired { field: &'static str, at: Timestamp },
    #[error(
        "spec.lease: lapsed at {at}, because no Lease with the label portolan.dev/exposed-port={object} was renewed in time, so its hostnames are free and nobody is served; renew one, or the object is deleted an hour after this was told"
    )]
    LeaseLapsed { object: String, at: Timestamp },
    #[error(
        "spec.tls: secret and issuerRef are both set; keep secret for a certificate of your own, or issuerRef to have one issued"
    )]
    TwoCertificates,
    #[error(
        "spec.tls.mode: Disabled takes no secret and no issuerRef; remove them, or write mode: Terminate"
    )]
    CertificateWithoutTls,
    #[error(
        "spec.tls.mode: Disabled leaves nothing for the other fields to say; remove them, or write mode: Terminate"
    )]
    SettingsWithoutTls,
    #[error(
        "spec.tls.additionalSecrets: there is no secret that they could stand beside; write spec.tls.secret too"
    )]
    FurtherWithoutFirst,
    #[error(
        "spec.tls.additionalSecrets: {0} are given; write at most {ADDITIONAL_SECRETS_MAX}, one for each type of key"
    )]
    TooManySecrets(usize),
    #[error("spec.tls.maxVersion: is older than minVersion; write the same or a newer one")]
    VersionsCrossed,
    #[error(
        "spec.tls.maxVersion: class {class} speaks nothing older than 1.3; write \"1.3\", or leave it out"
    )]
    VersionBelowClass { class: ClassName },
    #[error(
        "spec.hostnames[{index}]: {pattern:?} takes the domain of class {class}, which has none; write the name in full, or set spec.domain of the class"
    )]
    NoDomain {
        index: usize,
        pattern: String,
        class: ClassName,
    },
    #[error(
        "spec.tls: class {class} has no issuer, and no certificate that is shared for {hostname}; name a secret or an issuerRef here, set spec.issuerRef of the class, or write mode: Disabled"
    )]
    NoIssuer {
        class: ClassName,
        hostname: Hostname,
    },
    #[error(
        "spec.tls: class {class} takes every certificate from its spec.certificates.shared, and none there is for {hostname}; have one added there, name a secret or an issuerRef here, or write mode: Disabled"
    )]
    NoSharedCertificate {
        class: ClassName,
        hostname: Hostname,
    },
    #[error(
        "spec.hostnames: class {class} does not let objects of namespace {namespace} have {hostname}; choose a name that spec.hostnames of the class allows, or have this one added there"
    )]
    HostnameNotAllowed {
        class: ClassName,
        namespace: String,
        hostname: Hostname,
    },
    #[error(
        "spec.hostnames: class {class} gives hostnames to objects of some namespaces only, and {namespace} is none of them; have {namespace} added to spec.rootNamespaces of the class, or write allowedParents and have a root delegate to this object"
    )]
    RootNamespace { class: ClassName, namespace: String },
    #[error(
        "spec.tls.issuerRef: class {class} does not let objects of namespace {namespace} name {kind} {name}; leave issuerRef out for the issuer of the class, or have this one added to spec.tls.allowedIssuers there"
    )]
    IssuerNotAllowed {
        class: ClassName,
        namespace: String,
        kind: String,
        name: String,
    },
    #[error(
        "spec.tls.secret: class {class} does not let objects of namespace {namespace} bring certificates of their own; leave secret out for the issuer of the class, or have {namespace} added to spec.tls.allowOwnSecrets there"
    )]
    OwnSecretNotAllowed { class: ClassName, namespace: String },
    #[error("spec.className: there is no ExposeClass {0}; name one that exists")]
    ClassNotFound(ClassName),
    #[error(
        "spec.className: ExposeClass {0} is being deleted and takes no further objects; name another one, or make it anew when it is gone"
    )]
    ClassDeleting(ClassName),
    #[error(
        "spec.className: none is named and no ExposeClass is the default; name one, or set spec.default of a class"
    )]
    NoClass,
}

impl ValidationError {
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::Hostname { .. } => Reason::InvalidHostname,
            Self::NoDomain { .. } => Reason::NoDomain,
            Self::NoIssuer { .. } | Self::NoSharedCertificate { .. } => Reason::NoIssuer,
            Self::HostnameNotAllowed { .. } => Reason::HostnameNotAllowed,
            Self::RootNamespace { .. } => Reason::RootNamespaceDenied,
            Self::IssuerNotAllowed { .. } => Reason::IssuerNotAllowed,
            Self::OwnSecretNotAllowed { .. } => Reason::OwnSecretNotAllowed,
            Self::ClassNotFound(_) => Reason::ClassNotFound,
            Self::ClassDeleting(_) => Reason::ClassDeleting,
            Self::NoClass => Reason::NoClass,
            Self::Expired { .. } => Reason::Expired,
            Self::LeaseLapsed { .. } => Reason::LeaseLapsed,
            _ => Reason::InvalidSpec,
        }
    }
}
