//! What became of an ExposedPort, told by the operator.

use crate::CHILDREN_MAX;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What became of an ExposedPort.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ExposedPortStatus {
    /// The `metadata.generation` that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The class that was chosen; it stays chosen when another becomes the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_name: Option<String>,
    /// For the columns of `kubectl get`; programs read the conditions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<Summary>,
    /// One sentence: `valid`, or what is wrong and what would be right.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What holds, by type: Accepted, ResolvedRefs, Programmed, CertificatesReady, EndpointsReady, Ready.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"])
    )]
    pub conditions: Vec<Condition>,
    /// One entry for each hostname, in the order of the spec.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub hostnames: Vec<HostnameStatus>,
    /// Where the proxies of the class are reached.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub addresses: Vec<Address>,
    /// The objects that were made for this one; the first of them, when there are many.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = CHILDREN_MAX), extend("x-kubernetes-list-type" = "atomic"))]
    pub children: Vec<ChildRef>,
}

/// What is printed by `kubectl get`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Summary {
    /// Expired, Invalid, Orphaned, Conflicted, Pending, Degraded or Ready.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub status: String,
    /// The first hostname, and how many more there are.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hosts: String,
    /// When the first of the certificates expires (RFC 3339).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub certificate_expires: String,
    /// When the time of the object is over (RFC 3339); empty: never.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ends: String,
}

/// What became of one hostname.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostnameStatus {
    /// The hostname, with the domain of the class filled in.
    pub name: String,
    /// Where it is reached; empty for a wildcard.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// Whether a request to it would succeed.
    pub ready: bool,
    /// Why it is not ready.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Why it is not ready, in a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Since when this namespace holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_since: Option<Time>,
    /// Who holds it instead: a namespace, or an object of this namespace.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub held_by: String,
    /// The certificate, when TLS is terminated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateStatus>,
}

/// The certificate of a hostname.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificateStatus {
    /// Name of the Secret that the certificate is read from.
    pub secret_name: String,
    /// Namespace of that Secret.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub secret_namespace: String,
    /// When the certificate that is served expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Time>,
    /// When cert-manager renews it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal_time: Option<Time>,
    /// SHA-256 of the certificate that every proxy presents, in hex.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub served_fingerprint: String,
    /// Who issues it: `kind/name`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub issuer: String,
}

/// An address at which the proxies are reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Address {
    /// What kind of address it is.
    #[serde(rename = "type")]
    pub type_: AddressType,
    /// The IP address or the name.
    pub value: String,
}

/// The kinds of address.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum AddressType {
    /// IPv4 or IPv6.
    IPAddress,
    /// A name that resolves to addresses.
    Hostname,
}

/// An object that was made for an ExposedPort, in its namespace; a NetworkPolicy is in that of the Service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChildRef {
    /// Its group and version, such as `networking.k8s.io/v1`.
    pub api_version: String,
    /// What it is, such as `Service`.
    pub kind: String,
    /// The name of the object.
    pub name: String,
}
