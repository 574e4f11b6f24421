//! Certificates: parsed on the control thread, shown by every worker.

use arc_swap::{ArcSwap, Guard};
use portolan_discovery::table;
use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::Arc;
use thiserror::Error;

/// Why a certificate is refused; the one before it stays in service.
#[derive(Debug, Error)]
pub(crate) enum CertificateError {
    #[error("tls.crt: not PEM: {0}")]
    Chain(rustls_pki_types::pem::Error),
    #[error("tls.crt: no certificate found")]
    Empty,
    #[error("tls.crt: the first certificate cannot be read: {0}")]
    Leaf(String),
    #[error("tls.key: no private key in PEM found: {0}")]
    Key(rustls_pki_types::pem::Error),
    #[error("tls.key: {0}; it must be the private key of the first certificate in tls.crt")]
    Unfit(rustls::Error),
}

/// A certificate as it is shown.
pub(crate) struct Presented {
    pub(crate) certified: Arc<CertifiedKey>,
    pub(crate) not_after_unix: i64,
}

/// A named certificate. Hosts refer to the slot, so that a renewed certificate recompiles no
/// host and is shown from the next handshake on.
pub(crate) struct CertificateSlot {
    name: Box<str>,
    presented: ArcSwap<Presented>,
}

impl CertificateSlot {
    pub(crate) fn new(name: &str, presented: Presented) -> Self {
        Self {
            name: name.into(),
            presented: ArcSwap::from_pointee(presented),
        }
    }

    /// `namespace/secret`.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn presented(&self) -> Guard<Arc<Presented>> {
        self.presented.load()
    }

    pub(crate) fn replace(&self, presented: Presented) {
        self.presented.store(Arc::new(presented));
    }
}

impl fmt::Debug for CertificateSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CertificateSlot").field(&self.name).finish()
    }
}

impl Presented {
    /// Parses a certificate and its key, which must fit each other.
    pub(crate) fn parse(
        certificate: &table::Certificate,
        provider: &CryptoProvider,
    ) -> Result<Self, CertificateError> {
        let chain: Vec<CertificateDer<'static>> =
            CertificateDer::pem_slice_iter(certificate.chain_pem.as_bytes())
                .collect::<Result<_, _>>()
                .map_err(CertificateError::Chain)?;
        let leaf = chain.first().ok_or(CertificateError::Empty)?;
        let not_after_unix = not_after(leaf)?;
        let key = PrivateKeyDer::from_pem_slice(certificate.key_pem.as_bytes())
            .map_err(CertificateError::Key)?;
        let certified =
            CertifiedKey::from_der(chain, key, provider).map_err(CertificateError::Unfit)?;
        Ok(Self {
            certified: Arc::new(certified),
            not_after_unix,
        })
    }
}

/// The end of a certificate's validity, in seconds since 1970.
pub(crate) fn not_after(leaf: &CertificateDer<'_>) -> Result<i64, CertificateError> {
    let (_, parsed) = x509_parser::parse_x509_certificate(leaf)
        .map_err(|error| CertificateError::Leaf(error.to_string()))?;
    Ok(parsed.validity().not_after.timestamp())
}

/// SHA-256 of a certificate's DER form, in lower-case hexadecimal.
pub(crate) fn fingerprint(leaf: &CertificateDer<'_>) -> String {
    hex::encode(Sha256::digest(leaf))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::provider;

    fn issued(host: &str) -> rcgen::CertifiedKey<rcgen::KeyPair> {
        rcgen::generate_simple_self_signed([host.to_owned()]).unwrap()
    }

    fn resource(chain_pem: String, key_pem: String) -> table::Certificate {
        table::Certificate {
            name: "team/shop".into(),
            chain_pem,
            key_pem,
        }
    }

    fn refused(chain_pem: String, key_pem: String) -> String {
        match Presented::parse(&resource(chain_pem, key_pem), provider()) {
            Ok(_) => panic!("accepted"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_certificate_with_its_key_is_presented() {
        let issued = issued("shop.example.com");
        let key = issued.signing_key.serialize_pem();
        let presented = Presented::parse(&resource(issued.cert.pem(), key), provider()).unwrap();
        assert_eq!(
            presented.not_after_unix,
            not_after(issued.cert.der()).unwrap()
        );
    }

    #[test]
    fn what_cannot_be_served_is_refused_by_field() {
        let (one, other) = (issued("a"), issued("b"));
        let key = one.signing_key.serialize_pem();
        let unfit = refused(one.cert.pem(), other.signing_key.serialize_pem());
        assert!(unfit.starts_with("tls.key: ") && unfit.contains("must be the private key"));
        assert!(refused(String::new(), key.clone()).starts_with("tls.crt: no certificate"));
        assert!(refused(one.cert.pem(), String::new()).starts_with("tls.key: no private key"));
        assert!(refused(one.cert.pem(), "nonsense".into()).starts_with("tls.key: "));
        let damaged = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
        assert!(refused(damaged.into(), key).starts_with("tls.crt: the first"));
    }

    /// The content of a PKCS#8 key (RFC 5208 5): what is in its octet string.
    fn inner(pkcs8: &[u8]) -> Vec<u8> {
        let element = |bytes: &[u8]| {
            let (header, length) = match bytes[1] {
                short @ ..0x80 => (2, usize::from(short)),
                long => {
                    let count = usize::from(long & 0x7f);
                    let length = bytes[2..2 + count].iter();
                    let length = length.fold(0, |length, byte| length << 8 | usize::from(*byte));
                    (2 + count, length)
                }
            };
            (header, header + length)
        };
        let mut rest = &pkcs8[element(pkcs8).0..];
        // The version and the algorithm come first.
        for _ in 0..2 {
            rest = &rest[element(rest).1..];
        }
        let (from, to) = element(rest);
        rest[from..to].to_vec()
    }

    #[test]
    fn every_kind_and_form_of_key_is_read() {
        use rcgen::{KeyPair, RsaKeySize};
        let rsa = |size| KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, size).unwrap();
        let generate = |algorithm| KeyPair::generate_for(algorithm).unwrap();
        let keys = [
            (rsa(RsaKeySize::_2048), "RSA PRIVATE KEY"),
            (rsa(RsaKeySize::_4096), "RSA PRIVATE KEY"),
            (generate(&rcgen::PKCS_ECDSA_P256_SHA256), "EC PRIVATE KEY"),
            (generate(&rcgen::PKCS_ECDSA_P384_SHA384), "EC PRIVATE KEY"),
            (generate(&rcgen::PKCS_ED25519), ""),
        ];
        for (key, other_form) in keys {
            let params = rcgen::CertificateParams::new(vec!["shop.test".to_owned()]).unwrap();
            let chain = params.self_signed(&key).unwrap().pem();
            let other = pem::Pem::new(other_form, inner(&key.serialize_der()));
            let mut forms = vec![key.serialize_pem()];
            // Ed25519 has no other.
            if !other_form.is_empty() {
                forms.push(pem::encode(&other));
            }
            for form in forms {
                let kind = form.lines().next().unwrap_or_default().to_owned();
                let parsed = Presented::parse(&resource(chain.clone(), form), provider());
                assert!(parsed.is_ok(), "{:?} {kind}", key.algorithm());
            }
        }
    }
}
