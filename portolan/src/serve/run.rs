//! The process around it: reads, tells the data plane, writes reports, ends.

use super::engine::Engine;
use super::options::Options;
use super::report::Style;
use super::world::{Serving, World};
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

/// What changes within so long is reported together: a change passes through a few states at once.
const GATHER: Duration = Duration::from_millis(200);
/// Reports that may wait for whoever reads standard output.
const REPORTS: usize = 16;
/// The class when neither a flag nor the folder names one; the name that the chart gives its own.
const CLASS: &str = "public";

/// Serves a folder until TERM or INT.
///
/// # Errors
/// The folder cannot be read, or an address cannot be bound.
pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    ensure!(
        options.http.ip() == options.https.ip(),
        "--https: {} is another address than that of --http; write {}:{}",
        options.https.ip(),
        options.http.ip(),
        options.https.port()
    );
    let descriptors = descriptors::raise_limit();
    let mut terminate = signal(SignalKind::terminate()).context("listening for TERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for INT")?;
    // Before the first look, so that no change falls between.
    let changed = watch(&options.files)?;
    let (folder, update) = read(Folder::default(), options.files.clone()).await?;
    if let Some(unreadable) = update.troubles.iter().find(|it| it.file == ".") {
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
        addresses: listened_on(options.http.ip()),
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
        .with_context(|| format!("--admin: {} cannot be bound", options.admin))?;
    let admin = tokio::spawn(data_plane.admin(admin));
    tracing::info!(%class, workers, http = %options.http, https = %options.https, admin = %options.admin, "started");
    let mut server = Server::new(&options, class, data_plane.control(), changed)?;
    server.take_in(folder, update);
    tokio::select! {
        ended = server.run() => ended?,
        _ = terminate.recv() => tracing::info!("asked to end; draining"),
        _ = interrupt.recv() => tracing::info!("interrupted; draining"),
    }
    let drain = Drain {
        delay: options.drain_delay,
        timeout: options.drain_timeout,
    };
    tokio::select! {
        all_ended = data_plane.drain(drain) => if !all_ended {
            tracing::warn!("not every request ended in time");
        },
        _ = terminate.recv() => tracing::warn!("asked again; not every request ended"),
        _ = interrupt.recv() => tracing::warn!("asked again; not every request ended"),
    }
    admin.abort();
    Ok(())
}

/// Each family has a socket of its own; IPv4 comes first, for every host has it.
fn listened_on(address: IpAddr) -> Vec<IpAddr> {
    match address {
        IpAddr::V6(it) if it.is_unspecified() => vec![Ipv4Addr::UNSPECIFIED.into(), it.into()],
        address => vec![address],
    }
}

/// What is denied in a cluster, but for loopback: here programs run beside one another.
fn denied(options: &Options) -> Vec<String> {
    let loopback = ["127.0.0.0/8", "::1/128"];
    options.denied_cidrs.clone().unwrap_or_else(|| {
        let all = ClassSettings::DENIED_CIDRS.iter();
        let others = all.filter(|network| !loopback.contains(network));
        others.map(ToString::to_string).collect()
    })
}

/// Watches on a task of its own: what it gathers is not lost when something else comes first.
fn watch(files: &Path) -> anyhow::Result<Arc<Notify>> {
    let mut watch = Watch::start(files)?;
    let changed = Arc::new(Notify::new());
    let told = Arc::clone(&changed);
    tokio::spawn(async move {
        loop {
            watch.changed().await;
            told.notify_one();
        }
    });
    Ok(changed)
}

/// Off the main thread: a folder may be large, a disk slow.
async fn read(mut folder: Folder, files: PathBuf) -> anyhow::Result<(Folder, Update)> {
    let reading = tokio::task::spawn_blocking(move || {
        let update = folder.take_in(walk(&files));
        (folder, update)
    });
    reading.await.context("reading the files")
}

/// By flag; else the default class of the folder, or its only one.
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
            "--class: the folder has {} ExposeClasses and none is the default; name the one to serve, such as {}",
            rest.len() + 1,
            first.metadata.name.as_deref().unwrap_or_default()
        ),
    };
    ClassName::parse(name).with_context(|| format!("--class: {name:?} is no name of a class"))
}

/// A batch on its way through the data plane.
struct Applying {
    removed: Vec<ResourceName>,
    verdicts: Pin<Box<dyn Future<Output = Vec<ResourceAck>> + Send>>,
}

