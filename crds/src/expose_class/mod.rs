//! `ExposeClass`: how a platform team implements the ExposedPorts of a class.

mod proxy;

pub use proxy::{
    Amounts, IpFamily, IpFamilyPolicy, Proxy, ProxyResources, ProxyService, ServiceType,
};

use crate::exposed_port::{Address, IssuerRef, MinTlsVersion, Policy};
use crate::namespaces::{AllowedNamespaces, LabelSelector, NamespaceName};
use crate::{
    ALLOWED_ISSUERS_MAX, HOSTNAME_RULES_MAX, ROOT_NAMESPACES_MAX, SHARED_CERTIFICATES_MAX,
    messages, schema,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Configures how ExposedPorts of one class are implemented.
///
/// ```yaml
/// apiVersion: portolan.dev/v1alpha1
/// kind: ExposeClass
/// metadata: {name: public}
/// spec:
///   default: true
///   domain: apps.example.com
///   issuerRef: {name: letsencrypt}
/// ```
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "portolan.dev",
    version = "v1alpha1",
    kind = "ExposeClass",
    plural = "exposeclasses",
    status = "ExposeClassStatus",
    shortname = "xc",
    category = "portolan",
    derive = "Default",
    derive = "PartialEq",
    doc = "Configures how ExposedPorts of one class are implemented: domain, issuer, and the proxies that serve them.",
    validation = Rule::new("self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && self.metadata.name.size() <= 63")
        .message("metadata.name must be at most 63 lower-case letters, digits and inner hyphens").reason(Reason::FieldValueInvalid),
    printcolumn(name = "Default", type_ = "boolean", json_path = ".spec.default"),
    printcolumn(name = "Domain", type_ = "string", json_path = ".spec.domain"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Proxies", type_ = "integer", json_path = ".status.proxies.ready"),
    printcolumn(name = "Address", type_ = "string", json_path = ".status.addresses[0].value"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Description",
        type_ = "string",
        priority = 1,
        json_path = ".status.description"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct ExposeClassSpec {
    /// Makes this class the default of ExposedPorts without `className`. Defaults to false. Of several default
    /// classes, the oldest is used.
    #[serde(default)]
    pub default: bool,

    /// Domain that replaces `*` at the end of a hostname, such as `apps.example.com`. `{namespace}` is replaced
    /// by the namespace of the ExposedPort.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 190))]
    #[x_kube(validation = Rule::new(r"self.replace('{namespace}', 'n').matches('^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$')")
        .message(messages::CLASS_DOMAIN).reason(Reason::FieldValueInvalid))]
    pub domain: Option<String>,

    /// Namespaces whose objects may have hostnames of this class; objects of others may only be delegated to.
    /// If omitted together with `rootNamespaceSelector`, all namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = ROOT_NAMESPACES_MAX), extend("x-kubernetes-list-type" = "set"))]
    pub root_namespaces: Option<Vec<NamespaceName>>,

    /// Labels of further namespaces whose objects may have hostnames.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_namespace_selector: Option<LabelSelector>,

    /// Hostnames that namespaces may use. Each entry allows names for some namespaces; other names are rejected
    /// (`HostnameNotAllowed`). If omitted, every namespace may use every name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = HOSTNAME_RULES_MAX), extend("x-kubernetes-list-type" = "atomic"))]
    pub hostnames: Option<Vec<HostnameRule>>,

    /// Certificates that are issued, and certificates that several objects share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificates: Option<ClassCertificates>,

    /// Issuer of certificates for objects without `spec.tls.secret` and `spec.tls.issuerRef`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer_ref: Option<IssuerRef>,

    /// TLS settings of every hostname of the class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ClassTls>,

    /// Policy of requests, where neither the route nor its object sets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defaults: Option<Policy>,

    /// Annotations that objects may set on their Ingress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<ClassAnnotations>,

    /// NetworkPolicies that keep pods private until they are exposed. If omitted, none are created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_policy: Option<ClassNetworkPolicy>,

    /// Encryption of requests from the proxies to the endpoints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend_encryption: Option<BackendEncryption>,

    /// Endpoints that requests may be sent to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<AllowedEndpoints>,

    /// Proxies of the class: replicas, resources and Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("!has(self.ipFamilyPolicy) || self.ipFamilyPolicy != 'SingleStack' || !has(self.ipFamilies) || self.ipFamilies.size() < 2")
        .message(messages::SINGLE_STACK).reason(Reason::FieldValueForbidden).field_path(".ipFamilyPolicy"))]
    pub proxy: Option<Proxy>,
}

/// Endpoints that requests may be sent to. Defaults to `Any`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum AllowedEndpoints {
    /// Any address of an EndpointSlice, and external names.
    #[default]
    Any,
    /// Addresses of pods of the Service's namespace. Other addresses are never contacted (`ForeignEndpoint`),
    /// nor external names and pods in the network of their node.
    PodsOnly,
}

/// Encryption of requests from the proxies to the endpoints. Defaults to `None`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum BackendEncryption {
    /// As objects and Services configure it. The condition BackendEncrypted reports if all of it uses TLS.
    #[default]
    None,
    /// A mesh encrypts between proxy and pod. Portolan cannot verify it, which the condition reports.
    Mesh,
    /// TLS only: a backend without encryption is never contacted (`BackendNotEncrypted`).
    #[serde(rename = "TLS")]
    Tls,
}

