//! Ten thousand connections, idle and slow, within a limit of 20,000 open files; and a client that
//! does nothing wrong beside them, which gets every answer.

// The settings of clippy.toml for tests reach test functions, not the functions beside them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use anyhow::{Context, Result, bail, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use portolan_clients::origin::Origin;
use portolan_clients::proxy::Proxy;
use portolan_clients::{PLAIN_HOST, TLS_HOST};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::pki_types::ServerName;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

/// The limit of open files, of this process and of the proxy.
const DESCRIPTORS: u64 = 20_000;
/// Connections that have had an answer and say nothing more, of each scheme.
const IDLE: usize = 4_000;
/// Connections that say one byte of a head at a time.
const SLOW: usize = 2_000;
/// Connections that are opened at a time.
const AT_ONCE: usize = 64;
/// Memory of an idle connection may not be more than this.
const MOST_KIB: u64 = 64;
/// No step takes this long unless something is broken.
const DEADLINE: Duration = Duration::from_secs(60);

trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Transport for S {}

/// Target of the connections.
#[derive(Clone)]
struct Connector {
    address: std::net::SocketAddr,
    host: &'static str,
    tls: Option<TlsConnector>,
}

struct Connection {
    stream: Box<dyn Transport>,
    host: &'static str,
}

impl Connector {
    fn both(proxy: &Proxy) -> Result<[Self; 2]> {
        let config = Arc::new(proxy.authority.client_config()?);
        Ok([
            Self {
                address: proxy.http,
                host: PLAIN_HOST,
                tls: None,
            },
            Self {
                address: proxy.https,
                host: TLS_HOST,
                tls: Some(TlsConnector::from(config)),
            },
        ])
    }

    async fn open(&self) -> Result<Connection> {
        let opening = async {
            let stream = TcpStream::connect(self.address).await?;
            let stream: Box<dyn Transport> = match &self.tls {
                None => Box::new(stream),
                Some(tls) => {
                    let name = ServerName::try_from(self.host)?;
                    Box::new(tls.connect(name, stream).await?)
                }
            };
            Ok(Connection {
                stream,
                host: self.host,
            })
        };
        timeout(DEADLINE, opening).await.context("connecting")?
    }
}

impl Connection {
    /// Asks for so many bytes, and judges them by their sum.
    async fn asks_for(&mut self, count: usize) -> Result<()> {
        let asking = async {
            let request = format!("GET /bytes/{count} HTTP/1.1\r\nHost: {}\r\n\r\n", self.host);
            self.stream.write_all(request.as_bytes()).await?;
            self.stream.flush().await?;
            let (head, mut body) = self.head().await?;
            let sum = field(&head, "x-content-sha256")?;
            ensure!(head.starts_with("HTTP/1.1 200 "), "{head}");
            ensure!(
                field(&head, "content-length")? == count.to_string(),
                "{head}"
            );
            let had = body.len();
            ensure!(had <= count, "{had} bytes of {count}");
            body.resize(count, 0);
            self.stream.read_exact(&mut body[had..]).await?;
            ensure!(
                hex::encode(Sha256::digest(&body)) == sum,
                "other bytes came: {head}"
            );
            Ok(())
        };
        timeout(DEADLINE, asking).await.context("an answer")?
    }

    /// The next head, and what came with it.
    async fn head(&mut self) -> Result<(String, Vec<u8>)> {
        let mut bytes = Vec::with_capacity(1024);
        loop {
            if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                let body = bytes.split_off(at + 4);
                return Ok((String::from_utf8(bytes)?, body));
            }
            if self.stream.read_buf(&mut bytes).await? == 0 {
                bail!("closed after {:?}", String::from_utf8_lossy(&bytes));
            }
        }
    }

    /// Says a head so slowly that it never ends, until the proxy has had enough: 408, then the end.
    async fn trickles(mut self, begun: &AtomicUsize) -> Result<()> {
        let head = format!("GET / HTTP/1.1\r\nHost: {}\r\nX-Long: ", self.host);
        let mut bytes = head.bytes().chain(std::iter::repeat(b'a'));
        self.stream
            .write_all(&[bytes.next().unwrap_or(b'G')])
            .await?;
        begun.fetch_add(1, Ordering::Relaxed);
        let (mut from, mut to) = tokio::io::split(self.stream);
        let talking = async {
            for byte in bytes {
                sleep(Duration::from_millis(250)).await;
                if to.write_all(&[byte]).await.is_err() || to.flush().await.is_err() {
                    break;
                }
            }
            // The answer is waited for by the other half.
            std::future::pending::<()>().await;
        };
        let mut answer = Vec::new();
        let listening = from.read_to_end(&mut answer);
        tokio::select! {
            () = talking => {}
            // Whether the end is clean is not the question here.
            _ = listening => {}
            () = sleep(DEADLINE) => bail!("a slow head was not ended within {DEADLINE:?}"),
        }
        let answer = String::from_utf8_lossy(&answer);
        ensure!(
            answer.starts_with("HTTP/1.1 408 "),
            "to a slow head: {answer:?}"
        );
        Ok(())
    }
}

