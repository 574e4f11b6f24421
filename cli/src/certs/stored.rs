//! What stands in a Secret, and is it good for a hostname: `tls.crt` alone is ever looked at.

use jiff::Timestamp;
use k8s_openapi::ByteString;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::time::ASN1Time;

/// What was found when a Secret was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    /// A certificate.
    Certificate(Leaf),
    /// There is no Secret, or no certificate in it.
    NotFound,
    /// What is there is no certificate.
    Unreadable(&'static str),
    /// This user may not read it.
    Forbidden,
    /// Reading it failed for another reason, which is told.
    Failed,
}

/// The certificate of a server, without those of its issuers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leaf {
    /// SHA-256, in lower-case hex.
    pub(crate) fingerprint: String,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    /// The DNS names that it is for, in lower case.
    pub(crate) dns_names: Vec<String>,
}

/// A Secret without anything but `tls.crt`: the key is dropped before anybody could look at it.
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
    /// The first certificate of a chain, as the operator takes it. What is wrong is not quoted: whoever
    /// puts a key there by mistake shall not read it on a screen.
    pub(crate) fn read(pem: &[u8]) -> Self {
        let Ok(der) = CertificateDer::from_pem_slice(pem) else {
            return Self::Unreadable("tls.crt is no certificate in PEM");
        };
        let Ok((_, parsed)) = X509Certificate::from_der(&der) else {
            return Self::Unreadable("tls.crt is no X.509 certificate");
        };
        let validity = parsed.validity();
        Self::Certificate(Leaf {
            fingerprint: hex::encode(Sha256::digest(&der)),
            not_before: moment(validity.not_before, Timestamp::MIN),
            not_after: moment(validity.not_after, Timestamp::MAX),
            dns_names: dns_names(&parsed),
        })
    }

    pub(crate) fn leaf(&self) -> Option<&Leaf> {
        match self {
            Self::Certificate(leaf) => Some(leaf),
            Self::NotFound | Self::Unreadable(_) | Self::Forbidden | Self::Failed => None,
        }
    }

    /// Whether it is known what is stored.
    pub(crate) fn is_known(&self) -> bool {
        !matches!(self, Self::Forbidden | Self::Failed)
    }
}

impl Leaf {
    /// RFC 9525 6.3, as the operator judges it: a wildcard stands for exactly one label, and a hostname that
    /// is a wildcard needs the same one.
    pub(crate) fn is_for(&self, hostname: &str) -> bool {
        let above = match hostname.split_once('.') {
            Some(("*", _)) | None => None,
            Some((_, domain)) => Some(domain),
        };
        self.dns_names.iter().any(|name| {
            name == hostname || above.is_some_and(|it| name.strip_prefix("*.") == Some(it))
        })
    }
}

/// A moment that a timestamp cannot say (RFC 5280 4.1.2.5: no end) is the outermost one that it can.
fn moment(time: ASN1Time, outermost: Timestamp) -> Timestamp {
    Timestamp::from_second(time.timestamp()).unwrap_or(outermost)
}

fn dns_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let extension = certificate.subject_alternative_name().ok().flatten();
    let names = extension.iter().flat_map(|it| &it.value.general_names);
    let names = names.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    });
    names.collect()
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
    fn the_first_certificate_is_read_and_the_key_is_not() {
        let names = ["Shop.example.com".to_owned(), "*.example.com".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let other = rcgen::generate_simple_self_signed(["issuer.test".to_owned()]).unwrap();
        let chain = format!("{}{}", made.cert.pem(), other.cert.pem());
        // Not even its base64 is looked at.
        let data = serde_json::json!({"tls.crt": BASE64_STANDARD.encode(chain), "tls.key": "%%%"});
        let stored = secret(data);
        let leaf = stored.leaf().unwrap();
        assert_eq!(
            leaf.fingerprint,
            hex::encode(Sha256::digest(made.cert.der()))
        );
        assert_eq!(leaf.dns_names, ["shop.example.com", "*.example.com"]);
        assert!(leaf.not_before < leaf.not_after);
    }

    #[test]
    fn what_is_no_certificate_is_told_without_quoting_it() {
        let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
        for wrong in ["hello", key.as_str(), "-----BEGIN CERTIFICATE-----\n%\n"] {
            let data = serde_json::json!({"tls.crt": BASE64_STANDARD.encode(wrong)});
            let stored = secret(data);
            assert_eq!(
                stored,
                Stored::Unreadable("tls.crt is no certificate in PEM")
            );
        }
        let pem = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
        let wrong = Stored::Unreadable("tls.crt is no X.509 certificate");
        assert_eq!(Stored::read(pem.as_bytes()), wrong);
    }

    #[test]
    fn an_empty_secret_has_none() {
        for data in [
            serde_json::json!({}),
            serde_json::json!({"tls.crt": ""}),
            serde_json::Value::Null,
        ] {
            assert_eq!(secret(data), Stored::NotFound);
        }
    }

    #[test]
    fn a_wildcard_is_for_exactly_one_label() {
        let leaf = |names: &[&str]| Leaf {
            fingerprint: String::new(),
            not_before: Timestamp::MIN,
            not_after: Timestamp::MAX,
            dns_names: names.iter().map(|name| (*name).to_owned()).collect(),
        };
        let wildcard = leaf(&["*.example.com"]);
        assert!(wildcard.is_for("shop.example.com") && wildcard.is_for("*.example.com"));
        assert!(!wildcard.is_for("example.com") && !wildcard.is_for("a.shop.example.com"));
        let exact = leaf(&["shop.example.com"]);
        assert!(exact.is_for("shop.example.com"));
        assert!(!exact.is_for("*.example.com") && !exact.is_for("com"));
    }
}
