//! The ways to a class: each ready proxy pod, and the addresses of its Service.

use crate::cluster::text;
use crate::exposed::Exposed;
use crate::visitor::{Scheme, Visitor};
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

/// One place at which requests for a class are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// Whose address it is, for messages.
    pub what: String,
    /// In the clear.
    pub http: SocketAddr,
    /// With TLS.
    pub https: SocketAddr,
}

impl Way {
    /// Where this scheme is spoken.
    pub fn at(&self, scheme: Scheme) -> SocketAddr {
        match scheme {
            Scheme::Http => self.http,
            Scheme::Https => self.https,
        }
    }
}

impl ProxyPod {
    /// The pod's own ports, at each of its addresses.
    pub fn ways(&self) -> impl Iterator<Item = Way> {
        self.addresses.iter().map(|ip| Way {
            what: self.name.clone(),
            http: SocketAddr::new(*ip, 8080),
            https: SocketAddr::new(*ip, 8443),
        })
    }
}

impl Cluster {
    /// A visitor who trusts the test authority.
    ///
    /// # Errors
    /// When its certificate cannot be read.
    pub fn visitor(&self) -> Result<Visitor> {
        let ca = &self.environment.ca;
        let pem = fs::read(ca).with_context(|| format!("read {}", ca.display()))?;
        Visitor::trusting(&pem)
    }

    /// The pods of a class's proxy, ready or not, that are not on their way out.
    ///
    /// # Errors
    /// What the API server says.
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

    /// Every way to an object of the class `public`: each ready proxy pod, and each address of its status.
    ///
    /// # Errors
    /// When there is no proxy, or status has no address.
    pub async fn ways(&self, exposed: &Exposed) -> Result<Vec<Way>> {
        let addresses = exposed.addresses();
        ensure!(
            !addresses.is_empty(),
            "status.addresses is empty\n{exposed}"
        );
        self.ways_to(&addresses).await
    }

    /// Every way to what the class `public` serves: each ready proxy pod, and each of these addresses.
    ///
    /// # Errors
    /// When there is no proxy, or an address is none.
    pub async fn ways_to(&self, addresses: &[&str]) -> Result<Vec<Way>> {
        let proxies = self.ready_proxies().await?;
        let mut ways: Vec<Way> = proxies.iter().flat_map(ProxyPod::ways).collect();
        for address in addresses {
            ways.push(entry(address)?);
        }
        Ok(ways)
    }
}

impl Exposed {
    /// The addresses of its status, of both families.
    ///
    /// # Errors
    /// When there is none.
    pub fn entries(&self) -> Result<Vec<Way>> {
        let addresses = self.addresses();
        ensure!(!addresses.is_empty(), "status.addresses is empty\n{self}");
        addresses.into_iter().map(entry).collect()
    }
}

fn entry(address: &str) -> Result<Way> {
    let ip: IpAddr = address
        .parse()
        .with_context(|| format!("address {address}"))?;
    Ok(Way {
        what: format!("load balancer {ip}"),
        http: SocketAddr::new(ip, 80),
        https: SocketAddr::new(ip, 443),
    })
}

/// Whether a pod has the condition Ready.
pub fn is_ready(pod: &Value) -> bool {
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|it| text(it, "/type") == "Ready" && text(it, "/status") == "True")
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
