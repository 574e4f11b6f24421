//! The subscriber: hears the operators, tells the data plane, and remembers for its next process.
//!
//! ```text
//! headless Service ──► a link per operator ──events──► subscriber ──batches──► Control
//!                            ▲                            │  ▲                    │
//!                            └── acks, reports to all ────┘  └──── verdicts ──────┘
//!                                                         └──► saver ──► <snapshot-dir>/state
//! ```
//! `election` decides whom to follow, `applied` and `reporter` keep what there is to tell: all three
//! without I/O. `resolve`, `operators` and `link` find and keep the streams; `snapshot` is the file.
//!
//! With every operator gone nothing happens here, and the data plane serves what it has.

mod applied;
mod backoff;
mod election;
mod link;
mod operators;
mod reporter;
mod resolve;
mod saver;
mod snapshot;
mod subscriber;
#[cfg(test)]
mod wire_tests;

use crate::control::Control;
use link::Link;
use resolve::{HeadlessService, Resolve};
use snapshot::Snapshot;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use subscriber::Subscriber;
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Messages of all operators that may wait for the subscriber; beyond it the operators wait.
const EVENTS: usize = 64;
/// How long the last save may hold up the end of the process.
const LAST_SAVE: Duration = Duration::from_secs(5);

/// Where the operators are: a name that resolves to all of them, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorAddress {
    host: String,
    port: u16,
}

/// Why a text is no [`OperatorAddress`].
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{0:?} is no operator address; `portolan-discovery.portolan-system.svc:9443` is one")]
pub struct OperatorAddressError(String);

impl FromStr for OperatorAddress {
    type Err = OperatorAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || OperatorAddressError(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(error)?;
        let inner = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
        let host = inner.unwrap_or(host);
        let bare_v6 = inner.is_none() && host.contains(':');
        let bracketed_name = inner.is_some() && host.parse::<IpAddr>().is_err();
        let port = port.parse().map_err(|_| error())?;
        if host.is_empty() || bare_v6 || bracketed_name || port == 0 {
            return Err(error());
        }
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

/// What the subscriber needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The ExposeClass whose proxy this is.
    pub class: String,
    /// The headless Service of the operators; their certificates bear its name.
    pub discovery: OperatorAddress,
    /// The projected token, read for each connection.
    pub token_file: PathBuf,
    /// The authorities to trust, PEM, read for each connection.
    pub ca_file: PathBuf,
    /// A folder in memory that lives as long as the pod.
    pub snapshot_dir: PathBuf,
    /// `metadata.name` of the pod.
    pub pod_name: String,
    /// `metadata.uid` of the pod.
    pub pod_uid: String,
}

impl Settings {
    fn host(&self) -> &str {
        &self.discovery.host
    }
}

/// Subscribes until `shutdown`. First of all, what a former process of this pod had applied is
/// applied again; that needs neither an operator nor a name service.
///
/// # Errors
/// When the host has no usable name service configuration. Whatever operators and files do later is
/// logged, waited out and tried again.
pub async fn run(
    settings: Settings,
    control: Control,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let restored = Restored::new(settings, control, shutdown).await;
    let OperatorAddress { host, port } = &restored.settings.discovery;
    let resolver = HeadlessService::new(host, *port)?;
    restored.subscribe(resolver).await;
    Ok(())
}

/// A subscriber that has applied what its predecessor left, and heard nobody yet.
struct Restored {
    settings: Arc<Settings>,
    subscriber: Subscriber,
    saving: JoinHandle<()>,
    shutdown: CancellationToken,
}

impl Restored {
    async fn new(settings: Settings, control: Control, shutdown: CancellationToken) -> Self {
        let settings = Arc::new(settings);
        let snapshot = Snapshot::new(&settings.snapshot_dir, &settings.class);
        let (states, saving) = saver::start(snapshot.clone(), shutdown.clone());
        let mut subscriber = Subscriber::new(Arc::clone(&settings), control, states);
        restore(snapshot, &mut subscriber).await;
        Self {
            settings,
            subscriber,
            saving,
            shutdown,
        }
    }

    async fn subscribe(self, resolver: impl Resolve) {
        let (events, heard) = mpsc::channel(EVENTS);
        let link = Link {
            settings: self.settings,
            events,
            ids: Arc::default(),
        };
        tokio::join!(
            operators::keep(resolver, link, self.shutdown.clone()),
            self.subscriber.run(heard, self.shutdown),
        );
        if tokio::time::timeout(LAST_SAVE, self.saving).await.is_err() {
            tracing::warn!("the last state could not be saved in time");
        }
    }
}

async fn restore(snapshot: Snapshot, subscriber: &mut Subscriber) {
    let path = snapshot.path();
    match tokio::task::spawn_blocking(move || snapshot.load()).await {
        Ok(Ok(Some(state))) => {
            tracing::info!(?path, resources = state.len(), "state restored");
            subscriber.restore(state).await;
        }
        Ok(Ok(None)) => {}
        Ok(Err(refused)) => tracing::error!(?path, %refused, "the saved state is not used"),
        Err(error) => tracing::error!(?path, %error, "loading the saved state failed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_address_is_a_host_and_a_port() {
        for (text, host, port) in [
            (
                "portolan-discovery.portolan-system.svc:9443",
                "portolan-discovery.portolan-system.svc",
                9443,
            ),
            ("10.0.0.1:1", "10.0.0.1", 1),
            ("[fd00::1]:9443", "fd00::1", 9443),
        ] {
            let expected = OperatorAddress {
                host: host.into(),
                port,
            };
            assert_eq!(text.parse(), Ok(expected));
        }
        for text in [
            "",
            "host",
            "host:",
            ":1",
            "host:0",
            "host:65536",
            "fd00::1",
            "[host]:1",
        ] {
            let error = Err(OperatorAddressError(text.to_owned()));
            assert_eq!(text.parse::<OperatorAddress>(), error);
        }
    }
}
