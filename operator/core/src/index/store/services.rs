//! Services and their endpoints: which port is meant, and which pods are ready behind it.

use crate::event::Change;
use crate::index::requirements::BackendRequirements;
use crate::index::resolve::routing::FieldRef;
use crate::index::store::app_protocol::AppProtocol;
use crate::index::store::by_namespace::ByNamespace;
use crate::index::store::pods::Pods;
use crate::index::store::service_facts::{self, ServiceFacts, Slice};
use crate::index::unresolved::Unresolved;
use crate::names::{Hostname, ObjectRef};
use crate::reason::Reason;
use crate::validate::Port;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use portolan_discovery::table::{Endpoint, ExternalName};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};

/// Services, EndpointSlices and pods.
#[derive(Debug, Default)]
pub(crate) struct Services {
    services: HashMap<ObjectRef, ServiceFacts>,
    /// By Service, then by the name of the slice.
    slices: ByNamespace<ObjectRef, BTreeMap<String, Slice>>,
    /// To which Service a slice belonged when it was seen last.
    slice_of: HashMap<ObjectRef, ObjectRef>,
    /// Services with a ready endpoint behind any port.
    reachable: HashSet<ObjectRef>,
    pub(in crate::index) pods: Pods,
    /// Allows endpoints with loopback addresses.
    pub(in crate::index) loopback: bool,
}

/// Change by an EndpointSlice.
#[derive(Debug, Default)]
pub(crate) struct SliceChange {
    /// The Services whose users are concerned; two when a slice was relabelled.
    pub(crate) concerned: BTreeSet<ObjectRef>,
    /// Those of them that got their first ready endpoint, or lost the last one.
    pub(crate) turned: BTreeSet<ObjectRef>,
}

/// A port of a Service that requests are sent to the pods of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Backend {
    pub(crate) service: ObjectRef,
    /// Name of the Service in messages: without its namespace where that is the object's.
    pub(crate) display_name: String,
    /// The port's name, empty when the Service has just one; this is how slices name it.
    port_name: String,
    number: u16,
    /// Protocol of the port, as its Service declares it.
    pub(crate) app_protocol: AppProtocol,
}

impl Backend {
    /// How the table names its endpoints: `namespace/service:port`.
    pub(crate) fn endpoints_name(&self) -> String {
        if self.port_name.is_empty() {
            format!("{}:{}", self.service, self.number)
        } else {
            format!("{}:{}", self.service, self.port_name)
        }
    }
}

/// Who looks for a Service.
#[derive(Clone, Copy)]
pub(crate) struct ServiceLookup<'a> {
    /// The namespace of the object.
    pub(crate) from: &'a str,
    /// Where it names the Service.
    pub(crate) at: FieldRef,
}

/// The pods behind a port.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ServiceEndpoints {
    /// Ready ones, sorted, one address of each pod.
    pub(crate) ready: Vec<Endpoint>,
    /// The name whose addresses they are, which the proxies look up themselves.
    pub(crate) external: Option<ExternalName>,
    /// Why there is none.
    pub(crate) missing: Option<Unresolved>,
    /// Endpoints that are not used although others are.
    pub(crate) excluded: Option<Unresolved>,
}

impl Services {
    /// Returns true if anything differs now.
    pub(crate) fn apply_service(&mut self, change: Change<Service>) -> bool {
        let service = change.reference();
        match change {
            Change::Deleted(_) => self.services.remove(&service).is_some(),
            Change::Applied(applied) => {
                let facts = service_facts::read(&applied);
                self.services.insert(service, facts.clone()) != Some(facts)
            }
        }
    }

