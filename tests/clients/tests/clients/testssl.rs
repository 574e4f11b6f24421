//! testssl.sh finds nothing legacy. Other findings are accepted in `testssl-accepted.txt`.

use crate::proxied;
use anyhow::{Context, Result, ensure};
use portolan_clients::authority::KeyKind;
use portolan_clients::origin::Origin;
use portolan_clients::process;
use portolan_clients::proxy::{Proxy, Setup};
use portolan_clients::{TLS_HOST, Version};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::Command;

/// Its checks take about 50 s.
const ALL: Duration = Duration::from_secs(600);

/// Findings that must be in the report with these values.
const MUST_BE: &[(&str, &str)] = &[
    ("SSLv2", "not offered"),
    ("SSLv3", "not offered"),
    ("TLS1", "not offered"),
    ("TLS1_1", "not offered"),
    ("TLS1_2", "offered"),
    ("TLS1_3", "offered"),
    ("cipherlist_NULL", "not offered"),
    ("cipherlist_aNULL", "not offered"),
    ("cipherlist_EXPORT", "not offered"),
    ("cipherlist_LOW", "not offered"),
    ("cipherlist_3DES_IDEA", "not offered"),
    ("cipherlist_STRONG", "offered"),
    ("cert_chain_of_trust", "passed"),
    ("heartbleed", "not vulnerable"),
    ("CCS", "not vulnerable"),
    ("ROBOT", "not vulnerable"),
    ("secure_client_renego", "not vulnerable"),
    ("CRIME_TLS", "not vulnerable"),
    ("POODLE_SSL", "not vulnerable"),
    ("SWEET32", "not vulnerable"),
    ("FREAK", "not vulnerable"),
    ("DROWN", "not vulnerable"),
    ("LOGJAM", "not vulnerable"),
    ("BEAST", "not vulnerable"),
    ("LUCKY13", "not vulnerable"),
    ("RC4", "not vulnerable"),
];

#[derive(Debug, Deserialize)]
struct Finding {
    id: String,
    severity: String,
    finding: String,
}

/// Identifier to reason.
fn accepted() -> Result<BTreeMap<&'static str, &'static str>> {
    include_str!("../../testssl-accepted.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            line.split_once(": ")
                .with_context(|| format!("no reason: {line}"))
        })
        .collect()
}

async fn findings(proxy: &Proxy) -> Result<Vec<Finding>> {
    let folder = TempDir::new()?;
    let report = folder.path().join("findings.json");
    let mut testssl = Command::new("testssl");
    testssl
        .args([
            "--quiet",
            "--color",
            "0",
            "--warnings",
            "off",
            "--nodns",
            "none",
        ])
        .args(["--ip", &proxy.https.ip().to_string()])
        .arg("--add-ca")
        .arg(proxy.ca_file())
        .arg("--jsonfile")
        .arg(&report)
        .args(["--protocols", "--standard", "--server-preference"])
        .args(["--server-defaults", "--fs", "--vulnerable"])
        .arg(format!("{TLS_HOST}:{}", proxy.https.port()));
    // Its exit code is the number of what it dislikes.
    let output = process::finish(&mut testssl, ALL).await?;
    let text =
        std::fs::read_to_string(&report).with_context(|| format!("no report: {output:?}"))?;
    serde_json::from_str(&text).with_context(|| format!("its report: {text}"))
}

fn judge(findings: &[Finding]) -> Result<()> {
    for (id, expected) in MUST_BE {
        let found = findings.iter().find(|finding| finding.id == *id);
        let found = found.with_context(|| format!("{id} was not looked at"))?;
        ensure!(
            found.finding.starts_with(expected),
            "{expected} is right: {found:?}"
        );
    }
    let accepted = accepted()?;
    let (mut wrong, mut used) = (Vec::new(), Vec::new());
    for finding in findings {
        if matches!(&*finding.severity, "OK" | "INFO" | "LOW" | "DEBUG") {
            continue;
        }
        match accepted.get_key_value(&*finding.id) {
            Some((id, _)) => used.push(*id),
            None => wrong.push(finding),
        }
    }
    for (id, reason) in &accepted {
        let now = if used.contains(id) {
            "accepted"
        } else {
            "not found any more"
        };
        println!("{id}: {now}: {reason}");
    }
    ensure!(wrong.is_empty(), "neither right nor accepted: {wrong:#?}");
    Ok(())
}

#[tokio::test]
async fn testssl_finds_nothing_legacy() -> Result<()> {
    let (_origin, proxy) = proxied().await?;
    judge(&findings(&proxy).await?)?;
    proxy.ends_well().await
}

/// Suites and attacks that exist with RSA certificates alone.
#[tokio::test]
#[ignore = "a minute more; the nightly run has it"]
async fn testssl_finds_nothing_legacy_with_an_rsa_certificate() -> Result<()> {
    let origin = Origin::start().await?;
    let proxy = Proxy::start(Setup {
        origin: origin.address,
        upstream: Version::Http1,
        key: KeyKind::Rsa,
    })
    .await?;
    judge(&findings(&proxy).await?)?;
    proxy.ends_well().await
}
