//! Services and their endpoints: which port is meant, and which pods are ready behind it.

use crate::event::Change;
use crate::names::ObjectRef;
use crate::reason::Reason;
use crate::validate::Port;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use portolan_crds::{Address, AddressType};
use portolan_discovery::table::Endpoint;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

/// What is known of Services and EndpointSlices.
#[derive(Debug, Default)]
pub(crate) struct Services {
    services: BTreeMap<ObjectRef, ServiceFacts>,
    /// By Service, then by the name of the slice.
    slices: BTreeMap<ObjectRef, BTreeMap<String, Slice>>,
    /// To which Service a slice belonged when it was seen last.
    slice_of: BTreeMap<ObjectRef, ObjectRef>,
}

/// What matters of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServiceFacts {
    /// The UID in the controller's ownerReference or, that being stripped, in our annotation.
    owner: Option<String>,
    external_name: bool,
    has_selector: bool,
    prefers_v6: bool,
    ports: Vec<ServicePort>,
    /// Where the Service itself is reached.
    pub(crate) addresses: Vec<Address>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct ServicePort {
    name: String,
    number: u16,
    target: Port,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Slice {
    /// Name and number of each TCP port.
    ports: Vec<(String, u16)>,
    endpoints: Vec<SliceEndpoint>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct SliceEndpoint {
    addresses: Vec<IpAddr>,
    uid: String,
    ready: bool,
}

/// A port of a Service that requests are sent to the pods of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Backend {
    pub(crate) service: ObjectRef,
    /// The port's name, empty when the Service has just one; this is how slices name it.
    port_name: String,
    number: u16,
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

/// Why requests cannot be sent anywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unresolved {
    pub(crate) reason: Reason,
    pub(crate) message: String,
}

/// The pods behind a port.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Behind {
    /// Ready ones, sorted, one address of each pod.
    pub(crate) ready: Vec<Endpoint>,
    /// Why there is none.
    pub(crate) lacking: Option<Unresolved>,
}

impl Services {
    /// Whether anything differs now.
    pub(crate) fn apply_service(&mut self, change: Change<Service>) -> bool {
        let service = change.reference();
        match change {
            Change::Deleted(_) => self.services.remove(&service).is_some(),
            Change::Applied(it) => {
                let facts = facts(&it);
                self.services.insert(service, facts.clone()) != Some(facts)
            }
        }
    }

    /// The Services whose users are concerned; two when a slice was relabelled.
    pub(crate) fn apply_slice(&mut self, change: Change<EndpointSlice>) -> BTreeSet<ObjectRef> {
        let (name, now) = match change {
            Change::Deleted(name) => (name, None),
            Change::Applied(it) => (ObjectRef::of(it.as_ref()), slice(&it)),
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
            self.slices
                .entry(service)
                .or_default()
                .insert(name.name, slice);
        }
        concerned
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
    ) -> Result<Backend, Unresolved> {
        let unresolved = |reason, message| Err(Unresolved { reason, message });
        let name = &service.name;
        let Some(facts) = self.services.get(service) else {
            return match owner {
                Some(_) => unresolved(Reason::Applying, format!("Service {name} is being made")),
                None => unresolved(
                    Reason::ServiceNotFound,
                    format!(
                        "spec.service: there is no Service {name}; create it, or write selector instead"
                    ),
                ),
            };
        };
        if owner.is_some_and(|uid| facts.owner.as_deref() != Some(uid)) {
            return unresolved(
                Reason::ForeignObject,
                format!("Service {name} belongs to somebody else; delete or rename it"),
            );
        }
        if facts.external_name {
            return unresolved(
                Reason::ExternalNameUnsupported,
                format!(
                    "spec.service: Service {name} is of type ExternalName; name one with endpoints"
                ),
            );
        }
        match facts.port(port) {
            Some(found) => Ok(Backend {
                service: service.clone(),
                port_name: found.name.clone(),
                number: found.number,
            }),
            None => unresolved(
                Reason::PortNotFound,
                format!(
                    "spec.port: Service {name} has no TCP port {port}; it has {}",
                    facts.told_ports()
                ),
            ),
        }
    }

