//! WebSocket libraries on both sides of the proxy: Node's `ws` and tungstenite, each as client and
//! as server. Seeded messages go there and come back; sums say that no byte was lost or changed.

mod half_close;
mod plan;
mod tungstenite;
mod ws;

use anyhow::{Context, Result, ensure};
use portolan_clients::proxy::Proxy;
use portolan_clients::seed::seed;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::net::SocketAddr;
use std::time::Duration;

/// For all messages of one pair; two seconds is usual.
const ALL: Duration = Duration::from_secs(180);

/// Number of messages, the largest in their middle, and its size in bytes.
#[derive(Clone, Copy, Debug)]
struct Amount {
    messages: usize,
    largest: usize,
}

/// For every pair of libraries; ten times as many messages in the nightly run.
fn amount() -> Amount {
    let factor = if std::env::var_os("NIGHTLY").is_some() {
        10
    } else {
        1
    };
    Amount {
        messages: 10_000 * factor,
        largest: 64 << 20,
    }
}

/// A running sum over messages: their kind, length and bytes.
#[derive(Debug, Default)]
struct Account {
    messages: usize,
    sum: Sha256,
}

impl Account {
    fn add(&mut self, binary: bool, data: &[u8]) {
        self.messages += 1;
        self.sum.update(if binary { b"b" } else { b"t" });
        self.sum.update((data.len() as u64).to_be_bytes());
        self.sum.update(data);
    }

    fn sum(self) -> String {
        hex::encode(self.sum.finalize())
    }
}

/// Summary that a server sends when it is asked for the sum.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
struct Summary {
    messages: usize,
    pongs: usize,
    sha256: String,
}

/// Outcome of a conversation, as the client saw it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    received: usize,
    pings: usize,
    pongs: usize,
    last_pong_is_last_ping: bool,
    summary: Option<Summary>,
    extensions: String,
    code: u16,
    sent_sum: String,
    received_sum: String,
}

impl Outcome {
    /// Everything came, both ways, in its order, and the close was clean.
    fn is_right(&self, amount: Amount) -> Result<()> {
        let summary = self.summary.as_ref().context("no summary of the server")?;
        ensure!(
            summary.sha256 == self.sent_sum,
            "the server got other bytes: {self:?}"
        );
        ensure!(summary.messages == amount.messages, "{self:?}");
        ensure!(
            summary.pongs > 0,
            "the server's pings were not answered: {self:?}"
        );
        ensure!(
            self.received_sum == self.sent_sum,
            "other bytes came back: {self:?}"
        );
        ensure!(self.received == amount.messages, "{self:?}");
        // RFC 6455, 5.5.3: only the most recent ping must be answered.
        ensure!(self.pongs > 0 && self.last_pong_is_last_ping, "{self:?}");
        ensure!(self.pings > amount.messages / 50, "too few pings: {self:?}");
        ensure!(self.code == 1000, "{self:?}");
        Ok(())
    }
}

/// Plaintext or TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Ws,
    Wss,
}

/// One conversation between two libraries.
async fn converse(
    scheme: Scheme,
    client: impl AsyncFn(&Proxy, Scheme, u32, Amount) -> Result<Outcome>,
    server: SocketAddr,
) -> Result<Outcome> {
    let (seed, amount) = (seed()?, amount());
    let proxy = Proxy::before(server).await?;
    let outcome = tokio::time::timeout(ALL, client(&proxy, scheme, seed, amount))
        .await
        .with_context(|| format!("not done within {ALL:?}"))??;
    outcome.is_right(amount)?;
    proxy.ends_well().await?;
    Ok(outcome)
}

/// A pair of libraries, over plaintext and TLS.
macro_rules! pairs {
    ($($name:ident: $client:expr => $server:expr;)*) => {$(
        mod $name {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn plaintext() -> Result<()> {
                let server = $server.await?;
                converse(Scheme::Ws, $client, server.address).await?;
                Ok(())
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn over_tls() -> Result<()> {
                let server = $server.await?;
                converse(Scheme::Wss, $client, server.address).await?;
                Ok(())
            }
        }
    )*};
}

pairs! {
    ws_to_ws: ws::plain => ws::Server::start(false);
    ws_to_tungstenite: ws::plain => tungstenite::Server::start();
    tungstenite_to_ws: tungstenite::client => ws::Server::start(false);
    tungstenite_to_tungstenite: tungstenite::client => tungstenite::Server::start();
}

/// The extension is agreed between the two ends: the proxy passes its field and its bits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn permessage_deflate_is_between_the_ends() -> Result<()> {
    let server = ws::Server::start(true).await?;
    let outcome = converse(Scheme::Wss, ws::deflating, server.address).await?;
    ensure!(outcome.extensions == "permessage-deflate", "{outcome:?}");
    Ok(())
}
