//! Answers to the challenges of ACME that are given over HTTP (RFC 8555, 8.3): Ingresses by which
//! cert-manager has one exact path of a hostname led to a pod of its own for a moment.
//!
//! Such an Ingress takes no hostname: it counts where the namespace that it is in holds the hostname
//! already, for paths below `/.well-known/acme-challenge/` and for nothing else.

use crate::constants::{INGRESS_CLASS, SOLVER};
use crate::event::{Affected, Change};
use crate::index::Index;
use crate::index::resolve::routing::FieldRef;
use crate::index::store::services::{Backend, ServiceLookup};
use crate::names::{ClassName, Hostname, ObjectRef};
use crate::validate::{Port, port_of};
use k8s_openapi::api::networking::v1::{HTTPIngressPath, Ingress};
use portolan_discovery::table::{self, Action, Kind, PathMatch, ResourceName, Route, RouteMatch};
use std::collections::{BTreeSet, HashMap};

/// Where a CA looks (RFC 8555, 8.3).
const CHALLENGES: &str = "/.well-known/acme-challenge/";

/// The Ingresses of solvers.
#[derive(Debug, Default)]
pub(crate) struct Solvers {
    by_ingress: HashMap<ObjectRef, Solver>,
    by_host: HashMap<Hostname, BTreeSet<ObjectRef>>,
    by_service: HashMap<ObjectRef, BTreeSet<ObjectRef>>,
}

/// Solver, from its Ingress.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Solver {
    /// Whose proxies are to answer; `None`: those of any class.
    class: Option<String>,
    routes: Vec<ChallengeRoute>,
}

/// One path of a hostname, and who answers there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChallengeRoute {
    host: Hostname,
    path: String,
    service: ObjectRef,
    port: Port,
}

impl Solvers {
    /// The hostnames that are answered differently now.
    fn apply(&mut self, change: &Change<Ingress>) -> BTreeSet<Hostname> {
        let name = change.reference();
        let now = match change {
            Change::Applied(ingress) => read(ingress),
            Change::Deleted(_) => None,
        };
        let before = self.by_ingress.remove(&name);
        let same = before == now;
        let mut hosts = BTreeSet::new();
        for route in before.iter().flat_map(|solver| &solver.routes) {
            leave(&mut self.by_host, &route.host, &name);
            leave(&mut self.by_service, &route.service, &name);
            hosts.insert(route.host.clone());
        }
        for route in now.iter().flat_map(|solver| &solver.routes) {
            let of_host = self.by_host.entry(route.host.clone()).or_default();
            of_host.insert(name.clone());
            let of_service = self.by_service.entry(route.service.clone()).or_default();
            of_service.insert(name.clone());
            hosts.insert(route.host.clone());
        }
        if let Some(now) = now {
            self.by_ingress.insert(name, now);
        }
        if same { BTreeSet::new() } else { hosts }
    }

    /// The hostnames whose challenges a Service answers.
    fn hosts_of(&self, service: &ObjectRef) -> BTreeSet<Hostname> {
        let ingresses = self.by_service.get(service).into_iter().flatten();
        let solvers = ingresses.filter_map(|name| self.by_ingress.get(name));
        solvers
            .flat_map(|solver| &solver.routes)
            .filter(|route| route.service == *service)
            .map(|route| route.host.clone())
            .collect()
    }

    /// Those of the Ingresses of a namespace, each path once.
    fn of_host<'a>(
        &'a self,
        host: &'a Hostname,
        namespace: &'a str,
        is_meant: impl Fn(&str) -> bool + 'a,
    ) -> impl Iterator<Item = &'a ChallengeRoute> {
        let ingresses = self.by_host.get(host).into_iter().flatten();
        let solvers = ingresses
            .filter(move |name| name.namespace == namespace)
            .filter_map(|name| self.by_ingress.get(name));
        let meant = move |solver: &&Solver| solver.class.as_deref().is_none_or(&is_meant);
        let mut paths = BTreeSet::new();
        solvers
            .filter(meant)
            .flat_map(|solver| &solver.routes)
            .filter(move |route| route.host == *host && paths.insert(route.path.as_str()))
    }
}

