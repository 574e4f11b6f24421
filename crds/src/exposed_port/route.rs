//! Which requests, and what is done with them.

use super::{Policy, SecretRef};
use crate::{BACKENDS_MAX, MATCHES_MAX, messages, schema};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which requests, and what is done with them: `backends`, `redirect`, `respond` or `delegate`; without
/// any they go to the object's own port.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("[has(self.backends), has(self.redirect), has(self.respond), has(self.delegate)].filter(set, set).size() <= 1")
        .message(messages::ONE_ACTION).reason(Reason::FieldValueForbidden),
    validation = Rule::new("!has(self.delegate) || !has(self.match) || !has(self.match.path) || has(self.match.path.prefix)")
        .message(messages::DELEGATED_PATH).reason(Reason::FieldValueInvalid).field_path(".match.path"),
    validation = Rule::new("!has(self.delegate) || !(has(self.permitInsecure) || has(self.timeouts) || has(self.retries) || has(self.websockets) || has(self.headers) || has(self.cors))")
        .message(messages::DELEGATED_POLICY).reason(Reason::FieldValueForbidden).field_path(".delegate"),
    validation = Rule::new("!has(self.prefixRewrite) || !(has(self.redirect) || has(self.respond) || has(self.delegate))")
        .message(messages::REWRITE_WITHOUT_BACKEND).reason(Reason::FieldValueForbidden).field_path(".prefixRewrite"),
)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// Which requests are taken; absent takes all.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub matches: Option<RouteMatch>,
    /// The Services that the requests go to, such as `[{service: blog, port: 80}]`, by weight: no weight
    /// anywhere means even shares; with some weights, those without one get 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(min = 1, max = BACKENDS_MAX),
        extend("x-kubernetes-list-type" = "atomic")
    )]
    pub backends: Vec<BackendRef>,
    /// Sends the client elsewhere, such as `{path: /new}`; what is absent stays as the client has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect: Option<Redirect>,
    /// Answers without asking anybody, such as `{status: 503, body: "back at nine"}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub respond: Option<Respond>,
    /// Leaves the requests to another ExposedPort, which must allow it (`allowedParents`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegate: Option<DelegateRef>,
    /// Stands in place of the matched prefix (or the matched exact path) on the way to the
    /// application; the original path goes to `x-envoy-original-path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::path")]
    pub prefix_rewrite: Option<String>,
    /// How requests are treated.
    #[serde(flatten)]
    pub policy: Policy,
}

/// The ExposedPort that routes are left to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DelegateRef {
    /// The name of the ExposedPort.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The namespace of the ExposedPort; absent means that of the object with the route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

/// An ExposedPort that may delegate to this one, or all of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ParentRef {
    /// The namespace of the parent.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// The name of the parent; absent means any object of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub name: Option<String>,
}

/// Which requests a route takes: those that every part of it takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteMatch {
    /// The path, without the query; absent takes all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathMatch>,
    /// The method, such as `GET`; absent takes all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::method")]
    pub method: Option<String>,
    /// Header fields of the request, all of which must match, such as `[{name: x-beta, exact: "1"}]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = MATCHES_MAX),
        extend("x-kubernetes-list-type" = "atomic")
    )]
    pub headers: Vec<FieldMatch>,
    /// Query parameters, all of which must match, after decoding, such as `[{name: v, exact: "2"}]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = MATCHES_MAX),
        extend("x-kubernetes-list-type" = "atomic")
    )]
    pub query: Vec<FieldMatch>,
}

/// How a path is matched: by exactly one of these.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("[has(self.exact), has(self.prefix), has(self.regex)].filter(set, set).size() == 1")
        .message(messages::ONE_PATH_MATCH).reason(Reason::FieldValueInvalid),
)]
pub struct PathMatch {
    /// This path and no other, such as `/old`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::path")]
    pub exact: Option<String>,
    /// By whole segments: `/blog` takes `/blog` and `/blog/x`, never `/blogger`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::path")]
    pub prefix: Option<String>,
    /// The whole path matches this regular expression, such as `/users/[0-9]+` (syntax of Rust's regex
    /// crate, close to RE2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub regex: Option<String>,
}

