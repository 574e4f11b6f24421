//! Pods and their addresses. The addresses in an EndpointSlice come from any user who may write slices;
//! those in the status of a pod come from the kubelet of its node.

use crate::event::Change;
use crate::names::ObjectRef;
use k8s_openapi::api::core::v1::Pod;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Pods by address.
#[derive(Debug, Default)]
pub(crate) struct Pods {
    /// Every pod is listed. Until then none counts as missing.
    pub(crate) listed: bool,
    /// Those with addresses of their own.
    pods: BTreeMap<ObjectRef, Facts>,
    /// By namespace, the addresses of its pods, and whose they are.
    addresses: BTreeMap<String, BTreeMap<IpAddr, BTreeSet<ObjectRef>>>,
}

/// Pod, as far as it concerns the index.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Facts {
    uid: String,
    addresses: BTreeSet<IpAddr>,
}

impl Pods {
    /// The addresses that may belong to another pod now.
    pub(crate) fn apply(&mut self, change: Change<Pod>) -> BTreeSet<IpAddr> {
        let name = change.reference();
        let facts = match change {
            Change::Applied(pod) => read(&pod),
            Change::Deleted(_) => None,
        };
        let before = match &facts {
            Some(facts) => self.pods.insert(name.clone(), facts.clone()),
            None => self.pods.remove(&name),
        };
        if before == facts {
            return BTreeSet::new();
        }
        let addresses = |facts: &Option<Facts>| {
            let facts = facts.as_ref();
            facts.map(|pod| pod.addresses.clone()).unwrap_or_default()
        };
        let (old, new) = (addresses(&before), addresses(&facts));
        self.give_up(&name, old.difference(&new));
        if !new.is_empty() {
            let known = self.addresses.entry(name.namespace.clone()).or_default();
            for address in &new {
                known.entry(*address).or_default().insert(name.clone());
            }
        }
        let another = before.map(|pod| pod.uid) != facts.map(|pod| pod.uid);
        if another { &old | &new } else { &old ^ &new }
    }

    fn give_up<'a>(&mut self, name: &ObjectRef, addresses: impl Iterator<Item = &'a IpAddr>) {
        let Some(known) = self.addresses.get_mut(&name.namespace) else {
            return;
        };
        for address in addresses {
            if let Some(owners) = known.get_mut(address) {
                owners.remove(name);
                if owners.is_empty() {
                    known.remove(address);
                }
            }
        }
        if known.is_empty() {
            self.addresses.remove(&name.namespace);
        }
    }

    /// The UID of the pod of a namespace that has an address: the given one, if it is one of several.
    pub(crate) fn owner(&self, namespace: &str, address: IpAddr, uid: &str) -> Option<&str> {
        let owners = self.addresses.get(namespace)?;
        let owners = owners.get(&address.to_canonical())?.iter();
        let mut uids = owners.filter_map(|owner| Some(self.pods.get(owner)?.uid.as_str()));
        let first = uids.clone().next();
        uids.find(|owner| *owner == uid).or(first)
    }
}

/// `None` for a pod that has no address of its own: one that has none yet, one that is finished, whose
/// address another pod may have by now, and one in the network of its node (`hostNetwork`), whose
/// address leads to the kubelet and to all others on that node.
fn read(pod: &Pod) -> Option<Facts> {
    let spec = pod.spec.as_ref();
    if spec.and_then(|spec| spec.host_network) == Some(true) {
        return None;
    }
    let status = pod.status.as_ref()?;
    if matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
        return None;
    }
    let all = status
        .pod_ips
        .iter()
        .flatten()
        .map(|pod_ip| pod_ip.ip.as_str());
    let addresses: BTreeSet<IpAddr> = all
        .chain(status.pod_ip.as_deref())
        .filter_map(|ip| ip.parse::<IpAddr>().ok())
        .map(|ip| ip.to_canonical())
        .collect();
    (!addresses.is_empty()).then(|| Facts {
        uid: pod.metadata.uid.clone().unwrap_or_default(),
        addresses,
    })
}