fn leave<K: Eq + std::hash::Hash>(
    map: &mut HashMap<K, BTreeSet<ObjectRef>>,
    key: &K,
    name: &ObjectRef,
) {
    if let Some(names) = map.get_mut(key) {
        names.remove(name);
        if names.is_empty() {
            map.remove(key);
        }
    }
}

/// Returns true if cert-manager made it for a challenge.
pub(in crate::index) fn is_solver(ingress: &Ingress) -> bool {
    let labels = ingress.metadata.labels.as_ref();
    labels.is_some_and(|labels| labels.get(SOLVER).map(String::as_str) == Some("true"))
}

/// How an Ingress names its class.
pub(in crate::index) fn named_class(ingress: &Ingress) -> Option<&str> {
    let spec = ingress.spec.as_ref();
    let class = spec.and_then(|spec| spec.ingress_class_name.as_ref());
    let annotations = ingress.metadata.annotations.as_ref();
    let old = || annotations?.get(INGRESS_CLASS);
    class.or_else(old).map(String::as_str)
}

/// `None` for any other Ingress.
fn read(ingress: &Ingress) -> Option<Solver> {
    if !is_solver(ingress) {
        return None;
    }
    let namespace = ingress.metadata.namespace.as_deref()?;
    let spec = ingress.spec.as_ref()?;
    let mut routes = Vec::new();
    for rule in spec.rules.iter().flatten() {
        let host = rule
            .host
            .as_deref()
            .and_then(|host| Hostname::parse(host).ok());
        // A wildcard has no address at which a CA could ask.
        let Some(host) = host.filter(|host| !host.is_wildcard()) else {
            continue;
        };
        let paths = rule.http.iter().flat_map(|http| &http.paths);
        routes.extend(paths.filter_map(|path| challenge_route(&host, namespace, path)));
    }
    Some(Solver {
        class: named_class(ingress).map(str::to_owned),
        routes,
    })
}

fn challenge_route(
    host: &Hostname,
    namespace: &str,
    path: &HTTPIngressPath,
) -> Option<ChallengeRoute> {
    let written = path.path.as_deref()?;
    let token = written.strip_prefix(CHALLENGES)?;
    // The characters of a token (RFC 8555, 8.3: base64url).
    let is_token = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if token.is_empty() || !token.chars().all(is_token) {
        return None;
    }
    let service = path.backend.service.as_ref()?;
    Some(ChallengeRoute {
        host: host.clone(),
        path: written.to_owned(),
        service: ObjectRef::new(namespace, service.name.as_str()),
        port: port_of(service).ok()?,
    })
}

impl Index {
    pub(in crate::index) fn apply_solver(
        &mut self,
        change: &Change<Ingress>,
        affected: &mut Affected,
    ) {
        let name = change.reference();
        let before = self.acme_solvers.by_ingress.get(&name);
        let before = before.map(|solver| &solver.routes).into_iter().flatten();
        let before: BTreeSet<_> = before.map(|route| route.host.clone()).collect();
        // What is left behind is found before it is forgotten.
        let mut concerned = Affected::default();
        self.mark_solved(&before, &mut concerned);
        let hosts = self.acme_solvers.apply(change);
        if !hosts.is_empty() {
            affected.merge(concerned);
            self.mark_solved(&hosts, affected);
        }
    }

    /// Marks the hostnames whose challenges a Service answers.
    pub(in crate::index) fn mark_solved_by(&self, service: &ObjectRef, affected: &mut Affected) {
        self.mark_solved(&self.acme_solvers.hosts_of(service), affected);
    }

