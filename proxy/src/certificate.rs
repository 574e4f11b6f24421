//! Certificates: parsed on the control thread, shown by every worker.

use arc_swap::{ArcSwap, Guard};
use portolan_discovery::table;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
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
    #[error("tls.crt: there is no certificate in it")]
    Empty,
    #[error("tls.crt: the first certificate cannot be read: {0}")]
    Leaf(String),
    #[error("tls.key: there is no private key in PEM in it: {0}")]
    Key(rustls_pki_types::pem::Error),
    #[error("tls.key: {0}; it must be the private key of the first certificate in tls.crt")]
    Unfit(rustls::Error),
}

/// Makes a TLS configuration of a certificate. All share one policy: what differs is the
/// certificate, so ten thousand of them are not ten thousand configurations with caches.
#[derive(Debug)]
pub(crate) struct TlsPolicy {
    template: ServerConfig,
    provider: Arc<CryptoProvider>,
}

/// A certificate as it is shown.
pub(crate) struct Presented {
    pub(crate) config: Arc<ServerConfig>,
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

impl TlsPolicy {
    /// TLS 1.2 and 1.3 (RFC 8996), HTTP/1.1.
    ///
    /// No session is resumed: a ticket that only the proxy that made it can read helps little
    /// behind a load balancer.
    pub(crate) fn new() -> Result<Self, rustls::Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut template = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13, &TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(rustls::server::ResolvesServerCertUsingSni::new()));
        template.alpn_protocols = vec![b"http/1.1".to_vec()];
        template.session_storage = Arc::new(NoServerSessionStorage {});
        template.send_tls13_tickets = 0;
        Ok(Self { template, provider })
    }

    /// Parses a certificate and its key, which must fit each other.
    pub(crate) fn present(
        &self,
        certificate: &table::Certificate,
    ) -> Result<Presented, CertificateError> {
        let chain: Vec<CertificateDer<'static>> =
            CertificateDer::pem_slice_iter(certificate.chain_pem.as_bytes())
                .collect::<Result<_, _>>()
                .map_err(CertificateError::Chain)?;
        let leaf = chain.first().ok_or(CertificateError::Empty)?;
        let not_after_unix = not_after(leaf)?;
        let key = PrivateKeyDer::from_pem_slice(certificate.key_pem.as_bytes())
            .map_err(CertificateError::Key)?;
        let certified =
            CertifiedKey::from_der(chain, key, &self.provider).map_err(CertificateError::Unfit)?;
        let mut config = self.template.clone();
        config.cert_resolver = Arc::new(SingleCertAndKey::from(certified));
        Ok(Presented {
            config: Arc::new(config),
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
        let policy = TlsPolicy::new().unwrap();
        match policy.present(&resource(chain_pem, key_pem)) {
            Ok(_) => panic!("accepted"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_certificate_with_its_key_is_presented() {
        let issued = issued("shop.example.com");
        let key = issued.signing_key.serialize_pem();
        let policy = TlsPolicy::new().unwrap();
        let presented = policy.present(&resource(issued.cert.pem(), key)).unwrap();
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
        assert!(refused(String::new(), key.clone()).starts_with("tls.crt: there is no"));
        assert!(refused(one.cert.pem(), String::new()).starts_with("tls.key: there is no"));
        assert!(refused(one.cert.pem(), "nonsense".into()).starts_with("tls.key: "));
        let damaged = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
        assert!(refused(damaged.into(), key).starts_with("tls.crt: the first"));
    }
}
