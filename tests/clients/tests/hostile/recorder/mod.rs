//! An origin that records what reaches it, byte by byte, over either version of HTTP. Its answer
//! depends on the path, so that one origin serves every attack.

mod http1;
mod http2;

use anyhow::{Result, ensure};
use portolan_clients::{DEADLINE, Version};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// One request as it arrived.
#[derive(Clone, Debug, Default)]
pub(crate) struct Received {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) fields: Vec<(String, String)>,
    /// Without its coding; empty where the answer did not wait for it.
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
}

impl Received {
    /// The values of a field.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        let named = self.fields.iter().filter(|(field, _)| field == name);
        named.map(|(_, value)| value.as_str()).collect()
    }
}

/// Response that the path requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behaviour {
    /// `/bytes/N`: an answer of so many bytes.
    Bytes(usize),
    /// `/nothing`: no answer.
    Nothing,
    /// `/stuck`: neither an answer nor does it read the body.
    Stuck,
    /// Anything else: a short answer, after the body.
    Short,
}

impl Behaviour {
    fn of(path: &str) -> Self {
        let bytes = path
            .strip_prefix("/bytes/")
            .and_then(|count| count.parse().ok());
        match (bytes, path) {
            (Some(count), _) => Self::Bytes(count),
            (None, "/nothing") => Self::Nothing,
            (None, "/stuck") => Self::Stuck,
            _ => Self::Short,
        }
    }
}

/// Everything that happened.
#[derive(Debug, Default)]
struct Log {
    /// Those of the client beside the attack left out.
    requests: Vec<Received>,
    /// Every byte, whole requests or not, those for the client beside included.
    bytes: u64,
    /// Requests whose answer is not given, or not whole yet.
    open: u64,
    /// Bytes that are no request.
    malformed: Vec<String>,
}

/// Path of a client beside the attack: its requests are not recorded.
pub(crate) const BESIDE: &str = "/beside";

/// A running origin; it ends with this value.
#[derive(Debug)]
pub(crate) struct Recorder {
    pub(crate) address: SocketAddr,
    log: Arc<Mutex<Log>>,
    accepting: JoinHandle<()>,
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// The log, shared by connections.
#[derive(Clone, Debug)]
struct Shared(Arc<Mutex<Log>>);

impl Shared {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn request(&self, received: Received) {
        if received.path != BESIDE {
            self.log().requests.push(received);
        }
    }

    /// Counts a request as open for as long as the value lives.
    fn open(&self) -> Open {
        self.log().open += 1;
        Open(self.clone())
    }
}

struct Open(Shared);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.log().open -= 1;
    }
}

impl Recorder {
    pub(crate) async fn start(version: Version) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let log = Arc::new(Mutex::new(Log::default()));
        let shared = Shared(Arc::clone(&log));
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = shared.clone();
                tokio::spawn(async move {
                    match version {
                        Version::Http1 => http1::serve(stream, &shared).await,
                        Version::Http2 => http2::serve(stream, &shared).await,
                    }
                });
            }
        });
        Ok(Self {
            address,
            log,
            accepting,
        })
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The requests so far.
    pub(crate) fn requests(&self) -> Vec<Received> {
        self.log().requests.clone()
    }

    /// Number of requests.
    pub(crate) fn count(&self) -> u64 {
        self.log().requests.len() as u64
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.log().bytes
    }

    /// Nothing came that is no request.
    pub(crate) fn understood_all(&self) -> Result<()> {
        let malformed = &self.log().malformed;
        ensure!(malformed.is_empty(), "at the origin: {malformed:?}");
        Ok(())
    }

    /// Waits until every request is answered whole, or was given up by who asked.
    pub(crate) async fn is_left_alone(&self) -> Result<()> {
        let end = Instant::now() + DEADLINE;
        while self.log().open > 0 {
            let open = self.log().open;
            ensure!(Instant::now() < end, "{open} requests are still open");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }
}
