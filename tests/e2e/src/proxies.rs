//! The entrypoints of a class: each ready proxy pod, and the addresses of its Service.

use crate::client::{Client, Scheme};
use crate::cluster::text;
use crate::exposed::Exposed;
use crate::{CLASS, Cluster, SYSTEM};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::fs;
use std::net::{IpAddr, SocketAddr};

/// A ready proxy pod of the class.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProxyPod {
    /// Its name.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// Its addresses, of both families.
    pub addresses: Vec<IpAddr>,
}

/// An address at which a class accepts requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entrypoint {
    /// Name of what has the address, for messages.
    pub what: String,
    /// Its plaintext port.
    pub http: SocketAddr,
    /// Its TLS port.
    pub https: SocketAddr,
}

impl Entrypoint {
    /// Returns the address for this scheme.
    pub fn at(&self, scheme: Scheme) -> SocketAddr {
        match scheme {
            Scheme::Http => self.http,
            Scheme::Https => self.https,
        }
    }
}

impl ProxyPod {
    /// The pod's own ports, at each of its addresses.
    pub fn entrypoints(&self) -> impl Iterator<Item = Entrypoint> {
        self.addresses.iter().map(|ip| Entrypoint {
            what: self.name.clone(),
            http: SocketAddr::new(*ip, 8080),
            https: SocketAddr::new(*ip, 8443),
        })
    }
}

impl Cluster {
    /// Returns a client that trusts the test authority.
    ///
    /// # Errors
    /// When its certificate cannot be read.
    pub fn http_client(&self) -> Result<Client> {
        let ca = &self.environment.ca;
        let pem = fs::read(ca).with_context(|| format!("read {}", ca.display()))?;
        Client::with_roots(&pem)
    }

    /// The pods of a class's proxy, ready or not, that are not on their way out.
    ///
    /// # Errors
    /// When the API server rejects it or cannot be reached.
    pub async fn proxy_pods(&self, class: &str) -> Result<Vec<Value>> {
        let label = format!("portolan.dev/class={class}");
        let mut pods = self.list("Pod", SYSTEM, &label).await?;
        pods.retain(|pod| pod.pointer("/metadata/deletionTimestamp").is_none());
        Ok(pods)
    }

    /// The ready proxy pods of the class that the chart installs.
    ///
    /// # Errors
    /// When there is none.
    pub async fn ready_proxies(&self) -> Result<Vec<ProxyPod>> {
        let pods = self.proxy_pods(CLASS).await?;
        let mut ready: Vec<ProxyPod> = pods.iter().filter(|pod| is_ready(pod)).map(proxy).collect();
        ready.sort();
        ensure!(!ready.is_empty(), "class {CLASS} has no ready proxy");
        Ok(ready)
    }

    /// Every entrypoint for an object of the class `public`: each ready proxy pod, and each address of its status.
    ///
    /// # Errors
    /// When there is no proxy, or status has no address.
    pub async fn entrypoints(&self, exposed: &Exposed) -> Result<Vec<Entrypoint>> {
        let addresses = exposed.addresses();
        ensure!(
            !addresses.is_empty(),
            "status.addresses is empty\n{exposed}"
        );
        self.entrypoints_at(&addresses).await
    }

    /// Every entrypoint of the class `public`: each ready proxy pod, and each of these addresses.
    ///
    /// # Errors
    /// When there is no proxy, or an address is none.
    pub async fn entrypoints_at(&self, addresses: &[&str]) -> Result<Vec<Entrypoint>> {
        let proxies = self.ready_proxies().await?;
        let mut entrypoints: Vec<Entrypoint> =
            proxies.iter().flat_map(ProxyPod::entrypoints).collect();
        for address in addresses {
            entrypoints.push(entry(address)?);
        }
        Ok(entrypoints)
    }
}

impl Exposed {
    /// The addresses of its status, of both families.
    ///
    /// # Errors
    /// When there is none.
    pub fn entries(&self) -> Result<Vec<Entrypoint>> {
        let addresses = self.addresses();
        ensure!(!addresses.is_empty(), "status.addresses is empty\n{self}");
        addresses.into_iter().map(entry).collect()
    }
}

fn entry(address: &str) -> Result<Entrypoint> {
    let ip: IpAddr = address
        .parse()
        .with_context(|| format!("address {address}"))?;
    Ok(Entrypoint {
        what: format!("load balancer {ip}"),
        http: SocketAddr::new(ip, 80),
        https: SocketAddr::new(ip, 443),
    })
}

/// Returns true if a pod has the condition Ready.
pub fn is_ready(pod: &Value) -> bool {
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|condition| {
        text(condition, "/type") == "Ready" && text(condition, "/status") == "True"
    })
}

fn proxy(pod: &Value) -> ProxyPod {
    let ips = pod.pointer("/status/podIPs").and_then(Value::as_array);
    ProxyPod {
        name: text(pod, "/metadata/name").to_owned(),
        uid: text(pod, "/metadata/uid").to_owned(),
        addresses: ips
            .into_iter()
            .flatten()
            .filter_map(|ip| text(ip, "/ip").parse().ok())
            .collect(),
    }
}
