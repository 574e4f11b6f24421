//! TLS termination of a host, ready for a handshake.

use crate::tls::certificate::CertificateSlot;
use crate::tls::provider;
use crate::tls::ticket::{TicketKeys, Ticketer};
use crate::tls::trust::Anchors;
use portolan_discovery::table::{ClientCaMode, HostTls, TlsVersion};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, VerifierBuilderError,
    WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SignatureAlgorithm, SupportedProtocolVersion};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use thiserror::Error;

/// Application protocols (RFC 7301), preferred first. A client that offers protocols and none of
/// these is refused with `no_application_protocol`; one that offers nothing gets HTTP/1.1.
const PROTOCOLS: [&[u8]; 3] = [b"h2", b"http/1.1", b"http/1.0"];

/// Errors of a TLS configuration.
#[derive(Debug, Error)]
pub(crate) enum TerminationError {
    #[error("tls.minVersion: Invalid value: must not be newer than tls.maxVersion")]
    Versions,
    #[error("tls.clientCA: {0}")]
    ClientCa(#[from] VerifierBuilderError),
    #[error("tls: {0}")]
    Rustls(#[from] rustls::Error),
}

/// TLS termination of one host.
#[derive(Debug)]
pub(crate) struct Termination {
    pub(crate) config: Arc<ServerConfig>,
    certificates: Arc<[Arc<CertificateSlot>]>,
    versions: Versions,
    client_ca: Option<ClientAuthority>,
}

/// Minimum and maximum version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Versions {
    min: TlsVersion,
    max: TlsVersion,
}

impl From<&HostTls> for Versions {
    fn from(tls: &HostTls) -> Self {
        Self {
            min: tls.min_version,
            max: tls.max_version,
        }
    }
}

impl Versions {
    fn supported(self) -> Result<&'static [&'static SupportedProtocolVersion], TerminationError> {
        static OLD: [&SupportedProtocolVersion; 1] = [&TLS12];
        static NEW: [&SupportedProtocolVersion; 1] = [&TLS13];
        static BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
        match (self.min, self.max) {
            (TlsVersion::V1_2, TlsVersion::V1_2) => Ok(&OLD),
            (TlsVersion::V1_2, TlsVersion::V1_3) => Ok(&BOTH),
            (TlsVersion::V1_3, TlsVersion::V1_3) => Ok(&NEW),
            (TlsVersion::V1_3, TlsVersion::V1_2) => Err(TerminationError::Versions),
        }
    }
}

/// Authorities that client certificates must come from.
#[derive(Clone, Debug)]
pub(crate) struct ClientAuthority {
    pub(crate) anchors: Arc<Anchors>,
    pub(crate) mode: ClientCaMode,
}

impl PartialEq for ClientAuthority {
    /// By content: the same authorities under another name let the same clients in.
    fn eq(&self, other: &Self) -> bool {
        self.mode == other.mode && self.anchors.digest == other.anchors.digest
    }
}

impl Termination {
    /// Authorities that client certificates must come from.
    pub(crate) fn client_ca(&self) -> Option<&ClientAuthority> {
        self.client_ca.as_ref()
    }

    /// Certificates, in the order of the table.
    pub(crate) fn certificates(&self) -> &Arc<[Arc<CertificateSlot>]> {
        &self.certificates
    }

    /// Returns whether what a handshake under `other` asked of its client is what this asks.
    pub(crate) fn asks_the_same_as(&self, other: &Self) -> bool {
        self.versions == other.versions && self.client_ca == other.client_ca
    }

    pub(crate) fn shows_the_same_as(&self, other: &Self) -> bool {
        let within = |these: &[Arc<CertificateSlot>], those: &[Arc<CertificateSlot>]| {
            let among =
                |this: &Arc<CertificateSlot>| those.iter().any(|that| that.name() == this.name());
            these.iter().all(among)
        };
        within(&self.certificates, &other.certificates)
            && within(&other.certificates, &self.certificates)
    }
}

