//! What the proxies of a class say, made ready to be judged.
//!
//! Acknowledgements live in this process only. After a restart, or when this replica begins to lead,
//! proxies that serve well have said nothing yet; and when a proxy pod ends, its connection is gone a
//! moment before the Deployment counts it out. Judging then would turn Ready off and on again for
//! nothing. So a class whose ready proxies were not all heard of is waited for, but not for long: a
//! proxy that takes requests and does not speak to the operator may serve anything.

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

/// How long a ready proxy may be without connection before it counts as one that has nothing new.
const FAIR_TIME: Duration = Duration::from_secs(10);

/// Whether the proxies of a class can be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// They can; so many of the ready ones have not been heard of for too long.
    Judge {
        /// Ready, and not connected.
        missing: usize,
    },
    /// Not before this moment.
    Wait {
        /// When the fair time is over.
        until: Instant,
    },
}

/// What is known of proxies.
pub struct Proxies {
    table: Arc<Table>,
    acks: Arc<Acks>,
    children: Arc<Children>,
    /// Since when a class has ready proxies that were not heard of.
    incomplete: Mutex<HashMap<ClassName, Instant>>,
}

impl Proxies {
    /// Reads what discovery heard, and of the Deployments how many proxies are ready.
    pub fn new(table: Arc<Table>, acks: Arc<Acks>, children: Arc<Children>) -> Self {
        Self {
            table,
            acks,
            children,
            incomplete: Mutex::default(),
        }
    }

    /// Whether the proxies of the class can be judged now.
    pub fn patience(&self, class: &ClassName) -> Patience {
        // One that has connected and not said that it is ready counts as silent: it will say so.
        let proxies = self.acks.proxies(class.as_str());
        let heard = proxies.iter().filter(|proxy| proxy.ready).count();
        let mut incomplete = self
            .incomplete
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let missing = self.ready(class).saturating_sub(heard);
        if missing == 0 {
            incomplete.remove(class);
            return Patience::Judge { missing };
        }
        let now = Instant::now();
        let until = *incomplete.entry(class.clone()).or_insert(now) + FAIR_TIME;
        if now < until {
            Patience::Wait { until }
        } else {
            Patience::Judge { missing }
        }
    }

    /// What each proxy of the class says of these resources, `missing` silent ones included.
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
                let said = ObservedProxy {
                    name,
                    ready,
                    ..ObservedProxy::default()
                };
                (proxy.pod, said)
            })
            .collect();
        for resource in resources {
            if let Some(version) = self.table.version(class, resource) {
                for (pod, verdict) in self.acks.acknowledged(class, resource, version) {
                    if let Some(proxy) = observed.get_mut(&pod) {
                        proxy.acks.insert(resource.clone(), verdict);
                    }
                }
            }
            if resource.kind == Kind::VirtualHost {
                for (pod, served) in self.acks.served(class, &resource.name) {
                    let Ok(not_after) = Timestamp::from_second(served.not_after_unix) else {
                        continue;
                    };
                    let shown = ServedCertificate {
                        fingerprint: served.fingerprint,
                        not_after,
                    };
                    if let Some(proxy) = observed.get_mut(&pod) {
                        proxy.served.insert(resource.name.clone(), shown);
                    }
                }
            }
        }
        let silent = (0..missing).map(|_| ObservedProxy {
            name: "not connected".to_owned(),
            ready: true,
            ..ObservedProxy::default()
        });
        observed.into_values().chain(silent).collect()
    }

    /// How many proxies of the class the Deployment counts as ready.
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
    async fn ready_proxies_that_are_not_connected_are_waited_for_but_not_for_ever() {
        let proxies = proxies(2);
        let until = Instant::now() + FAIR_TIME;
        assert_eq!(proxies.patience(&public()), Patience::Wait { until });
        tokio::time::advance(FAIR_TIME / 2).await;
        assert_eq!(proxies.patience(&public()), Patience::Wait { until });
        tokio::time::advance(FAIR_TIME / 2).await;
        assert_eq!(proxies.patience(&public()), Patience::Judge { missing: 2 });
    }

    #[tokio::test(start_paused = true)]
    async fn without_ready_proxies_there_is_nobody_to_wait_for() {
        let proxies = proxies(0);
        assert_eq!(proxies.patience(&public()), Patience::Judge { missing: 0 });
        let said = proxies.observe(&public(), std::iter::empty(), 0);
        assert_eq!(said, []);
    }

    #[tokio::test(start_paused = true)]
    async fn a_missing_proxy_is_one_that_is_ready_and_has_acknowledged_nothing() {
        let said = proxies(1).observe(&public(), std::iter::empty(), 1);
        assert_eq!(said.len(), 1);
        assert!(said.iter().all(|it| it.ready && it.acks.is_empty()));
    }
}
