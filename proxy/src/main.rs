//! The proxy of one ExposeClass: a data plane, configured by the operators.

use anyhow::Context as _;
use clap::Parser;
use portolan_discovery::table::ClassSettings;
use portolan_proxy::admin;
use portolan_proxy::cpu_limit;
use portolan_proxy::data_plane::{DataPlane, Drain, Settings};
use portolan_proxy::descriptors;
use portolan_proxy::discovery;
use portolan_proxy::limits::Limits;
use portolan_proxy::memory;
use portolan_proxy::options::Options;
use portolan_proxy::telemetry::logs;
use portolan_proxy_core::cidr::Networks;
use std::process::ExitCode;
use std::thread::JoinHandle;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

fn main() -> ExitCode {
    let options = Options::parse();
    match logs::install(options.log_format).and_then(|()| run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("portolan-proxy: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn run(options: &Options) -> anyhow::Result<()> {
    let descriptors = descriptors::raise_limit();
    let mut terminate = signal(SignalKind::terminate()).context("listening for TERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for INT")?;
    let workers = options.workers.map_or_else(cpu_limit::workers, usize::from);
    let data_plane = DataPlane::start(Settings {
        class: options.class.clone(),
        workers,
        addresses: options.listen_address.clone(),
        // The port of the Service before the pods.
        https_port: 443,
        limits: Limits::default(),
        connections: descriptors::connections(descriptors),
        memory_limit: options.memory_limit.or_else(memory::limit::bytes),
        via: options.via.clone(),
        denied: Networks::parse(&ClassSettings::DENIED_CIDRS)?,
        name_servers: options.name_servers.clone(),
        access_log: options.access_log,
    })?;
    let admin = admin::bind(options.admin_address)
        .with_context(|| format!("binding the admin address {}", options.admin_address))?;
    let admin = tokio::spawn(data_plane.admin(admin));
    let unsubscribe = CancellationToken::new();
    let subscriber = subscribe(options, &data_plane, unsubscribe.clone())?;
    tracing::info!(class = options.class, workers, "started");

    tokio::select! {
        _ = terminate.recv() => tracing::info!("received SIGTERM, draining"),
        _ = interrupt.recv() => tracing::info!("received SIGINT, draining"),
    }
    let drain = Drain {
        delay: options.drain_delay,
        timeout: options.drain_timeout,
    };
    // The subscription stays: endpoints still come and go while requests end.
    if !data_plane.drain(drain).await {
        tracing::warn!("requests still in flight after the drain timeout");
    }
    unsubscribe.cancel();
    admin.abort();
    let ended = tokio::task::spawn_blocking(move || subscriber.join());
    if ended.await?.is_err() {
        tracing::error!("subscriber panicked");
    }
    Ok(())
}

/// The subscriber has a thread of its own: neither a large snapshot nor a slow disk holds up
/// anything else.
fn subscribe(
    options: &Options,
    data_plane: &DataPlane,
    shutdown: CancellationToken,
) -> anyhow::Result<JoinHandle<()>> {
    let settings = options.subscription();
    let control = data_plane.control();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::Builder::new()
        .name("discovery".into())
        .spawn(move || {
            let running = discovery::run(settings, control, shutdown);
            if let Err(error) = runtime.block_on(running) {
                tracing::error!(
                    "subscriber failed, applied configuration stays in service: {error:#}"
                );
            }
        })
        .context("starting the subscriber's thread")
}