/// Makes terminations. What they have in common is shared, so that ten thousand hosts are not ten
/// thousand sets of authorities; none has a session cache.
#[derive(Debug, Default)]
pub(crate) struct Terminations {
    tickets: Arc<TicketKeys>,
    verifiers: HashMap<([u8; 32], ClientCaMode), Weak<dyn ClientCertVerifier>>,
}

impl Terminations {
    /// The seeds of the class.
    pub(crate) fn tickets(&self) -> &TicketKeys {
        &self.tickets
    }

    /// For the clients of `name`, or of no name.
    pub(crate) fn make(
        &mut self,
        name: Option<&str>,
        versions: Versions,
        client_ca: Option<ClientAuthority>,
        certificates: Arc<[Arc<CertificateSlot>]>,
    ) -> Result<Termination, TerminationError> {
        let builder = ServerConfig::builder_with_provider(Arc::clone(provider()))
            .with_protocol_versions(versions.supported()?)?;
        let builder = match &client_ca {
            Some(authority) => builder.with_client_cert_verifier(self.verifier(authority)?),
            None => builder.with_no_client_auth(),
        };
        let resolver = BySignatureScheme {
            certificates: Arc::clone(&certificates),
        };
        let mut config = builder.with_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        // Tickets keep the state with the client; a cache here would be one per host.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 1;
        config.max_tls13_tickets = 1;
        // A resumed session is not asked for its certificate again, so one that has expired, or
        // whose authority is gone, would still open the door: clients that must prove who they
        // are prove it each time.
        if client_ca.is_none() {
            let keys = Arc::clone(&self.tickets);
            config.ticketer = Arc::new(Ticketer::new(keys, context(name, versions)));
        }
        Ok(Termination {
            config: Arc::new(config),
            certificates,
            versions,
            client_ca,
        })
    }

    /// The same with other authorities of the same name.
    pub(crate) fn renew(
        &mut self,
        name: &str,
        termination: &Termination,
        anchors: &Arc<Anchors>,
    ) -> Result<Termination, TerminationError> {
        let client_ca = termination.client_ca().map(|former| ClientAuthority {
            anchors: Arc::clone(anchors),
            mode: former.mode,
        });
        let certificates = Arc::clone(&termination.certificates);
        self.make(Some(name), termination.versions, client_ca, certificates)
    }

    fn verifier(
        &mut self,
        authority: &ClientAuthority,
    ) -> Result<Arc<dyn ClientCertVerifier>, VerifierBuilderError> {
        let key = (authority.anchors.digest, authority.mode);
        if let Some(known) = self.verifiers.get(&key).and_then(Weak::upgrade) {
            return Ok(known);
        }
        let roots = Arc::clone(&authority.anchors.roots);
        let builder = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider()));
        let verifier = match authority.mode {
            ClientCaMode::Require => builder.build()?,
            ClientCaMode::Optional => builder.allow_unauthenticated().build()?,
        };
        self.verifiers.retain(|_, known| known.strong_count() > 0);
        self.verifiers.insert(key, Arc::downgrade(&verifier));
        Ok(verifier)
    }
}

/// Context that a session ticket is bound to. There is none under a client authority.
fn context(name: Option<&str>, versions: Versions) -> [u8; 32] {
    let version = |version| match version {
        TlsVersion::V1_2 => 12,
        TlsVersion::V1_3 => 13,
    };
    Sha256::new()
        .chain_update([version(versions.min), version(versions.max)])
        .chain_update([u8::from(name.is_some())])
        .chain_update(name.unwrap_or_default())
        .finalize()
        .into()
}

/// Shows the certificate whose key can sign what the client can verify; the cheaper signature
/// where both would do, as an RSA signature costs the server many times an ECDSA one.
#[derive(Debug)]
struct BySignatureScheme {
    certificates: Arc<[Arc<CertificateSlot>]>,
}

