//! The compiled resources: a synchronous state machine from updates to changes for the workers.
//!
//! Endpoint sets and certificates are slots that hosts refer to, so their change reaches every
//! worker at once and recompiles nothing; other authorities rebuild the TLS of their hosts. A
//! host that names something absent waits, its old version in service.

use crate::control::credentials::Credentials;
use crate::control::{ResourceAck, Update};
use crate::external::Names;
use crate::host::{Backend, Host};
use crate::telemetry::inventory::Inventory;
use crate::tls::certificate::CertificateSlot;
use crate::tls::termination::Termination;
use crate::upstream::denied::Denied;
use crate::upstream::tls::UpstreamTls;
use crate::worker::mail::HostChange;
use portolan_discovery::table::{
    self, BackendTls, ClassSettings, Kind, Resource, ResourceName, UpstreamProtocol,
};
use portolan_discovery::version::Version;
use portolan_proxy_core::authority::HostPattern;
use portolan_proxy_core::cidr::Networks;
use portolan_proxy_core::decide::{CompileContext, VirtualHost};
use portolan_proxy_core::endpoint::EndpointSet;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The compiled resources.
#[derive(Debug)]
pub(crate) struct Table {
    workers: usize,
    /// Where clients reach HTTPS.
    https_port: u16,
    inventory: Arc<Inventory>,
    denied: Denied,
    names: Arc<Names>,
    random: fastrand::Rng,
    endpoints: HashMap<String, Arc<EndpointSet>>,
    credentials: Credentials,
    /// Settings whose default certificate is absent.
    pending_settings: Option<Update>,
    hosts: HashMap<String, Arc<Host>>,
    /// Hosts that name something absent.
    waiting: BTreeMap<String, Waiting>,
}

#[derive(Debug)]
struct Waiting {
    update: Update,
    /// It was rejected already; when it can be served after all, that is reported again.
    rejected: bool,
}

/// Changes that follow from a batch.
#[derive(Debug, Default)]
pub(crate) struct TableChanges {
    /// Of this batch, and of earlier hosts whose wait is over.
    pub(crate) verdicts: Vec<ResourceAck>,
    /// For the workers.
    pub(crate) hosts: Vec<HostChange>,
    /// Certificates that are shown from now on.
    pub(crate) certificates: Vec<String>,
    /// Hosts of this batch that wait, without a verdict yet.
    pub(crate) waiting: BTreeMap<String, Version>,
}

/// Result of compiling a host.
enum Compiled {
    Ready(Arc<Host>),
    /// Something that it names is absent and may come.
    Waits,
    /// Something that it names was refused.
    Blocked(String),
    Refused(String),
}

impl Table {
    pub(crate) fn new(
        workers: usize,
        https_port: u16,
        inventory: Arc<Inventory>,
        denied: Denied,
        names: Arc<Names>,
    ) -> Self {
        Self {
            workers,
            https_port,
            inventory,
            denied,
            names,
            random: fastrand::Rng::new(),
            endpoints: HashMap::new(),
            credentials: Credentials::default(),
            pending_settings: None,
            hosts: HashMap::new(),
            waiting: BTreeMap::new(),
        }
    }

    /// Takes in resources in the order of their kinds; then removals, in reverse.
    pub(crate) fn apply(
        &mut self,
        mut upserts: Vec<Update>,
        removals: &[ResourceName],
    ) -> TableChanges {
        let mut changes = TableChanges::default();
        upserts.sort_by_key(|update| update.resource.name().kind);
        for update in upserts {
            match &update.resource {
                Resource::Endpoints(set) => {
                    self.set_endpoints(set);
                    changes.verdicts.push(update.verdict(None));
                }
                Resource::Certificate(certificate) => {
                    let set = self
                        .credentials
                        .set_certificate(certificate, &self.inventory);
                    let refused = set.err();
                    if refused.is_none() {
                        changes.certificates.push(certificate.name.clone());
                    }
                    changes.verdicts.push(update.verdict(refused));
                }
                Resource::VirtualHost(_) => self.set_host(update, &mut changes),
                Resource::TrustAnchors(anchors) => {
                    let refused = self.set_anchors(anchors, &mut changes).err();
                    changes.verdicts.push(update.verdict(refused));
                }
                Resource::ClassSettings(settings) => match self.deny(settings) {
                    Ok(()) => {
                        self.credentials.tickets().replace(&settings.ticket_seeds);
                        self.apply_class_settings(update, &mut changes);
                    }
                    Err(why) => changes.verdicts.push(update.verdict(Some(why))),
                },
                // Opened by the control thread.
                Resource::Listener(_) => {}
            }
        }
        self.retry_waiting(&mut changes);
        let mut removals: Vec<&ResourceName> = removals.iter().collect();
        removals.sort_by_key(|name| std::cmp::Reverse(name.kind));
        for name in removals {
            self.remove(name, &mut changes);
        }
        changes
    }

