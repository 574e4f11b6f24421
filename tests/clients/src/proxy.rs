//! `portolan serve --files` as a process, with a folder that exposes a few hosts.

use crate::authority::{Authority, KeyKind};
use crate::process::Running;
use crate::{DEADLINE, PLAIN_HOST, TLS_HOST, Version, objects, peer};
use anyhow::{Context, Result, ensure};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::Command;

/// Setup of a proxy.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Backend of every host.
    pub origin: SocketAddr,
    /// Protocol to it, the `appProtocol` of the Service.
    pub upstream: Version,
    /// Key type of the certificates.
    pub key: KeyKind,
}

/// A running proxy.
#[derive(Debug)]
pub struct Proxy {
    /// Address of its HTTP listener.
    pub http: SocketAddr,
    /// Address of its HTTPS listener.
    pub https: SocketAddr,
    /// Authority of the certificate of [`TLS_HOST`].
    pub authority: Authority,
    folder: TempDir,
    running: Running,
}

impl Proxy {
    /// Serves one origin, which speaks HTTP/1, as [`PLAIN_HOST`] on HTTP and as [`TLS_HOST`] on
    /// HTTPS.
    ///
    /// # Errors
    /// When it does not start, or is not ready in time, with its output.
    pub async fn before(origin: SocketAddr) -> Result<Self> {
        Self::start(Setup {
            origin,
            upstream: Version::Http1,
            key: KeyKind::Ecdsa,
        })
        .await
    }

    /// Starts a proxy with this setup.
    ///
    /// # Errors
    /// As [`Self::before`].
    pub async fn start(setup: Setup) -> Result<Self> {
        let authority = Authority::new()?;
        let folder = TempDir::new()?;
        std::fs::write(folder.path().join("ca.pem"), authority.pem())?;
        let files = folder.path().join("files");
        std::fs::create_dir(&files)?;
        let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let (http, https, admin) = (
            address(free_port()),
            address(free_port()),
            address(free_port()),
        );
        let mut command = if peer::asked_for()? {
            peer::haproxy(&files, &authority, setup, http, https)?
        } else {
            objects::write(&files, &authority, setup)?;
            portolan(&files, http, https, admin)?
        };
        let mut running = Running::start("the proxy", &mut command)?;
        running.keep_output();
        let mut proxy = Self {
            http,
            https,
            authority,
            folder,
            running,
        };
        proxy.is_ready(admin).await?;
        Ok(proxy)
    }

    /// The file with the certificate authority that clients are to trust.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// The scheme, the authority part for URLs, and the address behind it, of both hosts.
    pub fn places(&self) -> [(&'static str, String, SocketAddr); 2] {
        let place = |scheme, host, address: SocketAddr| {
            (scheme, format!("{host}:{}", address.port()), address)
        };
        [
            place("http", PLAIN_HOST, self.http),
            place("https", TLS_HOST, self.https),
        ]
    }

    /// Returns the memory in use (`VmRSS` of proc(5)), in KiB.
    ///
    /// # Errors
    /// When it has ended.
    pub fn resident_kib(&self) -> Result<u64> {
        self.status("VmRSS:")
    }

    /// Returns the peak of the memory in use since [`Self::forget_peak`] (`VmHWM` of proc(5)), in
    /// KiB.
    ///
    /// # Errors
    /// When it has ended.
    pub fn peak_kib(&self) -> Result<u64> {
        self.status("VmHWM:")
    }

    /// Resets the peak of the memory in use (proc(5), `clear_refs`).
    ///
    /// # Errors
    /// When it has ended.
    pub fn forget_peak(&self) -> Result<()> {
        std::fs::write(format!("/proc/{}/clear_refs", self.running.id()?), "5")?;
        Ok(())
    }

    fn status(&self, name: &str) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.running.id()?))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.split_whitespace().next());
        Ok(number
            .with_context(|| format!("no {name} in its status"))?
            .parse()?)
    }

    /// Returns the processor time of its threads (`/proc/PID/stat`).
    ///
    /// # Errors
    /// When it has ended.
    pub fn processor_time(&self) -> Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.running.id()?))?;
        // The second field, its name, may have anything in it but ends with the last parenthesis.
        let (_, after) = stat.rsplit_once(')').context("no name in its stat")?;
        let ticks: Result<Vec<u64>, _> = after
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(str::parse)
            .collect();
        let ticks: u64 = ticks?.iter().sum();
        let each = rustix::param::clock_ticks_per_second();
        Ok(Duration::from_millis(ticks * 1000 / each))
    }

    /// Returns the number of its open descriptors.
    ///
    /// # Errors
    /// When it has ended.
    pub fn descriptors(&self) -> Result<usize> {
        Ok(std::fs::read_dir(format!("/proc/{}/fd", self.running.id()?))?.count())
    }

    /// Checks that it still runs, and ends cleanly on SIGTERM: every test closes with this.
    ///
    /// # Errors
    /// When it has crashed, panicked somewhere, or does not end well.
    pub async fn ends_well(mut self) -> Result<()> {
        self.running.still_runs()?;
        if peer::asked_for()? {
            // The exit code of another proxy is not tested.
            return Ok(());
        }
        self.running.stop().await
    }

    async fn is_ready(&mut self, admin: SocketAddr) -> Result<()> {
        let until = Instant::now() + DEADLINE;
        while Instant::now() < until {
            self.running.still_runs()?;
            let ready = if peer::asked_for()? {
                TcpStream::connect(self.https).await.is_ok()
            } else {
                answers_ready(admin).await
            };
            if ready {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        anyhow::bail!(
            "the proxy: not ready within {DEADLINE:?}\n{}",
            self.running.last_output()
        )
    }
}

async fn answers_ready(admin: SocketAddr) -> bool {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let ask = async {
        let mut stream = TcpStream::connect(admin).await?;
        let request = format!("GET /readyz HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer.starts_with("HTTP/1.1 200"))
    };
    matches!(tokio::time::timeout(DEADLINE, ask).await, Ok(Ok(true)))
}

/// `portolan serve`, ready to be started.
fn portolan(
    files: &Path,
    http: SocketAddr,
    https: SocketAddr,
    admin: SocketAddr,
) -> Result<Command> {
    let mut command = Command::new(binary()?);
    command
        .args(["serve", "--access-log", "off", "--workers", "2"])
        .args(["--http", &http.to_string()])
        .args(["--https", &https.to_string()])
        .args(["--admin", &admin.to_string()])
        .arg("--files")
        .arg(files);
    Ok(command)
}

/// The program of the same build: test programs lie in `deps` beside it.
fn binary() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("PORTOLAN_BINARY") {
        return Ok(named.into());
    }
    let own = std::env::current_exe()?;
    let beside = own.parent().and_then(Path::parent);
    let binary = beside
        .context("no folder above this program")?
        .join("portolan");
    ensure!(
        binary.is_file(),
        "{}: not built; `cargo build -p portolan` builds it",
        binary.display()
    );
    Ok(binary)
}

/// Below the ports that the kernel gives to clients, so that none of theirs is in the way;
/// listeners share ports (SO_REUSEPORT), so two tests with the same port would go unnoticed.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = 10_000 + (std::process::id() % 90) as u16 * 100;
    loop {
        let port = start + NEXT.fetch_add(1, Ordering::Relaxed) % 100;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
