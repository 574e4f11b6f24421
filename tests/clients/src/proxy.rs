//! `portolan serve --files` as a process, with a folder that exposes a few hosts.

use crate::authority::{Authority, KeyKind, Leaf};
use crate::process::Running;
use crate::{DEADLINE, PLAIN_HOST, TLS_HOST};
use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::Command;

/// A running proxy.
#[derive(Debug)]
pub struct Proxy {
    /// Where it serves HTTP.
    pub http: SocketAddr,
    /// Where it serves HTTPS.
    pub https: SocketAddr,
    /// Who signed the certificate of [`TLS_HOST`].
    pub authority: Authority,
    folder: TempDir,
    running: Running,
}

impl Proxy {
    /// Serves one origin as [`PLAIN_HOST`] on HTTP and as [`TLS_HOST`] on HTTPS.
    ///
    /// # Errors
    /// When it does not start, or is not ready in time, with what it said.
    pub async fn before(origin: SocketAddr) -> Result<Self> {
        Self::with_certificate(origin, KeyKind::Ecdsa).await
    }

    /// The same, with a certificate that has a key of this kind.
    ///
    /// # Errors
    /// As [`Self::before`].
    pub async fn with_certificate(origin: SocketAddr, kind: KeyKind) -> Result<Self> {
        let authority = Authority::new()?;
        let folder = TempDir::new()?;
        std::fs::write(folder.path().join("ca.pem"), authority.pem())?;
        let objects = folder.path().join("objects");
        std::fs::create_dir(&objects)?;
        for (name, object) in objects_for(&authority.leaf(TLS_HOST, kind)?, origin) {
            std::fs::write(objects.join(name), serde_json::to_vec_pretty(&object)?)?;
        }
        let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let (http, https, admin) = (free_port(), free_port(), free_port());
        let mut command = Command::new(binary()?);
        command
            .args(["serve", "--access-log", "off", "--workers", "2"])
            .args(["--http", &address(http).to_string()])
            .args(["--https", &address(https).to_string()])
            .args(["--admin", &address(admin).to_string()])
            .arg("--files")
            .arg(&objects);
        let mut running = Running::start("portolan serve", &mut command)?;
        running.keep_output();
        let mut proxy = Self {
            http: address(http),
            https: address(https),
            authority,
            folder,
            running,
        };
        proxy.is_ready(address(admin)).await?;
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

    /// How much memory it has in use (`VmRSS` of proc(5)), in KiB.
    ///
    /// # Errors
    /// When it has ended.
    pub fn resident_kib(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.running.id()?))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        Ok(number.context("no VmRSS in its status")?.parse()?)
    }

    /// How many descriptors it holds.
    ///
    /// # Errors
    /// When it has ended.
    pub fn descriptors(&self) -> Result<usize> {
        Ok(std::fs::read_dir(format!("/proc/{}/fd", self.running.id()?))?.count())
    }

    /// It runs still, and ends as it should when told to: every test closes with this.
    ///
    /// # Errors
    /// When it has crashed, panicked somewhere, or does not end well.
    pub async fn ends_well(mut self) -> Result<()> {
        self.running.still_runs()?;
        self.running.stop().await
    }

    async fn is_ready(&mut self, admin: SocketAddr) -> Result<()> {
        let until = Instant::now() + DEADLINE;
        while Instant::now() < until {
            self.running.still_runs()?;
            if answers_ready(admin).await {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        anyhow::bail!(
            "portolan serve: not ready within {DEADLINE:?}\n{}",
            self.running.last_words()
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
/// listeners share ports (SO_REUSEPORT), so nothing would tell that two tests took the same.
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

/// What a user would write; JSON is YAML.
fn objects_for(leaf: &Leaf, origin: SocketAddr) -> Vec<(&'static str, Value)> {
    vec![
        (
            "service.json",
            json!({
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "origin"},
                "spec": {"ports": [{"name": "http", "port": 80, "targetPort": origin.port()}]},
            }),
        ),
        (
            "endpoints.json",
            json!({
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {
                    "name": "origin-1",
                    "labels": {"kubernetes.io/service-name": "origin"},
                },
                "addressType": "IPv4",
                "ports": [{"name": "http", "port": origin.port(), "protocol": "TCP"}],
                "endpoints": [{"addresses": [origin.ip()], "conditions": {"ready": true}}],
            }),
        ),
        (
            "certificate.json",
            json!({
                "apiVersion": "v1",
                "kind": "Secret",
                "type": "kubernetes.io/tls",
                "metadata": {"name": "certificate"},
                "data": {
                    "tls.crt": BASE64_STANDARD.encode(&leaf.chain),
                    "tls.key": BASE64_STANDARD.encode(&leaf.key),
                },
            }),
        ),
        (
            "plain.json",
            exposed("plain", PLAIN_HOST, &json!({"mode": "Disabled"})),
        ),
        (
            "tls.json",
            exposed("tls", TLS_HOST, &json!({"secret": {"name": "certificate"}})),
        ),
    ]
}

fn exposed(name: &str, host: &str, tls: &Value) -> Value {
    json!({
        "apiVersion": "portolan.dev/v1alpha1",
        "kind": "ExposedPort",
        "metadata": {"name": name},
        "spec": {"service": "origin", "port": 80, "hostnames": [host], "tls": tls},
    })
}