    /// Marks the hostnames that are answered by those that name an IngressClass.
    pub(in crate::index) fn mark_solvers_of(&self, class: &str, affected: &mut Affected) {
        let solvers = self.acme_solvers.by_ingress.values();
        let named = solvers.filter(|solver| solver.class.as_deref() == Some(class));
        let hosts = named
            .flat_map(|solver| &solver.routes)
            .map(|route| route.host.clone());
        self.mark_solved(&hosts.collect(), affected);
    }

    fn mark_solved(&self, hosts: &BTreeSet<Hostname>, affected: &mut Affected) {
        for host in hosts {
            for class in self.hostnames.classes(host) {
                for holder in self.hostnames.holders(class, host) {
                    affected.objects.insert(holder.clone());
                    self.mark_host_of(holder, host, affected);
                }
            }
        }
    }

    /// Challenge routes of a hostname on the proxies of a class, and the pods that answer.
    pub(crate) fn solved<'a>(
        &'a self,
        class: &'a ClassName,
        host: &'a Hostname,
    ) -> impl Iterator<Item = (&'a ChallengeRoute, Backend)> {
        let holder = self.hostnames.namespace_of(host);
        // An ExposeClass is meant by its own name even before its IngressClass was seen.
        let is_meant = move |name: &str| {
            name == class.as_str() || self.ingresses.class_named(name) == Some(class)
        };
        let all = holder.map(|namespace| self.acme_solvers.of_host(host, namespace, is_meant));
        all.into_iter()
            .flatten()
            .filter_map(|route| Some((route, self.solver(route)?)))
    }

    fn solver(&self, route: &ChallengeRoute) -> Option<Backend> {
        let ChallengeRoute { service, port, .. } = route;
        if self.services.stands_for(service).is_some() {
            return None;
        }
        let lookup = ServiceLookup {
            from: &service.namespace,
            at: FieldRef::Own,
        };
        self.services.resolve(service, port, None, lookup).ok()
    }

    /// Where the challenges of a hostname are answered, as the table names it.
    pub(crate) fn solver_resources<'a>(
        &'a self,
        class: &'a ClassName,
        host: &'a Hostname,
    ) -> impl Iterator<Item = ResourceName> + 'a {
        self.solved(class, host).map(|(_, backend)| ResourceName {
            kind: Kind::Endpoints,
            name: backend.endpoints_name(),
        })
    }

    /// The routes of the challenges of a hostname. They come before all others, on plain HTTP too: that
    /// is where the CA asks, with no certificate there yet.
    pub(crate) fn challenge_routes<'a>(
        &'a self,
        class: &'a ClassName,
        host: &'a Hostname,
    ) -> impl Iterator<Item = Route> + 'a {
        self.solved(class, host).map(|(route, backend)| Route {
            permit_insecure: true,
            websockets: false,
            ..Route::new(
                RouteMatch {
                    path: PathMatch::Exact(route.path.clone()),
                    method: None,
                    headers: Vec::new(),
                    query: Vec::new(),
                },
                Action::Forward {
                    backends: vec![table::Backend {
                        endpoints: backend.endpoints_name(),
                        weight: 1,
                        protocol: backend.app_protocol.protocol,
                        tls: None,
                    }],
                },
            )
        })
    }

    /// The hostname and the pods of a challenge that a Service answers on the proxies of a class, by the
    /// name of its endpoints in the table.
    pub(crate) fn solving(
        &self,
        class: &ClassName,
        service: &ObjectRef,
        endpoints: &str,
    ) -> Option<(Hostname, Backend)> {
        let hosts = self.acme_solvers.hosts_of(service).into_iter();
        hosts
            .filter(|host| self.oldest(class, host).is_some())
            .find_map(|host| {
                let mut all = self.solved(class, &host);
                let (_, backend) =
                    all.find(|(_, backend)| backend.endpoints_name() == endpoints)?;
                Some((host.clone(), backend))
            })
    }
}
