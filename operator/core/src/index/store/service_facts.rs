//! Services and EndpointSlices, parsed from the objects of the API server.

use crate::index::store::app_protocol::{Annotations, AppProtocol};
use crate::names::ObjectRef;
use crate::validate::Port;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use portolan_crds::{Address, AddressType};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Service, as far as it concerns the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServiceFacts {
    /// The UID in the controller's ownerReference or, that being stripped, in our annotation.
    pub(in crate::index) owner: Option<String>,
    /// The name that a Service of type ExternalName stands for.
    pub(in crate::index) external_name: Option<String>,
    /// The labels of its pods; empty when the Service has no selector.
    pub(in crate::index) selector: BTreeMap<String, String>,
    pub(in crate::index) prefers_v6: bool,
    pub(in crate::index) ports: Vec<ServicePort>,
    /// Protocols of ports that are not listed: those of an ExternalName.
    pub(in crate::index) unlisted: BTreeMap<u16, AppProtocol>,
    /// The annotation that lists something that is no port of the Service, and what it lists.
    pub(in crate::index) stray: Option<(String, String)>,
    /// Where the Service itself is reached.
    pub(crate) addresses: Vec<Address>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::index) struct ServicePort {
    pub(in crate::index) name: String,
    pub(in crate::index) number: u16,
    pub(in crate::index) target: Port,
    /// Protocol of the pods there.
    pub(in crate::index) app_protocol: AppProtocol,
    /// An `appProtocol` that is not supported, when no annotation declares one.
    pub(in crate::index) unknown: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::index) struct Slice {
    /// Name and number of each TCP port.
    pub(in crate::index) ports: Vec<(String, u16)>,
    pub(in crate::index) endpoints: Vec<SliceEndpoint>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::index) struct SliceEndpoint {
    pub(in crate::index) addresses: Vec<IpAddr>,
    pub(in crate::index) uid: String,
    pub(in crate::index) ready: bool,
}

impl ServiceFacts {
    /// By the Service's own number or name first; else by the port of the pods, which people often mean.
    pub(in crate::index) fn port(&self, wanted: &Port) -> Option<&ServicePort> {
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

    /// The port of this name and number.
    pub(in crate::index) fn listed(&self, name: &str, number: u16) -> Option<&ServicePort> {
        let mut ports = self.ports.iter();
        ports.find(|port| port.number == number && port.name == name)
    }

    pub(in crate::index) fn port_list(&self) -> String {
        match self.ports.as_slice() {
            [] => "none".into(),
            ports => ports
                .iter()
                .take(8)
                .map(ServicePort::display)
                .collect::<Vec<_>>()
                .join(", "),
        }
    }
}

impl ServicePort {
    pub(in crate::index) fn display(&self) -> String {
        match self.name.as_str() {
            "" => self.number.to_string(),
            name => format!("{} ({name})", self.number),
        }
    }
}

/// The longest name that a port of a Service has: that of a DNS label.
const PORT_MAX: usize = 63;

pub(in crate::index) fn read(service: &Service) -> ServiceFacts {
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
    let annotations = Annotations::of(metadata.annotations.as_ref());
    let text = |text: Option<&String>| text.cloned().unwrap_or_default();
    let ports = spec
        .and_then(|spec| spec.ports.as_ref())
        .into_iter()
        .flatten();
    let ports: Vec<ServicePort> = ports
        .filter(|port| is_tcp(port.protocol.as_deref()))
        .filter_map(|port| {
            let number = u16::try_from(port.port).ok()?;
            let name = text(port.name.as_ref());
            let declared = port.app_protocol.as_deref();
            let understood = declared.and_then(AppProtocol::of_app_protocol);
            let app_protocol = understood.or_else(|| annotations.app_protocol(&name, number));
            Some(ServicePort {
                unknown: declared
                    .filter(|_| app_protocol.is_none())
                    .map(str::to_owned),
                app_protocol: app_protocol.unwrap_or_default(),
                name,
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
        .collect();
    let kind = text(spec.and_then(|spec| spec.type_.as_ref()));
    let external = kind == "ExternalName";
    // A Service of type ExternalName need not list ports: they are not defined in the cluster.
    let unlisted = if external && ports.is_empty() {
        annotations.numbers()
    } else {
        BTreeMap::new()
    };
    let is_port = |listed: &str| {
        let number = listed.parse().ok();
        let mut own = ports.iter();
        own.any(|port| port.name == listed || Some(port.number) == number)
            || number.is_some_and(|number| unlisted.contains_key(&number))
    };
    let stray = annotations.stray(is_port);
    ServiceFacts {
        owner: controller.or(annotation),
        external_name: external.then(|| text(spec.and_then(|spec| spec.external_name.as_ref()))),
        // One that stands for a name has no endpoints, whatever it selects.
        selector: spec
            .filter(|_| !external)
            .and_then(|spec| spec.selector.clone())
            .unwrap_or_default(),
        prefers_v6: spec
            .and_then(|spec| spec.ip_families.as_ref()?.first())
            .is_some_and(|family| family == "IPv6"),
        // Annotations may be long; names of ports are not.
        stray: stray.map(|(key, port)| (key.to_owned(), port.chars().take(PORT_MAX).collect())),
        ports,
        unlisted,
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
pub(in crate::index) fn read_slice(slice: &EndpointSlice) -> Option<(ObjectRef, Slice)> {
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
        let ready = conditions
            .and_then(|conditions| conditions.ready)
            .unwrap_or(true);
        let serving = conditions
            .and_then(|conditions| conditions.serving)
            .unwrap_or(ready);
        let terminating = conditions
            .and_then(|conditions| conditions.terminating)
            .unwrap_or(false);
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
