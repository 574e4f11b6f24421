//! Event loop of the process: reads files, updates the data plane, prints changes, drains.

use super::engine::Engine;
use super::environment::{Environment, ServingConfig};
use super::options::Options;
use super::report::Style;
use crate::files::watch::Watch;
use crate::files::{Folder, Object, Update, walk};
use anyhow::{Context as _, anyhow, bail, ensure};
use jiff::Timestamp;
use portolan_core::{ClassName, TicketKey};
use portolan_discovery::session::ResourceAck;
use portolan_discovery::table::{ClassSettings, ResourceName};
use portolan_proxy::control::Control;
use portolan_proxy::data_plane::{DataPlane, Drain, Settings};
use portolan_proxy::limits::Limits;
use portolan_proxy::memory;
use portolan_proxy::{admin, cpu_limit, descriptors};
use portolan_proxy_core::cidr::Networks;
use std::collections::BTreeMap;
use std::future::pending;
use std::io::{IsTerminal as _, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until};

/// Delay of reports, so that intermediate states of a change are not printed.
const REPORT_DELAY: Duration = Duration::from_millis(200);
/// Maximum number of reports waiting for the reader of stdout.
const REPORT_QUEUE: usize = 16;
/// Class if neither a flag nor the folder sets one; the name of the chart's class.
const CLASS: &str = "public";

/// Serves a folder until SIGTERM or SIGINT.
///
/// # Errors
/// The folder cannot be read, or an address cannot be bound.
pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    ensure!(
        options.http.ip() == options.https.ip(),
        "--https: {} must be the address of --http; use {}:{}",
        options.https.ip(),
        options.http.ip(),
        options.https.port()
    );
    let descriptors = descriptors::raise_limit();
    let mut terminate = signal(SignalKind::terminate()).context("handling SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("handling SIGINT")?;
    // Before the first read, so that no change is missed.
    let changed = watch(&options.files)?;
    let (folder, update) = read(Folder::default(), options.files.clone()).await?;
    if let Some(unreadable) = update
        .diagnostics
        .iter()
        .find(|diagnostic| diagnostic.file == ".")
    {
        bail!(
            "--files: {}: {}",
            options.files.display(),
            unreadable.problem
        );
    }
    let class = served_class(&options, &update.applied)?;
    let workers = options.workers.map_or_else(cpu_limit::workers, usize::from);
    let data_plane = DataPlane::start(Settings {
        class: class.as_str().to_owned(),
        workers,
        addresses: listen_addresses(options.http.ip()),
        https_port: options.https.port(),
        limits: Limits::default(),
        connections: descriptors::connections(descriptors),
        memory_limit: memory::limit::bytes(),
        via: Default::default(),
        denied: Networks::parse(&denied(&options)).context("--denied-cidrs")?,
        name_servers: options.name_servers.clone(),
        access_log: options.access_log,
    })?;
    let admin = admin::bind(options.admin)
        .with_context(|| format!("--admin: cannot bind {}", options.admin))?;
    let admin = tokio::spawn(data_plane.admin(admin));
    tracing::info!(%class, workers, http = %options.http, https = %options.https, admin = %options.admin, "started");
    let mut server = Server::new(&options, class, data_plane.control(), changed)?;
    server.update(folder, update);
    tokio::select! {
        ended = server.run() => ended?,
        _ = terminate.recv() => tracing::info!("received SIGTERM, draining"),
        _ = interrupt.recv() => tracing::info!("received SIGINT, draining"),
    }
    let drain = Drain {
        delay: options.drain_delay,
        timeout: options.drain_timeout,
    };
    tokio::select! {
        drained = data_plane.drain(drain) => if !drained {
            tracing::warn!("drain timeout exceeded, closing connections");
        },
        _ = terminate.recv() => tracing::warn!("received second SIGTERM, closing connections"),
        _ = interrupt.recv() => tracing::warn!("received SIGINT while draining, closing connections"),
    }
    admin.abort();
    Ok(())
}

/// Returns the addresses to listen on: one socket per family, IPv4 first.
fn listen_addresses(address: IpAddr) -> Vec<IpAddr> {
    match address {
        IpAddr::V6(v6) if v6.is_unspecified() => vec![Ipv4Addr::UNSPECIFIED.into(), v6.into()],
        address => vec![address],
    }
}

