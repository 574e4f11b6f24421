//! Fixture: a folder, the program that serves it, an origin, and a client.

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Ten times the expected duration of a step.
const DEADLINE: Duration = Duration::from_secs(20);

/// Address of the tests.
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A running program; killed when the test ends.
pub(crate) struct Fixture {
    folder: TempDir,
    child: Child,
    pub(crate) http: SocketAddr,
    pub(crate) https: SocketAddr,
    pub(crate) admin: SocketAddr,
    /// Lines of `-o json`.
    output: Mutex<Receiver<Value>>,
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Fixture {
    /// Starts the program over these files, and waits until it is ready.
    pub(crate) fn start(files: &[(&str, &str)]) -> Self {
        Self::start_with(files, &[])
    }

    /// Starts the program with these flags.
    pub(crate) fn start_with(files: &[(&str, &str)], flags: &[&str]) -> Self {
        Self::start_as(program(), files, flags, LOOPBACK)
    }

    /// Starts the program with a limit of file descriptors.
    pub(crate) fn start_with_descriptors(files: &[(&str, &str)], limit: u32) -> Self {
        let program = program();
        let mut limited = Command::new("sh");
        limited
            .args(["-c", &format!("ulimit -n {limit} && exec \"$0\" \"$@\"")])
            .arg(program.get_program())
            .env("RUST_LOG", "warn");
        Self::start_as(limited, files, &[], LOOPBACK)
    }

    /// Starts the program on every address of this host.
    pub(crate) fn start_everywhere(files: &[(&str, &str)]) -> Self {
        let everywhere = IpAddr::from(Ipv6Addr::UNSPECIFIED);
        Self::start_as(program(), files, &[], everywhere)
    }

    fn start_as(mut program: Command, files: &[(&str, &str)], flags: &[&str], on: IpAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let [http, https, admin] = free_ports();
        let mut child = program
            .args(["serve", "-o", "json", "--workers", "1", "--files"])
            .arg(folder.path())
            .args(["--http", &SocketAddr::new(on, http.port()).to_string()])
            .args(["--https", &SocketAddr::new(on, https.port()).to_string()])
            .args(["--admin", &admin.to_string()])
            .args(flags)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = Mutex::new(lines(child.stdout.take().unwrap()));
        let fixture = Self {
            folder,
            child,
            http,
            https,
            admin,
            output,
        };
        fixture.until("ready", || {
            let probe = get(connect(fixture.admin).ok()?, "admin", "/readyz").ok()?;
            (probe.0 == 200).then_some(())
        });
        fixture
    }

    /// Writes a file like an editor: a temporary file, then renamed.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let temporary = self.folder.path().join(format!(".{name}.tmp"));
        fs::write(&temporary, text).unwrap();
        fs::rename(temporary, self.path(name)).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Sends a GET over plain HTTP, and returns status and body.
    pub(crate) fn get(&self, host: &str) -> Option<(u16, String)> {
        get(connect(self.http).ok()?, host, "/").ok()
    }

    /// Sends a GET over IPv6.
    pub(crate) fn get_v6(&self, host: &str) -> Option<(u16, String)> {
        let at = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), self.http.port());
        get(connect(at).ok()?, host, "/").ok()
    }

    /// Sends a GET over TLS, trusting only this certificate.
    pub(crate) fn get_tls(
        &self,
        host: &str,
        certificate: &rustls::pki_types::CertificateDer<'static>,
    ) -> Option<(u16, String)> {
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(host.to_owned()).unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let stream = StreamOwned::new(connection, connect(self.https).ok()?);
        get(stream, host, "/").ok()
    }

    /// Waits for a line of output.
    pub(crate) fn wait_for(&self, what: &str, matches: impl Fn(&Value) -> bool) -> Value {
        let output = self.output.lock().unwrap();
        let end = Instant::now() + DEADLINE;
        let mut others = Vec::new();
        while let Ok(line) = output.recv_timeout(end.saturating_duration_since(Instant::now())) {
            if matches(&line) {
                return line;
            }
            others.push(line);
        }
        panic!("{what}: no such line within {DEADLINE:?}, but {others:#?}");
    }

    /// Waits until the status of an object is reported.
    pub(crate) fn wait_for_status(&self, name: &str, status: &str) -> Value {
        self.wait_for(&format!("{name} is {status}"), |line| {
            line["name"] == name && line["status"]["summary"]["status"] == status
        })
    }

    pub(crate) fn until<T>(&self, what: &str, mut step: impl FnMut() -> Option<T>) -> T {
        let end = Instant::now() + DEADLINE;
        loop {
            if let Some(done) = step() {
                return done;
            }
            assert!(Instant::now() < end, "{what}: not within {DEADLINE:?}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Sends SIGTERM, and returns the exit status.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let end = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                Instant::now() < end,
                "still running {DEADLINE:?} after SIGTERM"
            );
            thread::sleep(Duration::from_millis(10));
        }
    }
}

pub(crate) fn program() -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_portolan"));
    program.env("RUST_LOG", "warn");
    program
}

/// Starts a server on a free port that responds to every request with this text.
pub(crate) fn origin(text: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                while let Some(Ok(line)) = lines.next() {
                    if line.is_empty() {
                        let length = text.len();
                        let _ = write!(
                            stream,
                            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{text}"
                        );
                    }
                }
            });
        }
    });
    port
}

/// Returns ports below the ephemeral range.
fn free_ports() -> [SocketAddr; 3] {
    let held = [(); 3].map(|()| {
        let mut tries =
            (0..1000).map(|_| SocketAddr::from(([127, 0, 0, 1], fastrand::u16(20_000..32_000))));
        tries.find_map(|at| TcpListener::bind(at).ok()).unwrap()
    });
    held.map(|listener| listener.local_addr().unwrap())
}

fn connect(to: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&to, DEADLINE)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    Ok(stream)
}

fn get(mut stream: impl Read + Write, host: &str, path: &str) -> std::io::Result<(u16, String)> {
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    let (head, body) = response
        .split_once("\r\n\r\n")
        .ok_or(ErrorKind::UnexpectedEof)?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    Ok((status.ok_or(ErrorKind::InvalidData)?, body.to_owned()))
}

fn lines(stdout: ChildStdout) -> Receiver<Value> {
    let (lines, output) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines() {
            let line = serde_json::from_str(&line.unwrap()).unwrap();
            if lines.send(line).is_err() {
                return;
            }
        }
    });
    output
}
