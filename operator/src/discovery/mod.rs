//! The server side of discovery: every synced replica sends its configuration to the proxies of each class
//! and receives their acknowledgements.
//!
//! ```text
//! model ──► Table ──names──► stream per proxy ──transactions──► proxy
//! status ◄── Acks ◄───────────────┴────────────verdicts─────────┘
//! ```
//! - [`table`](Table) is what shall be, [`acks`](Acks) what is; both are plain shared memory.
//! - `outbox` decides what one proxy is sent next, `stream` carries it, `server` lets proxies in.
//! - `auth` checks tokens; `ca` makes certificates, `ca_controller` stores them in the cluster, `tls` presents them.
//!
//! # Usage
//! ```no_run
//! # use portolan_operator::discovery::{self, Discovery, Scope};
//! # async fn example(config: discovery::Config, leadership: tokio::sync::watch::Receiver<portolan_operator::lease::Leadership>,
//! #     synced: tokio::sync::watch::Receiver<bool>, shutdown: tokio_util::sync::CancellationToken) -> anyhow::Result<()> {
//! let Discovery { table, acks, mut changes } = Discovery::new();
//! // The model task: one `table.apply(class, changes)` for each batch of events.
//! // The status task: what to reconcile again.
//! tokio::spawn(async move {
//!     loop {
//!         for (class, scope) in changes.changed().await {
//!             match scope {
//!                 Scope::Everything => { /* every object of the class */ }
//!                 Scope::Names(names) => { /* the objects behind these resources */ }
//!             }
//!         }
//!     }
//! });
//! discovery::serve(config, table, acks, leadership, synced, shutdown).await
//! # }
//! ```
//! Permissions: create TokenReviews (cluster); in the own namespace create Secrets and ConfigMaps,
//! get Secret `portolan-ca`, get and patch ConfigMap `portolan-ca`.

mod acks;
mod auth;
mod ca;
mod ca_controller;
mod changes;
mod metrics;
mod outbox;
mod server;
mod stream;
mod table;
mod tls;
#[cfg(test)]
mod wire_tests;

pub use acks::{Acks, Proxy, ProxyPod};
pub use changes::{AckChanges, Scope};
pub use metrics::Metrics;
pub use table::{Content, Table};

use crate::lease::Leadership;
use anyhow::Context;
use portolan_core::TicketKey;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Shared state of discovery.
#[derive(Debug)]
pub struct Discovery {
    /// Desired configuration.
    pub table: Arc<Table>,
    /// Acknowledged configuration.
    pub acks: Arc<Acks>,
    /// Which acknowledgements changed.
    pub changes: AckChanges,
}

impl Discovery {
    /// Returns an empty state without connected proxies.
    #[allow(clippy::new_without_default)] // A receiver comes out: there is nothing default about it.
    pub fn new() -> Self {
        let (acks, changes) = Acks::new();
        Self {
            table: Arc::default(),
            acks,
            changes,
        }
    }
}

/// Configuration of [`serve`].
pub struct Config {
    /// For token reviews, the Secret and the ConfigMap of the authority.
    pub client: kube::Client,
    /// The operator's own namespace, where the proxies are too.
    pub namespace: String,
    /// Usually `cluster.local`.
    pub cluster_domain: String,
    /// Where to listen, usually `[::]:9443`.
    pub address: SocketAddr,
    /// From the name of a class to the name of its proxy's ServiceAccount.
    pub service_account: Box<dyn Fn(&str) -> String + Send + Sync>,
    /// See [`Metrics::register`].
    pub metrics: Metrics,
    /// Becomes true when proxies can connect: the port is open and there is a certificate.
    pub serving: watch::Sender<bool>,
    /// Becomes known with the authority, and changes with it.
    pub ticket_key: watch::Sender<Option<TicketKey>>,
}

/// Serves discovery until `shutdown`.
///
/// Streams are accepted before `synced`, but nothing is sent on them: neither a heartbeat, without
/// which no proxy follows, nor a transaction. `leadership` says what heartbeats carry, and whether
/// this replica may make the authority.
///
/// # Errors
/// When the port cannot be opened. Whatever the API server answers is waited out.
pub async fn serve(
    config: Config,
    table: Arc<Table>,
    acks: Arc<Acks>,
    leadership: watch::Receiver<Leadership>,
    synced: watch::Receiver<bool>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let listener = TcpListener::bind(config.address)
        .await
        .with_context(|| format!("discovery: cannot listen on {}", config.address))?;
    let presented = Arc::new(tls::Presented::default());
    let ca_controller = ca_controller::CaController::new(
        &config.client,
        &config.namespace,
        &config.cluster_domain,
        Arc::clone(&presented),
        config.ticket_key,
    );
    let namespace = config.namespace;
    let service_account = config.service_account;
    let server = server::Server {
        table,
        acks,
        reviewer: auth::ApiReviewer::new(&config.client),
        username: Box::new(move |class| {
            format!(
                "system:serviceaccount:{namespace}:{}",
                service_account(class)
            )
        }),
        leadership: leadership.clone(),
        synced,
        metrics: config.metrics,
        shutdown: shutdown.clone(),
    };
    let ca_task = tokio::spawn(ca_controller.run(leadership, shutdown.clone()));
    let announce = {
        let presented = Arc::clone(&presented);
        tokio::spawn(async move {
            presented.is_there().await;
            config.serving.send_replace(true);
        })
    };
    let served = server.serve(listener, presented).await;
    announce.abort();
    // It ends by shutdown, or is of no use to a server that failed.
    ca_task.abort();
    served
}