/// Returns the denied networks: those of a cluster without loopback, as endpoints run on this host.
fn denied(options: &Options) -> Vec<String> {
    let loopback = ["127.0.0.0/8", "::1/128"];
    options.denied_cidrs.clone().unwrap_or_else(|| {
        let all = ClassSettings::DENIED_CIDRS.iter();
        let others = all.filter(|network| !loopback.contains(network));
        others.map(ToString::to_string).collect()
    })
}

/// Watches on its own task, so that no change is lost while other events are handled.
fn watch(files: &Path) -> anyhow::Result<Arc<Notify>> {
    let mut watch = Watch::start(files)?;
    let changed = Arc::new(Notify::new());
    let notify = Arc::clone(&changed);
    tokio::spawn(async move {
        loop {
            watch.changed().await;
            notify.notify_one();
        }
    });
    Ok(changed)
}

/// Reads the files on another thread: a folder may be large, a disk slow.
async fn read(mut folder: Folder, files: PathBuf) -> anyhow::Result<(Folder, Update)> {
    let reading = tokio::task::spawn_blocking(move || {
        let update = folder.update(walk(&files));
        (folder, update)
    });
    reading.await.context("reading the files")
}

/// Returns the class of the flag, else the default class of the folder, or its only one.
fn served_class(options: &Options, objects: &[Object]) -> anyhow::Result<ClassName> {
    if let Some(class) = &options.class {
        return Ok(class.clone());
    }
    let mut classes: Vec<_> = objects
        .iter()
        .filter_map(|object| match object {
            Object::ExposeClass(class) => Some(class),
            _ => None,
        })
        .collect();
    classes.sort_by_key(|class| {
        let created = class
            .metadata
            .creation_timestamp
            .as_ref()
            .map(|time| time.0);
        (!class.spec.default, created, class.metadata.name.clone())
    });
    let name = match classes.as_slice() {
        [] => CLASS,
        [first, rest @ ..] if first.spec.default || rest.is_empty() => {
            first.metadata.name.as_deref().unwrap_or_default()
        }
        [first, rest @ ..] => bail!(
            "--class: Required value: the folder has {} ExposeClasses and none is the default; choose one, such as {}",
            rest.len() + 1,
            first.metadata.name.as_deref().unwrap_or_default()
        ),
    };
    ClassName::parse(name)
        .with_context(|| format!("--class: Invalid value: {name:?}: must be a DNS label"))
}

/// A batch that the data plane is applying.
struct Applying {
    removed: Vec<ResourceName>,
    acks: Pin<Box<dyn Future<Output = Vec<ResourceAck>> + Send>>,
}

struct Server {
    files: PathBuf,
    control: Control,
    engine: Engine,
    folder: Folder,
    changed: Arc<Notify>,
    skipped: BTreeMap<String, usize>,
    style: Style,
    reports: mpsc::Sender<String>,
}

impl Server {
    fn new(
        options: &Options,
        class: ClassName,
        control: Control,
        changed: Arc<Notify>,
    ) -> anyhow::Result<Self> {
        let config = ServingConfig {
            class,
            http: options.http.port(),
            https: options.https.port(),
            address: match options.http.ip() {
                address if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
                address => address,
            },
        };
        let now = Timestamp::now();
        Ok(Self {
            files: options.files.clone(),
            control,
            engine: Engine::new(Environment::new(config, ticket_key()?, now), now),
            folder: Folder::default(),
            changed,
            skipped: BTreeMap::new(),
            style: Style {
                output: options.output,
                colour: std::io::stdout().is_terminal(),
                http: options.http.port(),
                https: options.https.port(),
            },
            reports: printer(),
        })
    }