fn field(head: &str, name: &str) -> Result<String> {
    let found = head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then_some(value.trim())
    });
    Ok(found
        .with_context(|| format!("no {name}: {head}"))?
        .to_owned())
}

/// Sets exactly this limit, which the proxy inherits.
fn limit_descriptors() -> Result<()> {
    let now = getrlimit(Resource::Nofile);
    if now.maximum.is_some_and(|most| most < DESCRIPTORS) {
        bail!(
            "the hard limit of open files is {:?}; this test needs {DESCRIPTORS} (ulimit -Hn {DESCRIPTORS})",
            now.maximum
        );
    }
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(DESCRIPTORS),
            maximum: Some(DESCRIPTORS),
        },
    )?;
    Ok(())
}

/// A client that does nothing wrong: one request after another, on kept and on fresh connections.
async fn well_behaved(doors: [Connector; 2], ends: Arc<AtomicBool>) -> Result<(usize, Duration)> {
    let (mut answers, mut slowest) = (0, Duration::ZERO);
    while !ends.load(Ordering::Relaxed) {
        for connector in &doors {
            let started = Instant::now();
            let mut connection = connector.open().await?;
            for count in [1, 16_384, 100_000] {
                connection.asks_for(count).await?;
                answers += 1;
            }
            slowest = slowest.max(started.elapsed());
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok((answers, slowest))
}

/// Opens connections that have had one answer each.
async fn idle(connector: &Connector, count: usize) -> Result<Vec<Connection>> {
    stream::iter(0..count)
        .map(|_| async {
            let mut connection = connector.open().await?;
            connection.asks_for(100).await?;
            Ok(connection)
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

async fn until(what: &str, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + DEADLINE;
    while !condition()? {
        ensure!(Instant::now() < end, "{what}: not within {DEADLINE:?}");
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serves_beside_ten_thousand_idle_connections() -> Result<()> {
    limit_descriptors()?;
    let origin = Origin::start().await?;
    let proxy = Proxy::before(origin.address).await?;
    let doors = Connector::both(&proxy)?;
    // What is set up with the first request is not counted to connections.
    for connector in &doors {
        idle(connector, 2 * AT_ONCE).await?;
    }
    until("connections closed", || Ok(proxy.descriptors()? < 400)).await?;
    let ends = Arc::new(AtomicBool::new(false));
    let well_behaved = tokio::spawn(well_behaved(doors.clone(), Arc::clone(&ends)));

    let mut held = Vec::new();
    for connector in &doors {
        let before = proxy.resident_kib()?;
        held.extend(idle(connector, IDLE).await?);
        let each = proxy.resident_kib()?.saturating_sub(before) / IDLE as u64;
        println!("{}: {each} KiB for each idle connection", connector.host);
        let open = proxy.descriptors()?;
        ensure!(
            open > held.len(),
            "{open} descriptors for {} connections",
            held.len()
        );
        ensure!(
            each < MOST_KIB,
            "{}: {each} KiB for each idle connection",
            connector.host
        );
    }

    let begun = Arc::new(AtomicUsize::new(0));
    let before = proxy.resident_kib()?;
    let slow: Vec<_> = (0..SLOW)
        .map(|index| {
            let (connector, begun) = (doors[index % 2].clone(), Arc::clone(&begun));
            tokio::spawn(async move { connector.open().await?.trickles(&begun).await })
        })
        .collect();
    let all = 2 * IDLE + SLOW;
    until("all connections open at once", || {
        Ok(proxy.descriptors()? > all)
    })
    .await?;
    until("slow heads begun", || {
        Ok(begun.load(Ordering::Relaxed) == SLOW)
    })
    .await?;
    let now = proxy.resident_kib()?;
    println!(
        "{all} connections: {} MiB resident, {} KiB for each slow one",
        now / 1024,
        now.saturating_sub(before) / SLOW as u64
    );
    for slow in slow {
        slow.await??;
    }

    // Those that were idle all the while are there still.
    stream::iter(held.iter_mut().step_by(4))
        .map(|connection| connection.asks_for(1000))
        .buffer_unordered(AT_ONCE)
        .try_collect::<Vec<()>>()
        .await?;
    ends.store(true, Ordering::Relaxed);
    let (answers, slowest) = well_behaved.await??;
    println!(
        "the client beside them: {answers} answers, at most {slowest:?} for three with a handshake"
    );
    ensure!(answers > 100, "{answers} answers");

    drop(held);
    until("connections closed", || Ok(proxy.descriptors()? < 400)).await?;
    println!("afterwards: {} MiB resident", proxy.resident_kib()? / 1024);
    proxy.ends_well().await
}
