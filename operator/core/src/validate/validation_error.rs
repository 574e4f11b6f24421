//! Errors in an object: the field as data, the cause, and what would be right.
//!
//! An error found among other objects knows no field yet: it is the same for an ExposedPort and for a hostname
//! of an Ingress, and is worded with the fields of its [`Origin`] at the end.

use super::field_error::FieldError;
use super::field_path::{FieldPath, Origin};
use crate::names::{ClassName, Hostname, HostnameError};
use crate::reason::Reason;
use jiff::Timestamp;
use std::fmt;

/// Error in an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ValidationError {
    /// Found in one field of the object, whatever other objects there are.
    At {
        field: FieldPath,
        error: FieldError,
    },
    Hostname {
        index: usize,
        source: HostnameError,
    },
    Expired {
        field: &'static str,
        at: Timestamp,
    },
    /// No Lease of the object was renewed in time.
    LeaseLapsed {
        object: String,
        at: Timestamp,
    },
    /// `maxVersion` is below the oldest version of the class.
    VersionBelowClass {
        class: ClassName,
    },
    /// The pattern takes the domain of a class that has none.
    NoDomain {
        index: usize,
        pattern: String,
        class: ClassName,
    },
    NoIssuer {
        class: ClassName,
        hostname: Hostname,
    },
    NoSharedCertificate {
        class: ClassName,
        hostname: Hostname,
    },
    HostnameNotAllowed {
        class: ClassName,
        namespace: String,
        hostname: Hostname,
    },
    RootNamespace {
        class: ClassName,
        namespace: String,
    },
    IssuerNotAllowed {
        class: ClassName,
        namespace: String,
        kind: String,
        name: String,
    },
    OwnSecretNotAllowed {
        class: ClassName,
        namespace: String,
    },
    ClassNotFound(ClassName),
    ClassDeleting(ClassName),
    NoClass,
}

impl fmt::Display for ValidationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message(&Origin::ExposedPort))
    }
}

impl ValidationError {
    pub(crate) fn at(field: &FieldPath, error: FieldError) -> Self {
        let field = field.clone();
        Self::At { field, error }
    }

    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::At { .. } | Self::VersionBelowClass { .. } => Reason::InvalidSpec,
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
        }
    }

    /// Returns `<field>: <cause>: <detail>; <remedy>`, with the fields of the object that it was found in.
    pub(crate) fn message(&self, origin: &Origin) -> String {
        match self {
            Self::At { field, error } => format!("{field}: {error}"),
            _ => format!("{}: {}", origin.locate(self.field()), self.error(origin)),
        }
    }

    fn field(&self) -> FieldPath {
        let spec = FieldPath::spec();
        match self {
            Self::At { field, .. } => field.clone(),
            Self::Hostname { index, .. } | Self::NoDomain { index, .. } => {
                spec.child("hostnames").index(*index)
            }
            Self::HostnameNotAllowed { .. } | Self::RootNamespace { .. } => spec.child("hostnames"),
            Self::Expired { field, .. } => spec.child(field),
            Self::LeaseLapsed { .. } => spec.child("lease"),
            Self::NoIssuer { .. } | Self::NoSharedCertificate { .. } => spec.child("tls"),
            Self::VersionBelowClass { .. } => spec.child("tls").child("maxVersion"),
            Self::IssuerNotAllowed { .. } => spec.child("tls").child("issuerRef"),
            Self::OwnSecretNotAllowed { .. } => spec.child("tls").child("secret"),
            Self::ClassNotFound(_) | Self::ClassDeleting(_) | Self::NoClass => {
                spec.child("className")
            }
        }
    }

    fn error(&self, origin: &Origin) -> FieldError {
        let (certificate, secret, plaintext) = match origin {
            Origin::ExposedPort => ("secret or issuerRef", "secret", "use mode Disabled"),
            Origin::Ingress(_) => ("secretName", "secretName", "remove this entry"),
        };
        match self {
            Self::At { error, .. } => error.clone(),
            Self::Hostname { source, .. } => source.into(),
            Self::Expired { at, .. } => FieldError::invalid_whole(format!(
                "the object expired at {at}, so its hostnames are released and no requests are served; set a later time, or delete the object"
            )),
            Self::LeaseLapsed { object, at } => FieldError::invalid_whole(format!(
                "lapsed at {at} because no Lease with the label portolan.dev/exposed-port={object} was renewed in time, so the hostnames are released and no requests are served; renew one within an hour, or the object is deleted"
            )),
            Self::VersionBelowClass { class } => FieldError::invalid(
                "1.2",
                format!("class \"{class}\" requires 1.3; use \"1.3\", or omit maxVersion"),
            ),
            Self::NoDomain { pattern, class, .. } => FieldError::invalid(
                pattern.as_str(),
                format!(
                    "class \"{class}\" has no domain; use the full hostname, or set spec.domain of the class"
                ),
            ),
            Self::NoIssuer { class, hostname } => FieldError::required(format!(
                "class \"{class}\" has no issuer, and no shared certificate for \"{hostname}\"; set {certificate}, set spec.issuerRef of the class, or {plaintext}"
            )),
            Self::NoSharedCertificate { class, hostname } => FieldError::required(format!(
                "class \"{class}\" only uses certificates from its spec.certificates.shared, and none is for \"{hostname}\"; have one added there, set {certificate}, or {plaintext}"
            )),
            Self::HostnameNotAllowed {
                class,
                namespace,
                hostname,
            } => FieldError::forbidden(format!(
                "class \"{class}\" does not allow hostname \"{hostname}\" in namespace \"{namespace}\"; use a hostname that spec.hostnames of the class allows, or have this one added there"
            )),
            Self::RootNamespace { class, namespace } => {
                let child = match origin {
                    Origin::ExposedPort => {
                        ", or use allowedParents and have a root delegate to this object"
                    }
                    Origin::Ingress(_) => "",
                };
                FieldError::forbidden(format!(
                    "class \"{class}\" does not allow hostnames in namespace \"{namespace}\"; have the namespace added to spec.rootNamespaces of the class{child}"
                ))
            }
            Self::IssuerNotAllowed {
                class,
                namespace,
                kind,
                name,
            } => FieldError::forbidden(format!(
                "class \"{class}\" does not allow {kind} \"{name}\" in namespace \"{namespace}\"; omit issuerRef to use the issuer of the class, or have this one added to spec.tls.allowedIssuers of the class"
            )),
            Self::OwnSecretNotAllowed { class, namespace } => FieldError::forbidden(format!(
                "class \"{class}\" does not allow own certificates in namespace \"{namespace}\"; omit {secret} to use the issuer of the class, or have the namespace added to spec.tls.allowOwnSecrets of the class"
            )),
            Self::ClassNotFound(class) => {
                FieldError::not_found(class.as_str(), "must be the name of an ExposeClass")
            }
            Self::ClassDeleting(class) => FieldError::invalid(
                class.as_str(),
                "the ExposeClass is being deleted; use another one, or recreate it once it is gone",
            ),
            Self::NoClass => FieldError::required(
                "no ExposeClass is the default; name one, or set spec.default of a class",
            ),
        }
    }
}