/// A header field or query parameter that must be there, with its value told by exactly one of
/// `exact`, `regex` and `present`.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("[has(self.exact), has(self.regex), has(self.present)].filter(set, set).size() == 1")
        .message(messages::ONE_FIELD_MATCH).reason(Reason::FieldValueInvalid),
)]
pub struct FieldMatch {
    /// The name of the header field, in any case, or of the query parameter.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// This value and no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub exact: Option<String>,
    /// The whole value matches this regular expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub regex: Option<String>,
    /// Any value will do; always true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::always_true")]
    pub present: Option<bool>,
}

/// A port of a Service, and its share of the requests.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("!has(self.namespace) || has(self.service)")
        .message(messages::BACKEND_NAMESPACE).reason(Reason::FieldValueForbidden).field_path(".namespace"),
)]
#[serde(rename_all = "camelCase")]
pub struct BackendRef {
    /// The name of a Service; absent is the object's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub service: Option<String>,
    /// The namespace of the Service; absent is that of the object. In another one a ReferenceGrant of the
    /// Gateway API must let ExposedPorts of this namespace refer to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// A port of the Service, by number or name, such as `80` or `http`.
    #[schemars(schema_with = "schema::port")]
    pub port: IntOrString,
    /// Its share, 0 to 1000000, relative to the route's other backends; 0 gets nothing. Absent: an even
    /// share when no backend of the route has a weight, else 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::weight")]
    pub weight: Option<i32>,
    /// TLS to the endpoints. Absent: as the Service says by `appProtocol` or by Contour's annotations, else in the clear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<BackendTls>,
}

/// TLS to endpoints. Without `ca` it is encrypted, but nobody checks to whom.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("has(self.ca) == has(self.subjectName)")
        .message(messages::BACKEND_TLS).reason(Reason::FieldValueInvalid),
)]
#[serde(rename_all = "camelCase")]
pub struct BackendTls {
    /// Who may have issued the endpoint's certificate; absent: it is not checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<BackendCa>,
    /// The DNS name that the endpoint's certificate must have, such as `blog.internal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub subject_name: Option<String>,
}

/// Who may have issued the certificate of an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackendCa {
    /// A Secret with the certificates of the authorities in `ca.crt`.
    pub secret: SecretRef,
}

/// Sends a client elsewhere; what is absent stays as the client has it.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("has(self.scheme) || has(self.hostname) || has(self.port) || has(self.path) || has(self.prefixRewrite)")
        .message(messages::REDIRECT_REQUIRED).reason(Reason::FieldValueRequired),
    validation = Rule::new("!(has(self.path) && has(self.prefixRewrite))")
        .message(messages::REWRITE_WITH_PATH).reason(Reason::FieldValueForbidden).field_path(".prefixRewrite"),
)]
#[serde(rename_all = "camelCase")]
pub struct Redirect {
    /// What the new URL begins with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<Scheme>,
    /// The DNS name in the new URL, such as `www.example.com`; absent means that of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub hostname: Option<String>,
    /// The port in the new URL. Absent: none is written when scheme or hostname change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
    /// Replaces the whole path; the query is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::path")]
    pub path: Option<String>,
    /// Replaces the matched prefix by whole segments; the query is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::path")]
    pub prefix_rewrite: Option<String>,
    /// The status of the answer: 301, 302, 303, 307 or 308; absent means 302.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::redirect_status")]
    pub status: Option<i32>,
}

/// What the new URL begins with: `http` or `https`; absent means that of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
}

/// An answer of the proxy itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Respond {
    /// The status of the answer, 200 to 599.
    #[schemars(range(min = 200, max = 599))]
    pub status: i32,
    /// What the answer says, in at most 4096 characters; absent means nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub body: Option<String>,
    /// What the body is; absent means `text/plain; charset=utf-8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::field_value")]
    pub content_type: Option<String>,
}
