//! Starts all parts of the operator, and stops them in the right order.
//!
//! At shutdown the workers finish first, then the Lease is released: once it is free, this replica no longer writes.

use crate::admin::{self, AdminPages};
use crate::apply::{Applier, Children};
use crate::client::Clients;
use crate::discovery::{self, AckChanges, Discovery};
use crate::exposures::{self, Exposures};
use crate::key::Key;
use crate::lease::{self, Candidate, Leadership, Permit};
use crate::metrics::{self, Metrics, StatusLabels};
use crate::model::{Model, Outputs};
use crate::queue::Queue;
use crate::reconcile::{Reconciler, Workers};
use crate::settings::Settings;
use crate::status::{IngressEvents, Proxies, ReadyGrace, StatusWriter};
use crate::watch::{Input, Scope, Sources};
use anyhow::{Context, anyhow};
use kube::runtime::events::{Recorder, Reporter};
use portolan_core::{CA_CONFIG_MAP, ClassName, Event, ProxySettings, TicketKey};
use prometheus_client::registry::Registry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

/// Capacity of the queue between the watches and the model.
const INPUTS: usize = 1024;
/// Timeout of the workers at shutdown.
const FINISH: Duration = Duration::from_secs(15);

/// Runs the operator until `shutdown`.
///
/// # Errors
/// When a port cannot be opened, no cluster is configured, or a part ends that must not.
pub async fn run(settings: Settings, shutdown: CancellationToken) -> anyhow::Result<()> {
    let (metrics, mut registry) = Metrics::registered();
    let discovery_metrics = discovery::Metrics::default();
    discovery_metrics.register(&mut registry);
    let clients = Clients::infer(settings.rate(), &metrics)
        .await
        .context("no cluster: neither a kubeconfig nor a service account was found")?;
    let admin = TcpListener::bind(settings.admin_address)
        .await
        .with_context(|| {
            format!(
                "--admin-address: cannot listen on {}",
                settings.admin_address
            )
        })?;

    let (leadership_in, leadership) = watch::channel(Leadership::default());
    let (serving_in, serving) = watch::channel(false);
    let (synced_in, synced) = watch::channel(false);
    let (secrets_in, secrets) = watch::channel(BTreeSet::new());
    let (pods_in, pods) = watch::channel(false);
    let (inputs_in, inputs) = mpsc::channel(INPUTS);
    let (ticket_key_in, ticket_key) = watch::channel(None);
    let Discovery {
        table,
        acks,
        changes,
    } = Discovery::new();
    let children: Arc<Children> = Arc::default();
    let exposures: Arc<Exposures> = Arc::default();
    let collector = exposures::ExposureCollector::new(
        Arc::clone(&exposures),
        leadership.clone(),
        synced.clone(),
    );
    registry.register_collector(Box::new(collector));
    let queue: Arc<Queue<Key>> = Arc::default();
    let permit = Permit::default();

    let background = TaskTracker::new();
    background.spawn(
        shutdown
            .clone()
            .run_until_cancelled_owned(forward_ticket_key(ticket_key, inputs_in.clone())),
    );
    let sources = Sources {
        client: clients.work.clone(),
        scope: Scope {
            namespace: settings.namespace.clone(),
        },
        inputs: inputs_in,
        secrets,
        pods,
        metrics: metrics.clone(),
        shutdown: shutdown.clone(),
    }
    .start(&background);
    let outputs = Outputs {
        table: Arc::clone(&table),
        children: Arc::clone(&children),
        exposures,
        queue: Arc::clone(&queue),
        secrets: secrets_in,
        pods: pods_in,
        synced: synced_in,
    };
    let model = Model::new(&settings.namespace, sources, outputs, metrics.clone());
    let model = Arc::new(model);

    let context = Arc::new(Reconciler {
        model: Arc::clone(&model),
        queue: Arc::clone(&queue),
        applier: Applier::new(clients.work.clone(), permit.clone(), Arc::clone(&children)),
        statuses: StatusWriter::new(clients.work.clone(), permit.clone()),
        proxies: Proxies::new(Arc::clone(&table), Arc::clone(&acks), children),
        ready_grace: ReadyGrace::default(),
        ingress_events: IngressEvents::default(),
        recorder: recorder(&clients, &settings),
        client: clients.work.clone(),
        permit: permit.clone(),
        settings: proxy_settings(&settings),
    });
    let workers = TaskTracker::new();
    Workers {
        reconciler: Arc::clone(&context),
        queue: Arc::clone(&queue),
        leadership: leadership.clone(),
        metrics: metrics.clone(),
        shutdown: shutdown.clone(),
    }
    .start(usize::from(settings.concurrency), &workers);

    let mut parts = Parts::default();
    let taking_in = Arc::clone(&model);
    parts.start("model", async move {
        taking_in.run(inputs).await;
        Ok(())
    });
    let acknowledging = Arc::clone(&model);
    parts.start("acknowledgements", async move {
        watch_acks(changes, &acknowledging, &queue).await;
        Ok(())
    });
    let config = discovery_config(
        &settings,
        &clients,
        discovery_metrics,
        serving_in,
        ticket_key_in,
    );
    parts.start(
        "discovery",
        discovery::serve(
            config,
            table,
            acks,
            leadership.clone(),
            synced.clone(),
            shutdown.clone(),
        ),
    );
    let state = AdminState {
        registry,
        metrics,
        model,
        queue: Arc::clone(&context.queue),
        leadership,
        synced,
        serving,
    };
    parts.start(
        "admin",
        admin::serve(admin, Arc::new(state), shutdown.clone()),
    );
    let lease_shutdown = CancellationToken::new();
    let elected = tokio::spawn(lease::run(
        clients.lease,
        candidate(&settings),
        permit,
        leadership_in,
        lease_shutdown.clone(),
    ));
    info!(
        namespace = settings.namespace,
        version = env!("CARGO_PKG_VERSION"),
        "started"
    );

    let ended = parts.until(&shutdown).await;
    shutdown.cancel();
    workers.close();
    if timeout(FINISH, workers.wait()).await.is_err() {
        warn!("workers did not finish in time; the next leader continues their work");
    }
    lease_shutdown.cancel();
    elected.await.context("leader election panicked")?;
    background.close();
    parts.finish().await;
    info!("stopped");
    ended
}

