//! h2spec: what RFC 9113 and RFC 7541 ask of a server, its strict tests included.

use crate::proxied;
use anyhow::{Context, Result, ensure};
use portolan_clients::{SPEC_HOST, go, process};
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::Command;

/// Each of its tests ends after two seconds, whatever comes.
const ALL: Duration = Duration::from_secs(400);
/// Number of test cases.
const TESTS: usize = 147;

#[tokio::test]
async fn h2spec_passes_over_plaintext() -> Result<()> {
    passes(false).await
}

#[tokio::test]
async fn h2spec_passes_over_tls() -> Result<()> {
    passes(true).await
}

async fn passes(tls: bool) -> Result<()> {
    let (_origin, proxy) = proxied().await?;
    let address = if tls { proxy.https } else { proxy.http };
    let folder = TempDir::new()?;
    let report = folder.path().join("report.xml");
    let mut h2spec = Command::new(go::H2SPEC.built().await?);
    h2spec
        .args(["--strict", "--host", SPEC_HOST])
        .args(["--port", &address.port().to_string()])
        // Some of its requests have a body; small windows take the answer apart.
        .args(["--path", "/any/5000"])
        .arg("--junit-report")
        .arg(&report);
    if tls {
        h2spec.args(["--tls", "--insecure"]);
    }
    let output = process::finish(&mut h2spec, ALL).await?;
    let text = String::from_utf8_lossy(&output.stdout);
    let report = std::fs::read_to_string(&report).with_context(|| format!("no report:\n{text}"))?;
    let failed = failures(&report);
    ensure!(failed.is_empty(), "failed: {failed:#?}\n{text}");
    let counts = format!("{TESTS} tests, {TESTS} passed, 0 skipped, 0 failed");
    ensure!(text.trim_end().ends_with(&counts), "{text}");
    println!("{counts}");
    proxy.ends_well().await
}

/// The section and name of each test that did not pass, from the JUnit report.
fn failures(report: &str) -> Vec<String> {
    let attribute = |element: &str, name: &str| {
        let (_, rest) = element.split_once(&format!("{name}=\""))?;
        Some(rest.split('"').next()?.to_owned())
    };
    report
        .split("<testcase ")
        .skip(1)
        .filter(|case| {
            let case = case.split("</testcase>").next().unwrap_or_default();
            ["<failure", "<error", "<skipped"]
                .iter()
                .any(|tag| case.contains(tag))
        })
        .filter_map(|case| {
            let (section, name) = (attribute(case, "package")?, attribute(case, "classname")?);
            Some(format!("{section}: {name}"))
        })
        .collect()
}

#[test]
fn failures_are_read_from_the_report() {
    let report = r#"<testsuite name="5.1. Stream States" package="http2/5.1" id="5.1" tests="2">
        <testcase package="http2/5.1" classname="idle: Sends a DATA frame" time="0.0008"></testcase>
        <testcase package="http2/5.1" classname="idle: Sends a PING frame" time="2.0011">
          <error>Timeout</error>
        </testcase></testsuite>"#;
    assert_eq!(failures(report), ["http2/5.1: idle: Sends a PING frame"]);
}
