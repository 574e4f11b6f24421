//! Node's undici: its tests are a script for Node's own test runner.

use crate::proxied;
use anyhow::{Result, ensure};
use portolan_clients::{node, process};
use std::time::Duration;

/// For all of them.
const ALL: Duration = Duration::from_secs(300);

#[tokio::test]
async fn undici_as_a_client() -> Result<()> {
    let (origin, proxy) = proxied().await?;
    let mut tests = node::tests("undici.test.js").await?;
    tests
        .env("ORIGIN", origin.address.to_string())
        .env("PROXY_HTTP", proxy.http.to_string())
        .env("PROXY_HTTPS", proxy.https.to_string())
        .env("PROXY_CA", proxy.ca_file());
    let output = process::succeed(&mut tests, ALL).await?;
    let passed = output.lines().find_map(|line| line.strip_prefix("# pass "));
    ensure!(
        passed.is_some_and(|passed| passed.parse().is_ok_and(|count: u32| count >= 18)),
        "{output}"
    );
    proxy.ends_well().await
}