/// Forwards the ticket key to the model as an input.
async fn forward_ticket_key(
    mut known: watch::Receiver<Option<TicketKey>>,
    inputs: mpsc::Sender<Input>,
) {
    while known.changed().await.is_ok() {
        let key = known.borrow_and_update().clone();
        let Some(key) = key else { continue };
        if inputs
            .send(Input::Event(Event::TicketKey(key)))
            .await
            .is_err()
        {
            return;
        }
    }
}

/// Queues the keys that are affected by changed acknowledgements.
async fn watch_acks(mut changes: AckChanges, model: &Model, queue: &Queue<Key>) {
    loop {
        for (class, scope) in changes.changed().await {
            for key in model.concerned(&class, &scope) {
                queue.add(key);
            }
        }
    }
}

fn recorder(clients: &Clients, settings: &Settings) -> Recorder {
    let reporter = Reporter {
        controller: "portolan.dev/operator".to_owned(),
        instance: Some(settings.pod_name.clone()),
    };
    Recorder::new(clients.work.clone(), reporter)
}

fn proxy_settings(settings: &Settings) -> ProxySettings {
    ProxySettings {
        namespace: settings.namespace.clone(),
        image: settings.proxy_image.clone(),
        image_pull_policy: settings.proxy_image_pull_policy.to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

fn discovery_config(
    settings: &Settings,
    clients: &Clients,
    metrics: discovery::Metrics,
    serving: watch::Sender<bool>,
    ticket_key: watch::Sender<Option<TicketKey>>,
) -> discovery::Config {
    let namespace = settings.namespace.clone();
    discovery::Config {
        client: clients.work.clone(),
        namespace: namespace.clone(),
        cluster_domain: settings.cluster_domain.clone(),
        address: settings.discovery_address,
        service_account: Box::new(move |class| {
            // What is no name of a class has no proxies: an empty name fits no ServiceAccount.
            ClassName::parse(class)
                .map(|class| portolan_core::proxy_service_account(&namespace, &class))
                .unwrap_or_default()
        }),
        metrics,
        serving,
        ticket_key,
    }
}

/// Unlike any other process, an earlier one of the same pod included: that one may still have a write
/// under way.
fn candidate(settings: &Settings) -> Candidate {
    let random = fastrand::u32(..);
    Candidate {
        namespace: settings.namespace.clone(),
        lease: settings.lease_name.clone(),
        // The Secret of the authority has the name of its ConfigMap.
        epoch_secret: CA_CONFIG_MAP.to_owned(),
        identity: format!("{}_{random:08x}", settings.pod_name),
        terms: settings.terms(),
    }
}

/// The parts that live as long as the operator: when one ends by itself, everything ends.
#[derive(Default)]
struct Parts {
    running: JoinSet<(&'static str, anyhow::Result<()>)>,
}

impl Parts {
    fn start(
        &mut self,
        name: &'static str,
        part: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        self.running.spawn(async move { (name, part.await) });
    }

    /// Waits for `shutdown`, or for the first part that ends without it.
    async fn until(&mut self, shutdown: &CancellationToken) -> anyhow::Result<()> {
        tokio::select! {
            () = shutdown.cancelled() => Ok(()),
            ended = self.running.join_next() => match ended {
                _ if shutdown.is_cancelled() => Ok(()),
                Some(Ok((name, Ok(())))) => Err(anyhow!("{name} ended unexpectedly")),
                Some(Ok((name, Err(error)))) => Err(error.context(name)),
                Some(Err(fault)) => Err(anyhow!(fault)),
                None => Ok(()),
            },
        }
    }

    async fn finish(mut self) {
        self.running.shutdown().await;
    }
}

/// State behind the admin endpoints.
struct AdminState {
    registry: Registry,
    metrics: Metrics,
    model: Arc<Model>,
    queue: Arc<Queue<Key>>,
    leadership: watch::Receiver<Leadership>,
    synced: watch::Receiver<bool>,
    serving: watch::Receiver<bool>,
}

impl AdminPages for AdminState {
    fn metrics(&self) -> Result<String, std::fmt::Error> {
        let leadership = *self.leadership.borrow();
        let gauge = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.metrics.leader.set(leadership.leader.into());
        let epoch = i64::try_from(leadership.epoch).unwrap_or(i64::MAX);
        self.metrics.epoch.set(epoch);
        self.metrics.synced.set((*self.synced.borrow()).into());
        self.metrics.queue_waiting.set(gauge(self.queue.waiting()));
        self.metrics.objects.clear();
        for (status, count) in self.statuses() {
            let label = StatusLabels { status };
            self.metrics.objects.get_or_create(&label).set(gauge(count));
        }
        metrics::encode(&self.registry)
    }

    fn missing(&self) -> Vec<&'static str> {
        let waits = [
            (*self.synced.borrow(), "caches to be synced"),
            (*self.serving.borrow(), "discovery to be served"),
        ];
        let missing = waits.into_iter().filter(|(there, _)| !there);
        missing.map(|(_, what)| what).collect()
    }
}

impl AdminState {
    fn statuses(&self) -> BTreeMap<String, usize> {
        let state = self.model.read();
        let mut count = BTreeMap::new();
        for record in state.records.objects.values() {
            let status = record.status.as_ref().and_then(|it| it.summary.as_ref());
            let word = status.map(|summary| summary.status.clone());
            *count.entry(word.unwrap_or_default()).or_default() += 1;
        }
        count
    }
}
