//! Node's `ws`: scripts of `tests/clients/node`.

use super::{ALL, Amount, Outcome, Scheme};
use anyhow::{Context, Result};
use portolan_clients::process::{self, Running};
use portolan_clients::proxy::Proxy;
use portolan_clients::{PLAIN_HOST, TLS_HOST, node};
use std::net::SocketAddr;

/// A server; it ends with this value.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    _running: Running,
}

impl Server {
    pub(super) async fn start(deflate: bool) -> Result<Self> {
        let mut script = node::script("ws-server.js").await?;
        script.env("DEFLATE", deflate.to_string());
        let mut running = Running::start("the ws server", &mut script)?;
        let line = running.line().await?;
        Ok(Self {
            address: line
                .parse()
                .with_context(|| format!("its address: {line}"))?,
            _running: running,
        })
    }
}

pub(super) async fn plain(
    proxy: &Proxy,
    scheme: Scheme,
    seed: u32,
    amount: Amount,
) -> Result<Outcome> {
    client(proxy, scheme, seed, amount, false).await
}

pub(super) async fn deflating(
    proxy: &Proxy,
    scheme: Scheme,
    seed: u32,
    amount: Amount,
) -> Result<Outcome> {
    client(proxy, scheme, seed, amount, true).await
}

async fn client(
    proxy: &Proxy,
    scheme: Scheme,
    seed: u32,
    amount: Amount,
    deflate: bool,
) -> Result<Outcome> {
    let url = match scheme {
        Scheme::Ws => format!("ws://{PLAIN_HOST}:{}/", proxy.http.port()),
        Scheme::Wss => format!("wss://{TLS_HOST}:{}/", proxy.https.port()),
    };
    let mut script = node::script("ws-client.js").await?;
    script
        .env("URL", url)
        .env("PROXY_CA", proxy.ca_file())
        .env("SEED", seed.to_string())
        .env("MESSAGES", amount.messages.to_string())
        .env("LARGEST", amount.largest.to_string())
        .env("DEFLATE", deflate.to_string());
    let output = process::succeed(&mut script, ALL).await?;
    serde_json::from_str(&output).with_context(|| format!("output: {output}"))
}
