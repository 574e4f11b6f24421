//! `ExposedPort`: the port that an app team exposes, and its hostnames.

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
        description = "Expiry of the certificate that expires first.",
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
        description = "Expiry of the object.",
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
    /// Port that the application listens on: a number, or the name of a container port. With `service` it is a
    /// port of that Service. May be omitted only when every route has an action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::port")]
    pub port: Option<IntOrString>,

    /// Labels of the pods, such as `app: shop`. Portolan creates the Service. May not be set together with
    /// `service`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::selector")]
    pub selector: Option<BTreeMap<String, String>>,

    /// Name of an existing Service of this namespace. May not be set together with `selector`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub service: Option<String>,

    /// Hostnames of the port, 1 to 64, such as `shop.example.com`. `shop.*` takes the domain of the class;
    /// `*.shop.example.com` is a wildcard for exactly one label. Required unless `allowedParents` is set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::hostnames")]
    pub hostnames: Vec<String>,

    /// ExposedPorts that may delegate routes to this object. If set, the object is a child: it may not have
    /// `hostnames`, `tls` or `className`, and its routes are below the path that is delegated to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(min = 1, max = PARENTS_MAX),
        extend("x-kubernetes-list-type" = "atomic")
    )]
    pub allowed_parents: Vec<ParentRef>,

    /// TLS settings. If omitted, TLS is terminated when a certificate source is configured on the object or its
    /// class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,

    /// Policy of every route. A route overrides it field by field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,

    /// Routes, such as `[{match: {path: {prefix: /blog}}, backends: [{service: blog, port: 80}]}]`. If omitted,
    /// all requests go to the object's own port. Exact paths take precedence, then regular expressions (longer
    /// ones first), then prefixes (longer ones first); then a method, more headers, more query parameters; then
    /// the order in the list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = ROUTES_MAX),
        extend("x-kubernetes-list-type" = "atomic")
    )]
    pub routes: Vec<Route>,

    /// Annotations of the Ingress, for other programs that read it. Annotations that the class does not allow
    /// (`spec.annotations.allow`) are omitted, and the condition Accepted reports them. At most 32 KiB in
    /// total.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::annotations")]
    pub annotations: BTreeMap<String, String>,

    /// Labels of every object that is created for this one, in addition to Portolan's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::labels")]
    pub child_labels: BTreeMap<String, String>,

    /// Time after creation at which the object expires, such as `2h`: it releases its hostnames and receives no
    /// more requests. If omitted, it never expires, or at `expiresAt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::lifetime")]
    pub expires_after: Option<String>,

    /// Time at which the object expires (RFC 3339, such as `2030-01-01T00:00:00Z`). May not be set together
    /// with `expiresAfter`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,

    /// Action when the object expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_expiry: Option<OnExpiry>,

    /// Requires a Lease, for objects that programs create: the object is served only while a Lease of its
    /// namespace (coordination.k8s.io/v1) with the label `portolan.dev/exposed-port: <its name>` is renewed. If
    /// omitted, no Lease is required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,

    /// Name of the ExposeClass. Defaults to the default class, which `status.className` records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub class_name: Option<String>,
}

/// Requires a Lease that is renewed while the object is in use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Lease {
    /// Duration of a renewal, `5s` to `24h`. When it elapses, the hostnames are released and no requests are
    /// served. A later renewal claims them again; without one the object is deleted after an hour.
    #[schemars(schema_with = "schema::lease")]
    pub duration: String,
}

/// Action when the object expires: `Keep` keeps it, so that its status can be read and its expiry extended;
/// `Delete` deletes it. Defaults to `Keep`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnExpiry {
    /// Keeps the object.
    #[default]
    Keep,
    /// Deletes the object.
    Delete,
}
