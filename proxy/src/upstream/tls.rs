//! TLS to endpoints: what is asked for, what they must prove, and the sessions that are resumed.

use crate::tls::provider;
use crate::tls::trust::Anchors;
use arc_swap::ArcSwap;
use portolan_discovery::table::{BackendTls, UpstreamProtocol};
use portolan_proxy_core::endpoint::Endpoint;
use portolan_proxy_core::reason::Reason;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{
    ClientSessionMemoryCache, Resumption, VerifierBuilderError, WebPkiServerVerifier,
};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How many sessions are remembered for one endpoint.
const SESSIONS: usize = 8;

/// Errors of the TLS configuration of a backend.
#[derive(Debug, Error)]
pub(crate) enum UpstreamTlsError {
    #[error("tls.serverName: Invalid value: {0:?}: must be a DNS name")]
    ServerName(String),
    #[error("tls.subjectName: Invalid value: {0:?}: must be a DNS name")]
    SubjectName(String),
    #[error("tls.ca: Required value: the authority that the certificate is verified against")]
    NoAuthority,
    #[error("tls.ca: {0}")]
    Authority(#[from] VerifierBuilderError),
    #[error("tls: {0}")]
    Rustls(#[from] rustls::Error),
}

/// TLS to the endpoints of a backend. Backends that ask for the same share it, so that they share
/// connections; other authorities of the same name reach all of them at once.
#[derive(Debug)]
pub(crate) struct UpstreamTls {
    wanted: BackendTls,
    protocol: UpstreamProtocol,
    connector: ArcSwap<Connector>,
}

impl UpstreamTls {
    pub(crate) fn new(
        wanted: &BackendTls,
        protocol: UpstreamProtocol,
        anchors: Option<&Arc<Anchors>>,
    ) -> Result<Self, UpstreamTlsError> {
        Ok(Self {
            wanted: wanted.clone(),
            protocol,
            connector: ArcSwap::from_pointee(Connector::new(wanted, protocol, anchors)?),
        })
    }

    pub(crate) fn connector(&self) -> Arc<Connector> {
        self.connector.load_full()
    }

    /// Takes other authorities in the place of those of their name. An endpoint verified against
    /// the former ones is verified again.
    pub(crate) fn renew(&self, anchors: &Arc<Anchors>) -> Result<(), UpstreamTlsError> {
        let named = self.wanted.trust.as_deref() == Some(&*anchors.name);
        if named && self.connector.load().trusted != Some(anchors.digest) {
            let connector = Connector::new(&self.wanted, self.protocol, Some(anchors))?;
            self.connector.store(Arc::new(connector));
        }
        Ok(())
    }
}

/// Opens connections whose endpoints have proved the same.
#[derive(Debug)]
pub(crate) struct Connector {
    config: ClientConfig,
    server_name: ServerName<'static>,
    /// The authorities, by content.
    trusted: Option<[u8; 32]>,
    /// By the endpoint's address in memory, which the entry keeps from being reused. What one
    /// pod remembers of a session another knows nothing of.
    sessions: Mutex<HashMap<usize, Remembered>>,
}

#[derive(Debug)]
struct Remembered {
    endpoint: Weak<Endpoint>,
    sessions: Arc<ClientSessionMemoryCache>,
}

impl Connector {
    fn new(
        wanted: &BackendTls,
        protocol: UpstreamProtocol,
        anchors: Option<&Arc<Anchors>>,
    ) -> Result<Self, UpstreamTlsError> {
        let server_name = dns_name(&wanted.server_name)
            .ok_or_else(|| UpstreamTlsError::ServerName(wanted.server_name.clone()))?;
        let subject = match &wanted.subject_name {
            None => server_name.clone(),
            Some(name) => {
                dns_name(name).ok_or_else(|| UpstreamTlsError::SubjectName(name.clone()))?
            }
        };
        let verifier: Arc<dyn ServerCertVerifier> = match (&wanted.trust, anchors) {
            (Some(_), Some(anchors)) => Arc::new(OneSubject::new(anchors, subject)?),
            (None, _) if wanted.subject_name.is_none() => Arc::new(NoVerification),
            _ => return Err(UpstreamTlsError::NoAuthority),
        };
        let mut config = ClientConfig::builder_with_provider(Arc::clone(provider()))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        config.alpn_protocols = match protocol {
            UpstreamProtocol::Http1 => vec![b"http/1.1".to_vec()],
            UpstreamProtocol::Http2 => vec![b"h2".to_vec()],
        };
        config.resumption = Resumption::disabled();
        Ok(Self {
            config,
            server_name,
            trusted: wanted
                .trust
                .as_ref()
                .and(anchors)
                .map(|anchors| anchors.digest),
            sessions: Mutex::default(),
        })
    }

    /// Shakes hands with an endpoint, resuming its last session if there is one.
    pub(crate) async fn connect(
        &self,
        endpoint: &Arc<Endpoint>,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, Reason> {
        let mut config = self.config.clone();
        config.resumption = Resumption::store(self.sessions_of(endpoint));
        let connector = TlsConnector::from(Arc::new(config));
        let connected = connector.connect(self.server_name.clone(), stream).await;
        connected.map_err(|error| {
            let address = endpoint.address();
            tracing::debug!(%address, %error, "TLS handshake with endpoint failed");
            reason(&error)
        })
    }

    fn sessions_of(&self, endpoint: &Arc<Endpoint>) -> Arc<ClientSessionMemoryCache> {
        let key = Arc::as_ptr(endpoint).addr();
        let mut known = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(remembered) = known.get(&key) {
            return Arc::clone(&remembered.sessions);
        }
        known.retain(|_, remembered| {
            let endpoint = remembered.endpoint.upgrade();
            endpoint.is_some_and(|endpoint| !endpoint.is_removed())
        });
        let sessions = Arc::new(ClientSessionMemoryCache::new(SESSIONS));
        let remembered = Remembered {
            endpoint: Arc::downgrade(endpoint),
            sessions: Arc::clone(&sessions),
        };
        known.insert(key, remembered);
        sessions
    }
}

fn dns_name(name: &str) -> Option<ServerName<'static>> {
    let name = ServerName::try_from(name.to_owned()).ok()?;
    matches!(name, ServerName::DnsName(_)).then_some(name)
}

fn reason(error: &io::Error) -> Reason {
    let inner = error.get_ref();
    match inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(_)) => Reason::UpstreamCertificateInvalid,
        _ => Reason::UpstreamTlsFailed,
    }
}

