//! `ExposedPort`: an app team says which port to expose, and under which names.

mod policy;
mod route;
mod status;
mod tls;

pub use policy::{Cors, HeaderEdits, Headers, Policy, Retries, RetryOn, Timeouts};
pub use route::{
    BackendCa, BackendRef, BackendTls, DelegateRef, FieldMatch, ParentRef, PathMatch, Redirect,
    Respond, Route, RouteMatch, Scheme,
};
pub use status::{
    Address, AddressType, CertificateStatus, ChildRef, ExposedPortStatus, HostnameStatus, Summary,
};
pub use tls::{
    ClientCa, ClientCaMode, Hsts, IssuerRef, MaxTlsVersion, MinTlsVersion, SecretRef, Tls, TlsMode,
};

use crate::{PARENTS_MAX, ROUTES_MAX, messages, schema};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
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
        name = "Ends",
        type_ = "string",
        priority = 1,
        description = "When the time of the object is over.",
        json_path = ".status.summary.ends"
    ),
    printcolumn(
        name = "Description",
        type_ = "string",
        priority = 1,
        json_path = ".status.description"
    )
)]
#[x_kube(
    validation = Rule::new("!(has(self.selector) && has(self.service))")
        .message(messages::SERVICE_WITH_SELECTOR).reason(Reason::FieldValueForbidden).field_path(".service"),
    validation = Rule::new("has(self.selector) || has(self.service) || (has(self.routes) && self.routes.size() > 0 && self.routes.all(r, has(r.backends) || has(r.redirect) || has(r.respond) || has(r.delegate)))")
        .message(messages::TARGET_REQUIRED).reason(Reason::FieldValueRequired).field_path(".selector"),
    validation = Rule::new("has(self.selector) || has(self.service) || !has(self.port)")
        .message(messages::PORT_WITHOUT_TARGET).reason(Reason::FieldValueForbidden).field_path(".port"),
    validation = Rule::new("!(has(self.selector) || has(self.service)) || has(self.port)")
        .message(messages::PORT_REQUIRED).reason(Reason::FieldValueRequired).field_path(".port"),
    validation = Rule::new("!has(self.routes) || has(self.selector) || has(self.service) || self.routes.all(r, !has(r.backends) || r.backends.all(b, has(b.service)))")
        .message(messages::BACKEND_SERVICE_REQUIRED).reason(Reason::FieldValueRequired).field_path(".routes"),
    validation = Rule::new("has(self.hostnames) || has(self.allowedParents)")
        .message(messages::HOSTNAMES_REQUIRED).reason(Reason::FieldValueRequired).field_path(".hostnames"),
    validation = Rule::new("!has(self.allowedParents) || !(has(self.hostnames) || has(self.tls) || has(self.className))")
        .message(messages::PARENTS_WITH_ROOT).reason(Reason::FieldValueForbidden).field_path(".allowedParents"),
    validation = Rule::new("!(has(self.expiresAfter) && has(self.expiresAt))")
        .message(messages::EXPIRES_TWICE).reason(Reason::FieldValueForbidden).field_path(".expiresAt"),
    validation = Rule::new("!has(self.onExpiry) || has(self.expiresAfter) || has(self.expiresAt)")
        .message(messages::ON_EXPIRY).reason(Reason::FieldValueForbidden).field_path(".onExpiry"),
    validation = Rule::new("!has(self.selector) || !has(self.port) || type(self.port) == int || self.port.size() <= 15")
        .message(messages::CONTAINER_PORT).reason(Reason::FieldValueInvalid).field_path(".port"),
)]
#[serde(rename_all = "camelCase")]
pub struct ExposedPortSpec {
    /// The port that the application listens on: a number, or the name of a container port.
    /// With `service` it is a port of that Service. Absent only when every route has an action of
    /// its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::port")]
    pub port: Option<IntOrString>,

    /// The labels of the pods, such as `app: shop`; Portolan makes the Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::selector")]
    pub selector: Option<BTreeMap<String, String>>,

    /// The name of a Service of this namespace, instead of `selector`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub service: Option<String>,

    /// The names under which the port is reached: `shop.example.com`; `shop.*` takes the domain of
    /// the class; `*.shop.example.com` is a wildcard of exactly one label.
    /// Only an object with `allowedParents` has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::hostnames")]
    pub hostnames: Vec<String>,

    /// Who may delegate routes to this object. It is a child then: it has no hostnames, `tls` and
    /// `className` of its own, and its routes lie under the path that is delegated to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(min = 1, max = PARENTS_MAX),
        extend("x-kubernetes-list-type" = "atomic")
    )]
    pub allowed_parents: Vec<ParentRef>,

    /// How TLS is done. Absent: terminated when there is a secret or an issuer, here or in the class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,

    /// What holds for every route; a route replaces it field by field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,

    /// What is done with which request, such as
    /// `[{match: {path: {prefix: /blog}}, backends: [{service: blog, port: 80}]}]`. Absent: everything goes
    /// to the object's own port. Exact paths
    /// come first, then regular expressions (longer ones first), then prefixes (longer ones first);
    /// then a method, more headers, more query parameters; then the order in which they stand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = ROUTES_MAX),
        extend("x-kubernetes-list-type" = "atomic")
    )]
    pub routes: Vec<Route>,

    /// Annotations of the Ingress, for other programs that read it. Those that the class does not allow
    /// (`spec.annotations.allow`) are left out, and the condition Accepted says so. At most 32 KiB together.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::annotations")]
    pub annotations: BTreeMap<String, String>,

    /// Labels of every object that is made for this one, beside Portolan's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::labels")]
    pub child_labels: BTreeMap<String, String>,

    /// How long after its creation the object ends, such as `2h`: then it frees its hostnames and takes
    /// no requests. Absent: never, or at `expiresAt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::lifetime")]
    pub expires_after: Option<String>,

    /// When the object ends (RFC 3339, such as `2030-01-01T00:00:00Z`), instead of `expiresAfter`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,

    /// What becomes of the object then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_expiry: Option<OnExpiry>,

    /// For objects that programs make and keep: the object lives while a Lease of its namespace (coordination.k8s.io/v1)
    /// with the label `portolan.dev/exposed-port: <its name>` is renewed. Absent: it needs none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,

    /// The ExposeClass; absent takes the default one. `status.className` keeps what was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub class_name: Option<String>,
}

/// That an object lives only while somebody renews a Lease.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Lease {
    /// For how long a renewal holds, `5s` to `24h`. When the last one is over, the hostnames are free and
    /// nothing is served; renewed again, the object asks for them anew, and an hour later it is deleted.
    #[schemars(schema_with = "schema::lease")]
    pub duration: String,
}

/// What becomes of an object whose time is over: `Keep` leaves it there, so that its status can be read
/// and its time prolonged; `Delete` deletes it. Absent means `Keep`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnExpiry {
    /// It stays.
    #[default]
    Keep,
    /// It is deleted.
    Delete,
}
