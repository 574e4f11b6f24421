//! The client's side of a look.

use crate::tls::provider;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::{DigitallySignedStruct, SignatureAlgorithm, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::sync::{Mutex, PoisonError};

/// Asks who is there, not whether to trust them: any issuer and any name, but the signature
/// must prove that the listener holds the key. Remembers who that was, however the handshake
/// ends: a host that asks clients for certificates has shown its own by then.
#[derive(Debug)]
pub(super) struct CertificateRecorder {
    schemes: Vec<SignatureScheme>,
    shown: Mutex<Option<CertificateDer<'static>>>,
}

impl CertificateRecorder {
    /// Accepts signatures by this kind of key only.
    pub(super) fn new(algorithm: SignatureAlgorithm) -> Self {
        let verifies = &provider().signature_verification_algorithms;
        let mut schemes = verifies.supported_schemes();
        schemes.retain(|scheme| algorithm_of(*scheme) == algorithm);
        Self {
            schemes,
            shown: Mutex::default(),
        }
    }

    /// The certificate whose key the listener has proved to hold.
    pub(super) fn shown(&self) -> Option<CertificateDer<'static>> {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.take()
    }

    fn record(&self, certificate: &CertificateDer<'_>) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        *shown = Some(certificate.clone().into_owned());
    }
}

/// The kind of key that makes such signatures.
fn algorithm_of(scheme: SignatureScheme) -> SignatureAlgorithm {
    match scheme {
        SignatureScheme::ECDSA_NISTP256_SHA256
        | SignatureScheme::ECDSA_NISTP384_SHA384
        | SignatureScheme::ECDSA_NISTP521_SHA512 => SignatureAlgorithm::ECDSA,
        SignatureScheme::ED25519 => SignatureAlgorithm::ED25519,
        _ => SignatureAlgorithm::RSA,
    }
}

impl ServerCertVerifier for CertificateRecorder {
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
        let valid = verify_tls12_signature(message, certificate, signed, algorithms)?;
        self.record(certificate);
        Ok(valid)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &provider().signature_verification_algorithms;
        let valid = verify_tls13_signature(message, certificate, signed, algorithms)?;
        self.record(certificate);
        Ok(valid)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}
