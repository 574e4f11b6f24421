//! The data plane over real sockets: configured through its control handle, with an origin that
//! records every byte it gets. Each wait has a deadline ten times what it should take.

// The settings of clippy.toml for tests reach test functions, not the functions beside them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod admin;
mod client;
mod external;
mod hostile;
mod http2;
mod lifecycle;
mod messages;
mod metrics_page;
mod name_server;
mod origin;
mod protocols;
mod proxy;
mod retries;
mod routing;
mod rules;
mod timeouts;
mod tls;
mod upstream;
mod websocket;
mod workers;

use std::future::Future;
use std::time::Duration;

/// No step of a test takes this long unless something is broken.
const DEADLINE: Duration = Duration::from_secs(20);

/// Waits for a step, but not for ever.
async fn soon<T>(what: &str, step: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, step).await {
        Ok(done) => done,
        Err(_) => panic!("{what}: not within {DEADLINE:?}"),
    }
}

/// Waits until a condition holds.
async fn until(what: &str, condition: impl Fn() -> bool) {
    soon(what, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}
