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
use portolan_clients::Version;
use portolan_clients::authority::KeyKind;
use portolan_clients::origin::Origin;
use portolan_clients::proxy::{Proxy, Setup};

/// A fresh origin with a fresh proxy before it, HTTP/1 between them.
async fn proxied() -> Result<(Origin, Proxy)> {
    proxied_over(Version::Http1).await
}

/// The same with this version between them.
async fn proxied_over(upstream: Version) -> Result<(Origin, Proxy)> {
    let origin = Origin::start().await?;
    let proxy = Proxy::start(Setup {
        origin: origin.address,
        upstream,
        key: KeyKind::Ecdsa,
    })
    .await?;
    Ok((origin, proxy))
}
