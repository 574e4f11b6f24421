//! What the data plane shall have, what it was told, and what it says about it.

use jiff::Timestamp;
use portolan_core::{ObservedProxy, ServedCertificate, Verdict};
use portolan_discovery::delta::{Batch, Update};
use portolan_discovery::session;
use portolan_discovery::table::{Kind, ResourceName};
use portolan_discovery::version::Version;
use std::collections::{BTreeMap, BTreeSet};

/// The routing table of this process, as the core wants it and as the data plane has it.
#[derive(Debug, Default)]
pub(crate) struct Table {
    wanted: BTreeMap<ResourceName, Update>,
    /// Names that the data plane has not been told of since they changed.
    pending: BTreeSet<ResourceName>,
    /// What the data plane said last of each resource: of which version, and why it refuses it.
    said: BTreeMap<ResourceName, (Version, Option<String>)>,
    served: BTreeMap<String, ServedCertificate>,
    ready: bool,
}

impl Table {
    /// Notes what is wanted now.
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

    /// Everything that the data plane has not been told of yet, as one step: no request sees half of it.
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
        // In reverse: what refers to others goes before them.
        let gone = pending
            .iter()
            .rev()
            .filter(|name| !self.wanted.contains_key(*name));
        Some(Batch {
            upserts,
            removals: gone.cloned().collect(),
            end_of_snapshot: true,
        })
    }

    /// Whether the data plane was told everything.
    pub(crate) fn is_told(&self) -> bool {
        self.pending.is_empty()
    }

    /// Takes in the verdicts on a batch, and what was removed with it. Gives the names that are concerned.
    pub(crate) fn hear(
        &mut self,
        verdicts: Vec<session::ResourceAck>,
        removed: &[ResourceName],
    ) -> BTreeSet<ResourceName> {
        for name in removed {
            self.said.remove(name);
        }
        let mut concerned = BTreeSet::new();
        for verdict in verdicts {
            let said = (verdict.version, verdict.refused);
            if self.said.insert(verdict.name.clone(), said.clone()) != Some(said) {
                concerned.insert(verdict.name);
            }
        }
        concerned
    }

    /// Takes in what clients are shown. Gives the hosts for which that differs.
    pub(crate) fn shown(
        &mut self,
        served: &[session::PresentedCertificate],
    ) -> BTreeSet<ResourceName> {
        let now: BTreeMap<String, ServedCertificate> = served
            .iter()
            .filter_map(|it| {
                let certificate = ServedCertificate {
                    fingerprint: it.fingerprint.clone(),
                    not_after: Timestamp::from_second(it.not_after_unix).ok()?,
                };
                Some((it.server_name.clone(), certificate))
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

    /// Whether requests are taken; gives whether that is new.
    pub(crate) fn set_ready(&mut self, ready: bool) -> bool {
        std::mem::replace(&mut self.ready, ready) != ready
    }

    /// What the data plane says of these resources, as the core is told of a proxy.
    pub(crate) fn observe(&self, names: &[ResourceName]) -> ObservedProxy {
        let verdicts = names.iter().filter_map(|name| {
            let wanted = self.wanted.get(name)?.version;
            let verdict = match self.said.get(name) {
                Some((version, None)) if *version == wanted => Verdict::Acknowledged,
                Some((version, Some(why))) if *version == wanted => Verdict::Refused(why.clone()),
                _ => Verdict::Behind,
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
            verdicts: verdicts.collect(),
            served: served.collect(),
        }
    }

    /// Why a listener is not open.
    pub(crate) fn refused_listener(&self) -> Option<&str> {
        let listeners = self
            .said
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
    fn a_change_is_told_once_and_is_behind_until_it_is_acknowledged() {
        let mut table = Table::default();
        let (name, first) = set("n/s:80", 1);
        table.want([(name.clone(), first)].into());
        let batch = table.batch().unwrap();
        assert!(table.batch().is_none() && table.is_told());
        let names = [name.clone()];
        assert_eq!(table.observe(&names).verdicts[&name], Verdict::Behind);
        assert_eq!(table.hear(accepted(&batch), &[]), [name.clone()].into());
        assert_eq!(table.observe(&names).verdicts[&name], Verdict::Acknowledged);
        table.want([set("n/s:80", 2)].into());
        assert_eq!(table.observe(&names).verdicts[&name], Verdict::Behind);
        let batch = table.batch().unwrap();
        let refused = vec![batch.upserts[0].verdict(Some("no".into()))];
        table.hear(refused, &[]);
        assert_eq!(
            table.observe(&names).verdicts[&name],
            Verdict::Refused("no".into())
        );
    }

    #[test]
    fn what_does_not_differ_is_not_told_and_what_is_gone_is_removed() {
        let mut table = Table::default();
        table.want([set("n/s:80", 1)].into());
        let batch = table.batch().unwrap();
        table.hear(accepted(&batch), &[]);
        table.want([set("n/s:80", 1)].into());
        assert!(table.batch().is_none());
        let (name, _) = set("n/s:80", 1);
        table.want([(name.clone(), None)].into());
        let batch = table.batch().unwrap();
        assert_eq!(
            (batch.upserts.len(), &batch.removals),
            (0, &vec![name.clone()])
        );
        table.hear(Vec::new(), &batch.removals);
        assert!(table.observe(&[name]).verdicts.is_empty());
    }
}