/// Allows hostnames for some namespaces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostnameRule {
    /// DNS names; each includes every name below it. `{namespace}` is replaced by the namespace of the
    /// ExposedPort.
    #[schemars(schema_with = "schema::domains")]
    pub domains: Vec<String>,
    /// Namespaces whose objects may use these names. If omitted together with `namespaceSelector`, all
    /// namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = ROOT_NAMESPACES_MAX), extend("x-kubernetes-list-type" = "set"))]
    pub namespaces: Option<Vec<NamespaceName>>,
    /// Labels of further namespaces whose objects may use them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
}

/// Which certificates are made, and those that several objects share.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("!has(self.mode) || self.mode != 'Shared' || (has(self.shared) && self.shared.size() > 0)")
        .message(messages::SHARED_REQUIRED).reason(Reason::FieldValueRequired).field_path(".shared"),
)]
pub struct ClassCertificates {
    /// Number of hostnames in an issued certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<CertificateMode>,
    /// Shared certificates for objects without `spec.tls.secret` and `spec.tls.issuerRef`. The first one for a
    /// hostname is used; other hostnames get a certificate from the issuer, unless `mode` is `Shared`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = SHARED_CERTIFICATES_MAX), extend("x-kubernetes-list-type" = "atomic"))]
    pub shared: Vec<SharedCertificate>,
}

/// Number of hostnames in an issued certificate. Defaults to `PerHostname`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CertificateMode {
    /// One certificate per hostname: a hostname that cannot be certified does not delay the others.
    #[default]
    PerHostname,
    /// One certificate for all hostnames of an object: fewer certificates, but a hostname that cannot be
    /// certified delays new ones of its object.
    PerExposure,
    /// Only certificates of `shared` are used, except for objects with an issuer of their own.
    Shared,
}

/// Certificate that several objects share.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SharedCertificate {
    /// Secret of type kubernetes.io/tls.
    pub secret: NamespacedSecretRef,
    /// Hostnames that the certificate may serve: full names, or wildcards for exactly one label.
    #[schemars(schema_with = "schema::certified_hostnames")]
    pub hostnames: Vec<String>,
}

/// TLS settings of every hostname of a class.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ClassTls {
    /// Oldest TLS version; an object may only require a newer one. Defaults to 1.2; 1.1 is served as 1.2 (RFC
    /// 8996).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_version: Option<MinTlsVersion>,
    /// Secret of type kubernetes.io/tls with the certificate for clients without a server name. If omitted,
    /// they are rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_certificate: Option<NamespacedSecretRef>,
    /// Issuers that objects may use in `spec.tls.issuerRef`, in addition to that of the class. If omitted, all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = ALLOWED_ISSUERS_MAX), extend("x-kubernetes-list-type" = "atomic"))]
    pub allowed_issuers: Option<Vec<AllowedIssuer>>,
    /// Namespaces whose objects may use their own certificate (`spec.tls.secret`). If omitted, all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_own_secrets: Option<AllowedNamespaces>,
}

/// Issuer that objects may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AllowedIssuer {
    /// The issuer.
    #[serde(flatten)]
    pub issuer: IssuerRef,
    /// Namespaces whose objects may use it. If omitted together with `namespaceSelector`, all namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = ROOT_NAMESPACES_MAX), extend("x-kubernetes-list-type" = "set"))]
    pub namespaces: Option<Vec<NamespaceName>>,
    /// Labels of further namespaces whose objects may use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
}

/// NetworkPolicies that keep pods private until they are exposed.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("!has(self.mode) || self.mode != 'Restrict' || has(self.namespaceSelector)")
    .message(messages::RESTRICT_WHERE).reason(Reason::FieldValueRequired).field_path(".namespaceSelector"))]
#[serde(rename_all = "camelCase")]
pub struct ClassNetworkPolicy {
    /// NetworkPolicies that are created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<NetworkPolicyMode>,
    /// Labels of the namespaces that are restricted; `{}` selects all. Never kube-system, kube-public,
    /// kube-node-lease and the namespace of Portolan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
}

/// NetworkPolicies that are created. Defaults to `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NetworkPolicyMode {
    /// Nothing.
    #[default]
    None,
    /// Pods accept connections from their own namespace, and from the proxies on exposed ports.
    Restrict,
}

/// What objects may write on their Ingress.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ClassAnnotations {
    /// Annotations of `spec.annotations` that are set on the Ingress, by their full names. Those of
    /// external-dns, cert-manager and Portolan, configuration snippets, `server-alias` and `auth-url` are never
    /// allowed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::annotation_names")]
    pub allow: Vec<String>,
}

/// Reference to a Secret of any namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NamespacedSecretRef {
    /// Namespace of the Secret.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Observed state of an ExposeClass.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ExposeClassStatus {
    /// The `metadata.generation` that this status was computed for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Summary in one sentence: `valid`, or the most important error and its remedy.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Conditions: Accepted, Programmed, Ready.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"])
    )]
    pub conditions: Vec<Condition>,
    /// Addresses of the proxies.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub addresses: Vec<Address>,
    /// Number of proxies that serve the class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxies: Option<ExposeClassProxies>,
}

/// Number of proxies that serve a class.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExposeClassProxies {
    /// Number of proxies that are configured.
    pub desired: i32,
    /// Number of proxies connected to the operator.
    pub connected: i32,
    /// Number of connected proxies that accept requests.
    pub ready: i32,
}