/// Endpoints must have a certificate of the authorities for this name (RFC 9525), whatever name
/// they are asked for.
#[derive(Debug)]
struct OneSubject {
    authorities: Arc<WebPkiServerVerifier>,
    subject: ServerName<'static>,
}

impl OneSubject {
    fn new(anchors: &Anchors, subject: ServerName<'static>) -> Result<Self, VerifierBuilderError> {
        let roots = Arc::clone(&anchors.roots);
        let builder = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider()));
        Ok(Self {
            authorities: builder.build()?,
            subject,
        })
    }
}

impl ServerCertVerifier for OneSubject {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let subject = &self.subject;
        self.authorities
            .verify_server_cert(end_entity, intermediates, subject, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.authorities
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.authorities
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}

/// Encrypts without verification. Only for backends that name no authority and ask for no name: it
/// protects against passive listeners on the path, not against an active attacker.
#[derive(Debug)]
struct NoVerification;

impl ServerCertVerifier for NoVerification {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &provider().signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &provider().signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &provider().signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(trust: Option<&str>, subject: Option<&str>) -> BackendTls {
        BackendTls {
            server_name: "blog.internal".into(),
            trust: trust.map(Into::into),
            subject_name: subject.map(Into::into),
        }
    }

    #[test]
    fn rejects_validation_without_an_authority() {
        let refused = |wanted: &BackendTls| {
            UpstreamTls::new(wanted, UpstreamProtocol::Http1, None)
                .unwrap_err()
                .to_string()
        };
        assert!(refused(&wanted(None, Some("blog.internal"))).starts_with("tls.ca: "));
        assert!(refused(&wanted(Some("t/ca"), None)).starts_with("tls.ca: "));
        assert!(UpstreamTls::new(&wanted(None, None), UpstreamProtocol::Http1, None).is_ok());
    }

    #[test]
    fn names_are_dns_names() {
        let refused = |wanted: &BackendTls| {
            UpstreamTls::new(wanted, UpstreamProtocol::Http1, None)
                .unwrap_err()
                .to_string()
        };
        for name in ["", "10.0.0.1", "a b", "::1"] {
            let mut server = wanted(None, None);
            server.server_name = name.into();
            assert!(refused(&server).starts_with("tls.serverName: "), "{name}");
            assert!(
                refused(&wanted(None, Some(name))).starts_with("tls.subjectName: "),
                "{name}"
            );
        }
    }
}
