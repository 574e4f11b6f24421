//! Probes the certificates that clients are presented, by handshakes with the own listener. A certificate in a table is a
//! belief; this is the fact.
//!
//! A name is looked at when its certificate becomes another one, and all names are looked at in
//! turn. When a certificate is swapped, one of its names speaks for all that have been looked at:
//! they share the slot. So ten thousand names cost a bounded share of a core, whatever happens.

mod handshake;
mod targets;

pub(crate) use targets::Targets;

use crate::control::PresentedCertificate;
use crate::tls::certificate::{fingerprint, not_after};
use crate::tls::{OWN, provider};
use anyhow::{Context as _, anyhow};
use handshake::CertificateRecorder;
use portolan_discovery::table::{Kind, ResourceName};
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls_pki_types::ServerName;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use targets::ProbeTarget;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;

/// For one handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// After a handshake that failed, until the next look.
const RETRY: Duration = Duration::from_secs(1);
/// Findings are published after this time at the latest, also while more targets are due.
const PUBLISH_INTERVAL: Duration = Duration::from_millis(250);

/// Runs the probe until its runtime ends.
pub(crate) async fn run(
    targets: Rc<Targets>,
    served: watch::Sender<Arc<Vec<PresentedCertificate>>>,
    every: Duration,
) {
    let client = match client() {
        Ok(client) => client,
        Err(error) => return tracing::error!(%error, "failed to start the certificate probe"),
    };
    let mut known = Findings::default();
    let mut turn = tokio::time::interval(every);
    loop {
        tokio::select! {
            () = targets.changed() => {}
            _ = turn.tick() => targets.next_in_turn(),
        }
        let mut unpublished_since = Instant::now();
        loop {
            let mut failed = false;
            known.forget(targets.take_gone());
            while let Some((listener, next)) = targets.take() {
                match look(&client, listener, &next).await {
                    Ok(found) => known.found(&next, &found, &targets),
                    Err(error) => {
                        let hostname = &next.hostname;
                        tracing::warn!(%hostname, "failed to probe the certificate of the own listener: {error:#}");
                        known.forget([next.hostname.clone()]);
                        targets.again(next);
                        failed = true;
                        break;
                    }
                }
                if unpublished_since.elapsed() >= PUBLISH_INTERVAL {
                    known.publish(&served);
                    unpublished_since = Instant::now();
                }
            }
            known.publish(&served);
            if !failed {
                break;
            }
            sleep(RETRY).await;
        }
    }
}

/// Certificate that one probe was presented.
struct Found {
    fingerprint: String,
    not_after_unix: i64,
}

/// Findings by hostname.
#[derive(Default)]
struct Findings {
    served: BTreeMap<String, PresentedCertificate>,
    unpublished: bool,
}

impl Findings {
    fn found(&mut self, look: &ProbeTarget, found: &Found, targets: &Targets) {
        self.set(&look.hostname, look, found);
        if look.for_all {
            for hostname in targets.names_of(look.certificate.name()) {
                if self.served.contains_key(&hostname) {
                    self.set(&hostname, look, found);
                }
            }
        }
    }

    fn set(&mut self, hostname: &str, look: &ProbeTarget, found: &Found) {
        let new = PresentedCertificate {
            server_name: hostname.to_owned(),
            certificate: ResourceName {
                kind: Kind::Certificate,
                name: look.certificate.name().to_owned(),
            },
            fingerprint: found.fingerprint.clone(),
            not_after_unix: found.not_after_unix,
        };
        if self.served.get(hostname) != Some(&new) {
            self.served.insert(hostname.to_owned(), new);
            self.unpublished = true;
        }
    }

    fn forget(&mut self, hostnames: impl IntoIterator<Item = String>) {
        for hostname in hostnames {
            self.unpublished |= self.served.remove(&hostname).is_some();
        }
    }

    fn publish(&mut self, to: &watch::Sender<Arc<Vec<PresentedCertificate>>>) {
        if std::mem::take(&mut self.unpublished) {
            to.send_replace(Arc::new(self.served.values().cloned().collect()));
        }
    }
}

/// Performs a handshake as a client of the hostname and returns the certificate that it was presented.
async fn look(
    client: &ClientConfig,
    listener: SocketAddr,
    look: &ProbeTarget,
) -> anyhow::Result<Found> {
    // Any one label stands for those that a wildcard takes.
    let name = match look.hostname.strip_prefix("*.") {
        Some(parent) => format!("portolan-probe.{parent}"),
        None => look.hostname.clone(),
    };
    let name = ServerName::try_from(name)?;
    let algorithm = look.certificate.presented().certified.key.algorithm();
    let recorder = Arc::new(CertificateRecorder::new(algorithm));
    let mut client = client.clone();
    let verifier = Arc::clone(&recorder);
    client.dangerous().set_certificate_verifier(verifier);
    let shaking = async {
        let stream = TcpStream::connect(listener).await?;
        TlsConnector::from(Arc::new(client))
            .connect(name, stream)
            .await
    };
    let shaken = timeout(HANDSHAKE_TIMEOUT, shaking)
        .await
        .context("handshake timed out")?;
    let Some(leaf) = recorder.shown() else {
        return Err(shaken.map_or_else(Into::into, |_| anyhow!("no certificate presented")));
    };
    Ok(Found {
        fingerprint: fingerprint(&leaf),
        not_after_unix: not_after(&leaf)?,
    })
}

fn client() -> Result<ClientConfig, rustls::Error> {
    // Replaced for each look.
    let placeholder = Arc::new(CertificateRecorder::new(rustls::SignatureAlgorithm::ECDSA));
    let mut config = ClientConfig::builder_with_provider(Arc::clone(provider()))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(placeholder)
        .with_no_client_auth();
    config.alpn_protocols = vec![OWN.clone(), b"http/1.1".to_vec()];
    // A resumed session shows no certificate.
    config.resumption = Resumption::disabled();
    Ok(config)
}
