//! wrk and h2load: many requests at once, each response checked by status and length.

use crate::{proxied, proxied_over};
use anyhow::{Context, Result, ensure};
use portolan_clients::proxy::Proxy;
use portolan_clients::{DEADLINE, Version, process};
use tokio::process::Command;

/// Bytes of each answer.
const LENGTH: usize = 1024;

/// It connects to the proxy whatever the host's name would resolve to, and reads every body.
const SCRIPT: &str = r#"
local expected = os.getenv("EXPECTED_LENGTH") + 0
local threads = {}
function wrk.resolve(host, service)
  wrk.addrs = wrk.lookup("127.0.0.1", service)
end
function setup(thread)
  table.insert(threads, thread)
end
function init(args)
  right, wrong, first = 0, 0, ""
end
function response(status, headers, body)
  if status == 200 and #body == expected and (first == "" or first == body) then
    first = body
    right = right + 1
  else
    wrong = wrong + 1
  end
end
function done(summary, latency, requests)
  local right, wrong = 0, 0
  for _, thread in ipairs(threads) do
    right = right + thread:get("right")
    wrong = wrong + thread:get("wrong")
  end
  local e = summary.errors
  print("counted", right, wrong, e.connect + e.read + e.write + e.timeout)
end
"#;

#[tokio::test]
async fn wrk_gets_every_answer() -> Result<()> {
    let (_origin, proxy) = proxied().await?;
    let folder = tempfile::TempDir::new()?;
    let script = folder.path().join("judge.lua");
    std::fs::write(&script, SCRIPT)?;
    for (scheme, authority, _) in proxy.places() {
        let mut wrk = Command::new("wrk");
        wrk.args([
            "--threads",
            "1",
            "--connections",
            "32",
            "--duration",
            "2s",
            "--timeout",
            "30s",
        ])
        .arg("--script")
        .arg(&script)
        .arg(format!("{scheme}://{authority}/bytes/{LENGTH}"))
        .env("EXPECTED_LENGTH", LENGTH.to_string());
        let output = process::succeed(&mut wrk, DEADLINE).await?;
        let counted = output.lines().find_map(|line| line.strip_prefix("counted"));
        let counts: Vec<u64> = counted
            .with_context(|| format!("wrk printed no counts:\n{output}"))?
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        let [right, wrong, failed] = counts[..] else {
            anyhow::bail!("{scheme}: three counts are expected:\n{output}");
        };
        println!("{scheme}: {right} right, {wrong} wrong, {failed} failed");
        ensure!(
            right > 100 && wrong == 0 && failed == 0,
            "{scheme}: {output}"
        );
    }
    proxy.ends_well().await
}

#[tokio::test]
async fn h2load_over_http_1_1_gets_every_answer() -> Result<()> {
    let (_origin, proxy) = proxied().await?;
    h2load(&proxy, &["--h1", "--clients", "50"]).await?;
    proxy.ends_well().await
}

/// Over plaintext h2load needs prior knowledge of HTTP/2.
#[tokio::test]
async fn h2load_over_http_2_gets_every_answer() -> Result<()> {
    for up in Version::ALL {
        let (_origin, proxy) = proxied_over(up).await?;
        let streams = ["--clients", "10", "--max-concurrent-streams", "20"];
        h2load(&proxy, &streams).await?;
        proxy.ends_well().await?;
    }
    Ok(())
}

async fn h2load(proxy: &Proxy, how: &[&str]) -> Result<()> {
    const REQUESTS: usize = 5000;
    for (scheme, authority, address) in proxy.places() {
        let mut h2load = Command::new("h2load");
        h2load
            .args(how)
            .args(["--requests", &REQUESTS.to_string()])
            .arg(format!("--connect-to={address}"))
            .arg(format!("{scheme}://{authority}/bytes/{LENGTH}"));
        let output = process::succeed(&mut h2load, DEADLINE).await?;
        let expected = [
            format!("{REQUESTS} done, {REQUESTS} succeeded, 0 failed, 0 errored, 0 timeout"),
            format!("status codes: {REQUESTS} 2xx, 0 3xx, 0 4xx, 0 5xx"),
            format!("({}) data", REQUESTS * LENGTH),
        ];
        for line in expected {
            ensure!(
                output.contains(&line),
                "{scheme}: {line:?} is not in\n{output}"
            );
        }
    }
    Ok(())
}