struct Server {
    files: PathBuf,
    control: Control,
    engine: Engine,
    folder: Folder,
    changed: Arc<Notify>,
    passed_over: BTreeMap<String, usize>,
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
        let serving = Serving {
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
            engine: Engine::new(World::new(serving, ticket_key()?, now), now),
            folder: Folder::default(),
            changed,
            passed_over: BTreeMap::new(),
            style: Style {
                output: options.output,
                colour: std::io::stdout().is_terminal(),
                http: options.http.port(),
                https: options.https.port(),
            },
            reports: printer(),
        })
    }

    /// Until something fails that cannot be waited out.
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
            if report_at.is_none() && self.engine.has_news() {
                report_at = Some(Instant::now() + GATHER);
            }
            tokio::select! {
                () = self.changed.notified() => {
                    let folder = std::mem::take(&mut self.folder);
                    let (folder, update) = read(folder, self.files.clone()).await?;
                    self.take_in(folder, update);
                }
                (verdicts, removed) = finish(&mut applying) => {
                    self.engine.hear(verdicts, &removed, &self.folder, Timestamp::now());
                    // Its ports never change, so the first answer tells whether they are open.
                    if std::mem::take(&mut first) && let Some(refused) = self.engine.refused_listener() {
                        bail!("{refused}");
                    }
                }
                Ok(()) = readiness.changed() => {
                    let ready = *readiness.borrow_and_update();
                    self.engine.set_ready(ready, &self.folder, Timestamp::now());
                }
                Ok(()) = served.changed() => {
                    let shown = Arc::clone(&served.borrow_and_update());
                    self.engine.shown(&shown, &self.folder, Timestamp::now());
                }
                () = until(self.engine.wake_at()) => self.engine.wake(&self.folder, Timestamp::now()),
                () = at(report_at) => {
                    report_at = None;
                    self.report();
                }
            }
        }
    }

    fn take_in(&mut self, folder: Folder, mut update: Update) {
        self.folder = folder;
        let passed_over = std::mem::take(&mut update.passed_over);
        if passed_over != self.passed_over && !passed_over.is_empty() {
            let kinds: Vec<_> = passed_over
                .iter()
                .map(|(kind, count)| format!("{count} {kind}"))
                .collect();
            tracing::info!(
                "objects of other kinds are passed over: {}",
                kinds.join(", ")
            );
        }
        self.passed_over = passed_over;
        self.engine.take_in(update, &self.folder, Timestamp::now());
    }

    fn next_batch(&mut self) -> Option<Applying> {
        let batch = self.engine.batch()?;
        let removed = batch.removals.clone();
        let control = self.control.clone();
        let verdicts = Box::pin(async move { control.apply(batch).await });
        Some(Applying { removed, verdicts })
    }

    fn report(&mut self) {
        // Whoever does not read gets everything later, gathered.
        if let Ok(room) = self.reports.try_reserve() {
            room.send(self.style.render(&self.engine.news()));
        }
    }
}

/// By chance: no other process serves the same clients, so none has to read its tickets.
fn ticket_key() -> anyhow::Result<TicketKey> {
    let mut key = [0; 32];
    let random = rustls::crypto::aws_lc_rs::default_provider().secure_random;
    let filled = random.fill(&mut key);
    filled.map_err(|_| anyhow!("the system gives no random numbers"))?;
    Ok(TicketKey(key))
}

/// Writes on a thread of its own: a terminal that is held up holds up nothing else.
fn printer() -> mpsc::Sender<String> {
    let (reports, mut waiting) = mpsc::channel::<String>(REPORTS);
    tokio::task::spawn_blocking(move || {
        while let Some(report) = waiting.blocking_recv() {
            let mut out = std::io::stdout().lock();
            if out
                .write_all(report.as_bytes())
                .and_then(|()| out.flush())
                .is_err()
            {
                // Nobody reads any more; the channel stays, so that nothing piles up.
                while waiting.blocking_recv().is_some() {}
            }
        }
    });
    reports
}

/// Waits for the batch in work and takes it out; for ever when there is none.
async fn finish(applying: &mut Option<Applying>) -> (Vec<ResourceAck>, Vec<ResourceName>) {
    let verdicts = match applying {
        Some(applying) => applying.verdicts.as_mut().await,
        None => return pending().await,
    };
    match applying.take() {
        Some(done) => (verdicts, done.removed),
        None => pending().await,
    }
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => pending().await,
    }
}

/// A moment of the wall clock, or an hour: that clock may be set.
async fn until(moment: Timestamp) {
    const LONGEST: Duration = Duration::from_secs(3600);
    let left = moment.duration_since(Timestamp::now());
    let left = Duration::try_from(left).unwrap_or_default();
    // Just after it, so that it has passed by then.
    tokio::time::sleep(left.min(LONGEST) + Duration::from_millis(10)).await;
}
