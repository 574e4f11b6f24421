//! `ExposeClass`: a platform team says how exposures of this class are realised.

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

/// How exposures of one class are realised.
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
    doc = "How exposures of one class are realised: domain, issuer, and the proxies that serve them.",
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
    /// Whether an ExposedPort without `className` takes this class; absent means false. Of two, the older
    /// one counts.
    #[serde(default)]
    pub default: bool,

    /// What stands for `*` at the end of a hostname, such as `apps.example.com`. May contain `{namespace}`,
    /// which becomes the namespace of the ExposedPort.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 190))]
    #[x_kube(validation = Rule::new(r"self.replace('{namespace}', 'n').matches('^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$')")
        .message(messages::CLASS_DOMAIN).reason(Reason::FieldValueInvalid))]
    pub domain: Option<String>,

    /// The namespaces whose objects may have hostnames on this class; others may only be delegated
    /// to. Absent, and `rootNamespaceSelector` too: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = ROOT_NAMESPACES_MAX), extend("x-kubernetes-list-type" = "set"))]
    pub root_namespaces: Option<Vec<NamespaceName>>,

    /// Namespaces whose objects may have hostnames too, by their labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_namespace_selector: Option<LabelSelector>,

    /// Who may have which hostnames. Each entry lets some namespaces have names; what no entry allows is
    /// refused (`HostnameNotAllowed`). Absent: every namespace may have every name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = HOSTNAME_RULES_MAX), extend("x-kubernetes-list-type" = "atomic"))]
    pub hostnames: Option<Vec<HostnameRule>>,

    /// Which certificates are made, and those that several objects share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificates: Option<ClassCertificates>,

    /// Who issues certificates for objects that name nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer_ref: Option<IssuerRef>,

    /// How TLS is done for every hostname of the class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ClassTls>,

    /// How requests are treated where neither the route nor its object says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defaults: Option<Policy>,

    /// What objects may write on their Ingress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<ClassAnnotations>,

    /// Whether pods are private until they are exposed; absent: they are reached as before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_policy: Option<ClassNetworkPolicy>,

    /// How requests go from the proxies to the endpoints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend_encryption: Option<BackendEncryption>,

    /// Whom requests may be sent to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<AllowedEndpoints>,

    /// The proxies of the class: how many, how large, how they are reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("!has(self.ipFamilyPolicy) || self.ipFamilyPolicy != 'SingleStack' || !has(self.ipFamilies) || self.ipFamilies.size() < 2")
        .message(messages::SINGLE_STACK).reason(Reason::FieldValueForbidden).field_path(".ipFamilyPolicy"))]
    pub proxy: Option<Proxy>,
}

/// Whom requests may be sent to; absent means `Any`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum AllowedEndpoints {
    /// Whatever address an EndpointSlice names, and external names.
    #[default]
    Any,
    /// Addresses of pods of the Service's namespace. Others are never contacted (`ForeignEndpoint`), nor
    /// are external names, and pods in the network of their node.
    PodsOnly,
}

/// How requests go from the proxies to the endpoints; absent means `None`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum BackendEncryption {
    /// As objects and Services say. The condition BackendEncrypted tells whether all of it is over TLS.
    #[default]
    None,
    /// A mesh encrypts between proxy and pod. Nothing of that can be seen from here, and the condition says so.
    Mesh,
    /// Over TLS only: a backend that would be reached in the clear is never contacted (`BackendNotEncrypted`).
    #[serde(rename = "TLS")]
    Tls,
}

/// Lets some namespaces have some hostnames.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostnameRule {
    /// DNS names; each stands for itself and for every name below it. May contain `{namespace}`, which
    /// becomes the namespace of the ExposedPort.
    #[schemars(schema_with = "schema::domains")]
    pub domains: Vec<String>,
    /// Whose objects may have these names. Absent, and `namespaceSelector` too: those of all namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = ROOT_NAMESPACES_MAX), extend("x-kubernetes-list-type" = "set"))]
    pub namespaces: Option<Vec<NamespaceName>>,
    /// Whose objects may have them too, by the labels of their namespace.
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
    /// How many hostnames a certificate from an issuer is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<CertificateMode>,
    /// For the hostnames of objects that name neither a secret nor an issuer; the first that is for a
    /// hostname is taken. Others get a certificate from the issuer, unless `mode` is `Shared`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = SHARED_CERTIFICATES_MAX), extend("x-kubernetes-list-type" = "atomic"))]
    pub shared: Vec<SharedCertificate>,
}

