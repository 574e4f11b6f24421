//! Connections that say nothing.

use crate::candidate::{Candidate, Program, Workspace};
use crate::cases::{Exchange, Idle, Key, Lifetime, Load, Version};
use crate::load::{Clients, Target};
use anyhow::{Context as _, bail};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// As many as a limit of 20,000 open files allows where each needs one to the origin as well.
pub(crate) const CONNECTIONS: usize = 9_500;
/// Time without traffic.
pub(crate) const SILENCE: Duration = Duration::from_secs(30);
/// Connections opened at a time.
const WAVE: usize = 32;
/// Line that the clients print when all are open.
const HELD: &str = "held";

impl Idle {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Http2 => "http2",
            Self::WebSocket => "websocket",
        }
    }

    pub(crate) fn key(self) -> Option<Key> {
        match self {
            Self::Tls | Self::Http2 => Some(Key::Ecdsa),
            Self::WebSocket => None,
        }
    }

    pub(crate) fn version(self) -> Version {
        match self {
            Self::Tls | Self::WebSocket => Version::Http1,
            Self::Http2 => Version::Http2 { streams: 1 },
        }
    }

    fn exchange(self) -> Exchange {
        match self {
            Self::Tls | Self::Http2 => Exchange::Get(1024),
            Self::WebSocket => Exchange::Echo(1024),
        }
    }
}

/// Results of each candidate.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Bytes of resident memory that a connection adds.
    pub(crate) bytes: Vec<(&'static str, f64)>,
    /// Why a candidate does not hold so many.
    pub(crate) failed: Vec<(&'static str, String)>,
}

/// All are held at the same time: memory, unlike time, is not shared.
pub(crate) fn measure(
    idle: Idle,
    candidates: &[Candidate],
    workspace: &Workspace,
) -> anyhow::Result<Found> {
    let mut found = Found::default();
    let mut held = Vec::new();
    for candidate in candidates {
        let before = candidate.processes.resident()?;
        match open(idle, candidate, workspace) {
            Ok(clients) => held.push((candidate, before, clients)),
            Err(why) => found.failed.push((candidate.name, format!("{why:#}"))),
        }
    }
    thread::sleep(SILENCE);
    for (candidate, before, _clients) in &held {
        let after = candidate.processes.resident()?;
        let added = after.saturating_sub(*before) as f64 / CONNECTIONS as f64;
        found.bytes.push((candidate.name, added));
    }
    Ok(found)
}

/// A process of its own holds the connections of one candidate: it has a limit of open files too.
fn open(idle: Idle, candidate: &Candidate, workspace: &Workspace) -> anyhow::Result<Program> {
    let target = workspace.target(candidate.ports, idle.key(), idle.version(), false)?;
    let mut child = Command::new(std::env::current_exe()?)
        .args([
            "hold",
            idle.name(),
            &target.address.to_string(),
            &target.host,
        ])
        .arg(workspace.authority())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let stdout = child.stdout.take().context("no output")?;
    let clients = Program::from(child);
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    match line.trim() {
        HELD => Ok(clients),
        other => bail!("the clients printed {other:?}"),
    }
}

/// Opens the connections, says so, and holds them until it is killed.
pub(crate) fn hold(
    idle: Idle,
    mut target: Target,
    authority: &std::path::Path,
) -> anyhow::Result<()> {
    let (tls, version) = (idle.key(), idle.version());
    if tls.is_some() {
        let config = crate::load::tls::config(authority, version, false)?;
        target.tls = Some(Arc::new(config));
    }
    let load = Load {
        exchange: idle.exchange(),
        version,
        connections: CONNECTIONS,
        tls,
        lifetime: Lifetime::Kept,
    };
    let mut clients = Clients::new(load, target)?;
    let report = clients.each_once(WAVE)?;
    if report.done != CONNECTIONS as u64 {
        bail!(
            "{} of {CONNECTIONS} were served: {:?}",
            report.done,
            report.wrong
        );
    }
    writeln!(std::io::stdout(), "{HELD}")?;
    loop {
        thread::park();
    }
}