    /// Refuses a host that has waited long enough. It goes on waiting, silently.
    pub(crate) fn reject_waiting(&mut self, hostname: &str) -> Option<ResourceAck> {
        let absent: Vec<String> = {
            let waiting = self.waiting.get(hostname)?;
            let names = waiting.update.resource.references();
            let absent = names.iter().filter(|name| !self.has(name));
            absent.map(ToString::to_string).collect()
        };
        let waiting = self.waiting.get_mut(hostname)?;
        waiting.rejected = true;
        let refusal = format!("references not found: {}", absent.join(", "));
        Some(waiting.update.verdict(Some(refusal)))
    }

    /// The certificate that a host is served with, the first of several.
    pub(crate) fn certificate_of(&self, hostname: &str) -> Option<&Arc<CertificateSlot>> {
        let tls = self.hosts.get(hostname)?.tls.as_ref()?;
        tls.certificates().first()
    }

    fn has(&self, name: &ResourceName) -> bool {
        match name.kind {
            Kind::Endpoints => self.endpoints.contains_key(&name.name),
            Kind::Certificate | Kind::TrustAnchors => self.credentials.has(name),
            Kind::VirtualHost => self.hosts.contains_key(&name.name),
            Kind::ClassSettings | Kind::Listener => false,
        }
    }

    fn set_endpoints(&mut self, set: &table::EndpointSet) {
        let endpoints = match self.endpoints.get(&set.name) {
            Some(known) => Arc::clone(known),
            None => {
                let new = Arc::new(EndpointSet::new(self.workers, self.random.u32(..)));
                self.inventory.set_endpoints(&set.name, Some(&new));
                self.endpoints.insert(set.name.clone(), Arc::clone(&new));
                new
            }
        };
        match &set.external {
            Some(external) => self.names.follow(&set.name, external, &endpoints),
            None => {
                self.names.forget(&set.name);
                endpoints.replace(&set.endpoints);
            }
        }
    }

    fn deny(&self, settings: &ClassSettings) -> Result<(), String> {
        let networks = Networks::parse(&settings.denied_cidrs)
            .map_err(|error| format!("deniedCIDRs: {error}"))?;
        self.denied.set_class(networks);
        Ok(())
    }

    fn set_host(&mut self, update: Update, changes: &mut TableChanges) {
        let Resource::VirtualHost(host) = &update.resource else {
            return;
        };
        let hostname = host.hostname.clone();
        if let Some(former) = self.waiting.remove(&hostname) {
            changes.waiting.remove(&hostname);
            if !former.rejected {
                let refusal = "superseded by a newer version before it could be applied";
                changes
                    .verdicts
                    .push(former.update.verdict(Some(refusal.to_owned())));
            }
        }
        match self.compile(host, &update) {
            Compiled::Ready(host) => {
                changes.verdicts.push(update.verdict(None));
                self.hosts.insert(hostname, Arc::clone(&host));
                changes.hosts.push(HostChange::Set(host));
            }
            Compiled::Refused(why) => changes.verdicts.push(update.verdict(Some(why))),
            Compiled::Blocked(why) => {
                changes.verdicts.push(update.verdict(Some(why)));
                self.waiting.insert(
                    hostname,
                    Waiting {
                        update,
                        rejected: true,
                    },
                );
            }
            Compiled::Waits => {
                changes.waiting.insert(hostname.clone(), update.version);
                let waiting = Waiting {
                    update,
                    rejected: false,
                };
                self.waiting.insert(hostname, waiting);
            }
        }
    }

