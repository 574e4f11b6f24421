//! Certificates of a test's own authority, for `tls.secret`.

use crate::client::Client;
use anyhow::Result;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PKCS_RSA_SHA256, RsaKeySize,
};
use serde_json::{Value, json};

/// An authority that only one test trusts.
pub struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, PEM.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The leaf.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

impl Authority {
    /// Creates an authority.
    ///
    /// # Errors
    /// When the cryptography fails.
    pub fn new() -> Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "an authority of a test");
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self {
            pem,
            issuer: Issuer::new(params, key),
        })
    }

    /// The private key of the authority, PEM.
    pub fn key(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// A Secret of type `kubernetes.io/tls` with a new certificate for these names.
    ///
    /// # Errors
    /// When a name is none.
    pub fn secret(&self, namespace: &str, name: &str, names: &[&str]) -> Result<Value> {
        Ok(tls_secret(namespace, name, &self.issue(names)?))
    }

    /// Issues a certificate for these names.
    ///
    /// # Errors
    /// When a name is none.
    pub fn issue(&self, names: &[&str]) -> Result<Pair> {
        let params = CertificateParams::new(
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>(),
        )?;
        self.sign(params)
    }

    /// Issues one with an RSA key of 2048 bits.
    ///
    /// # Errors
    /// When a name is none.
    pub fn issue_rsa(&self, names: &[&str]) -> Result<Pair> {
        let names = names.iter().map(|name| (*name).to_owned());
        let params = CertificateParams::new(names.collect::<Vec<_>>())?;
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?;
        self.sign_for(params, key)
    }

    /// Issues one that has run out.
    ///
    /// # Errors
    /// When a name is none.
    pub fn issue_expired(&self, names: &[&str]) -> Result<Pair> {
        let mut params = CertificateParams::new(
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>(),
        )?;
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        self.sign(params)
    }

    /// Its own certificate, PEM: what others are checked against.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Returns a client that trusts it.
    ///
    /// # Errors
    /// When its own certificate cannot be read back.
    pub fn http_client(&self) -> Result<Client> {
        Client::with_roots(self.pem.as_bytes())
    }

    fn sign(&self, params: CertificateParams) -> Result<Pair> {
        self.sign_for(params, KeyPair::generate()?)
    }

    fn sign_for(&self, params: CertificateParams, key: KeyPair) -> Result<Pair> {
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Pair {
            certificate,
            key: key.serialize_pem(),
        })
    }
}

/// A Secret of type `kubernetes.io/tls`.
pub fn tls_secret(namespace: &str, name: &str, pair: &Pair) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {"namespace": namespace, "name": name},
        "data": data(&[("tls.crt", &pair.certificate), ("tls.key", &pair.key)]),
    })
}

/// The `data` of a Secret.
pub fn data(entries: &[(&str, &str)]) -> Value {
    let encoded = entries
        .iter()
        .map(|(name, text)| ((*name).to_owned(), json!(BASE64_STANDARD.encode(text))));
    Value::Object(encoded.collect())
}
