//! The subscriber: receives configuration from the operators, applies it to the data plane, and saves it for a restart.
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
mod settings;
mod snapshot;
mod subscriber;
#[cfg(test)]
mod wire_tests;

pub use settings::{OperatorAddress, OperatorAddressError, Settings};

use crate::control::Control;
use link::Link;
use resolve::{HeadlessService, Resolve};
use snapshot::Snapshot;
use std::sync::Arc;
use std::time::Duration;
use subscriber::Subscriber;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Messages of all operators that may wait for the subscriber; beyond it the operators wait.
const EVENTS: usize = 64;
/// How long the last save may hold up the end of the process.
const LAST_SAVE: Duration = Duration::from_secs(5);

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

/// A subscriber that has applied the saved state of its predecessor, and has no stream yet.
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
            tracing::warn!("failed to save the last state in time");
        }
    }
}

async fn restore(snapshot: Snapshot, subscriber: &mut Subscriber) {
    let path = snapshot.path();
    match tokio::task::spawn_blocking(move || snapshot.load()).await {
        Ok(Ok(Some(state))) => {
            tracing::info!(?path, resources = state.len(), "restored state");
            subscriber.restore(state).await;
        }
        Ok(Ok(None)) => {}
        Ok(Err(refused)) => tracing::error!(?path, %refused, "ignored the saved state"),
        Err(error) => tracing::error!(?path, %error, "failed to load the saved state"),
    }
}
