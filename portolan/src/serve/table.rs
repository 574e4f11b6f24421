//! Routing table of this process: wanted resources, and their acknowledgements.

use jiff::Timestamp;
use portolan_core::{AckState, ObservedProxy, ServedCertificate};
use portolan_discovery::delta::{Batch, Update};
use portolan_discovery::session;
use portolan_discovery::table::{Kind, ResourceName};
use portolan_discovery::version::Version;
use std::collections::{BTreeMap, BTreeSet};

/// Wanted resources of the core, and their state in the data plane.
#[derive(Debug, Default)]
pub(crate) struct Table {
    wanted: BTreeMap<ResourceName, Update>,
    /// Changed resources that were not sent yet.
    pending: BTreeSet<ResourceName>,
    /// Last acknowledgement of each resource: version, and reason of a rejection.
    acks: BTreeMap<ResourceName, (Version, Option<String>)>,
    served: BTreeMap<String, ServedCertificate>,
    ready: bool,
}

impl Table {
    /// Sets the wanted resources.
    pub(crate) fn want(&mut self, resources: BTreeMap<ResourceName, Option<Update>>) {
        for (name, update) in resources {
            let version = update.as_ref().map(|update| update.version);
            let before = match update {
                Some(update) => self.wanted.insert(name.clone(), update),
                None => self.wanted.remove(&name),
            };
            if before.map(|before| before.version) != version {
                self.pending.insert(name);
            }
        }
    }

    /// Returns all pending changes as one batch, so that no request sees a partial change.
    pub(crate) fn batch(&mut self) -> Option<Batch> {
        let pending = std::mem::take(&mut self.pending);
        if pending.is_empty() {
            return None;
        }
        let upserts = pending
            .iter()
            .filter_map(|name| self.wanted.get(name))
            .cloned()
            .collect();
        // In reverse, so that references are removed before their targets.
        let removals = pending
            .iter()
            .rev()
            .filter(|name| !self.wanted.contains_key(*name));
        Some(Batch {
            upserts,
            removals: removals.cloned().collect(),
            end_of_snapshot: true,
        })
    }

    /// Returns true if every change was sent.
    pub(crate) fn is_sent(&self) -> bool {
        self.pending.is_empty()
    }

    /// Records the result of a batch, and returns the names whose state changed.
    pub(crate) fn record_acks(
        &mut self,
        acks: Vec<session::ResourceAck>,
        removed: &[ResourceName],
    ) -> BTreeSet<ResourceName> {
        for name in removed {
            self.acks.remove(name);
        }
        let mut changed = BTreeSet::new();
        for ack in acks {
            let state = (ack.version, ack.refused);
            if self.acks.insert(ack.name.clone(), state.clone()) != Some(state) {
                changed.insert(ack.name);
            }
        }
        changed
    }

    /// Records the presented certificates, and returns the hosts whose certificate changed.
    pub(crate) fn record_certificates(
        &mut self,
        served: &[session::PresentedCertificate],
    ) -> BTreeSet<ResourceName> {
        let now: BTreeMap<String, ServedCertificate> = served
            .iter()
            .filter_map(|presented| {
                let certificate = ServedCertificate {
                    fingerprint: presented.fingerprint.clone(),
                    not_after: Timestamp::from_second(presented.not_after_unix).ok()?,
                };
                Some((presented.server_name.clone(), certificate))
            })
            .collect();
        let before = std::mem::replace(&mut self.served, now);
        let hosts = before.keys().chain(self.served.keys());
        let differs = hosts.filter(|host| before.get(*host) != self.served.get(*host));
        let name = |host: &String| ResourceName {
            kind: Kind::VirtualHost,
            name: host.clone(),
        };
        differs.map(name).collect()
    }

    /// Records readiness; returns true if it changed.
    pub(crate) fn set_ready(&mut self, ready: bool) -> bool {
        std::mem::replace(&mut self.ready, ready) != ready
    }

    /// Returns the state of these resources in the form of an observed proxy.
    pub(crate) fn observe(&self, names: &[ResourceName]) -> ObservedProxy {
        let acks = names.iter().filter_map(|name| {
            let wanted = self.wanted.get(name)?.version;
            let verdict = match self.acks.get(name) {
                Some((version, None)) if *version == wanted => AckState::Acknowledged,
                Some((version, Some(reason))) if *version == wanted => {
                    AckState::Refused(reason.clone())
                }
                _ => AckState::Behind,
            };
            Some((name.clone(), verdict))
        });
        let hosts = names.iter().filter(|name| name.kind == Kind::VirtualHost);
        let served = hosts.filter_map(|host| {
            let certificate = self.served.get(&host.name)?;
            Some((host.name.clone(), certificate.clone()))
        });
        ObservedProxy {
            name: "of this process".to_owned(),
            ready: self.ready,
            acks: acks.collect(),
            served: served.collect(),
        }
    }

    /// Returns the error of a listener.
    pub(crate) fn listener_error(&self) -> Option<&str> {
        let listeners = self
            .acks
            .iter()
            .filter(|(name, _)| name.kind == Kind::Listener);
        listeners
            .filter_map(|(_, (_, refused))| refused.as_deref())
            .next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portolan_discovery::table::{EndpointSet, Resource};

    fn set(name: &str, port: u16) -> (ResourceName, Option<Update>) {
        let endpoint = portolan_discovery::table::Endpoint {
            address: ([127, 0, 0, 1], port).into(),
            uid: String::new(),
        };
        let resource = Resource::Endpoints(EndpointSet {
            name: name.to_owned(),
            endpoints: vec![endpoint],
            external: None,
        });
        (resource.name(), Some(Update::new(resource, Vec::new())))
    }

    fn accepted(batch: &Batch) -> Vec<session::ResourceAck> {
        batch
            .upserts
            .iter()
            .map(|update| update.verdict(None))
            .collect()
    }

    #[test]
    fn a_change_is_sent_once_and_behind_until_acknowledged() {
        let mut table = Table::default();
        let (name, first) = set("n/s:80", 1);
        table.want([(name.clone(), first)].into());
        let batch = table.batch().unwrap();
        assert!(table.batch().is_none() && table.is_sent());
        let names = [name.clone()];
        assert_eq!(table.observe(&names).acks[&name], AckState::Behind);
        assert_eq!(
            table.record_acks(accepted(&batch), &[]),
            [name.clone()].into()
        );
        assert_eq!(table.observe(&names).acks[&name], AckState::Acknowledged);
        table.want([set("n/s:80", 2)].into());
        assert_eq!(table.observe(&names).acks[&name], AckState::Behind);
        let batch = table.batch().unwrap();
        let rejected = vec![batch.upserts[0].verdict(Some("no".into()))];
        table.record_acks(rejected, &[]);
        assert_eq!(
            table.observe(&names).acks[&name],
            AckState::Refused("no".into())
        );
    }

    #[test]
    fn sends_only_changes_and_removals() {
        let mut table = Table::default();
        table.want([set("n/s:80", 1)].into());
        let batch = table.batch().unwrap();
        table.record_acks(accepted(&batch), &[]);
        table.want([set("n/s:80", 1)].into());
        assert!(table.batch().is_none());
        let (name, _) = set("n/s:80", 1);
        table.want([(name.clone(), None)].into());
        let batch = table.batch().unwrap();
        assert_eq!(
            (batch.upserts.len(), &batch.removals),
            (0, &vec![name.clone()])
        );
        table.record_acks(Vec::new(), &batch.removals);
        assert!(table.observe(&[name]).acks.is_empty());
    }
}
