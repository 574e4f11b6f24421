//! The origin behind the proxy: the Go program in `go/origin`.

use crate::process::{self, Running};
use crate::{DEADLINE, go};
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::process::Command;

/// Ten times what the proxy leaves a client that may only have ended its own direction, and less
/// than the time for the first byte of a response, after which every request ends.
const CANCELLED: Duration = Duration::from_secs(10);

/// A running origin.
#[derive(Debug)]
pub struct Origin {
    /// Address on which it listens.
    pub address: SocketAddr,
    _running: Running,
}

/// The origin's record of the requests of one name (`X-Test-Id`).
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Record {
    /// `open`, `done` or `cancelled`.
    pub state: String,
    /// Bytes of the request's body that have come.
    pub received: u64,
    /// Bytes of the response's body that were given away.
    pub sent: u64,
    /// Number of requests with that name.
    pub times: u32,
}

impl Origin {
    /// Builds it when it is not built yet, and starts it.
    ///
    /// # Errors
    /// When that fails.
    pub async fn start() -> Result<Self> {
        let mut running =
            Running::start("the origin", &mut Command::new(go::ORIGIN.built().await?))?;
        let line = running.line().await?;
        let address = line
            .parse()
            .with_context(|| format!("its address: {line}"))?;
        Ok(Self {
            address,
            _running: running,
        })
    }

    /// Waits until the record of a name is as it should be, asking the origin itself.
    ///
    /// # Errors
    /// When it does not become so.
    pub async fn has_seen(&self, id: &str, wanted: impl Fn(&Record) -> bool) -> Result<Record> {
        self.has_seen_within(DEADLINE, id, wanted).await
    }

    /// The one request of that name was cancelled by its client.
    ///
    /// # Errors
    /// When it was not, or not soon.
    pub async fn has_seen_cancelled(&self, id: &str) -> Result<()> {
        let cancelled = |record: &Record| record.state == "cancelled" && record.times == 1;
        self.has_seen_within(CANCELLED, id, cancelled).await?;
        Ok(())
    }

    async fn has_seen_within(
        &self,
        deadline: Duration,
        id: &str,
        wanted: impl Fn(&Record) -> bool,
    ) -> Result<Record> {
        let until = Instant::now() + deadline;
        let mut last = String::new();
        while Instant::now() < until {
            let mut curl = Command::new("curl");
            curl.args(["--disable", "--silent", "--noproxy", "*"])
                .arg(format!("http://{}/records/{id}", self.address));
            last = process::succeed(&mut curl, DEADLINE).await?;
            if let Ok(record) = serde_json::from_str(&last)
                && wanted(&record)
            {
                return Ok(record);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("request {id}: not as it should be within {deadline:?}; last seen: {last}")
    }
}
