//! The proxies of a class: how many, how large, how they are reached.

use crate::schema;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The proxies of a class: how many, how large, how they are reached.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Proxy {
    /// How many proxy pods, 0 to 100; absent means 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub replicas: Option<i32>,
    /// The Service before the proxies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<ProxyService>,
    /// How many address families the Service before the proxies has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_family_policy: Option<IpFamilyPolicy>,
    /// Which families, the preferred one first; absent: the cluster's. Kubernetes lets nobody change
    /// the first one of a Service that is there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::ip_families")]
    pub ip_families: Vec<IpFamily>,
    /// What each proxy pod is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<ProxyResources>,
    /// Worker threads of each proxy; absent means as many as the CPU limit, or 4 without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 256))]
    pub workers: Option<i32>,
    /// Networks in which no endpoint is ever contacted, such as those of the nodes and of the API
    /// server, beyond loopback, link-local and metadata addresses, which never are.
    #[serde(rename = "deniedCIDRs", skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::cidrs")]
    pub denied_cidrs: Vec<String>,
}

/// How many address families a Service has; absent means `PreferDualStack`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum IpFamilyPolicy {
    /// One.
    SingleStack,
    /// Both, where the cluster has both.
    #[default]
    PreferDualStack,
    /// Both, or the Service is refused.
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
    /// How the Service is reached.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<ServiceType>,
    /// Annotations of the Service, for whoever gives it its address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::annotations")]
    pub annotations: Option<BTreeMap<String, String>>,
}

/// How a Service is reached: `LoadBalancer` at an address of its own, `NodePort` at a port of each node,
/// `ClusterIP` from within the cluster only. Absent means `LoadBalancer`.
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

/// What a proxy pod is given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ProxyResources {
    /// What is set aside for it on its node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<Amounts>,
    /// What it may not exceed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Amounts>,
}

/// Amounts of the resources of a container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Amounts {
    /// Processors, such as `500m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::quantity")]
    pub cpu: Option<IntOrString>,
    /// Memory, such as `256Mi`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::quantity")]
    pub memory: Option<IntOrString>,
}
