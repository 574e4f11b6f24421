//! Go's net/http: its tests are a program of their own (`go/client`), run once.

use crate::proxied_over;
use anyhow::{Result, ensure};
use portolan_clients::{Version, go, process};
use std::time::Duration;
use tokio::process::Command;

/// For all of them.
const ALL: Duration = Duration::from_secs(300);

#[tokio::test]
async fn go_net_http_over_http_1_1() -> Result<()> {
    passes(Version::Http1).await
}

#[tokio::test]
async fn go_net_http_over_http_2() -> Result<()> {
    passes(Version::Http2).await
}

async fn passes(down: Version) -> Result<()> {
    for up in Version::ALL {
        let (origin, proxy) = proxied_over(up).await?;
        let mut tests = Command::new(go::CLIENT_TESTS.built().await?);
        tests
            .args(["-test.v", "-test.timeout=290s"])
            .env("DOWN", down.name())
            .env("UP", up.name())
            .env("ORIGIN", origin.address.to_string())
            .env("PROXY_HTTP", proxy.http.to_string())
            .env("PROXY_HTTPS", proxy.https.to_string())
            .env("PROXY_CA", proxy.ca_file());
        let output = process::succeed(&mut tests, ALL).await?;
        // Each test over plaintext and TLS: none was left out.
        let passed = |scheme: &str| output.matches(&format!("/{scheme} (")).count();
        ensure!(
            passed("http") >= 15 && passed("http") == passed("https"),
            "{output}"
        );
        proxy.ends_well().await?;
    }
    Ok(())
}
