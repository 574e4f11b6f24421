//! A steady visitor in the background who must never be turned away.

use crate::proxies::Way;
use crate::visitor::{Scheme, Visitor};
use anyhow::{Result, bail, ensure};
use http::Method;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Between two requests of one visitor: gentle, so that the machine is not the matter.
const PACE: Duration = Duration::from_millis(25);
/// After as many requests a visitor reconnects, so that both kept and new connections are tried.
const PER_CONNECTION: u32 = 8;

/// Visitors at work.
pub struct Load {
    stop: watch::Sender<bool>,
    visitors: JoinSet<Result<()>>,
    answered: Arc<AtomicU64>,
}

impl Load {
    /// Sends one visitor to each way.
    pub fn start(visitor: &Visitor, ways: &[Way], scheme: Scheme, host: &str) -> Self {
        let (stop, stopped) = watch::channel(false);
        let answered = Arc::new(AtomicU64::new(0));
        let mut visitors = JoinSet::new();
        for way in ways {
            let (visitor, way, host) = (visitor.clone(), way.clone(), host.to_owned());
            let (stopped, answered) = (stopped.clone(), answered.clone());
            visitors.spawn(async move {
                while !*stopped.borrow() {
                    stay(&visitor, &way, scheme, &host, &answered, &stopped).await?;
                }
                Ok(())
            });
        }
        Self {
            stop,
            visitors,
            answered,
        }
    }

    /// How many requests were answered so far.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Ends it and gives the number of answers.
    ///
    /// # Errors
    /// When a single request failed.
    pub async fn finish(mut self) -> Result<u64> {
        self.stop.send_replace(true);
        while let Some(visitor) = self.visitors.join_next().await {
            visitor??;
        }
        ensure!(self.answered() > 0, "no request was made");
        Ok(self.answered())
    }
}

/// One connection, left when the server says that it will close it.
async fn stay(
    visitor: &Visitor,
    way: &Way,
    scheme: Scheme,
    host: &str,
    answered: &AtomicU64,
    stopped: &watch::Receiver<bool>,
) -> Result<()> {
    let at = way.at(scheme);
    let turned_away = |error: anyhow::Error| error.context(format!("{} at {at}: {host}", way.what));
    let mut visit = visitor.visit(scheme, at, host).await.map_err(turned_away)?;
    for _ in 0..PER_CONNECTION {
        if *stopped.borrow() {
            break;
        }
        let answer = visit.ask(Method::GET, "/").await.map_err(turned_away)?;
        if answer.status != 200 {
            bail!(
                "{} at {at}: {host}: {} {}",
                way.what,
                answer.status,
                answer.header("x-portolan-reason")
            );
        }
        answered.fetch_add(1, Ordering::Relaxed);
        if answer.header("connection").eq_ignore_ascii_case("close") {
            break;
        }
        tokio::time::sleep(PACE).await;
    }
    Ok(())
}
