//! The certificate authority of discovery: pure, time comes in as an argument.
//!
//! Its key is in Secret `portolan-ca`, read by every replica; each issues itself a leaf that is
//! never written anywhere. Proxies trust the bundle in ConfigMap `portolan-ca`.

use portolan_core::TicketKey;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData,
};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use thiserror::Error;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const AUTHORITY_LIFE: Duration = DAY.saturating_mul(3652);
const LEAF_LIFE: Duration = DAY.saturating_mul(30);
/// A leaf is renewed at two thirds of its life.
const LEAF_RENEWAL: Duration = DAY.saturating_mul(20);
/// How far the clocks of operator and proxy may differ.
const CLOCK_SKEW: Duration = Duration::from_secs(60 * 60);
/// How long proxies go on trusting a former authority.
pub(super) const FORMER_TRUSTED: Duration = DAY;

/// Why there is no authority.
#[derive(Debug, Error)]
pub(super) enum CaError {
    /// The Secret's content is no certificate with its key.
    #[error(
        "Secret portolan-ca: {field}: {problem}; delete the Secret and a new authority is made"
    )]
    Secret {
        /// The key in `data`.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A certificate could not be made.
    #[error("cannot issue a certificate: {0}")]
    Issue(String),
}

impl CaError {
    fn issue(error: impl ToString) -> Self {
        Self::Issue(error.to_string())
    }
}

/// The authority with its key.
pub(super) struct Authority {
    certificate_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// What the server shows, and until when.
pub(super) struct Leaf {
    pub(super) key: Arc<CertifiedKey>,
    pub(super) renew_at: SystemTime,
}

impl Authority {
    /// A new authority for ten years.
    pub(super) fn generate(now: SystemTime) -> Result<Self, CaError> {
        let key = KeyPair::generate().map_err(CaError::issue)?;
        let mut params = validity(CertificateParams::default(), now, AUTHORITY_LIFE);
        params.distinguished_name = common_name("Portolan discovery");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).map_err(CaError::issue)?;
        Ok(Self {
            certificate_pem: certificate.pem(),
            issuer: Issuer::new(params, key),
        })
    }

    /// The authority of a Secret, if the two belong together.
    pub(super) fn parse(certificate_pem: &str, key_pem: &str) -> Result<Self, CaError> {
        let wrong = |field, problem: String| CaError::Secret { field, problem };
        let key = KeyPair::from_pem(key_pem).map_err(|it| wrong("tls.key", it.to_string()))?;
        let certificate = CertificateDer::from_pem_slice(certificate_pem.as_bytes())
            .map_err(|it| wrong("tls.crt", it.to_string()))?;
        let (_, parsed) = x509_parser::parse_x509_certificate(&certificate)
            .map_err(|it| wrong("tls.crt", it.to_string()))?;
        if parsed.public_key().raw != key.subject_public_key_info() {
            return Err(wrong("tls.key", "does not fit tls.crt".to_owned()));
        }
        let issuer = Issuer::from_ca_cert_der(&certificate, key)
            .map_err(|it| wrong("tls.crt", it.to_string()))?;
        Ok(Self {
            certificate_pem: certificate_pem.to_owned(),
            issuer,
        })
    }

    /// For `tls.crt` of the Secret, and for the bundle.
    pub(super) fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// For `tls.key` of the Secret.
    pub(super) fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// From which the seeds of TLS session tickets are derived: the same in every replica, without
    /// a secret more to keep. Replacing the authority ends the sessions too.
    pub(super) fn ticket_key(&self) -> TicketKey {
        TicketKey::derive(&self.issuer.key().serialize_der())
    }

    /// A certificate for this replica.
    pub(super) fn leaf(&self, names: &[String], now: SystemTime) -> Result<Leaf, CaError> {
        let key = KeyPair::generate().map_err(CaError::issue)?;
        let params = CertificateParams::new(names).map_err(CaError::issue)?;
        let mut params = validity(params, now, LEAF_LIFE);
        params.distinguished_name = common_name(portolan_core::DISCOVERY_SERVICE.0);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params
            .signed_by(&key, &self.issuer)
            .map_err(CaError::issue)?;
        let private = PrivateKeyDer::try_from(key.serialize_der()).map_err(CaError::issue)?;
        let signing = aws_lc_rs::sign::any_supported_type(&private).map_err(CaError::issue)?;
        Ok(Leaf {
            key: Arc::new(CertifiedKey::new(vec![certificate.der().clone()], signing)),
            renew_at: now + LEAF_RENEWAL,
        })
    }
}

/// The names under which proxies reach a replica: the headless Service, and pods behind it.
pub(super) fn server_names(namespace: &str, cluster_domain: &str) -> Vec<String> {
    let service = format!("portolan-discovery.{namespace}.svc");
    let full = format!("{service}.{cluster_domain}");
    vec![format!("*.{service}"), format!("*.{full}"), service, full]
}

