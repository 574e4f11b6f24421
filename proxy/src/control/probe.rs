//! What clients are really shown: a handshake with the own listener for each server name, after
//! each swap and every minute. A certificate in a table is a belief; this is the fact.

use crate::certificate::{fingerprint, not_after};
use crate::control::Served;
use anyhow::{Context as _, anyhow};
use portolan_discovery::table::{Kind, ResourceName};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

/// For one handshake.
const PATIENCE: Duration = Duration::from_secs(5);
/// After a handshake that failed, until the next look.
const RETRY: Duration = Duration::from_secs(1);
/// How many names are looked at before what was found is told.
const ROUND: usize = 64;

/// What is to be looked at; shared by the control thread's tasks.
#[derive(Debug, Default)]
pub(crate) struct Targets {
    state: RefCell<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    listener: Option<SocketAddr>,
    /// The certificate of each host.
    hosts: BTreeMap<String, String>,
    by_certificate: BTreeMap<String, BTreeSet<String>>,
    due: BTreeSet<String>,
    /// Hosts that are no more.
    gone: BTreeSet<String>,
}

impl Targets {
    /// Where to knock.
    pub(crate) fn set_listener(&self, listener: Option<SocketAddr>) {
        let mut state = self.state.borrow_mut();
        if state.listener != listener {
            state.listener = listener;
            drop(state);
            self.all_due();
        }
    }

    /// A host has a new version, perhaps with another certificate or none.
    pub(crate) fn set_host(&self, hostname: &str, certificate: Option<&str>) {
        let mut state = self.state.borrow_mut();
        if let Some(former) = state.hosts.remove(hostname)
            && let Some(hosts) = state.by_certificate.get_mut(&former)
        {
            hosts.remove(hostname);
            if hosts.is_empty() {
                state.by_certificate.remove(&former);
            }
        }
        match certificate {
            Some(name) => {
                state.hosts.insert(hostname.to_owned(), name.to_owned());
                let hosts = state.by_certificate.entry(name.to_owned()).or_default();
                hosts.insert(hostname.to_owned());
                state.due.insert(hostname.to_owned());
            }
            None => {
                state.due.remove(hostname);
                state.gone.insert(hostname.to_owned());
            }
        }
        self.changed.notify_one();
    }

    /// A certificate was swapped.
    pub(crate) fn swapped(&self, certificate: &str) {
        let mut state = self.state.borrow_mut();
        if let Some(hosts) = state.by_certificate.get(certificate).cloned() {
            state.due.extend(hosts);
            self.changed.notify_one();
        }
    }

    fn all_due(&self) {
        let mut state = self.state.borrow_mut();
        state.due = state.hosts.keys().cloned().collect();
        self.changed.notify_one();
    }

    /// The next names to look at, and those to forget.
    fn take(&self) -> Round {
        let mut state = self.state.borrow_mut();
        let gone = std::mem::take(&mut state.gone);
        let Some(listener) = state.listener else {
            return Round {
                gone,
                ..Round::default()
            };
        };
        let names: Vec<String> = state.due.iter().take(ROUND).cloned().collect();
        let mut hosts = Vec::new();
        for name in names {
            state.due.remove(&name);
            if let Some(certificate) = state.hosts.get(&name) {
                hosts.push((name, certificate.clone()));
            }
        }
        Round {
            gone,
            listener: Some(listener),
            hosts,
        }
    }

    fn again(&self, hostname: &str) {
        let mut state = self.state.borrow_mut();
        if state.hosts.contains_key(hostname) {
            state.due.insert(hostname.to_owned());
        }
    }
}

#[derive(Debug, Default)]
struct Round {
    gone: BTreeSet<String>,
    listener: Option<SocketAddr>,
    /// Names with their certificates.
    hosts: Vec<(String, String)>,
}

/// Looks for ever; ends with the runtime that it runs on.
pub(crate) async fn run(
    targets: Rc<Targets>,
    served: watch::Sender<Arc<Vec<Served>>>,
    every: Duration,
) {
    let client = match client() {
        Ok(client) => client,
        Err(error) => return tracing::error!(%error, "served certificates cannot be looked at"),
    };
    let mut known: BTreeMap<String, Served> = BTreeMap::new();
    let mut all = tokio::time::interval(every);
    loop {
        tokio::select! {
            () = targets.changed.notified() => {}
            _ = all.tick() => targets.all_due(),
        }
        loop {
            let round = targets.take();
            let Round {
                gone,
                listener,
                hosts,
            } = round;
            let before = known.clone();
            for hostname in gone {
                known.remove(&hostname);
            }
            let mut failed = false;
            let looked = hosts.len();
            for (hostname, certificate) in hosts {
                let Some(listener) = listener else { break };
                match look(&client, listener, &hostname).await {
                    Ok((fingerprint, not_after_unix)) => {
                        let certificate = ResourceName {
                            kind: Kind::Certificate,
                            name: certificate,
                        };
                        let found = Served {
                            server_name: hostname.clone(),
                            certificate,
                            fingerprint,
                            not_after_unix,
                        };
                        known.insert(hostname, found);
                    }
                    Err(error) => {
                        tracing::warn!(%hostname, "the own listener shows no certificate: {error:#}");
                        known.remove(&hostname);
                        targets.again(&hostname);
                        failed = true;
                    }
                }
            }
            if known != before {
                served.send_replace(Arc::new(known.values().cloned().collect()));
            }
            if failed {
                sleep(RETRY).await;
            } else if looked < ROUND {
                break;
            }
        }
    }
}

/// Shakes hands as a client that asks for the hostname; gives what it was shown.
async fn look(
    client: &TlsConnector,
    listener: SocketAddr,
    hostname: &str,
) -> anyhow::Result<(String, i64)> {
    // Any one label stands for those that a wildcard takes.
    let name = match hostname.strip_prefix("*.") {
        Some(parent) => format!("portolan-probe.{parent}"),
        None => hostname.to_owned(),
    };
    let name = ServerName::try_from(name)?;
    let shaking = async {
        let stream = TcpStream::connect(listener).await?;
        client.connect(name, stream).await
    };
    let stream = timeout(PATIENCE, shaking).await.context("no answer")??;
    let (_, connection) = stream.get_ref();
    let leaf = connection
        .peer_certificates()
        .and_then(<[_]>::first)
        .ok_or_else(|| anyhow!("no certificate"))?;
    Ok((fingerprint(leaf), not_after(leaf)?))
}

fn client() -> Result<TlsConnector, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyIssuer(provider)))
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Asks who is there, not whether to trust them: any issuer and any name, but the signature
/// must prove that the listener holds the key.
#[derive(Debug)]
struct AnyIssuer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyIssuer {
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
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
