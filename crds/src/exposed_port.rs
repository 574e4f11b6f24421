//! `ExposedPort`: an app team says which port to expose, and under which names.

use crate::schema;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Exposes a port of an application under hostnames.
///
/// ```yaml
/// apiVersion: portolan.dev/v1alpha1
/// kind: ExposedPort
/// metadata: {name: shop, namespace: team-a}
/// spec:
///   port: 8080
///   selector: {app: shop}
///   hostnames: [shop.example.com]
/// ```
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "portolan.dev",
    version = "v1alpha1",
    kind = "ExposedPort",
    plural = "exposedports",
    namespaced,
    status = "ExposedPortStatus",
    shortname = "xp",
    category = "portolan",
    derive = "Default",
    derive = "PartialEq",
    doc = "Exposes a port of an application under hostnames.",
    printcolumn(name = "Hosts", type_ = "string", json_path = ".status.summary.hosts"),
    printcolumn(
        name = "Status",
        type_ = "string",
        json_path = ".status.summary.status"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "URL", type_ = "string", json_path = ".status.hostnames[0].url"),
    printcolumn(
        name = "Expires",
        type_ = "string",
        description = "When the first of the certificates expires.",
        json_path = ".status.summary.certificateExpires"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    ),
    printcolumn(
        name = "Description",
        type_ = "string",
        priority = 1,
        json_path = ".status.description"
    )
)]
#[x_kube(
    validation = Rule::new("has(self.selector) != has(self.service)")
        .message(Message::Expression("has(self.selector) ? 'spec.selector, spec.service: both are set; keep one: selector lets Portolan make the Service, service names your own' : 'spec: neither selector nor service is set; write selector with the labels of your pods, or service with the name of your Service'".into())),
    validation = Rule::new("!has(self.selector) || type(self.port) == int || self.port.size() <= 15")
        .message("spec.port: the name of a container port has at most 15 characters; write the name that stands in the pod, or its number"),
)]
#[serde(rename_all = "camelCase")]
pub struct ExposedPortSpec {
    /// The port that the application listens on: a number, or the name of a container port.
    /// With `service` it is a port of that Service.
    #[schemars(schema_with = "schema::port")]
    pub port: IntOrString,

    /// The labels of the pods; Portolan makes the Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::selector")]
    pub selector: Option<BTreeMap<String, String>>,

    /// The name of a Service of this namespace, instead of `selector`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub service: Option<String>,

    /// The names under which the port is reached: `shop.example.com`; `shop.*` takes the domain of
    /// the class; `*.shop.example.com` is a wildcard of exactly one label.
    #[schemars(schema_with = "schema::hostnames")]
    pub hostnames: Vec<String>,

    /// How TLS is done. Absent: terminated when there is a secret or an issuer, here or in the class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,

    /// The ExposeClass; absent takes the default one. `status.className` keeps what was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub class_name: Option<String>,
}

/// How TLS is done for the hostnames of an object.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("!(has(self.secret) && has(self.issuerRef))")
        .message("spec.tls: secret and issuerRef are both set; keep secret for a certificate of your own, or issuerRef to have one issued"),
    validation = Rule::new("!has(self.mode) || self.mode != 'Disabled' || !(has(self.secret) || has(self.issuerRef))")
        .message("spec.tls.mode: Disabled takes no secret and no issuerRef; remove them, or write mode: Terminate"),
)]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    /// `Terminate` ends TLS at the proxy; `Disabled` serves plain HTTP. Absent: `Terminate` when
    /// there is a secret or an issuer, here or in the class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<TlsMode>,
    /// An existing Secret of type kubernetes.io/tls in this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretRef>,
    /// Who issues the certificates; absent takes the issuer of the class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer_ref: Option<IssuerRef>,
}

/// What is done with TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TlsMode {
    /// TLS ends at the proxy.
    Terminate,
    /// Plain HTTP only.
    Disabled,
}

/// A Secret of the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretRef {
    /// The name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Who issues certificates: an issuer as cert-manager knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IssuerRef {
    /// The name of the issuer.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// `ClusterIssuer`, or `Issuer` for one of the object's own namespace, or the kind of an external issuer.
    #[serde(default = "IssuerRef::default_kind")]
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// The API group of the issuer.
    #[serde(default = "IssuerRef::default_group")]
    #[schemars(length(min = 1, max = 253))]
    pub group: String,
}

impl IssuerRef {
    fn default_kind() -> String {
        "ClusterIssuer".into()
    }

    fn default_group() -> String {
        "cert-manager.io".into()
    }
}

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
    /// Accepted, ResolvedRefs, Programmed, CertificatesReady, EndpointsReady, Ready.
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
    /// The objects that were made for this one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), extend("x-kubernetes-list-type" = "atomic"))]
    pub children: Vec<ChildRef>,
}

/// What is printed by `kubectl get`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Summary {
    /// Invalid, Conflicted, Pending, Degraded or Ready.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub status: String,
    /// The first hostname, and how many more there are.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hosts: String,
    /// When the first of the certificates expires (RFC 3339).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub certificate_expires: String,
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
    /// The Secret that it is read from.
    pub secret_name: String,
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
    /// The address.
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

/// An object that was made for an ExposedPort, in its namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChildRef {
    /// Group and version.
    pub api_version: String,
    /// What it is.
    pub kind: String,
    /// Its name.
    pub name: String,
}
