//! Steady load in the background, of which no request may fail.

use crate::client::{Client, Scheme};
use crate::proxies::Entrypoint;
use anyhow::{Result, bail, ensure};
use http::Method;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Pause between two requests of one client: long enough that the machine is not the bottleneck.
const PACE: Duration = Duration::from_millis(25);
/// Requests after which a client reconnects, so that both kept and new connections are tried.
const PER_CONNECTION: u32 = 8;

/// Running clients.
pub struct Load {
    stop: watch::Sender<bool>,
    clients: JoinSet<Result<()>>,
    answered: Arc<AtomicU64>,
}

impl Load {
    /// Starts one client for each entrypoint.
    pub fn start(client: &Client, entrypoints: &[Entrypoint], scheme: Scheme, host: &str) -> Self {
        let (stop, stopped) = watch::channel(false);
        let answered = Arc::new(AtomicU64::new(0));
        let mut clients = JoinSet::new();
        for entrypoint in entrypoints {
            let (client, entrypoint, host) = (client.clone(), entrypoint.clone(), host.to_owned());
            let (stopped, answered) = (stopped.clone(), answered.clone());
            clients.spawn(async move {
                while !*stopped.borrow() {
                    send_requests(&client, &entrypoint, scheme, &host, &answered, &stopped).await?;
                }
                Ok(())
            });
        }
        Self {
            stop,
            clients,
            answered,
        }
    }

    /// Number of requests answered so far.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Ends the load and returns the number of responses.
    ///
    /// # Errors
    /// When a single request failed.
    pub async fn finish(mut self) -> Result<u64> {
        self.stop.send_replace(true);
        while let Some(client) = self.clients.join_next().await {
            client??;
        }
        ensure!(self.answered() > 0, "no request was made");
        Ok(self.answered())
    }
}

/// Sends requests on one connection, until the server announces that it closes it.
async fn send_requests(
    client: &Client,
    entrypoint: &Entrypoint,
    scheme: Scheme,
    host: &str,
    answered: &AtomicU64,
    stopped: &watch::Receiver<bool>,
) -> Result<()> {
    let at = entrypoint.at(scheme);
    let with_target =
        |error: anyhow::Error| error.context(format!("{} at {at}: {host}", entrypoint.what));
    let mut connection = client
        .connect(scheme, at, host)
        .await
        .map_err(with_target)?;
    for _ in 0..PER_CONNECTION {
        if *stopped.borrow() {
            break;
        }
        let response = connection
            .request(Method::GET, "/")
            .await
            .map_err(with_target)?;
        if response.status != 200 {
            bail!(
                "{} at {at}: {host}: {} {}",
                entrypoint.what,
                response.status,
                response.header("x-portolan-reason")
            );
        }
        answered.fetch_add(1, Ordering::Relaxed);
        if response.header("connection").eq_ignore_ascii_case("close") {
            break;
        }
        tokio::time::sleep(PACE).await;
    }
    Ok(())
}
