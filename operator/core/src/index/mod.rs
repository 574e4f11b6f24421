//! Index of every watched object: a synchronous state machine.
//!
//! [`Index::apply`] takes in one event and touches what it concerns: before the change, so that what
//! is left behind is found, and after it, so that what is new is. Reverse indexes ([`affected`],
//! [`store::hostnames`]) keep the cost at the size of the change.
//!
//! Everything is a function of what is stored in the cluster now, with one exception that is wanted:
//! a certificate that was served goes on being served when its Secret becomes unusable ([`store::served_certificates`]).

pub(crate) mod affected;
pub(crate) mod ingress;
pub(crate) mod requirements;
pub(crate) mod resolve;
pub(crate) mod resource_names;
pub(crate) mod store;
pub(crate) mod unresolved;

use crate::compile::{TicketKey, epoch};
use crate::event::{Affected, Change, Event};
use crate::names::{ClassName, Hostname, ObjectRef};
use crate::subject::Subject;
use crate::{HoldAction, proxy_service};
pub(crate) use affected::entries::Entry;
use affected::expiry::ExpiryQueue;
use affected::mark::Claimants;
use affected::references::Users;
use ingress::acme_challenges::Challenges;
use ingress::acme_solvers::Solvers;
use ingress::ingresses::Ingresses;
use portolan_crds::certmanager::Certificate;
use portolan_crds::{ExposeClass, ExposedPort};
use portolan_discovery::table::Kind;
use resolve::exposure::{Exposure, Link, ResolvedRoot};
use std::collections::{BTreeSet, HashMap};
use store::by_namespace::ByNamespace;
use store::classes::{Class, Classes};
use store::grants::Grants;
use store::hostnames::Hostnames;
use store::issuance::Issuance;
use store::issuers::{Issuers, Scope};
use store::leases::Leases;
use store::namespaces::Namespaces;
use store::served_certificates::{Serving, Slot};
use store::services::Services;

/// Everything that is known, and what follows from it.
#[derive(Debug)]
pub struct Index {
    pub(crate) namespace: String,
    pub(crate) cert_manager: bool,
    pub(crate) classes: Classes,
    pub(crate) namespaces: Namespaces,
    pub(crate) hostnames: Hostnames,
    pub(crate) services: Services,
    pub(crate) serving: Serving,
    pub(crate) users: Users,
    pub(crate) grants: Grants,
    leases: Leases,
    ingresses: Ingresses,
    pub(crate) issuers: Issuers,
    acme_solvers: Solvers,
    pub(crate) challenges: Challenges,
    ends: ExpiryQueue,
    /// Absent until it is set: then no TLS session is resumed.
    pub(crate) ticket_key: Option<TicketKey>,
    objects: ByNamespace<Subject, Entry>,
    certificates: HashMap<ObjectRef, Issuance>,
    /// The Service before the proxies of each class.
    proxy_services: HashMap<ObjectRef, ClassName>,
}

