//! Parses the certificate of a server, without its issuers: fingerprint, validity and DNS names.
//!
//! The operator decides with it whether a Secret may be served for a hostname, and the kubectl plugin
//! shows it, so that both always agree. Keys are never read.

mod names;

pub use names::DnsNames;

use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::{self, PemObject as _};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::time::ASN1Time;

/// A leaf certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafCertificate {
    /// SHA-256 of the DER encoding, in lower-case hex.
    pub fingerprint: String,
    /// Start of the validity.
    pub not_before: Timestamp,
    /// End of the validity.
    pub not_after: Timestamp,
    /// DNS names of the subject alternative name.
    pub dns_names: DnsNames,
}

/// Reason why a certificate cannot be parsed. Never quotes the input, which may be a key by mistake.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ParseError {
    /// No `CERTIFICATE` section in PEM.
    #[error("not a certificate in PEM")]
    Pem,
    /// Not a certificate in DER (RFC 5280).
    #[error("{0}")]
    Der(String),
}

impl LeafCertificate {
    /// Parses the first certificate of a chain in PEM.
    ///
    /// # Errors
    /// There is none, or it is not an X.509 certificate.
    pub fn from_pem(chain: &[u8]) -> Result<Self, ParseError> {
        let der = CertificateDer::from_pem_slice(chain);
        Self::from_der(&der.map_err(|_: pem::Error| ParseError::Pem)?)
    }

    /// Parses a certificate in DER.
    ///
    /// # Errors
    /// It is not an X.509 certificate.
    pub fn from_der(der: &CertificateDer<'_>) -> Result<Self, ParseError> {
        let (_, parsed) =
            X509Certificate::from_der(der).map_err(|error| ParseError::Der(error.to_string()))?;
        let validity = parsed.validity();
        Ok(Self {
            fingerprint: hex::encode(Sha256::digest(der)),
            not_before: timestamp(validity.not_before).unwrap_or(Timestamp::MIN),
            not_after: timestamp(validity.not_after).unwrap_or(Timestamp::MAX),
            dns_names: dns_names(&parsed),
        })
    }
}

/// Converts a time. `None` for one that a timestamp cannot represent (RFC 5280 4.1.2.5:
/// 99991231235959Z, no end).
fn timestamp(time: ASN1Time) -> Option<Timestamp> {
    Timestamp::from_second(time.timestamp()).ok()
}

fn dns_names(certificate: &X509Certificate<'_>) -> DnsNames {
    let extension = certificate.subject_alternative_name().ok().flatten();
    let names = extension
        .iter()
        .flat_map(|extension| &extension.value.general_names);
    let names = names.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(*name),
        _ => None,
    });
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_the_first_certificate_of_a_chain() {
        let names = ["Shop.example.com".to_owned(), "*.example.com".to_owned()];
        let leaf = rcgen::generate_simple_self_signed(names).unwrap();
        let issuer = rcgen::generate_simple_self_signed(["issuer.test".to_owned()]).unwrap();
        let chain = format!("{}{}", leaf.cert.pem(), issuer.cert.pem());
        let parsed = LeafCertificate::from_pem(chain.as_bytes()).unwrap();
        let fingerprint = hex::encode(Sha256::digest(leaf.cert.der()));
        assert_eq!(parsed.fingerprint, fingerprint);
        assert_eq!(
            parsed.dns_names.as_slice(),
            ["shop.example.com", "*.example.com"]
        );
        assert!(parsed.not_before < parsed.not_after);
    }

    #[test]
    fn rejects_other_input_without_quoting_it() {
        let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
        for input in [
            "hello",
            key.as_str(),
            "-----BEGIN CERTIFICATE-----\n%\n",
            "",
        ] {
            let error = LeafCertificate::from_pem(input.as_bytes()).unwrap_err();
            assert_eq!(error, ParseError::Pem, "{input}");
        }
        let pem = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
        let error = LeafCertificate::from_pem(pem.as_bytes()).unwrap_err();
        assert!(matches!(error, ParseError::Der(_)), "{error}");
        assert!(!error.to_string().contains("hello"), "{error}");
    }
}