    pub(crate) fn apply_slice(&mut self, change: Change<EndpointSlice>) -> SliceChange {
        let (name, now) = match change {
            Change::Deleted(name) => (name, None),
            Change::Applied(slice) => (
                ObjectRef::of(slice.as_ref()),
                service_facts::read_slice(&slice),
            ),
        };
        let mut concerned = BTreeSet::new();
        let before = self.slice_of.remove(&name);
        if let Some(service) = &before {
            let gone = match self.slices.get_mut(service) {
                Some(slices) => slices.remove(&name.name),
                None => None,
            };
            if self.slices.get(service).is_some_and(BTreeMap::is_empty) {
                self.slices.remove(service);
            }
            let same = matches!((&gone, &now), (Some(gone), Some((to, now))) if to == service && gone == now);
            if !same {
                concerned.insert(service.clone());
            }
        }
        if let Some((service, slice)) = now {
            if before.as_ref() != Some(&service) {
                concerned.insert(service.clone());
            }
            self.slice_of.insert(name.clone(), service.clone());
            self.slices.or_default(service).insert(name.name, slice);
        }
        let mut turned = concerned.clone();
        turned.retain(|service| {
            if self.has_ready(service) {
                self.reachable.insert(service.clone())
            } else {
                self.reachable.remove(service)
            }
        });
        SliceChange { concerned, turned }
    }

    /// The Services whose slices name an address that may belong to another pod now, or to none.
    pub(crate) fn apply_pod(&mut self, change: Change<Pod>) -> Vec<ObjectRef> {
        let namespace = change.reference().namespace;
        let addresses = self.pods.apply(change);
        if !self.pods.listed || addresses.is_empty() {
            return Vec::new();
        }
        let names = |slice: &Slice| {
            let all = slice
                .endpoints
                .iter()
                .flat_map(|endpoint| &endpoint.addresses);
            all.into_iter()
                .any(|address| addresses.contains(&address.to_canonical()))
        };
        self.slices
            .within(&namespace)
            .filter(|(_, slices)| slices.values().any(names))
            .map(|(service, _)| service.clone())
            .collect()
    }

    /// Takes in whether every pod is listed; returns true if that differs.
    pub(crate) fn list_pods(&mut self, listed: bool) -> bool {
        let before = self.pods.listed;
        if listed {
            self.pods.listed = true;
        } else {
            self.pods = Pods::default();
        }
        before != listed
    }

    /// The name outside that a Service stands for.
    pub(in crate::index) fn stands_for(&self, service: &ObjectRef) -> Option<&str> {
        self.services.get(service)?.external_name.as_deref()
    }

    /// Returns true if the Service has a ready endpoint behind any port.
    pub(crate) fn is_reachable(&self, service: &ObjectRef) -> bool {
        self.reachable.contains(service)
    }

    fn has_ready(&self, service: &ObjectRef) -> bool {
        let slices = self
            .slices
            .get(service)
            .into_iter()
            .flat_map(BTreeMap::values);
        slices
            .flat_map(|slice| &slice.endpoints)
            .any(|endpoint| endpoint.ready)
    }

    pub(crate) fn get(&self, service: &ObjectRef) -> Option<&ServiceFacts> {
        self.services.get(service)
    }

    /// Finds the port of a Service. `owner` is given for a Service that must be ours: its UID.
    pub(crate) fn resolve(
        &self,
        service: &ObjectRef,
        port: &Port,
        owner: Option<&str>,
        ServiceLookup { from, at }: ServiceLookup<'_>,
    ) -> Result<Backend, Unresolved> {
        let unresolved = |reason, message| Err(Unresolved { reason, message });
        let name = service.display_name(from);
        let Some(facts) = self.services.get(service) else {
            return match owner {
                Some(_) => unresolved(
                    Reason::Applying,
                    format!("waiting for Service {name:?} to be created"),
                ),
                None => unresolved(
                    Reason::ServiceNotFound,
                    format!(
                        "{}: Not found: Service {name:?} not found; create it or name an existing one",
                        at.field("service")
                    ),
                ),
            };
        };
        if owner.is_some_and(|uid| facts.owner.as_deref() != Some(uid)) {
            return unresolved(
                Reason::ForeignObject,
                format!(
                    "Service {name:?} already exists and is not managed by Portolan; delete or rename it"
                ),
            );
        }
        if let Some(external) = &facts.external_name
            && external_host(external).is_none()
        {
            return unresolved(
                Reason::InvalidExternalName,
                format!(
                    "{}: Invalid value: Service {name:?} has externalName {external:?}, which is not a DNS name; set one such as db.example.com",
                    at.field("service")
                ),
            );
        }
        match (facts.port(port), port) {
            (Some(found), _) => Ok(Backend {
                service: service.clone(),
                display_name: name,
                port_name: found.name.clone(),
                number: found.number,
                app_protocol: found.app_protocol,
            }),
            // A Service of type ExternalName need not list ports: they are not defined in the cluster.
            (None, Port::Number(number))
                if facts.external_name.is_some() && facts.ports.is_empty() =>
            {
                Ok(Backend {
                    service: service.clone(),
                    display_name: name,
                    port_name: String::new(),
                    number: *number,
                    app_protocol: facts.unlisted.get(number).copied().unwrap_or_default(),
                })
            }
            (None, _) => unresolved(
                Reason::PortNotFound,
                format!(
                    "{}: Not found: Service {name:?} has no TCP port {port}; it has {}",
                    at.field("port"),
                    facts.port_list()
                ),
            ),
        }
    }

