//! Network partition of a pod from a port of others, by rules in the node's network.

use crate::container::as_root;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::io::Write as _;
use std::net::IpAddr;
use std::process::Stdio;

/// The table of our rules.
const TABLE: &str = "portolan_faults";

/// A partition. Dropping it removes the rules.
#[derive(Debug)]
pub struct Partition(());

impl Partition {
    /// Drops what a pod sends to this port of any host, in-flight packets included.
    ///
    /// # Errors
    /// When the pod has no address, or the rules cannot be set.
    pub fn from(pod: &Value, port: u16) -> Result<Self> {
        Self::of(pod, &format!("saddr {{}} tcp dport {port}"))
    }

    /// Drops what this port of any host sends to a pod. The other side still receives from the pod for as long
    /// as it expects no acknowledgement.
    ///
    /// # Errors
    /// When the pod has no address, or the rules cannot be set.
    pub fn towards(pod: &Value, port: u16) -> Result<Self> {
        Self::of(pod, &format!("daddr {{}} tcp sport {port}"))
    }

    /// `{}` in the rule stands for the pod's address.
    fn of(pod: &Value, rule: &str) -> Result<Self> {
        let ips = pod.pointer("/status/podIPs").and_then(Value::as_array);
        let ips = ips.context("a pod without addresses")?;
        let mut rules = String::new();
        for ip in ips.iter().filter_map(|ip| ip.get("ip")?.as_str()) {
            let family = match ip.parse()? {
                IpAddr::V4(_) => "ip",
                IpAddr::V6(_) => "ip6",
            };
            let rule = rule.replace("{}", ip);
            rules.push_str(&format!("{family} {rule} drop\n"));
        }
        ensure!(!rules.is_empty(), "a pod without addresses");
        // Before Service addresses are replaced and connections are known.
        let hook = "type filter hook prerouting priority -300;";
        let chain = format!("chain drops {{\n{hook}\n{rules}}}\n");
        nft(&format!("table inet {TABLE} {{\n{chain}}}\n"))?;
        Ok(Self(()))
    }
}

impl Drop for Partition {
    fn drop(&mut self) {
        if let Err(error) = nft(&format!("delete table inet {TABLE}\n")) {
            println!("the partition stays: {error:#}");
        }
    }
}

fn nft(rules: &str) -> Result<()> {
    let network = std::env::var("PORTOLAN_TEST_NETNS").context("PORTOLAN_TEST_NETNS")?;
    let mut child = as_root("nsenter")
        .arg(format!("--net={network}"))
        .args(["nft", "-f", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .context("run nsenter")?;
    let mut input = child.stdin.take().context("no standard input")?;
    input.write_all(rules.as_bytes())?;
    drop(input);
    let status = child.wait()?;
    ensure!(status.success(), "nft: {rules}: {status}");
    Ok(())
}
