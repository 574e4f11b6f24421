//! The certificate in a Secret. Only `tls.crt` is read.

use k8s_openapi::ByteString;
use portolan_certificate::{LeafCertificate, ParseError};
use serde::Deserialize;

/// Result of reading a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    /// A certificate.
    Certificate(LeafCertificate),
    /// No Secret, or no certificate in it.
    NotFound,
    /// Not a certificate.
    Unreadable(&'static str),
    /// The user is not allowed to read it.
    Forbidden,
    /// Reading it failed for another reason, which is reported as an error.
    Failed,
}

/// A Secret reduced to `tls.crt`: the key is dropped while it is parsed.
#[derive(Deserialize)]
pub(crate) struct CertificateSecret {
    #[serde(default)]
    data: Option<CertificateData>,
}

#[derive(Default, Deserialize)]
struct CertificateData {
    #[serde(default, rename = "tls.crt")]
    certificate: Option<ByteString>,
}

impl From<CertificateSecret> for Stored {
    fn from(secret: CertificateSecret) -> Self {
        let certificate = secret.data.unwrap_or_default().certificate;
        match certificate.filter(|ByteString(pem)| !pem.is_empty()) {
            None => Self::NotFound,
            Some(ByteString(pem)) => Self::read(&pem),
        }
    }
}

impl Stored {
    /// Parses the first certificate of a chain, like the operator. Errors do not quote the input, which
    /// may be a key by mistake.
    pub(crate) fn read(pem: &[u8]) -> Self {
        match LeafCertificate::from_pem(pem) {
            Ok(leaf) => Self::Certificate(leaf),
            Err(ParseError::Pem) => Self::Unreadable("tls.crt is not a certificate in PEM"),
            Err(ParseError::Der(_)) => Self::Unreadable("tls.crt is not an X.509 certificate"),
        }
    }

    pub(crate) fn leaf(&self) -> Option<&LeafCertificate> {
        match self {
            Self::Certificate(leaf) => Some(leaf),
            Self::NotFound | Self::Unreadable(_) | Self::Forbidden | Self::Failed => None,
        }
    }

    /// Returns true if the content of the Secret is known.
    pub(crate) fn is_known(&self) -> bool {
        !matches!(self, Self::Forbidden | Self::Failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;

    fn secret(data: serde_json::Value) -> Stored {
        let object = serde_json::json!({"metadata": {"name": "pair"}, "data": data});
        let secret: CertificateSecret = serde_json::from_value(object).unwrap();
        secret.into()
    }

    #[test]
    fn reads_the_certificate_and_ignores_the_key() {
        let made = rcgen::generate_simple_self_signed(["shop.example.com".to_owned()]).unwrap();
        let pem = BASE64_STANDARD.encode(made.cert.pem());
        // The key is not even valid base64.
        let stored = secret(serde_json::json!({"tls.crt": pem, "tls.key": "%%%"}));
        let leaf = stored.leaf().unwrap();
        assert_eq!(leaf.dns_names.as_slice(), ["shop.example.com"]);
    }

    #[test]
    fn reports_what_is_not_a_certificate() {
        let data = serde_json::json!({"tls.crt": BASE64_STANDARD.encode("hello")});
        let expected = Stored::Unreadable("tls.crt is not a certificate in PEM");
        assert_eq!(secret(data), expected);
        let pem = "-----BEGIN CERTIFICATE-----
aGVsbG8=
-----END CERTIFICATE-----
";
        let expected = Stored::Unreadable("tls.crt is not an X.509 certificate");
        assert_eq!(Stored::read(pem.as_bytes()), expected);
    }

    #[test]
    fn an_empty_secret_has_no_certificate() {
        for data in [
            serde_json::json!({}),
            serde_json::json!({"tls.crt": ""}),
            serde_json::Value::Null,
        ] {
            assert_eq!(secret(data), Stored::NotFound);
        }
    }
}
