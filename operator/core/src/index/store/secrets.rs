//! Certificates in Secrets: parsed and checked before any proxy gets them.
//!
//! A key pair is loaded with the same library that the proxies use, so whatever is good here can
//! be served there.

use crate::names::Hostname;
use crate::reason::Reason;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use portolan_certificate::{DnsNames, LeafCertificate};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::fmt;
use std::sync::Arc;
use x509_parser::prelude::{FromDer, X509Certificate};

/// A certificate and the key that fits it.
#[derive(PartialEq, Eq)]
pub(crate) struct KeyPair {
    pub(crate) chain_pem: String,
    pub(crate) key_pem: String,
    /// SHA-256 of the leaf, in hex.
    pub(crate) fingerprint: String,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    /// The DNS names that it is for.
    names: DnsNames,
}

impl fmt::Debug for KeyPair {
    /// Never shows the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair")
            .field("fingerprint", &self.fingerprint)
            .field("names", &self.names)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

/// Certificates that others are checked against.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Authorities {
    pub(crate) ca_pem: String,
}

/// Why a Secret cannot be served, for any hostname or for one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SecretProblem {
    #[error("missing {0}; must be of type kubernetes.io/tls, with tls.crt and tls.key")]
    Without(&'static str),
    #[error("missing ca.crt; must contain the certificates of the authorities, as PEM")]
    WithoutAuthorities,
    #[error("failed to parse {field} ({detail}); must be PEM")]
    Unreadable { field: &'static str, detail: String },
    #[error(
        "{field} is too long ({bytes} bytes); must have at most {PEM_MAX} bytes: remove what is not part of the chain"
    )]
    TooLarge { field: &'static str, bytes: usize },
    #[error("tls.key is encrypted; store it without a passphrase")]
    Encrypted,
    #[error(
        "unsupported key in tls.key ({0}); must be ECDSA (P-256, P-384, P-521), RSA of 2048 to 8192 bits, or Ed25519"
    )]
    UnsupportedKey(String),
    #[error(
        "tls.key does not match the certificate in tls.crt; store the key that the certificate was issued for"
    )]
    Mismatch,
    #[error(
        "the first certificate in tls.crt does not match tls.key; put the matching one first, followed by its issuers in order"
    )]
    WrongOrder,
    #[error("certificate expired at {0}; renew it")]
    Expired(Timestamp),
    #[error("certificate is valid for {names}, not for {hostname}; issue one that includes it")]
    WrongHostname { names: String, hostname: Hostname },
}

impl SecretProblem {
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::Without(_) => Reason::SecretWithoutKey,
            Self::WithoutAuthorities => Reason::SecretWithoutCA,
            Self::Unreadable { .. }
            | Self::TooLarge { .. }
            | Self::Encrypted
            | Self::UnsupportedKey(_) => Reason::SecretUnreadable,
            Self::Mismatch | Self::WrongOrder => Reason::SecretKeyMismatch,
            Self::Expired(_) => Reason::CertificateExpired,
            Self::WrongHostname { .. } => Reason::SecretWrongHostname,
        }
    }
}

/// A chain is sent with each full handshake, and clients take no more (OpenSSL: 100 KiB).
const PEM_MAX: usize = 64 * 1024;

/// Checked content of a Secret.
pub(crate) type Judged = Result<Arc<KeyPair>, SecretProblem>;

/// Reads a Secret of type kubernetes.io/tls.
pub(crate) fn read(secret: &Secret) -> Judged {
    let chain_pem = bounded(secret, "tls.crt")?;
    let key_pem = bounded(secret, "tls.key")?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(chain_pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| unreadable("tls.crt", error))?;
    let leaf = chain
        .first()
        .ok_or_else(|| unreadable("tls.crt", "no certificate found"))?
        .clone();
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).map_err(|error| {
        // PKCS#8 says it in its label, the older forms in a field of their header (RFC 1421, 4.6.1.1).
        if key_pem.contains("ENCRYPTED") {
            SecretProblem::Encrypted
        } else {
            unreadable("tls.key", error)
        }
    })?;
    let parsed = LeafCertificate::from_der(&leaf).map_err(|error| unreadable("tls.crt", error))?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let key = provider
        .key_provider
        .load_private_key(key)
        .map_err(|error| SecretProblem::UnsupportedKey(error.to_string()))?;
    let fits = |certificate: &CertificateDer<'static>| {
        CertifiedKey::new(vec![certificate.clone()], Arc::clone(&key)).keys_match()
    };
    match fits(&leaf) {
        Ok(()) => {}
        Err(_)
            if chain
                .iter()
                .skip(1)
                .any(|certificate| fits(certificate).is_ok()) =>
        {
            return Err(SecretProblem::WrongOrder);
        }
        Err(rustls::Error::InconsistentKeys(_)) => return Err(SecretProblem::Mismatch),
        Err(error) => return Err(unreadable("tls.crt", error)),
    }
    Ok(Arc::new(KeyPair {
        fingerprint: parsed.fingerprint,
        not_before: parsed.not_before,
        not_after: parsed.not_after,
        names: parsed.dns_names,
        chain_pem,
        key_pem,
    }))
}

/// Reads the certificates of authorities in `ca.crt` of any Secret.
pub(crate) fn read_authorities(secret: &Secret) -> Result<Arc<Authorities>, SecretProblem> {
    let ca_pem = text(secret, CA).map_err(|problem| match problem {
        SecretProblem::Without(_) => SecretProblem::WithoutAuthorities,
        problem => problem,
    })?;
    let mut count = 0;
    for certificate in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
        let certificate = certificate.map_err(|error| unreadable(CA, error))?;
        X509Certificate::from_der(&certificate).map_err(|error| unreadable(CA, error))?;
        count += 1;
    }
    if count == 0 {
        return Err(unreadable(CA, "no certificate found"));
    }
    Ok(Arc::new(Authorities { ca_pem }))
}

/// Where authorities stand, as cert-manager and Contour have it too.
pub(crate) const CA: &str = "ca.crt";

impl KeyPair {
    /// Checks that it may be served from now on, for any name.
    pub(crate) fn in_time(&self, now: Timestamp) -> Result<(), SecretProblem> {
        if self.not_after <= now {
            Err(SecretProblem::Expired(self.not_after))
        } else {
            Ok(())
        }
    }

    /// Checks that it may be served for a hostname from now on.
    pub(crate) fn good_for(
        &self,
        hostname: &Hostname,
        now: Timestamp,
    ) -> Result<(), SecretProblem> {
        self.in_time(now)?;
        if self.names.covers(hostname.as_str()) {
            return Ok(());
        }
        Err(SecretProblem::WrongHostname {
            names: self.names.to_string(),
            hostname: hostname.clone(),
        })
    }
}

fn bounded(secret: &Secret, field: &'static str) -> Result<String, SecretProblem> {
    let text = text(secret, field)?;
    match text.len() {
        0..=PEM_MAX => Ok(text),
        bytes => Err(SecretProblem::TooLarge { field, bytes }),
    }
}

fn text(secret: &Secret, field: &'static str) -> Result<String, SecretProblem> {
    let bytes = secret
        .data
        .as_ref()
        .and_then(|data| data.get(field))
        .filter(|bytes| !bytes.0.is_empty())
        .ok_or(SecretProblem::Without(field))?;
    String::from_utf8(bytes.0.clone()).map_err(|_| unreadable(field, "not valid UTF-8"))
}

fn unreadable(field: &'static str, detail: impl fmt::Display) -> SecretProblem {
    SecretProblem::Unreadable {
        field,
        detail: detail.to_string(),
    }
}