    /// The pods behind a port that [`Services::resolve`] found, as far as a class lets requests go there.
    pub(crate) fn behind(
        &self,
        backend: &Backend,
        requirements: Option<&BackendRequirements>,
    ) -> ServiceEndpoints {
        let facts = self.services.get(&backend.service);
        if let Some(name) = facts.and_then(|facts| facts.external_name.as_deref()) {
            let external = external_host(name).map(|host| ExternalName {
                host,
                port: backend.number,
            });
            return ServiceEndpoints {
                external,
                ..ServiceEndpoints::default()
            };
        }
        let prefers_v6 = facts.is_some_and(|facts| facts.prefers_v6);
        let slices = self.slices.get(&backend.service);
        let slices = || slices.into_iter().flat_map(BTreeMap::values);
        let pods_only =
            requirements.filter(|requirements| requirements.pods_only && self.pods.listed);
        let (mut refused, mut foreign, mut ready) = (0, Vec::new(), BTreeMap::new());
        for (slice, number) in slices().flat_map(|slice| {
            let ports = slice
                .ports
                .iter()
                .filter(|(name, _)| *name == backend.port_name);
            ports.map(move |(_, number)| (slice, *number))
        }) {
            for endpoint in slice.endpoints.iter().filter(|endpoint| endpoint.ready) {
                for address in &endpoint.addresses {
                    if self.refuses(address) {
                        refused += 1;
                        continue;
                    }
                    let mut uid = endpoint.uid.as_str();
                    if pods_only.is_some() {
                        let namespace = &backend.service.namespace;
                        let Some(owner) = self.pods.owner(namespace, *address, uid) else {
                            foreign.push(*address);
                            continue;
                        };
                        uid = owner;
                    }
                    // A pod of a dual-stack cluster is in two slices, and is one endpoint. What is no pod
                    // is identified by its address.
                    let pod = match uid {
                        "" => (String::new(), Some(*address), number),
                        uid => (uid.to_owned(), None, number),
                    };
                    let best = ready.entry(pod).or_insert(*address);
                    let rank = |address: &IpAddr| (address.is_ipv6() != prefers_v6, *address);
                    if rank(address) < rank(best) {
                        *best = *address;
                    }
                }
            }
        }
        let mut ready: Vec<Endpoint> = ready
            .into_iter()
            .map(|((uid, _, port), ip)| Endpoint {
                address: SocketAddr::new(ip, port),
                uid,
            })
            .collect();
        ready.sort();
        let foreign =
            pods_only.and_then(|requirements| foreign_endpoints(backend, requirements, foreign));
        if let Some(foreign) = foreign {
            let none_left = ready.is_empty();
            return ServiceEndpoints {
                ready,
                external: None,
                missing: none_left.then(|| foreign.clone()),
                excluded: (!none_left).then_some(foreign),
            };
        }
        let missing = ready.is_empty().then(|| {
            let name = &backend.display_name;
            let all = || slices().flat_map(|slice| &slice.endpoints);
            let named = slices().any(|slice| {
                !slice.endpoints.is_empty()
                    && slice.ports.iter().any(|(name, _)| *name == backend.port_name)
            });
            let (reason, message) = if refused > 0 {
                (Reason::EndpointRefused, format!("every endpoint of Service {name:?} has a loopback, link-local, unspecified or multicast address, which is never used; publish addresses of pods"))
            } else if all().next().is_none() && facts.is_some_and(|facts| !facts.selector.is_empty()) {
                (Reason::SelectorMatchesNoPods, format!("no pod matches the selector of Service {name:?}; compare it with the labels of your pods"))
            } else if !named && all().next().is_some() {
                (Reason::PortNotFound, format!("no pod of Service {name:?} has port {}; name a port that the container declares", backend.port_display()))
            } else {
                (Reason::NoReadyEndpoints, format!("Service {name:?} has no ready endpoints"))
            };
            Unresolved { reason, message }
        });
        ServiceEndpoints {
            ready,
            external: None,
            missing,
            excluded: None,
        }
    }
}