    /// Runs until a permanent failure.
    async fn run(&mut self) -> anyhow::Result<()> {
        let mut readiness = self.control.readiness();
        let mut served = self.control.served();
        let mut applying: Option<Applying> = None;
        let mut first = true;
        let mut report_at: Option<Instant> = None;
        loop {
            if applying.is_none() {
                applying = self.next_batch();
            }
            if report_at.is_none() && self.engine.has_changes() {
                report_at = Some(Instant::now() + REPORT_DELAY);
            }
            tokio::select! {
                () = self.changed.notified() => {
                    let folder = std::mem::take(&mut self.folder);
                    let (folder, update) = read(folder, self.files.clone()).await?;
                    self.update(folder, update);
                }
                (acks, removed) = finish(&mut applying) => {
                    self.engine.record_acks(acks, &removed, &self.folder, Timestamp::now());
                    // The ports never change, so the first result shows if they are open.
                    if std::mem::take(&mut first) && let Some(error) = self.engine.listener_error() {
                        bail!("{error}");
                    }
                }
                Ok(()) = readiness.changed() => {
                    let ready = *readiness.borrow_and_update();
                    self.engine.set_ready(ready, &self.folder, Timestamp::now());
                }
                Ok(()) = served.changed() => {
                    let presented = Arc::clone(&served.borrow_and_update());
                    self.engine.record_certificates(&presented, &self.folder, Timestamp::now());
                }
                () = until(self.engine.wake_at()) => self.engine.wake(&self.folder, Timestamp::now()),
                () = at(report_at) => {
                    report_at = None;
                    self.report();
                }
            }
        }
    }

    fn update(&mut self, folder: Folder, mut update: Update) {
        self.folder = folder;
        let skipped = std::mem::take(&mut update.skipped);
        if skipped != self.skipped && !skipped.is_empty() {
            let kinds: Vec<_> = skipped
                .iter()
                .map(|(kind, count)| format!("{count} {kind}"))
                .collect();
            tracing::info!(kinds = kinds.join(", "), "skipped objects of other kinds");
        }
        self.skipped = skipped;
        self.engine.update(update, &self.folder, Timestamp::now());
    }

    fn next_batch(&mut self) -> Option<Applying> {
        let batch = self.engine.batch()?;
        let removed = batch.removals.clone();
        let control = self.control.clone();
        let acks = Box::pin(async move { control.apply(batch).await });
        Some(Applying { removed, acks })
    }

    fn report(&mut self) {
        // Without a permit, changes accumulate until the reader catches up.
        if let Ok(permit) = self.reports.try_reserve() {
            permit.send(self.style.render(&self.engine.take_changes()));
        }
    }
}

/// Returns a random key: no other process serves the same clients, so the key is not shared.
fn ticket_key() -> anyhow::Result<TicketKey> {
    let mut key = [0; 32];
    let random = rustls::crypto::aws_lc_rs::default_provider().secure_random;
    let filled = random.fill(&mut key);
    filled.map_err(|_| anyhow!("failed to generate random numbers"))?;
    Ok(TicketKey(key))
}

/// Writes on its own thread, so that a blocked terminal blocks nothing else.
fn printer() -> mpsc::Sender<String> {
    let (reports, mut waiting) = mpsc::channel::<String>(REPORT_QUEUE);
    tokio::task::spawn_blocking(move || {
        while let Some(report) = waiting.blocking_recv() {
            let mut out = std::io::stdout().lock();
            if out
                .write_all(report.as_bytes())
                .and_then(|()| out.flush())
                .is_err()
            {
                // The reader is gone; drain the channel, so that nothing accumulates.
                while waiting.blocking_recv().is_some() {}
            }
        }
    });
    reports
}

/// Waits for the current batch and returns its result; pending if there is none.
async fn finish(applying: &mut Option<Applying>) -> (Vec<ResourceAck>, Vec<ResourceName>) {
    let acks = match applying {
        Some(applying) => applying.acks.as_mut().await,
        None => return pending().await,
    };
    match applying.take() {
        Some(done) => (acks, done.removed),
        None => pending().await,
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

/// Waits until a time of the wall clock, at most an hour, as that clock may be set.
async fn until(time: Timestamp) {
    const MAX_WAIT: Duration = Duration::from_secs(3600);
    let left = time.duration_since(Timestamp::now());
    let left = Duration::try_from(left).unwrap_or_default();
    // Slightly later, so that the time has passed.
    tokio::time::sleep(left.min(MAX_WAIT) + Duration::from_millis(10)).await;
}
