//! Authorities: whose certificates a peer may come with.

use portolan_discovery::table;
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use thiserror::Error;

/// Why authorities are refused; those before them stay in service.
#[derive(Debug, Error)]
pub(crate) enum TrustError {
    #[error("ca.crt: not PEM: {0}")]
    Pem(rustls_pki_types::pem::Error),
    #[error("ca.crt: no certificate found")]
    Empty,
    #[error("ca.crt: certificate {number} cannot be an authority: {source}")]
    Certificate {
        number: usize,
        source: rustls::Error,
    },
}

/// The authorities of one resource.
#[derive(Debug)]
pub(crate) struct Anchors {
    /// `namespace/secret`.
    pub(crate) name: Box<str>,
    pub(crate) roots: Arc<RootCertStore>,
    /// Tells one content from another: a client let in by others must prove its identity again.
    pub(crate) digest: [u8; 32],
}

impl Anchors {
    /// Parses certificates of authorities, each of which must be usable.
    pub(crate) fn parse(anchors: &table::TrustAnchors) -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        let mut digest = Sha256::new();
        let certificates = CertificateDer::pem_slice_iter(anchors.ca_pem.as_bytes());
        for (number, certificate) in (1..).zip(certificates) {
            let certificate = certificate.map_err(TrustError::Pem)?;
            digest.update(Sha256::digest(&certificate));
            roots
                .add(certificate)
                .map_err(|source| TrustError::Certificate { number, source })?;
        }
        if roots.is_empty() {
            return Err(TrustError::Empty);
        }
        Ok(Self {
            name: anchors.name.as_str().into(),
            roots: Arc::new(roots),
            digest: digest.finalize().into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(ca_pem: &str) -> Result<Anchors, TrustError> {
        Anchors::parse(&table::TrustAnchors {
            name: "team/ca".into(),
            ca_pem: ca_pem.to_owned(),
        })
    }

    fn authority() -> String {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().pem()
    }

    #[test]
    fn parses_several_authorities_and_compares_by_content() {
        let (one, two) = (authority(), authority());
        let both = parse(&format!("{one}{two}")).unwrap();
        assert_eq!(both.roots.len(), 2);
        assert_ne!(both.digest, parse(&one).unwrap().digest);
        assert_eq!(parse(&one).unwrap().digest, parse(&one).unwrap().digest);
    }

    #[test]
    fn what_is_no_authority_is_refused_by_number() {
        let refused = |pem: &str| parse(pem).unwrap_err().to_string();
        assert_eq!(refused(""), "ca.crt: no certificate found");
        let damaged = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
        let second = refused(&format!("{}{damaged}", authority()));
        assert!(
            second.starts_with("ca.crt: certificate 2 cannot"),
            "{second}"
        );
        let cut = "-----BEGIN CERTIFICATE-----\nMAA=\n";
        assert!(refused(cut).starts_with("ca.crt: not PEM"));
    }
}
