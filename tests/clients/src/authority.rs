//! A certificate authority for one test.

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, date_time_ymd,
};
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// It signs, and clients trust it.
#[derive(Debug)]
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// Key type of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// P-256.
    Ecdsa,
    /// 2048 bits.
    Rsa,
}

/// Validity of certificates from yesterday on: neither old nor suspiciously long.
const VALID: Duration = Duration::from_secs(91 * 86_400);

/// A certificate and its key, both PEM.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// The certificate, then the authority's.
    pub chain: String,
    /// PKCS #8.
    pub key: String,
}

impl Authority {
    /// With a key of its own.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn new() -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
            .distinguished_name
            .push(DnType::CommonName, "clients of one test");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        Ok(Self(issuer))
    }

    /// Returns the certificate that clients must trust.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for one name.
    ///
    /// # Errors
    /// When the name is none, or no key can be made.
    pub fn leaf(&self, name: &str, kind: KeyKind) -> Result<Leaf> {
        let key = KeyPair::generate_for(match kind {
            KeyKind::Ecdsa => &PKCS_ECDSA_P256_SHA256,
            KeyKind::Rsa => &PKCS_RSA_SHA256,
        })?;
        let mut params = CertificateParams::new([name.to_owned()])?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let yesterday = now.saturating_sub(Duration::from_secs(86_400));
        params.not_before = date_time_ymd(1970, 1, 1) + yesterday;
        params.not_after = params.not_before + VALID;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
        params.distinguished_name.push(DnType::CommonName, name);
        let leaf = params.signed_by(&key, &self.0)?;
        Ok(Leaf {
            chain: leaf.pem() + &self.0.pem(),
            key: key.serialize_pem(),
        })
    }

    /// For rustls clients that trust this authority alone.
    ///
    /// # Errors
    /// Never in practice: the authority's own certificate parses.
    pub fn client_config(&self) -> Result<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone())?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        Ok(ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth())
    }
}