impl ResolvesServerCert for BySignatureScheme {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let mut fitting = None;
        for slot in self.certificates.iter() {
            let presented = slot.presented();
            let certified = &presented.certified;
            if certified
                .key
                .choose_scheme(hello.signature_schemes())
                .is_none()
            {
                continue;
            }
            if certified.key.algorithm() != SignatureAlgorithm::RSA {
                return Some(Arc::clone(certified));
            }
            fitting.get_or_insert_with(|| Arc::clone(certified));
        }
        // Were nothing shown the alert would be `access_denied`; with a certificate that the
        // client cannot verify it is `handshake_failure` (RFC 8446 4.4.2.2).
        fitting.or_else(|| {
            let first = self.certificates.first()?;
            Some(Arc::clone(&first.presented().certified))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::certificate::Presented;
    use portolan_discovery::table::{self, TicketSeed};

    fn slot() -> Arc<CertificateSlot> {
        let issued = rcgen::generate_simple_self_signed(["a".to_owned()]).unwrap();
        let certificate = table::Certificate {
            name: "t/c".into(),
            chain_pem: issued.cert.pem(),
            key_pem: issued.signing_key.serialize_pem(),
        };
        let presented = Presented::parse(&certificate, provider()).unwrap();
        Arc::new(CertificateSlot::new("t/c", presented))
    }

    fn authority() -> Arc<Anchors> {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let anchors = Anchors::parse(&table::TrustAnchors {
            name: "t/ca".into(),
            ca_pem: params.self_signed(&key).unwrap().pem(),
        });
        Arc::new(anchors.unwrap())
    }

    fn client_ca(anchors: &Arc<Anchors>, mode: ClientCaMode) -> Option<ClientAuthority> {
        Some(ClientAuthority {
            anchors: Arc::clone(anchors),
            mode,
        })
    }

    fn default_versions() -> Versions {
        Versions::from(&HostTls::default())
    }

    #[test]
    fn issues_tickets_only_without_client_authority() {
        let (slot, anchors) = (slot(), authority());
        let mut terminations = Terminations::default();
        terminations.tickets().replace(&[TicketSeed([1; 32])]);
        let mut enabled = |client_ca| {
            let slots = Arc::new([Arc::clone(&slot)]);
            let made = terminations.make(Some("a"), default_versions(), client_ca, slots);
            made.unwrap().config.ticketer.enabled()
        };
        assert!(enabled(None));
        assert!(!enabled(client_ca(&anchors, ClientCaMode::Require)));
        assert!(!enabled(client_ca(&anchors, ClientCaMode::Optional)));
    }

    #[test]
    fn whatever_differs_in_name_or_versions_is_another_context() {
        let newest = Versions {
            min: TlsVersion::V1_3,
            max: TlsVersion::V1_3,
        };
        let contexts = [
            context(Some("a"), default_versions()),
            context(Some("b"), default_versions()),
            context(Some(""), default_versions()),
            context(None, default_versions()),
            context(Some("a"), newest),
        ];
        for (index, one) in contexts.iter().enumerate() {
            assert!(!contexts[index + 1..].contains(one), "{index}");
        }
    }

    /// Resident memory of this process, in bytes.
    fn resident() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.unwrap().trim().trim_end_matches(" kB");
        kib.parse::<usize>().unwrap() * 1024
    }

    /// A session cache in each would be 200 MiB, a set of authorities in each as much as they are.
    #[test]
    fn ten_thousand_hosts_share_what_they_have_in_common() {
        let (slot, anchors) = (slot(), authority());
        let mut terminations = Terminations::default();
        let before = resident();
        let made: Vec<Termination> = (0..10_000)
            .map(|index| {
                let name = format!("host-{index}.example.com");
                let client_ca = match index % 2 {
                    0 => None,
                    _ => client_ca(&anchors, ClientCaMode::Require),
                };
                let slots = Arc::new([Arc::clone(&slot)]);
                let versions = default_versions();
                terminations
                    .make(Some(&name), versions, client_ca, slots)
                    .unwrap()
            })
            .collect();
        let each = resident().saturating_sub(before) / made.len();
        eprintln!("TLS of a host: {each} bytes");
        assert_eq!(terminations.verifiers.len(), 1);
        assert!(each < 4096, "{each} bytes for each host");
        drop(made);
        terminations
            .make(None, default_versions(), None, Arc::new([slot]))
            .unwrap();
    }
}
