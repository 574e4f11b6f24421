//! How TLS is done for the hostnames of an object.

use super::policy::time;
use super::{Reference, ValidationError, ValidationErrors};
use portolan_crds as crd;
use portolan_crds::{IssuerRef, TlsMode};
use portolan_discovery::table::{ClientCaMode, Hsts, TlsVersion};

/// What was said about TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TlsSpec {
    pub(crate) source: CertificateSource,
    /// `None`: nobody said.
    pub(crate) min_version: Option<TlsVersion>,
    pub(crate) max_version: TlsVersion,
    pub(crate) hsts: Option<Hsts>,
    pub(crate) redirect: bool,
    /// The Secret with the authorities of clients.
    pub(crate) client_ca: Option<(Reference, ClientCaMode)>,
    /// 1.1 was asked for, which is no longer spoken.
    pub(crate) raised: bool,
}

/// Where certificates are to come from; a secret and an issuer never come together, nor with `Disabled`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CertificateSource {
    /// Nothing was said: the class decides, even for plain HTTP.
    Class,
    /// TLS is wanted: the class must provide.
    Wanted,
    /// Nothing was said, and that is plain HTTP: an Ingress without an entry in `spec.tls`.
    Unsaid,
    Disabled,
    /// The first, and those of other key types beside it.
    Secrets(Vec<Reference>),
    Issuer(IssuerRef),
}

impl Default for TlsSpec {
    fn default() -> Self {
        Self::with(CertificateSource::Class)
    }
}

impl TlsSpec {
    /// Of which nothing was said but where certificates come from.
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

    /// Whether anything was said.
    pub(crate) fn says_anything(&self) -> bool {
        let silent = [CertificateSource::Class, CertificateSource::Unsaid];
        !silent.map(Self::with).contains(self)
    }
}

pub(super) fn tls(said: Option<&crd::Tls>, problems: &mut ValidationErrors) -> TlsSpec {
    let Some(said) = said else {
        return TlsSpec::default();
    };
    let min_version = said.min_version.map(|version| match version {
        crd::MinTlsVersion::V1_1 | crd::MinTlsVersion::V1_2 => TlsVersion::V1_2,
        crd::MinTlsVersion::V1_3 => TlsVersion::V1_3,
    });
    let max_version = match said.max_version {
        Some(crd::MaxTlsVersion::V1_2) => TlsVersion::V1_2,
        Some(crd::MaxTlsVersion::V1_3) | None => TlsVersion::V1_3,
    };
    if min_version.is_some_and(|min| min > max_version) {
        problems.tell(ValidationError::VersionsCrossed);
    }
    TlsSpec {
        source: problems
            .keep(source(said))
            .unwrap_or(CertificateSource::Class),
        min_version,
        max_version,
        hsts: said.hsts.as_ref().and_then(|hsts| {
            Some(Hsts {
                max_age: time("spec.tls.hsts.maxAge", &hsts.max_age, problems)?,
                include_sub_domains: hsts.include_sub_domains.unwrap_or_default(),
            })
        }),
        redirect: said.redirect_http.unwrap_or(true),
        client_ca: said.client_ca.as_ref().map(|client_ca| {
            let mode = match client_ca.mode {
                Some(crd::ClientCaMode::Optional) => ClientCaMode::Optional,
                Some(crd::ClientCaMode::Require) | None => ClientCaMode::Require,
            };
            (Reference::from(&client_ca.secret), mode)
        }),
        raised: said.min_version == Some(crd::MinTlsVersion::V1_1),
    }
}

fn source(said: &crd::Tls) -> Result<CertificateSource, ValidationError> {
    let further = &said.additional_secrets;
    let settings = said.min_version.is_some()
        || said.max_version.is_some()
        || said.hsts.is_some()
        || said.redirect_http.is_some()
        || said.client_ca.is_some();
    if said.mode == Some(TlsMode::Disabled) {
        return match (&said.secret, &said.issuer_ref) {
            (None, None) if settings || !further.is_empty() => {
                Err(ValidationError::SettingsWithoutTls)
            }
            (None, None) => Ok(CertificateSource::Disabled),
            _ => Err(ValidationError::CertificateWithoutTls),
        };
    }
    match (&said.secret, &said.issuer_ref) {
        (Some(_), Some(_)) => Err(ValidationError::TwoCertificates),
        (Some(first), None) if further.len() <= ADDITIONAL_SECRETS_MAX => {
            let all = [first].into_iter().chain(further);
            Ok(CertificateSource::Secrets(
                all.map(Reference::from).collect(),
            ))
        }
        (Some(_), None) => Err(ValidationError::TooManySecrets(further.len())),
        (None, _) if !further.is_empty() => Err(ValidationError::FurtherWithoutFirst),
        (None, Some(issuer)) => Ok(CertificateSource::Issuer(issuer.clone())),
        // Whoever says how TLS is done wants it done: plain HTTP in its place would be no answer.
        (None, None) if settings || said.mode.is_some() => Ok(CertificateSource::Wanted),
        (None, None) => Ok(CertificateSource::Class),
    }
}

pub(super) const ADDITIONAL_SECRETS_MAX: usize = 3;