fn validity(mut params: CertificateParams, now: SystemTime, life: Duration) -> CertificateParams {
    let since_1970 = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    // rcgen speaks the types of a crate that nothing else here needs; this reaches them through it.
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + since_1970.saturating_sub(CLOCK_SKEW);
    params.not_after = epoch + since_1970 + life;
    params
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// What proxies trust: the authority, and for a day after its replacement the former one.
///
/// An authority is replaced when its Secret was deleted (that is how an administrator rotates it;
/// ten years need no other occasion). A proxy whose mounted bundle is still the old one cannot
/// connect for the minute that the kubelet takes to bring the new one, and serves on meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bundle {
    pub(super) authority: String,
    pub(super) former: Option<Former>,
}

/// An authority that was replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Former {
    pub(super) certificate_pem: String,
    pub(super) trusted_until: SystemTime,
}

impl Bundle {
    /// The bundle with `authority` at its head, given what was published before.
    pub(super) fn next(authority: &str, published: Option<Self>, now: SystemTime) -> Self {
        let former = published.and_then(|published| {
            if published.authority == authority {
                published.former
            } else {
                Some(Former {
                    certificate_pem: published.authority,
                    trusted_until: now + FORMER_TRUSTED,
                })
            }
        });
        Self {
            authority: authority.to_owned(),
            former: former.filter(|former| former.trusted_until > now),
        }
    }

    /// For `ca.crt`.
    pub(super) fn pem(&self) -> String {
        let former = self.former.as_ref().map(|it| it.certificate_pem.as_str());
        [self.authority.as_str(), former.unwrap_or_default()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::RootCertStore;
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier;
    use rustls::pki_types::{ServerName, UnixTime};

    fn at(days: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000) + DAY * u32::try_from(days).unwrap()
    }

    /// Verified as a proxy does.
    fn verify(authority: &Authority, leaf: &Leaf, name: &str, now: SystemTime) -> bool {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(authority.certificate_pem().as_bytes());
        roots.add(root.unwrap()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        let now = UnixTime::since_unix_epoch(now.duration_since(UNIX_EPOCH).unwrap());
        let name = ServerName::try_from(name).unwrap();
        let (certificate, rest) = leaf.key.cert.split_first().unwrap();
        let verifier = verifier.build().unwrap();
        verifier
            .verify_server_cert(certificate, rest, &name, &[], now)
            .is_ok()
    }

    #[test]
    fn a_leaf_is_valid_for_the_service_and_its_pods_for_thirty_days() {
        let authority = Authority::generate(at(0)).unwrap();
        let names = server_names("portolan-system", "cluster.local");
        let leaf = authority.leaf(&names, at(0)).unwrap();
        for name in [
            "portolan-discovery.portolan-system.svc",
            "portolan-discovery.portolan-system.svc.cluster.local",
            "10-0-0-1.portolan-discovery.portolan-system.svc.cluster.local",
        ] {
            assert!(verify(&authority, &leaf, name, at(29)), "{name}");
            assert!(!verify(&authority, &leaf, name, at(31)), "{name} too long");
        }
        assert!(!verify(
            &authority,
            &leaf,
            "portolan-discovery.other.svc",
            at(1)
        ));
        assert_eq!(leaf.renew_at, at(20));
    }

    #[test]
    fn an_authority_parsed_from_its_secret_is_equivalent() {
        let made = Authority::generate(at(0)).unwrap();
        let read = Authority::parse(made.certificate_pem(), &made.key_pem()).unwrap();
        assert_eq!(read.ticket_key(), made.ticket_key());
        let names = server_names("portolan-system", "cluster.local");
        let leaf = read.leaf(&names, at(3600)).unwrap();
        let name = "portolan-discovery.portolan-system.svc";
        assert!(verify(&made, &leaf, name, at(3601)));
    }

    #[test]
    fn a_key_of_another_authority_is_refused_by_name() {
        let one = Authority::generate(at(0)).unwrap();
        let other = Authority::generate(at(0)).unwrap();
        let error = Authority::parse(one.certificate_pem(), &other.key_pem());
        let error = error.err().unwrap().to_string();
        assert!(
            error.starts_with("Secret portolan-ca: tls.key: does not fit"),
            "{error}"
        );
        let error = Authority::parse("", &one.key_pem()).err().unwrap();
        assert!(
            error
                .to_string()
                .starts_with("Secret portolan-ca: tls.crt: ")
        );
    }

    #[test]
    fn a_replaced_authority_is_trusted_for_a_day_more() {
        let first = Bundle::next("old", None, at(0));
        assert_eq!(first.pem(), "old");
        let second = Bundle::next("new", Some(first), at(100));
        assert_eq!(second.pem(), "newold");
        let third = Bundle::next("new", Some(second.clone()), at(100) + DAY / 2);
        assert_eq!(third, second, "a second look changes nothing");
        let last = Bundle::next("new", Some(third), at(101));
        assert_eq!(last.pem(), "new");
    }
}
