//! Collects the observed state of the proxies of a class.
//!
//! Acknowledgements exist only in this process. After a restart, or when this replica becomes the leader, proxies that
//! serve well are not connected yet; and when a proxy pod ends, its connection closes a moment before the Deployment
//! stops counting it. A status computed then would turn Ready off and on again. So a status waits until all ready
//! proxies of its class are connected, but only for [`CONNECT_GRACE`]: a ready proxy without connection may serve an
//! old configuration.

use crate::apply::{ChildKind, Children};
use crate::discovery::{Acks, Table};
use crate::key::Key;
use jiff::Timestamp;
use portolan_core::{ClassName, ObservedProxy, ServedCertificate};
use portolan_discovery::table::{Kind, ResourceName};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Grace for a ready proxy without connection before it counts as one that has loaded nothing.
const CONNECT_GRACE: Duration = Duration::from_secs(10);

/// Completeness of the observed state of the proxies of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyInfo {
    /// All ready proxies are connected, or the grace is over for those that are not.
    Complete {
        /// Number of ready proxies that are not connected.
        missing: usize,
    },
    /// Some ready proxies are not connected yet.
    Pending {
        /// End of the grace.
        until: Instant,
    },
}

/// Observed state of all proxies.
pub struct Proxies {
    table: Arc<Table>,
    acks: Arc<Acks>,
    children: Arc<Children>,
    /// Classes with ready proxies that are not connected, each with the time since when.
    incomplete: Mutex<HashMap<ClassName, Instant>>,
}

impl Proxies {
    /// Reads acknowledgements from discovery and the number of ready proxies from the Deployments.
    pub fn new(table: Arc<Table>, acks: Arc<Acks>, children: Arc<Children>) -> Self {
        Self {
            table,
            acks,
            children,
            incomplete: Mutex::default(),
        }
    }

    /// Returns whether the observed state of the proxies of a class is complete.
    pub fn info(&self, class: &ClassName) -> ProxyInfo {
        // A connected proxy that has not reported its readiness yet counts as missing; it will report it.
        let proxies = self.acks.proxies(class.as_str());
        let connected = proxies.iter().filter(|proxy| proxy.ready).count();
        let mut incomplete = self
            .incomplete
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let missing = self.ready(class).saturating_sub(connected);
        if missing == 0 {
            incomplete.remove(class);
            return ProxyInfo::Complete { missing };
        }
        let now = Instant::now();
        let until = *incomplete.entry(class.clone()).or_insert(now) + CONNECT_GRACE;
        if now < until {
            ProxyInfo::Pending { until }
        } else {
            ProxyInfo::Complete { missing }
        }
    }

    /// Returns the observed state of each proxy of the class for these resources, including `missing` unconnected ones.
    ///
    /// Call it while the model is read-locked, so that the versions asked for are those of the index.
    pub fn observe<'a>(
        &self,
        class: &ClassName,
        resources: impl Iterator<Item = &'a ResourceName>,
        missing: usize,
    ) -> Vec<ObservedProxy> {
        let class = class.as_str();
        let mut observed: BTreeMap<_, ObservedProxy> = self
            .acks
            .proxies(class)
            .into_iter()
            .map(|proxy| {
                let name = proxy.pod.name.clone();
                let ready = proxy.ready;
                let observed = ObservedProxy {
                    name,
                    ready,
                    ..ObservedProxy::default()
                };
                (proxy.pod, observed)
            })
            .collect();
        for resource in resources {
            if let Some(version) = self.table.version(class, resource) {
                for (pod, ack) in self.acks.acknowledged(class, resource, version) {
                    if let Some(proxy) = observed.get_mut(&pod) {
                        proxy.acks.insert(resource.clone(), ack);
                    }
                }
            }
            if resource.kind == Kind::VirtualHost {
                for (pod, served) in self.acks.served(class, &resource.name) {
                    let Ok(not_after) = Timestamp::from_second(served.not_after_unix) else {
                        continue;
                    };
                    let certificate = ServedCertificate {
                        fingerprint: served.fingerprint,
                        not_after,
                    };
                    if let Some(proxy) = observed.get_mut(&pod) {
                        proxy.served.insert(resource.name.clone(), certificate);
                    }
                }
            }
        }
        let unconnected = (0..missing).map(|_| ObservedProxy {
            name: "not connected".to_owned(),
            ready: true,
            ..ObservedProxy::default()
        });
        observed.into_values().chain(unconnected).collect()
    }

    /// Returns the number of ready proxies of a class according to its Deployment.
    fn ready(&self, class: &ClassName) -> usize {
        let children = self.children.of(&Key::Class(class.clone()));
        let deployments = children
            .iter()
            .filter(|(id, _)| id.kind == ChildKind::Deployment);
        let ready = deployments.filter_map(|(_, seen)| {
            let ready = seen.manifest.get("status")?.get("readyReplicas")?;
            usize::try_from(ready.as_u64()?).ok()
        });
        ready.sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apply::Seen;
    use kube::api::DynamicObject;
    use serde_json::json;

    fn proxies(ready: u64) -> Proxies {
        let children = Arc::new(Children::default());
        let deployment: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "proxy", "namespace": "p", "uid": "1", "ownerReferences": [
                {"apiVersion": "portolan.dev/v1alpha1", "kind": "ExposeClass", "name": "public", "uid": "c", "controller": true}]},
            "status": {"readyReplicas": ready},
        }))
        .unwrap();
        let seen = Seen::of(&deployment);
        children.seen(seen.id(ChildKind::Deployment), seen);
        Proxies::new(Arc::default(), Acks::new().0, children)
    }

    fn public() -> ClassName {
        ClassName::parse("public").unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn waits_for_unconnected_ready_proxies_only_for_the_grace() {
        let proxies = proxies(2);
        let until = Instant::now() + CONNECT_GRACE;
        assert_eq!(proxies.info(&public()), ProxyInfo::Pending { until });
        tokio::time::advance(CONNECT_GRACE / 2).await;
        assert_eq!(proxies.info(&public()), ProxyInfo::Pending { until });
        tokio::time::advance(CONNECT_GRACE / 2).await;
        assert_eq!(proxies.info(&public()), ProxyInfo::Complete { missing: 2 });
    }

    #[tokio::test(start_paused = true)]
    async fn without_ready_proxies_nothing_is_pending() {
        let proxies = proxies(0);
        assert_eq!(proxies.info(&public()), ProxyInfo::Complete { missing: 0 });
        let observed = proxies.observe(&public(), std::iter::empty(), 0);
        assert_eq!(observed, []);
    }

    #[tokio::test(start_paused = true)]
    async fn a_missing_proxy_is_ready_without_acknowledgements() {
        let observed = proxies(1).observe(&public(), std::iter::empty(), 1);
        assert_eq!(observed.len(), 1);
        assert!(
            observed
                .iter()
                .all(|proxy| proxy.ready && proxy.acks.is_empty())
        );
    }
}