impl Services {
    /// The labels of the pods behind a port, and which port of theirs it is; `None` where the Service
    /// has no selector.
    pub(crate) fn pods(&self, backend: &Backend) -> Option<(&BTreeMap<String, String>, &Port)> {
        let facts = self.services.get(&backend.service)?;
        let port = facts.listed(&backend.port_name, backend.number)?;
        (!facts.selector.is_empty()).then_some((&facts.selector, &port.target))
    }

    /// Messages on what the Service of a backend declares of its ports and is not supported.
    pub(crate) fn misunderstood(&self, backend: &Backend) -> impl Iterator<Item = String> {
        let name = &backend.display_name;
        let facts = self.services.get(&backend.service);
        let port = facts.and_then(|facts| facts.listed(&backend.port_name, backend.number));
        let unknown = port.and_then(|port| {
            let (number, declared) = (port.display(), port.unknown.as_deref()?);
            Some(format!(
                "Service {name:?}: appProtocol {declared:?} of port {number} is not supported, and HTTP/1.1 is used; set one such as http, https, kubernetes.io/h2c or h2"
            ))
        });
        let stray = facts.and_then(|facts| {
            let (key, listed) = facts.stray.as_ref()?;
            let ports = facts.port_list();
            Some(format!(
                "Service {name:?}: annotation {key} lists {listed:?}, which is not one of its ports; it has {ports}"
            ))
        });
        unknown.into_iter().chain(stray)
    }

    /// Addresses that would reach the proxy itself or its node, never a pod.
    fn refuses(&self, address: &IpAddr) -> bool {
        let canonical = address.to_canonical();
        (canonical.is_loopback() && !self.loopback)
            || canonical.is_unspecified()
            || canonical.is_multicast()
            || match canonical {
                IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
                IpAddr::V6(v6) => v6.is_unicast_link_local(),
            }
    }
}

/// Problem of endpoints that are not pods of the namespace, if there are any.
fn foreign_endpoints(
    backend: &Backend,
    requirements: &BackendRequirements,
    mut foreign: Vec<IpAddr>,
) -> Option<Unresolved> {
    foreign.sort();
    foreign.dedup();
    let (first, more) = foreign.split_first()?;
    let more = match more.len() {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    let ObjectRef { namespace, name } = &backend.service;
    Some(Unresolved {
        reason: Reason::ForeignEndpoint,
        message: format!(
            "endpoint {first}{more} of Service {name:?} is not the address of a pod in namespace {namespace:?}, and class {:?} does not use it; remove it from the EndpointSlices of the Service, or set spec.endpoints: Any in the class",
            requirements.class.as_str()
        ),
    })
}

/// Name that proxies look up. Kubernetes accepts digits and dots as a name as well, which nothing serves.
fn external_host(name: &str) -> Option<String> {
    let host = Hostname::parse(name).ok()?;
    (!host.is_wildcard()).then(|| host.as_str().to_owned())
}

impl Backend {
    pub(in crate::index) fn port_display(&self) -> String {
        if self.port_name.is_empty() {
            self.number.to_string()
        } else {
            self.port_name.clone()
        }
    }
}