    fn compile(&mut self, host: &table::VirtualHost, update: &Update) -> Compiled {
        let names = update.resource.references();
        if let Some(absent) = names.iter().find(|name| !self.has(name)) {
            return match self.credentials.refusal(absent) {
                Some(why) => Compiled::Blocked(format!("{absent} was rejected: {why}")),
                None => Compiled::Waits,
            };
        }
        let site = CompileContext {
            workers: self.workers,
            seed: self.random.u32(..),
            https_port: self.https_port,
        };
        let upstreams = match self.upstreams(host) {
            Ok(upstreams) => upstreams,
            Err(why) => return Compiled::Refused(why),
        };
        let find = |backend: &table::Backend| {
            Some(Backend {
                endpoints: self.endpoints.get(&backend.endpoints).cloned()?,
                protocol: backend.protocol,
                tls: match &backend.tls {
                    Some(wanted) => {
                        let key = (wanted.clone(), backend.protocol);
                        Some(upstreams.get(&key).cloned()?)
                    }
                    None => None,
                },
            })
        };
        let policy = match VirtualHost::compile(host, find, site) {
            Ok(policy) => policy,
            Err(error) => return Compiled::Refused(error.to_string()),
        };
        let tls = host.tls.as_ref();
        let terminated = tls.map(|tls| self.credentials.terminate(&host.hostname, tls));
        match terminated.transpose() {
            Ok(termination) => Compiled::Ready(Arc::new(Host {
                policy: Arc::new(policy),
                tls: termination.flatten().map(Arc::new),
            })),
            Err(error) => Compiled::Refused(error.to_string()),
        }
    }

    /// TLS to the endpoints of every backend of the host that asks for it.
    fn upstreams(
        &mut self,
        host: &table::VirtualHost,
    ) -> Result<HashMap<(BackendTls, UpstreamProtocol), Arc<UpstreamTls>>, String> {
        let mut made = HashMap::new();
        for (index, route) in host.routes.iter().enumerate() {
            let table::Action::Forward { backends } = &route.action else {
                continue;
            };
            for backend in backends {
                let Some(wanted) = &backend.tls else { continue };
                let upstream = self.credentials.upstream(wanted, backend.protocol);
                let upstream = upstream.map_err(|error| format!("routes[{index}]: {error}"))?;
                made.insert((wanted.clone(), backend.protocol), upstream);
            }
        }
        Ok(made)
    }

