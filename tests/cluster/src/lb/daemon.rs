//! The process that keeps statuses and zone right: it reads Services through `kubectl --watch`, starts over with
//! a full list when the watch ends, and stops on request.

use super::assign::{self, Wanted};
use super::zone::{self, Addresses};
use crate::config::DOMAIN;
use crate::plan::Plan;
use crate::program;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io::BufReader;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Configuration of the process.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Arguments {
    /// The cluster's index
    #[arg(long)]
    index: u8,
    /// The kubectl to use
    #[arg(long)]
    kubectl: PathBuf,
    /// Whom to be
    #[arg(long)]
    kubeconfig: PathBuf,
    /// Folder of the zone files
    #[arg(long)]
    zones: PathBuf,
    /// The file to write once every Service was looked at
    #[arg(long)]
    ready: PathBuf,
}

/// Watches for ever.
///
/// # Errors
/// When the index is out of range; everything else is logged and tried again.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut balancer = Balancer {
        plan: Plan::new(arguments.index)?,
        arguments,
        services: BTreeMap::new(),
        zone: String::new(),
        serial: 0,
    };
    let mut pause = Duration::from_millis(100);
    loop {
        match balancer.follow() {
            Ok(()) => pause = Duration::from_millis(100),
            Err(error) => eprintln!(
                "watching Services: {error:#}; again in {} ms",
                pause.as_millis()
            ),
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_secs(2));
    }
}

struct Balancer<'a> {
    plan: Plan,
    arguments: &'a Arguments,
    services: BTreeMap<String, Wanted>,
    zone: String,
    serial: u64,
}

impl Balancer<'_> {
    /// Lists everything, then follows changes until the watch ends.
    fn follow(&mut self) -> Result<()> {
        let list = program::output(self.kubectl().args([
            "get",
            "services",
            "--all-namespaces",
            "-o",
            "json",
        ]))?;
        let list: Value = serde_json::from_str(&list).context("read the list of Services")?;
        let pool = self.pool();
        let items = list.get("items").and_then(Value::as_array);
        let wanted = items
            .into_iter()
            .flatten()
            .filter_map(|service| assign::read(service, &pool));
        self.services = wanted.map(|w| (w.key.clone(), w)).collect();
        self.settle()?;
        fs::write(&self.arguments.ready, "").context("say that every Service was looked at")?;

        let mut watch = self.kubectl();
        watch.args([
            "get",
            "services",
            "--all-namespaces",
            "-o",
            "json",
            "--watch",
            "--output-watch-events",
        ]);
        let mut child = watch
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("start kubectl")?;
        let result = child
            .stdout
            .take()
            .context("no output of kubectl")
            .and_then(|out| self.apply_events(BufReader::new(out)));
        let _ = child.kill();
        let _ = child.wait();
        result
    }

    fn apply_events(&mut self, stream: impl std::io::Read) -> Result<()> {
        for event in serde_json::Deserializer::from_reader(stream).into_iter::<Value>() {
            let event = event.context("read the watch")?;
            let (Some(kind), Some(service)) = (
                event.get("type").and_then(Value::as_str),
                event.get("object"),
            ) else {
                continue;
            };
            let text = |pointer: &str| {
                service
                    .pointer(pointer)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
            };
            let key = format!("{}/{}", text("/metadata/namespace"), text("/metadata/name"));
            let wanted = if kind == "DELETED" {
                None
            } else {
                assign::read(service, &self.pool())
            };
            let before = match wanted {
                Some(wanted) => self.services.insert(key.clone(), wanted),
                None => self.services.remove(&key),
            };
            if before.as_ref() != self.services.get(&key) {
                self.settle()?;
            }
        }
        Ok(())
    }

    /// Brings statuses and the zone to what the assignment says.
    fn settle(&mut self) -> Result<()> {
        let given = assign::assign(&self.services, &self.pool(), |last| {
            self.plan.load_balancer(last).1.to_string()
        });
        let mut classes: BTreeMap<String, Addresses> = BTreeMap::new();
        for (key, last) in &given {
            let Some(service) = self.services.get(key) else {
                continue;
            };
            let (v4, v6) = self.plan.load_balancer(*last);
            let addresses = (
                service.families.0.then_some(v4),
                service.families.1.then_some(v6),
            );
            if let Some(class) = &service.class {
                classes.entry(class.clone()).or_insert(addresses);
            }
            let texts = [
                addresses.0.map(|a| a.to_string()),
                addresses.1.map(|a| a.to_string()),
            ];
            let ips: Vec<String> = texts.into_iter().flatten().collect();
            if service.has != ips {
                // The Service may have changed or gone meanwhile: the watch then says so, and this runs again.
                match self.patch(key, &ips) {
                    Ok(()) => eprintln!("{key}: {}", ips.join(", ")),
                    Err(error) => eprintln!("{key}: {error:#}"),
                }
            }
        }
        self.write_zone(&classes)
    }

    fn patch(&self, key: &str, ips: &[String]) -> Result<()> {
        let (namespace, name) = key.split_once('/').context("a key without namespace")?;
        let ingress: Vec<Value> = ips
            .iter()
            .map(|ip| json!({"ip": ip, "ipMode": "VIP"}))
            .collect();
        let patch = json!({"status": {"loadBalancer": {"ingress": ingress}}}).to_string();
        let mut command = self.kubectl();
        command.args([
            "patch",
            "service",
            name,
            "-n",
            namespace,
            "--subresource",
            "status",
            "--type",
            "merge",
            "-p",
            &patch,
        ]);
        program::output(&mut command).map(|_| ())
    }

    /// Writes the zone when it differs but for its serial number.
    fn write_zone(&mut self, classes: &BTreeMap<String, Addresses>) -> Result<()> {
        let some = |(v4, v6)| (Some(v4), Some(v6));
        let public = self.plan.load_balancer(assign::PUBLIC);
        let text = |serial| zone::zone(serial, some(self.plan.node()), some(public), classes);
        if self.zone == text(0) {
            return Ok(());
        }
        // Seconds fit the 32 bits of a serial number, and it grows across restarts of this process.
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        self.serial = now.as_secs().max(self.serial + 1);
        let file = self.arguments.zones.join(format!("db.{DOMAIN}"));
        let next = self.arguments.zones.join(".next");
        fs::write(&next, text(self.serial))
            .and_then(|()| fs::rename(&next, &file))
            .with_context(|| format!("write {}", file.display()))?;
        self.zone = text(0);
        Ok(())
    }

    fn pool(&self) -> String {
        format!("172.30.{}.", self.plan.index())
    }

    fn kubectl(&self) -> Command {
        let mut command = Command::new(&self.arguments.kubectl);
        command.arg("--kubeconfig").arg(&self.arguments.kubeconfig);
        command
    }
}
