//! Fixture of an attack: an origin that records, the proxy before it, and a client beside the
//! attacker that does nothing wrong and gets every answer.

use crate::recorder::{BESIDE, Received, Recorder};
use anyhow::{Context, Result, ensure};
use portolan_clients::authority::KeyKind;
use portolan_clients::http2::{Client, Connector};
use portolan_clients::proxy::{Proxy, Setup};
use portolan_clients::{PLAIN_HOST, Version};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Memory and bytes upstream stay below so many times what the attacker sent.
const FACTOR: u64 = 100;
/// Least number of bytes sent that counts: below, memory is noise of the allocator.
const LEAST_SENT: u64 = 64 << 10;

/// The path of a request that must never be seen as one.
pub(crate) const SMUGGLED: &str = "/smuggled";

/// Cost of an attack.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Account {
    /// Bytes that the attacker sent.
    pub(crate) sent: u64,
    /// Limit of its requests that may reach the origin.
    pub(crate) upstream: u64,
}

/// The proxy and the origin of an attack.
pub(crate) struct Fixture {
    pub(crate) proxy: Proxy,
    pub(crate) origin: Recorder,
    pub(crate) tls: bool,
}

/// Runs an attack on a fresh proxy for each version upstream, over plaintext and TLS. What is
/// asserted of every attack is asserted here.
pub(crate) async fn everywhere(
    name: &str,
    attack: impl AsyncFn(&Fixture) -> Result<Account>,
) -> Result<()> {
    for upstream in Version::ALL {
        before(name, upstream, &attack).await?;
    }
    Ok(())
}

/// The same for one version upstream.
pub(crate) async fn before(
    name: &str,
    upstream: Version,
    attack: impl AsyncFn(&Fixture) -> Result<Account>,
) -> Result<()> {
    let origin = Recorder::start(upstream).await?;
    let proxy = Proxy::start(Setup {
        origin: origin.address,
        upstream,
        key: KeyKind::Ecdsa,
    })
    .await?;
    let mut fixture = Fixture {
        proxy,
        origin,
        tls: false,
    };
    for tls in [false, true] {
        fixture.tls = tls;
        let scheme = if tls { "https" } else { "http" };
        let what = format!("{name}, {scheme} to {}", upstream.name());
        fixture.run(&what, &attack).await.context(what)?;
    }
    fixture.proxy.ends_well().await
}

impl Fixture {
    async fn run(&self, what: &str, attack: impl AsyncFn(&Self) -> Result<Account>) -> Result<()> {
        // What is set up with the first requests is not counted to the attack.
        self.serves().await?;
        let (requests, bytes) = (self.origin.count(), self.origin.bytes());
        let memory = self.proxy.resident_kib()?;
        let time = self.proxy.processor_time()?;
        self.proxy.forget_peak()?;
        let beside = Beside::start(self)?;
        let account = attack(self).await;
        let answers = beside.ends().await.context("the client beside")?;
        let account = account?;
        self.origin.is_left_alone().await?;
        let grown = self.proxy.peak_kib()?.saturating_sub(memory) * 1024;
        let time = self.proxy.processor_time()?.saturating_sub(time);
        let (requests, bytes) = (self.origin.count() - requests, self.origin.bytes() - bytes);
        println!(
            "{what}: {} bytes sent; memory grew by {} KiB, {time:?} of processor time, \
             {requests} requests and {bytes} bytes upstream; {answers} answers beside",
            account.sent,
            grown / 1024,
        );
        let most = account.sent.max(LEAST_SENT) * FACTOR;
        ensure!(grown < most, "memory grew by {grown} bytes");
        ensure!(bytes < most, "{bytes} bytes went up");
        ensure!(
            requests <= account.upstream,
            "{requests} requests went up, {} may",
            account.upstream
        );
        self.origin.understood_all()?;
        let smuggled = |request: &Received| request.path == SMUGGLED;
        ensure!(
            !self.origin.requests().iter().any(smuggled),
            "a request was smuggled"
        );
        self.serves().await.context("afterwards")
    }

    /// Both versions are served on new connections.
    pub(crate) async fn serves(&self) -> Result<()> {
        for tls in [false, true] {
            let mut client = Client::connect(&self.proxy, tls).await?;
            asks_beside(&mut client).await?;
        }
        let mut stream = TcpStream::connect(self.proxy.http).await?;
        let request =
            format!("GET {BESIDE} HTTP/1.1\r\nHost: {PLAIN_HOST}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        ensure!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        Ok(())
    }
}

async fn asks_beside(client: &mut Client) -> Result<()> {
    let request = client.request("GET", BESIDE).body(())?;
    let answer = client.asks(request).await?;
    ensure!(answer.status == 200 && answer.body.len() == 6, "{answer:?}");
    Ok(())
}

/// A client that sends one request after another until it is stopped.
struct Beside {
    ends: Arc<AtomicBool>,
    asking: tokio::task::JoinHandle<Result<u64>>,
}

impl Beside {
    fn start(fixture: &Fixture) -> Result<Self> {
        let ends = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&ends);
        let connector = Connector::of(&fixture.proxy, fixture.tls)?;
        let asking = tokio::spawn(async move {
            let mut answers = 0;
            let mut client = Client::through(&connector).await?;
            loop {
                asks_beside(&mut client).await?;
                answers += 1;
                if ended.load(Ordering::Relaxed) {
                    return Ok(answers);
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        Ok(Self { ends, asking })
    }

    async fn ends(self) -> Result<u64> {
        self.ends.store(true, Ordering::Relaxed);
        self.asking.await?
    }
}