    /// The pods behind a port that [`Services::resolve`] found.
    pub(crate) fn behind(&self, backend: &Backend) -> Behind {
        let facts = self.services.get(&backend.service);
        let prefers_v6 = facts.is_some_and(|facts| facts.prefers_v6);
        let slices = self.slices.get(&backend.service);
        let slices = || slices.into_iter().flat_map(BTreeMap::values);
        let (mut refused, mut ready) = (0, BTreeMap::new());
        for (slice, number) in slices().flat_map(|slice| {
            let ports = slice
                .ports
                .iter()
                .filter(|(name, _)| *name == backend.port_name);
            ports.map(move |(_, number)| (slice, *number))
        }) {
            for endpoint in slice.endpoints.iter().filter(|endpoint| endpoint.ready) {
                for address in &endpoint.addresses {
                    if is_refused(address) {
                        refused += 1;
                        continue;
                    }
                    // A pod of a dual-stack cluster is in two slices, and is one endpoint. What is no pod
                    // is told apart by its address.
                    let pod = match endpoint.uid.as_str() {
                        "" => (String::new(), Some(*address), number),
                        uid => (uid.to_owned(), None, number),
                    };
                    let best = ready.entry(pod).or_insert(*address);
                    let rank = |it: &IpAddr| (it.is_ipv6() != prefers_v6, *it);
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
        let lacking = ready.is_empty().then(|| {
            let name = &backend.service.name;
            let all = || slices().flat_map(|slice| &slice.endpoints);
            let named = slices().any(|slice| {
                !slice.endpoints.is_empty()
                    && slice.ports.iter().any(|(name, _)| *name == backend.port_name)
            });
            let (reason, message) = if refused > 0 {
                (Reason::EndpointRefused, format!("every endpoint of Service {name} has a loopback, link-local, unspecified or multicast address, which is never contacted"))
            } else if all().next().is_none() && facts.is_some_and(|facts| facts.has_selector) {
                (Reason::SelectorMatchesNoPods, format!("no pod has the labels that Service {name} selects; compare its selector with the labels of your pods"))
            } else if !named && all().next().is_some() {
                (Reason::PortNotFound, format!("no pod behind Service {name} has its port {}; name a port that the container declares", backend.told_port()))
            } else {
                (Reason::NoReadyEndpoints, format!("no pod behind Service {name} is ready"))
            };
            Unresolved { reason, message }
        });
        Behind { ready, lacking }
    }
}

impl Backend {
    fn told_port(&self) -> String {
        if self.port_name.is_empty() {
            self.number.to_string()
        } else {
            self.port_name.clone()
        }
    }
}

impl ServiceFacts {
    /// By the Service's own number or name first; else by the port of the pods, which people often mean.
    fn port(&self, wanted: &Port) -> Option<&ServicePort> {
        let own = |port: &&ServicePort| match wanted {
            Port::Number(number) => port.number == *number,
            Port::Name(name) => port.name == *name,
        };
        let of_pods = |port: &&ServicePort| port.target == *wanted;
        self.ports
            .iter()
            .find(own)
            .or_else(|| self.ports.iter().find(of_pods))
    }

    fn told_ports(&self) -> String {
        let told = |port: &ServicePort| match port.name.as_str() {
            "" => port.number.to_string(),
            name => format!("{} ({name})", port.number),
        };
        match self.ports.as_slice() {
            [] => "none".into(),
            ports => ports
                .iter()
                .take(8)
                .map(told)
                .collect::<Vec<_>>()
                .join(", "),
        }
    }
}

/// Addresses that would reach the proxy itself or its node, never a pod.
fn is_refused(address: &IpAddr) -> bool {
    let canonical = address.to_canonical();
    canonical.is_loopback()
        || canonical.is_unspecified()
        || canonical.is_multicast()
        || match canonical {
            IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
            IpAddr::V6(v6) => v6.is_unicast_link_local(),
        }
}

fn facts(service: &Service) -> ServiceFacts {
    let spec = service.spec.as_ref();
    let metadata = &service.metadata;
    let controller = metadata.owner_references.iter().flatten();
    let controller = controller
        .filter(|owner| owner.controller == Some(true))
        .map(|owner| owner.uid.clone())
        .next();
    let annotation = metadata
        .annotations
        .as_ref()
        .and_then(|all| all.get(crate::OWNER_UID))
        .cloned();
    let text = |text: Option<&String>| text.cloned().unwrap_or_default();
    let ports = spec
        .and_then(|spec| spec.ports.as_ref())
        .into_iter()
        .flatten();
    let kind = text(spec.and_then(|spec| spec.type_.as_ref()));
    ServiceFacts {
        owner: controller.or(annotation),
        external_name: kind == "ExternalName",
        has_selector: spec
            .and_then(|spec| spec.selector.as_ref())
            .is_some_and(|selector| !selector.is_empty()),
        prefers_v6: spec
            .and_then(|spec| spec.ip_families.as_ref()?.first())
            .is_some_and(|family| family == "IPv6"),
        ports: ports
            .filter(|port| is_tcp(port.protocol.as_deref()))
            .filter_map(|port| {
                let number = u16::try_from(port.port).ok()?;
                Some(ServicePort {
                    name: text(port.name.as_ref()),
                    number,
                    target: match &port.target_port {
                        Some(IntOrString::String(name)) => Port::Name(name.clone()),
                        Some(IntOrString::Int(target)) => {
                            Port::Number(u16::try_from(*target).unwrap_or(number))
                        }
                        None => Port::Number(number),
                    },
                })
            })
            .collect(),
        addresses: addresses(service, &kind),
    }
}

/// From outside for a load balancer; else from within the cluster.
fn addresses(service: &Service, kind: &str) -> Vec<Address> {
    let address = |type_, value: &String| Address {
        type_,
        value: value.clone(),
    };
    if kind == "LoadBalancer" {
        let status = service
            .status
            .as_ref()
            .and_then(|status| status.load_balancer.as_ref());
        let points = status
            .and_then(|status| status.ingress.as_ref())
            .into_iter()
            .flatten();
        return points
            .flat_map(|point| {
                let ip = point
                    .ip
                    .as_ref()
                    .map(|ip| address(AddressType::IPAddress, ip));
                let host = point
                    .hostname
                    .as_ref()
                    .map(|host| address(AddressType::Hostname, host));
                [ip, host].into_iter().flatten()
            })
            .filter(|address| !address.value.is_empty())
            .take(16)
            .collect();
    }
    let ips = service
        .spec
        .as_ref()
        .and_then(|spec| spec.cluster_ips.as_ref())
        .into_iter()
        .flatten();
    ips.filter(|ip| ip.parse::<IpAddr>().is_ok())
        .map(|ip| address(AddressType::IPAddress, ip))
        .collect()
}

/// `None` for a slice that belongs to no Service, or names hosts instead of addresses.
fn slice(slice: &EndpointSlice) -> Option<(ObjectRef, Slice)> {
    let labels = slice.metadata.labels.as_ref()?;
    let service = labels.get("kubernetes.io/service-name")?;
    let service = ObjectRef::new(slice.metadata.namespace.clone()?, service);
    let ports = slice.ports.iter().flatten();
    let ports = ports
        .filter(|port| is_tcp(port.protocol.as_deref()))
        .filter_map(|port| {
            let number = u16::try_from(port.port?).ok()?;
            Some((port.name.clone().unwrap_or_default(), number))
        })
        .collect();
    let endpoints = slice.endpoints.iter().flatten().map(|endpoint| {
        let conditions = endpoint.conditions.as_ref();
        // API convention of EndpointConditions: an unset `ready` means true, an unset `terminating` means
        // false, and an unset `serving` follows `ready`.
        let ready = conditions.and_then(|it| it.ready).unwrap_or(true);
        let serving = conditions.and_then(|it| it.serving).unwrap_or(ready);
        let terminating = conditions.and_then(|it| it.terminating).unwrap_or(false);
        let target = endpoint.target_ref.as_ref();
        let pod = target.filter(|target| target.kind.as_deref() == Some("Pod"));
        SliceEndpoint {
            addresses: endpoint
                .addresses
                .iter()
                .filter_map(|ip| ip.parse().ok())
                .collect(),
            uid: pod.and_then(|pod| pod.uid.clone()).unwrap_or_default(),
            ready: ready && serving && !terminating,
        }
    });
    Some((
        service,
        Slice {
            ports,
            endpoints: endpoints.collect(),
        },
    ))
}

fn is_tcp(protocol: Option<&str>) -> bool {
    protocol.is_none_or(|protocol| protocol == "TCP")
}