impl Index {
    /// Knows nothing yet; `namespace` is that of the release, where the proxies live.
    pub fn new(namespace: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            cert_manager: false,
            classes: Classes::default(),
            namespaces: Namespaces::default(),
            hostnames: Hostnames::default(),
            services: Services::default(),
            serving: Serving::default(),
            users: Users::default(),
            grants: Grants::default(),
            leases: Leases::default(),
            ingresses: Ingresses::default(),
            issuers: Issuers::default(),
            acme_solvers: Solvers::default(),
            challenges: Challenges::default(),
            ends: ExpiryQueue::default(),
            ticket_key: None,
            objects: ByNamespace::default(),
            certificates: HashMap::new(),
            proxy_services: HashMap::new(),
        }
    }

    /// Lets endpoints have loopback addresses, which in a cluster would be the proxy's own pod.
    #[must_use]
    pub fn with_loopback_endpoints(mut self) -> Self {
        self.services.loopback = true;
        self
    }

    /// Applies an event and returns everything that it may affect.
    pub fn apply(&mut self, event: Event) -> Affected {
        let mut affected = Affected::default();
        match event {
            Event::ExposedPort(change) => self.apply_object(change, &mut affected),
            Event::ExposeClass(change) => self.apply_class(change, &mut affected),
            Event::HostnameHold(change) => {
                let host = Hostnames::concerned(&change);
                self.mark_hosts(&host, Claimants::Recheck, &mut affected);
                if self.hostnames.apply_hold(change) {
                    self.mark_hosts(&host, Claimants::Recheck, &mut affected);
                } else {
                    affected = Affected::default();
                }
            }
            Event::Service(change) => {
                let service = change.reference();
                let users: BTreeSet<_> = self.users.of_service(&service).cloned().collect();
                self.mark_objects(&users, &mut affected);
                self.mark_solved_by(&service, &mut affected);
                if self.services.apply_service(change) {
                    self.mark_objects(&users, &mut affected);
                    self.mark_solved_by(&service, &mut affected);
                    self.mark_class_of(&service, &mut affected);
                } else {
                    affected = Affected::default();
                }
            }
            Event::EndpointSlice(change) => {
                let change = self.services.apply_slice(change);
                for service in &change.concerned {
                    let users: BTreeSet<_> = self.users.of_service(service).cloned().collect();
                    self.mark_objects(&users, &mut affected);
                    self.mark_solved_by(service, &mut affected);
                }
                for service in &change.turned {
                    self.mark_class_of(service, &mut affected);
                }
            }
            Event::Pod(change) => {
                for service in self.services.apply_pod(change) {
                    let users = self.users.of_service(&service);
                    let asking = users.filter(|subject| self.asks_for_pods(subject));
                    self.mark_objects(&asking.cloned().collect(), &mut affected);
                    self.mark_solved_by(&service, &mut affected);
                }
            }
            Event::PodsListed(listed) => {
                if self.services.list_pods(listed) {
                    let users = self.classes.asking_for_pods();
                    let users = users.flat_map(|class| self.users.of_class(class));
                    self.mark_objects(&users.cloned().collect(), &mut affected);
                }
            }
            Event::Secret(change) => {
                let secret = change.reference();
                let users = self.with_cohosted(self.users.of_secret(&secret).cloned().collect());
                let classes: BTreeSet<_> = self.users.classes_of_secret(&secret).cloned().collect();
                self.mark_objects(&users, &mut affected);
                self.mark_classes(&classes, &mut affected);
                if self.serving.apply_secret(change) {
                    // Authorities that were not there before are named only now.
                    self.mark_objects(&users, &mut affected);
                } else {
                    affected = Affected::default();
                }
            }
            Event::Certificate(change) => self.apply_certificate(change, &mut affected),
            Event::Issuer(change) => self.apply_issuer(Scope::Namespace, change, &mut affected),
            Event::ClusterIssuer(change) => {
                self.apply_issuer(Scope::Cluster, change, &mut affected);
            }
            Event::Issuers(installed) => {
                self.set_issuers_installed(Scope::Namespace, installed, &mut affected)
            }
            Event::ClusterIssuers(installed) => {
                self.set_issuers_installed(Scope::Cluster, installed, &mut affected);
            }
            Event::Challenge(change) => self.apply_challenge(change, &mut affected),
            Event::Ingress(change) => {
                self.apply_solver(&change, &mut affected);
                self.apply_input(change, &mut affected);
            }
            Event::IngressClass(change) => self.apply_ingress_class(change, &mut affected),
            Event::Lease(change) => self.apply_lease(change, &mut affected),
            Event::Namespace(change) => self.apply_namespace(change, &mut affected),
            Event::CertManager(there) => {
                if std::mem::replace(&mut self.cert_manager, there) != there {
                    affected.objects = self.with_cohosted(self.users.of_cert_manager());
                }
            }
            Event::ReferenceGrant(change) => self.apply_grant(change, &mut affected),
            Event::ReferenceGrants(installed) => {
                self.set_grants_installed(installed, &mut affected)
            }
            Event::TicketKey(key) => {
                let key = Some(key);
                if self.ticket_key != key {
                    self.ticket_key = key;
                    self.mark_all_settings(&mut affected);
                }
            }
            Event::Now(now) => {
                let before = std::mem::replace(&mut self.serving.now, now);
                if self.ticket_key.is_some() && epoch(before) != epoch(now) {
                    self.mark_all_settings(&mut affected);
                }
                self.advance_clock(before, now, &mut affected);
            }
        }
        self.reselect_certificates(&mut affected);
        // What affects a root affects every object below it.
        let below: Vec<_> = affected
            .objects
            .iter()
            .flat_map(|object| self.descendants(object))
            .collect();
        affected.objects.extend(below);
        affected
    }

    /// Action by which the right namespace comes to hold a hostname, if any is needed.
    pub fn hold_action(&self, hostname: &Hostname) -> Option<HoldAction> {
        self.hostnames.hold_action(hostname)
    }

    /// The Secrets that ExposedPorts name; each is to be watched by its name.
    pub fn referenced_secrets(&self) -> &BTreeSet<ObjectRef> {
        self.users.named_secrets()
    }

    /// Returns true if a class sends requests to pods only, so that pods must be watched.
    pub fn needs_pods(&self) -> bool {
        self.classes.asking_for_pods().next().is_some()
    }

    /// Returns true if pods are needed and not all of them are listed yet. Until they are, no endpoint is taken
    /// for a foreign one.
    pub fn lacks_pods(&self) -> bool {
        self.needs_pods() && !self.services.pods.listed
    }

    /// The class of an ExposedPort, when it is valid and has one; that of the first root above it,
    /// when others delegate to it.
    pub fn class_of(&self, object: &Subject) -> Option<&ClassName> {
        let of = |subject: &Subject| self.linked(subject).map(|(_, link)| &link.class);
        of(object).or_else(|| of(self.roots_of(object).first()?))
    }

    pub(crate) fn entry(&self, object: &Subject) -> Option<&Entry> {
        self.objects.get(object)
    }

    pub(crate) fn linked(&self, object: &Subject) -> Option<(&Exposure, &ResolvedRoot)> {
        let entry = self.objects.get(object)?;
        match entry.link.as_ref().ok()? {
            Link::Root(root) => Some((&entry.object, root.as_ref())),
            Link::Child(_) => None,
        }
    }

    /// The name as it is kept here.
    pub(crate) fn name_of(&self, object: &Subject) -> Option<&Subject> {
        self.objects.get_key_value(object).map(|(name, _)| name)
    }

    pub(crate) fn issuance(&self, certificate: &ObjectRef) -> Option<&Issuance> {
        self.certificates.get(certificate)
    }

    /// The hostnames that an object serves.
    pub(crate) fn served<'a>(
        &'a self,
        subject: &'a Subject,
        link: &'a ResolvedRoot,
    ) -> impl Iterator<Item = &'a Hostname> {
        let serves = |host: &&Hostname| self.tls_owner(subject, link, host).is_some();
        link.hostnames.iter().filter(serves)
    }

    fn apply_object(&mut self, change: Change<ExposedPort>, affected: &mut Affected) {
        let subject = Subject::ExposedPort(change.reference());
        let object = match change {
            // Its children are being collected; recreating them would fight the garbage collector.
            Change::Applied(exposed_port) if exposed_port.metadata.deletion_timestamp.is_some() => {
                None
            }
            Change::Applied(exposed_port) => Some(Exposure::read(*exposed_port)),
            Change::Deleted(_) => None,
        };
        self.put(&subject, object, affected);
    }

    fn apply_class(&mut self, change: Change<ExposeClass>, affected: &mut Affected) {
        let Some(change) = self.classes.apply(change) else {
            return;
        };
        let (class, before) = (change.class, change.before.as_ref());
        let now = self.classes.get(&class);
        let secret = |class: Option<&Class>| class.and_then(Class::default_certificate);
        let (old, new) = (secret(before), secret(now));
        if old != new {
            affected.secrets |= self.users.leave_class(&class, old.as_ref());
            affected.secrets |= self.users.enter_class(&class, new);
        }
        affected.classes.insert(class.clone());
        if !change.matters {
            return;
        }
        let service = proxy_service(&self.namespace, &class);
        if now.is_some() {
            self.proxy_services.insert(service, class.clone());
        } else {
            self.proxy_services.remove(&service);
        }
        affected.classes.extend(change.defaults);
        for name in self.resources_of_class(&class) {
            affected.resources.insert((class.clone(), name));
        }
        let mut concerned: BTreeSet<_> = self.users.of_class(&class).cloned().collect();
        if change.new_default {
            concerned.extend(self.users.of_default_class().iter().cloned());
        }
        // Requests are treated differently then, though the objects mean the same.
        if before.map(|class| &class.defaults) != now.map(|class| &class.defaults) {
            self.mark_objects(&concerned, affected);
        }
        self.mark_restriction(before, now, affected);
        self.relink(concerned, affected);
    }

    fn apply_certificate(&mut self, change: Change<Certificate>, affected: &mut Affected) {
        let name = change.reference();
        let differs = match change {
            Change::Applied(certificate) => {
                let now = store::issuance::read(&certificate);
                self.certificates.insert(name.clone(), now.clone()) != Some(now)
            }
            Change::Deleted(_) => self.certificates.remove(&name).is_some(),
        };
        if differs {
            let users = self.users.of_certificate(&name).cloned().collect();
            affected.objects.extend(self.with_cohosted(users));
        }
    }

    /// Selects the certificate of each hostname that is affected again. Both the old and the new
    /// certificate are marked.
    fn reselect_certificates(&mut self, affected: &mut Affected) {
        let mut certificates = BTreeSet::new();
        for (class, name) in &affected.resources {
            let (slot, secrets) = match name.kind {
                Kind::VirtualHost => {
                    let Ok(host) = Hostname::parse(&name.name) else {
                        continue;
                    };
                    let oldest = self.oldest(class, &host);
                    let secrets = oldest.map(|server| self.secrets_for(server.link, &host));
                    (Slot::of_host(class, &host), secrets.unwrap_or_default())
                }
                Kind::ClassSettings => {
                    let facts = self.classes.get(class);
                    let secret = facts.and_then(Class::default_certificate);
                    (Slot::of_class(class), secret.into_iter().collect())
                }
                _ => continue,
            };
            for certificate in self.serving.reselect_certificates(&slot, secrets) {
                certificates.insert((class.clone(), certificate));
            }
        }
        affected.resources.extend(certificates);
    }
}
