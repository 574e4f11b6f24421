//! One link to every operator that there is: looked for again and again, begun and ended.

use super::link::Link;
use super::resolve::Resolve;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// Interval before the first operator was found: a new pod waits for this.
const LOOK_AGAIN_SOON: Duration = Duration::from_millis(500);
/// Operators are two. A name that resolves to more than this is not theirs.
const MOST: usize = 16;

/// Until shutdown. An address that vanishes from the name service keeps its stream while that
/// lasts; an empty or failed answer changes nothing.
pub(super) async fn keep(resolver: impl Resolve, link: Link, shutdown: CancellationToken) {
    let (known, _) = watch::channel(BTreeSet::<SocketAddr>::new());
    let mut running = BTreeSet::new();
    let mut links = JoinSet::new();
    loop {
        match resolver.addresses().await {
            Ok(found) if found.is_empty() => {}
            Ok(found) => {
                let found: BTreeSet<_> = found.into_iter().take(MOST).collect();
                known.send_replace(found);
            }
            Err(error) => tracing::debug!(%error, "failed to resolve operators"),
        }
        for address in known.borrow().difference(&running) {
            links.spawn(link.clone().keep(*address, known.subscribe()));
        }
        running.extend(known.borrow().iter().copied());
        let wait = if running.is_empty() {
            LOOK_AGAIN_SOON
        } else {
            LOOK_AGAIN
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
            Some(ended) = links.join_next() => {
                // A panic would leave the address marked as running, and it would never be tried again.
                match ended {
                    Ok(address) => { running.remove(&address); }
                    Err(error) => {
                        tracing::error!(%error, "link panicked, restarting all links");
                        links.shutdown().await;
                        running.clear();
                    }
                }
            }
        }
    }
}
