//! The proxy of one ExposeClass: a data plane, configured by the operators.

use anyhow::Context as _;
use clap::Parser;
use portolan_proxy::cpu_limit;
use portolan_proxy::data_plane::{DataPlane, Drain, Settings};
use portolan_proxy::discovery;
use portolan_proxy::limits::Limits;
use portolan_proxy::options::Options;
use portolan_proxy::telemetry::logs;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::thread::JoinHandle;
use tokio::net::TcpListener;
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
    let descriptors = raise_descriptor_limit();
    let mut terminate = signal(SignalKind::terminate()).context("listening for TERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for INT")?;
    let workers = options.workers.map_or_else(cpu_limit::workers, usize::from);
    let data_plane = DataPlane::start(Settings {
        class: options.class.clone(),
        workers,
        addresses: options.listen_address.clone(),
        limits: Limits::default(),
        connections: connections(descriptors),
        access_log: options.access_log,
    })?;
    let admin = bind_admin(options.admin_address)
        .with_context(|| format!("binding the admin address {}", options.admin_address))?;
    let admin = tokio::spawn(data_plane.admin(admin));
    let unsubscribe = CancellationToken::new();
    let subscriber = subscribe(options, &data_plane, unsubscribe.clone())?;
    tracing::info!(class = options.class, workers, "started");

    tokio::select! {
        _ = terminate.recv() => tracing::info!("asked to end; draining"),
        _ = interrupt.recv() => tracing::info!("interrupted; draining"),
    }
    let drain = Drain {
        delay: options.drain_delay,
        timeout: options.drain_timeout,
    };
    // The subscription stays: endpoints still come and go while requests end.
    if !data_plane.drain(drain).await {
        tracing::warn!("not every request ended in time");
    }
    unsubscribe.cancel();
    admin.abort();
    let ended = tokio::task::spawn_blocking(move || subscriber.join());
    if ended.await?.is_err() {
        tracing::error!("the subscriber ended abnormally");
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
                tracing::error!("the subscriber ended: {error:#}; what is applied stays served");
            }
        })
        .context("starting the subscriber's thread")
}

/// On `[::]` for both families; on a host without IPv6 for IPv4.
fn bind_admin(at: SocketAddr) -> io::Result<TcpListener> {
    let bind = |at: SocketAddr| {
        let socket = Socket::new(Domain::for_address(at), Type::STREAM, None)?;
        if at.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&at.into())?;
        socket.listen(128)?;
        TcpListener::from_std(socket.into())
    };
    match bind(at) {
        Err(error)
            if at.is_ipv6()
                && at.ip().is_unspecified()
                && error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error()) =>
        {
            bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, at.port())))
        }
        bound => bound,
    }
}

/// Each connection needs a descriptor on both sides; the soft limit is often 1024 for the sake
/// of programs that use select(2).
fn raise_descriptor_limit() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    let now = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => maximum,
        Err(error) => {
            tracing::warn!(%error, "the limit of open descriptors stays as it is");
            current
        }
    };
    now.unwrap_or(u64::MAX)
}

/// Half of the descriptors for clients, half for endpoints, some for ourselves: when clients
/// take all they may, those that are connected are served on.
fn connections(descriptors: u64) -> usize {
    const OWN: u64 = 256;
    /// More is a matter of memory, not of descriptors.
    const MOST: u64 = 1_000_000;
    let each = (descriptors.saturating_sub(OWN) / 2).clamp(16, MOST);
    usize::try_from(each).unwrap_or(usize::MAX)
}
