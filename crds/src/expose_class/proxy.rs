//! Proxies of a class: replicas, resources and Service.

use crate::schema;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Proxies of a class: replicas, resources and Service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Proxy {
    /// Number of proxy pods, 0 to 100. Defaults to 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub replicas: Option<i32>,
    /// Service of the proxies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<ProxyService>,
    /// Address families of the Service of the proxies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_family_policy: Option<IpFamilyPolicy>,
    /// Address families, the preferred one first. Defaults to those of the cluster. Kubernetes does not allow
    /// changing the first family of an existing Service.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::ip_families")]
    pub ip_families: Vec<IpFamily>,
    /// Resources of each proxy pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<ProxyResources>,
    /// Worker threads of each proxy, 1 to 256. Defaults to the CPU limit, or to 4 without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 256))]
    pub workers: Option<i32>,
    /// Networks in which no endpoint is contacted, such as those of the nodes and of the API server, in
    /// addition to loopback, link-local and metadata addresses. At most 64.
    #[serde(rename = "deniedCIDRs", skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::cidrs")]
    pub denied_cidrs: Vec<String>,
}

/// Number of address families of a Service. Defaults to `PreferDualStack`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum IpFamilyPolicy {
    /// One.
    SingleStack,
    /// Both, where the cluster has both.
    #[default]
    PreferDualStack,
    /// Both, or the Service is rejected.
    RequireDualStack,
}

impl IpFamilyPolicy {
    /// As it stands in `spec.ipFamilyPolicy` of a Service.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SingleStack => "SingleStack",
            Self::PreferDualStack => "PreferDualStack",
            Self::RequireDualStack => "RequireDualStack",
        }
    }
}

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum IpFamily {
    /// Such as 192.0.2.1.
    IPv4,
    /// Such as 2001:db8::1.
    IPv6,
}

impl IpFamily {
    /// As it stands in `spec.ipFamilies` of a Service.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::IPv4 => "IPv4",
            Self::IPv6 => "IPv6",
        }
    }
}

/// The Service before the proxies.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyService {
    /// Type of the Service.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<ServiceType>,
    /// Annotations of the Service, for the load balancer implementation.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::annotations")]
    pub annotations: Option<BTreeMap<String, String>>,
}

/// Type of a Service: `LoadBalancer` has an address of its own, `NodePort` a port on each node, `ClusterIP` is
/// reachable only within the cluster. Defaults to `LoadBalancer`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ServiceType {
    /// At an address of its own, from outside.
    #[default]
    LoadBalancer,
    /// At a port of each node.
    NodePort,
    /// From within the cluster only.
    ClusterIP,
}

impl ServiceType {
    /// As it stands in `spec.type` of a Service.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LoadBalancer => "LoadBalancer",
            Self::NodePort => "NodePort",
            Self::ClusterIP => "ClusterIP",
        }
    }
}

/// Resources of a proxy pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ProxyResources {
    /// Resources that are reserved on the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<Amounts>,
    /// Resources that the pod may not exceed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Amounts>,
}

/// Amounts of the resources of a container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Amounts {
    /// CPU time, such as `500m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::quantity")]
    pub cpu: Option<IntOrString>,
    /// Amount of memory, such as `256Mi`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::quantity")]
    pub memory: Option<IntOrString>,
}
