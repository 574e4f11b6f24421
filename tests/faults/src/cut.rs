//! A pod that is kept from a port of others, by rules in the node's network.

use crate::container::as_root;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::io::Write as _;
use std::net::IpAddr;
use std::process::Stdio;

/// The table of our rules.
const TABLE: &str = "portolan_faults";

/// Holds until it is dropped.
#[derive(Debug)]
pub struct Cut(());

impl Cut {
    /// Lets nothing more pass from a pod to this port of anybody; what is under way is lost, too.
    ///
    /// # Errors
    /// When the pod has no address, or the rules cannot be set.
    pub fn from(pod: &Value, port: u16) -> Result<Self> {
        Self::of(pod, &format!("saddr {{}} tcp dport {port}"))
    }

    /// Lets nothing more come back to a pod from this port of anybody, who still hears the pod for as long as
    /// nothing is expected of it.
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
        for ip in ips.iter().filter_map(|it| it.get("ip")?.as_str()) {
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
        let chain = format!("chain cut {{\n{hook}\n{rules}}}\n");
        nft(&format!("table inet {TABLE} {{\n{chain}}}\n"))?;
        Ok(Self(()))
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        if let Err(error) = nft(&format!("delete table inet {TABLE}\n")) {
            println!("the cut stays: {error:#}");
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
