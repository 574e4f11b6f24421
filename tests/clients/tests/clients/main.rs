//! Real clients through `portolan serve`: each test starts a proxy of its own with an origin
//! behind it, and ends by asking the proxy to end, which must go well.

// The settings of clippy.toml for tests reach test functions, not the functions beside them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod curl;
mod grpc;
mod h2spec;
mod load;
mod net_http;
mod testssl;
mod undici;
mod websocket;

use anyhow::Result;
use portolan_clients::origin::Origin;
use portolan_clients::proxy::Proxy;

/// A fresh origin with a fresh proxy before it.
async fn proxied() -> Result<(Origin, Proxy)> {
    let origin = Origin::start().await?;
    let proxy = Proxy::before(origin.address).await?;
    Ok((origin, proxy))
}