    /// Takes in authorities, and asks their clients for certificates of them.
    fn set_anchors(
        &mut self,
        anchors: &table::TrustAnchors,
        changes: &mut TableChanges,
    ) -> Result<(), String> {
        let anchors = self.credentials.set_anchors(anchors)?;
        for host in self.hosts.values_mut() {
            match self.credentials.renew(host, &anchors) {
                Ok(None) => {}
                Ok(Some(renewed)) => {
                    *host = Arc::new(renewed);
                    changes.hosts.push(HostChange::Set(Arc::clone(host)));
                }
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(())
    }

    /// Shows the default certificate that settings name. While it is absent they are refused, and
    /// the one before it stays.
    fn apply_class_settings(&mut self, update: Update, changes: &mut TableChanges) {
        let Resource::ClassSettings(settings) = &update.resource else {
            return;
        };
        self.pending_settings = None;
        match self.default_termination(settings) {
            Ok(default_termination) => {
                changes.hosts.push(HostChange::DefaultTermination(
                    default_termination.map(Arc::new),
                ));
                changes.verdicts.push(update.verdict(None));
            }
            Err(why) => {
                let why = format!("defaultCertificate: {why}");
                changes.verdicts.push(update.verdict(Some(why)));
                self.pending_settings = Some(update);
            }
        }
    }

    fn default_termination(
        &mut self,
        settings: &ClassSettings,
    ) -> Result<Option<Termination>, String> {
        let Some(name) = &settings.default_certificate else {
            return Ok(None);
        };
        match self.credentials.certificate(name).cloned() {
            Some(slot) => {
                let made = self.credentials.default_termination(&slot);
                made.map(Some).map_err(|error| error.to_string())
            }
            None => Err(format!("{name} not found or rejected")),
        }
    }

    /// Serves the waiting hosts whose time has come, and the settings.
    fn retry_waiting(&mut self, changes: &mut TableChanges) {
        let names = self
            .pending_settings
            .as_ref()
            .map(|update| update.resource.references());
        if names.is_some_and(|names| names.iter().all(|name| self.has(name)))
            && let Some(update) = self.pending_settings.take()
        {
            self.apply_class_settings(update, changes);
        }
        let complete = |waiting: &Waiting| {
            let names = waiting.update.resource.references();
            names.iter().all(|name| self.has(name))
        };
        let ready: Vec<String> = self
            .waiting
            .iter()
            .filter(|(_, waiting)| complete(waiting))
            .map(|(hostname, _)| hostname.clone())
            .collect();
        for hostname in ready {
            if let Some(waiting) = self.waiting.remove(&hostname) {
                changes.waiting.remove(&hostname);
                self.set_host(waiting.update, changes);
            }
        }
    }

    fn remove(&mut self, name: &ResourceName, changes: &mut TableChanges) {
        match name.kind {
            Kind::Endpoints => {
                self.names.forget(&name.name);
                if let Some(set) = self.endpoints.remove(&name.name) {
                    set.replace(&[]);
                    self.inventory.set_endpoints(&name.name, None);
                }
            }
            Kind::Certificate | Kind::TrustAnchors => {
                self.credentials.remove(name, &self.inventory);
            }
            Kind::ClassSettings => {
                self.pending_settings = None;
                self.denied.set_class(Networks::default());
                self.credentials.tickets().replace(&[]);
                changes.hosts.push(HostChange::DefaultTermination(None));
            }
            Kind::VirtualHost => {
                if let Some(waiting) = self
                    .waiting
                    .remove(&name.name)
                    .filter(|waiting| !waiting.rejected)
                {
                    changes.waiting.remove(&name.name);
                    let refusal = "removed before it could be applied".to_owned();
                    changes.verdicts.push(waiting.update.verdict(Some(refusal)));
                }
                self.hosts.remove(&name.name);
                if let Ok(pattern) = HostPattern::parse(&name.name) {
                    changes.hosts.push(HostChange::Remove(pattern));
                }
            }
            Kind::Listener => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portolan_discovery::table::{
        Action, Backend, Endpoint, HostTls, PathMatch, Route, UpstreamProtocol,
    };

    fn update(resource: Resource) -> Update {
        Update {
            version: Version::of(&resource),
            resource,
            origins: Vec::new(),
        }
    }

    fn endpoints(name: &str) -> Update {
        update(Resource::Endpoints(table::EndpointSet {
            name: name.into(),
            endpoints: vec![Endpoint {
                address: "10.0.0.1:80".parse().unwrap(),
                uid: "pod".into(),
            }],
            external: None,
        }))
    }

    fn certificate(name: &str, host: &str, fits: bool) -> Update {
        let issued = rcgen::generate_simple_self_signed([host.to_owned()]).unwrap();
        let other = rcgen::KeyPair::generate().unwrap();
        let key = if fits { &issued.signing_key } else { &other };
        update(Resource::Certificate(table::Certificate {
            name: name.into(),
            chain_pem: issued.cert.pem(),
            key_pem: key.serialize_pem(),
        }))
    }

    fn host(hostname: &str, certificate: Option<&str>, endpoints: &str) -> Update {
        let backends = vec![Backend {
            endpoints: endpoints.into(),
            weight: 1,
            protocol: UpstreamProtocol::Http1,
            tls: None,
        }];
        update(Resource::VirtualHost(table::VirtualHost {
            hostname: hostname.into(),
            tls: certificate.map(|name| HostTls {
                certificates: vec![name.into()],
                ..HostTls::default()
            }),
            routes: vec![Route::new(
                PathMatch::Prefix("/".into()).into(),
                Action::Forward { backends },
            )],
        }))
    }

    fn table() -> Table {
        let denied = Denied::new(Networks::default());
        Table::new(1, 443, Arc::default(), denied, Arc::default())
    }

    fn refusals(changes: &TableChanges) -> Vec<(String, Option<String>)> {
        let verdicts = changes.verdicts.iter();
        verdicts
            .map(|verdict| (verdict.name.name.clone(), verdict.refused.clone()))
            .collect()
    }

    #[test]
    fn a_batch_in_any_order_is_served_at_once() {
        let mut table = table();
        let batch = vec![
            host("shop.test", Some("t/c"), "t/s:80"),
            certificate("t/c", "shop.test", true),
            endpoints("t/s:80"),
        ];
        let changes = table.apply(batch, &[]);
        assert!(
            changes
                .verdicts
                .iter()
                .all(|verdict| verdict.refused.is_none())
        );
        assert_eq!((changes.verdicts.len(), changes.hosts.len()), (3, 1));
        assert_eq!(table.certificate_of("shop.test").unwrap().name(), "t/c");
    }

    #[test]
    fn a_host_waits_for_what_it_names_and_keeps_its_old_version() {
        let mut table = table();
        table.apply(
            vec![endpoints("t/a:80"), host("shop.test", None, "t/a:80")],
            &[],
        );
        let changes = table.apply(vec![host("shop.test", None, "t/b:80")], &[]);
        assert!(changes.verdicts.is_empty() && changes.hosts.is_empty());
        assert_eq!(changes.waiting.len(), 1);
        let changes = table.apply(vec![endpoints("t/b:80")], &[]);
        assert_eq!((changes.verdicts.len(), changes.hosts.len()), (2, 1));
        assert!(table.waiting.is_empty());
    }

    #[test]
    fn rejects_a_host_that_waited_too_long() {
        let mut table = table();
        table.apply(vec![host("shop.test", None, "t/a:80")], &[]);
        let refusal = table.reject_waiting("shop.test").unwrap().refused.unwrap();
        assert_eq!(refusal, "references not found: Endpoints t/a:80");
        let changes = table.apply(vec![endpoints("t/a:80")], &[]);
        assert!(refusals(&changes).contains(&("shop.test".into(), None)));
    }

    #[test]
    fn rejects_a_bad_certificate_and_blocks_new_hosts() {
        let mut table = table();
        let bad = certificate("t/c", "shop.test", false);
        let changes = table.apply(
            vec![
                endpoints("t/s:80"),
                bad.clone(),
                host("shop.test", Some("t/c"), "t/s:80"),
            ],
            &[],
        );
        let rejected = refusals(&changes);
        assert!(
            rejected[1].1.as_ref().unwrap().starts_with("tls.key: "),
            "{rejected:?}"
        );
        assert!(
            rejected[2]
                .1
                .as_ref()
                .unwrap()
                .starts_with("Certificate t/c was rejected: tls.key")
        );
        let changes = table.apply(vec![certificate("t/c", "shop.test", true)], &[]);
        assert!(refusals(&changes).contains(&("shop.test".into(), None)));
        let shown = |table: &Table| {
            let slot = table.credentials.certificate("t/c").unwrap();
            Arc::clone(&slot.presented().certified)
        };
        let before = shown(&table);
        let changes = table.apply(vec![bad], &[]);
        assert!(changes.verdicts[0].refused.is_some() && changes.certificates.is_empty());
        assert!(
            Arc::ptr_eq(&shown(&table), &before),
            "the one before it stays in service"
        );
    }

    #[test]
    fn a_newer_version_ends_the_wait_of_the_older() {
        let mut table = table();
        table.apply(vec![host("shop.test", None, "t/a:80")], &[]);
        let changes = table.apply(
            vec![endpoints("t/b:80"), host("shop.test", None, "t/b:80")],
            &[],
        );
        let rejected = refusals(&changes);
        assert_eq!(rejected.len(), 3);
        assert!(
            rejected[1]
                .1
                .as_ref()
                .unwrap()
                .starts_with("superseded by a newer version")
        );
        assert_eq!(rejected[2].1, None);
    }

    #[test]
    fn removing_forgets() {
        let mut table = table();
        let batch = vec![endpoints("t/a:80"), host("shop.test", None, "t/a:80")];
        let names: Vec<_> = batch.iter().map(|update| update.resource.name()).collect();
        table.apply(batch, &[]);
        let changes = table.apply(Vec::new(), &names);
        assert!(matches!(changes.hosts[..], [HostChange::Remove(_)]));
        assert!(table.hosts.is_empty() && table.endpoints.is_empty());
    }
}
