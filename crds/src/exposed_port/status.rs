//! Status of an ExposedPort, written by the operator.

use crate::CHILDREN_MAX;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Observed state of an ExposedPort.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ExposedPortStatus {
    /// The `metadata.generation` that this status was computed for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Class of the object; it stays when another class becomes the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_name: Option<String>,
    /// Values for the columns of `kubectl get`; programs should use the conditions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<Summary>,
    /// Summary in one sentence: `valid`, or the most important error and its remedy.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Conditions: Accepted, ResolvedRefs, Programmed, CertificatesReady, EndpointsReady, Ready.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"])
    )]
    pub conditions: Vec<Condition>,
    /// State of each hostname, in the order of the spec.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub hostnames: Vec<HostnameStatus>,
    /// Addresses of the proxies of the class.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub addresses: Vec<Address>,
    /// Objects that were created for this one, at most 128.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = CHILDREN_MAX), extend("x-kubernetes-list-type" = "atomic"))]
    pub children: Vec<ChildRef>,
}

/// Values that `kubectl get` prints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Summary {
    /// Expired, Invalid, Orphaned, Conflicted, Pending, Degraded or Ready.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub status: String,
    /// The first hostname, and how many more there are.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hosts: String,
    /// Expiry of the certificate that expires first (RFC 3339).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub certificate_expires: String,
    /// Expiry of the object (RFC 3339); empty if it never expires.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ends: String,
}

/// Observed state of one hostname.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostnameStatus {
    /// The hostname, with the domain of the class filled in.
    pub name: String,
    /// URL of the hostname; empty for a wildcard.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// True if a request to the hostname would succeed.
    pub ready: bool,
    /// Reason for which it is not ready.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Message that explains why it is not ready.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Time since which this namespace holds the hostname.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_since: Option<Time>,
    /// Namespace, or object of this namespace, that holds the hostname instead.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub held_by: String,
    /// Certificate of the hostname, if TLS is terminated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateStatus>,
}

/// The certificate of a hostname.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificateStatus {
    /// Secret that the certificate is read from.
    pub secret_name: String,
    /// Namespace of that Secret.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub secret_namespace: String,
    /// Expiry of the certificate that is served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Time>,
    /// Time at which cert-manager renews the certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal_time: Option<Time>,
    /// SHA-256 of the certificate that every proxy presents, in hex.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub served_fingerprint: String,
    /// Issuer of the certificate, as `kind/name`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub issuer: String,
}

/// Address of the proxies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Address {
    /// Type of the address.
    #[serde(rename = "type")]
    pub type_: AddressType,
    /// The IP address or the name.
    pub value: String,
}

/// Type of an address.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum AddressType {
    /// IPv4 or IPv6.
    IPAddress,
    /// A name that resolves to addresses.
    Hostname,
}

/// Object that was created for an ExposedPort, in its namespace; a NetworkPolicy is in the namespace of the
/// Service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChildRef {
    /// API group and version, such as `networking.k8s.io/v1`.
    pub api_version: String,
    /// Kind of the object, such as `Service`.
    pub kind: String,
    /// Name of the object.
    pub name: String,
}