/// How many hostnames a certificate from an issuer is for; absent means `PerHostname`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CertificateMode {
    /// One each: a hostname that cannot be certified keeps no other one waiting.
    #[default]
    PerHostname,
    /// All that an object holds, together: fewer certificates, and one dead hostname keeps every new
    /// one of its object waiting.
    PerExposure,
    /// Nothing is issued for objects that name no issuer themselves: only certificates of `shared` are used.
    Shared,
}

/// A certificate that several objects share.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SharedCertificate {
    /// A Secret of type kubernetes.io/tls.
    pub secret: NamespacedSecretRef,
    /// The hostnames that it may serve: whole names, or a wildcard for exactly one label.
    #[schemars(schema_with = "schema::certified_hostnames")]
    pub hostnames: Vec<String>,
}

/// How TLS is done for every hostname of a class.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ClassTls {
    /// The oldest version that is spoken; an object may only ask for a newer one. Absent means 1.2;
    /// 1.1 is taken for it (RFC 8996).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_version: Option<MinTlsVersion>,
    /// A Secret of type kubernetes.io/tls with the certificate for clients that ask for no server
    /// name. Absent: they are refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_certificate: Option<NamespacedSecretRef>,
    /// The issuers that objects may name in `spec.tls.issuerRef`, beside the class's own. Absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = ALLOWED_ISSUERS_MAX), extend("x-kubernetes-list-type" = "atomic"))]
    pub allowed_issuers: Option<Vec<AllowedIssuer>>,
    /// The namespaces whose objects may bring a certificate of their own (`spec.tls.secret`). Absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_own_secrets: Option<AllowedNamespaces>,
}

/// An issuer that objects may name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AllowedIssuer {
    /// Which.
    #[serde(flatten)]
    pub issuer: IssuerRef,
    /// Whose objects may name it. Absent, and `namespaceSelector` too: those of all namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = ROOT_NAMESPACES_MAX), extend("x-kubernetes-list-type" = "set"))]
    pub namespaces: Option<Vec<NamespaceName>>,
    /// Whose objects may name it too, by the labels of their namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
}

/// Whether pods are private until they are exposed.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("!has(self.mode) || self.mode != 'Restrict' || has(self.namespaceSelector)")
    .message(messages::RESTRICT_WHERE).reason(Reason::FieldValueRequired).field_path(".namespaceSelector"))]
#[serde(rename_all = "camelCase")]
pub struct ClassNetworkPolicy {
    /// What is made of NetworkPolicies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<NetworkPolicyMode>,
    /// In which namespaces, by their labels; `{}` means every one. Never in kube-system, kube-public, kube-node-lease and where Portolan is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
}

/// What is made of NetworkPolicies; absent means `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NetworkPolicyMode {
    /// Nothing.
    #[default]
    None,
    /// Pods are reached from their own namespace, and from the proxies on the ports that are exposed.
    Restrict,
}

/// What objects may write on their Ingress.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ClassAnnotations {
    /// The annotations of `spec.annotations` that reach the Ingress, by their whole names. Never allowed are
    /// those of external-dns, cert-manager and Portolan, configuration snippets, `server-alias` and `auth-url`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::annotation_names")]
    pub allow: Vec<String>,
}

/// A Secret of any namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NamespacedSecretRef {
    /// The namespace of the Secret.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// The name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// What became of an ExposeClass.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ExposeClassStatus {
    /// The `metadata.generation` that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// One sentence: `valid`, or what is wrong and what would be right.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Accepted, Programmed, Ready.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"])
    )]
    pub conditions: Vec<Condition>,
    /// Where the proxies are reached.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub addresses: Vec<Address>,
    /// The proxies that serve the class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxies: Option<ExposeClassProxies>,
}

/// How many proxies serve a class.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExposeClassProxies {
    /// How many there should be.
    pub desired: i32,
    /// How many are connected to the operator.
    pub connected: i32,
    /// How many of those take requests.
    pub ready: i32,
}
