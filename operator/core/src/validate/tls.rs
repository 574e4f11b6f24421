//! Validates the TLS settings of an object.

use super::field_error::FieldError;
use super::field_path::FieldPath;
use super::policy::time;
use super::{Reference, ValidationErrors};
use portolan_crds as crd;
use portolan_crds::{IssuerRef, TlsMode, messages};
use portolan_discovery::table::{ClientCaMode, Hsts, TlsVersion};

/// TLS settings of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TlsSpec {
    pub(crate) source: CertificateSource,
    /// `None` takes the minimum of the class.
    pub(crate) min_version: Option<TlsVersion>,
    pub(crate) max_version: TlsVersion,
    pub(crate) hsts: Option<Hsts>,
    pub(crate) redirect: bool,
    /// Secret with the authorities of client certificates.
    pub(crate) client_ca: Option<(Reference, ClientCaMode)>,
    /// `minVersion` was 1.1, which is served as 1.2.
    pub(crate) raised: bool,
}

/// Source of the certificates of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CertificateSource {
    /// Not set: the class decides, even for plain HTTP.
    Class,
    /// TLS is required: the class must provide the certificate.
    Wanted,
    /// Plain HTTP: an Ingress without an entry in `spec.tls`.
    Unsaid,
    Disabled,
    /// The first Secret, and additional ones with keys of other types.
    Secrets(Vec<Reference>),
    Issuer(IssuerRef),
}

impl Default for TlsSpec {
    fn default() -> Self {
        Self::with(CertificateSource::Class)
    }
}

impl TlsSpec {
    /// Returns the defaults with this source of certificates.
    pub(super) fn with(source: CertificateSource) -> Self {
        Self {
            source,
            min_version: None,
            max_version: TlsVersion::V1_3,
            hsts: None,
            redirect: true,
            client_ca: None,
            raised: false,
        }
    }

    /// Returns true if anything is set.
    pub(crate) fn says_anything(&self) -> bool {
        let silent = [CertificateSource::Class, CertificateSource::Unsaid];
        !silent.map(Self::with).contains(self)
    }
}

pub(super) fn tls(spec: Option<&crd::Tls>, errors: &mut ValidationErrors) -> TlsSpec {
    let Some(spec) = spec else {
        return TlsSpec::default();
    };
    let field = FieldPath::spec().child("tls");
    let min_version = spec.min_version.map(|version| match version {
        crd::MinTlsVersion::V1_1 | crd::MinTlsVersion::V1_2 => TlsVersion::V1_2,
        crd::MinTlsVersion::V1_3 => TlsVersion::V1_3,
    });
    let max_version = match spec.max_version {
        Some(crd::MaxTlsVersion::V1_2) => TlsVersion::V1_2,
        Some(crd::MaxTlsVersion::V1_3) | None => TlsVersion::V1_3,
    };
    if min_version.is_some_and(|min| min > max_version) {
        let value = "1.2"; // The only one that is below another.
        errors.push(
            &field.child("maxVersion"),
            FieldError::invalid(value, messages::MAX_VERSION),
        );
    }
    TlsSpec {
        source: match source(spec) {
            Ok(source) => source,
            Err((name, error)) => {
                errors.push(&field.child(name), error);
                CertificateSource::Class
            }
        },
        min_version,
        max_version,
        hsts: spec.hsts.as_ref().and_then(|hsts| {
            Some(Hsts {
                max_age: time(&field.child("hsts").child("maxAge"), &hsts.max_age, errors)?,
                include_sub_domains: hsts.include_sub_domains.unwrap_or_default(),
            })
        }),
        redirect: spec.redirect_http.unwrap_or(true),
        client_ca: spec.client_ca.as_ref().map(|client_ca| {
            let mode = match client_ca.mode {
                Some(crd::ClientCaMode::Optional) => ClientCaMode::Optional,
                Some(crd::ClientCaMode::Require) | None => ClientCaMode::Require,
            };
            (Reference::from(&client_ca.secret), mode)
        }),
        raised: spec.min_version == Some(crd::MinTlsVersion::V1_1),
    }
}

/// Returns the source, or the name of the wrong field and its error.
fn source(spec: &crd::Tls) -> Result<CertificateSource, (&'static str, FieldError)> {
    let additional = &spec.additional_secrets;
    let settings = spec.min_version.is_some()
        || spec.max_version.is_some()
        || spec.hsts.is_some()
        || spec.redirect_http.is_some()
        || spec.client_ca.is_some();
    if spec.mode == Some(TlsMode::Disabled) {
        return match (&spec.secret, &spec.issuer_ref) {
            (None, None) if settings || !additional.is_empty() => Err((
                "mode",
                FieldError::forbidden(messages::DISABLED_WITH_SETTINGS),
            )),
            (None, None) => Ok(CertificateSource::Disabled),
            _ => Err((
                "mode",
                FieldError::forbidden(messages::DISABLED_WITH_CERTIFICATE),
            )),
        };
    }
    match (&spec.secret, &spec.issuer_ref) {
        (Some(_), Some(_)) => Err((
            "issuerRef",
            FieldError::forbidden(messages::ISSUER_WITH_SECRET),
        )),
        (Some(first), None) if additional.len() <= ADDITIONAL_SECRETS_MAX => {
            let all = [first].into_iter().chain(additional);
            Ok(CertificateSource::Secrets(
                all.map(Reference::from).collect(),
            ))
        }
        (Some(_), None) => Err((
            "additionalSecrets",
            FieldError::too_many(additional.len(), ADDITIONAL_SECRETS_MAX),
        )),
        (None, _) if !additional.is_empty() => Err((
            "additionalSecrets",
            FieldError::forbidden(messages::ADDITIONAL_SECRETS),
        )),
        (None, Some(issuer)) => Ok(CertificateSource::Issuer(issuer.clone())),
        // TLS settings without a certificate require TLS: plain HTTP would ignore them.
        (None, None) if settings || spec.mode.is_some() => Ok(CertificateSource::Wanted),
        (None, None) => Ok(CertificateSource::Class),
    }
}

/// One for each type of key beside the first.
const ADDITIONAL_SECRETS_MAX: usize = 3;
