//! Routes: matches, actions and backends.

use super::{Policy, SecretRef};
use crate::{BACKENDS_MAX, MATCHES_MAX, messages, schema};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Route: the requests that it matches, and one action: `backends`, `redirect`, `respond` or `delegate`.
/// Without an action, requests go to the object's own port.
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
    /// Requests that the route matches. If omitted, it matches all.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub matches: Option<RouteMatch>,
    /// Services that requests are forwarded to, such as `[{service: blog, port: 80}]`, by weight. Without any
    /// weight the shares are equal; if some have a weight, the others get no requests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(min = 1, max = BACKENDS_MAX),
        extend("x-kubernetes-list-type" = "atomic")
    )]
    pub backends: Vec<BackendRef>,
    /// Redirects the client, such as `{path: /new}`. Omitted parts of the URL are kept from the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect: Option<Redirect>,
    /// Returns a response from the proxy, such as `{status: 503, body: "back at nine"}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub respond: Option<Respond>,
    /// Delegates the requests to another ExposedPort, which must allow it (`allowedParents`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegate: Option<DelegateRef>,
    /// Replaces the matched prefix (or the matched exact path) on the way to the application. The original path
    /// is sent in `x-envoy-original-path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::path")]
    pub prefix_rewrite: Option<String>,
    /// Policy of the route.
    #[serde(flatten)]
    pub policy: Policy,
}

/// ExposedPort that requests are delegated to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DelegateRef {
    /// Name of the ExposedPort.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Namespace of the ExposedPort. Defaults to the namespace of the object with the route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

/// ExposedPort that may delegate to this one, or all ExposedPorts of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ParentRef {
    /// Namespace of the parent.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// Name of the parent. If omitted, any ExposedPort of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub name: Option<String>,
}

/// Requests that a route matches: every part of the match must match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteMatch {
    /// Path without the query. If omitted, any path matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathMatch>,
    /// Method, such as `GET`. If omitted, any method matches.
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

/// Match of a path, with exactly one of `exact`, `prefix` and `regex`.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("[has(self.exact), has(self.prefix), has(self.regex)].filter(set, set).size() == 1")
        .message(messages::ONE_PATH_MATCH).reason(Reason::FieldValueInvalid),
)]
pub struct PathMatch {
    /// Matches only this path, such as `/old`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::path")]
    pub exact: Option<String>,
    /// Matches whole segments: `/blog` matches `/blog` and `/blog/x`, but not `/blogger`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::path")]
    pub prefix: Option<String>,
    /// Matches the whole path by a regular expression, such as `/users/[0-9]+` (syntax of Rust's regex crate,
    /// close to RE2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub regex: Option<String>,
}

/// Match of a header field or query parameter, with exactly one of `exact`, `regex` and `present`.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("[has(self.exact), has(self.regex), has(self.present)].filter(set, set).size() == 1")
        .message(messages::ONE_FIELD_MATCH).reason(Reason::FieldValueInvalid),
)]
pub struct FieldMatch {
    /// Name of the header field (in any case) or of the query parameter.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// Matches only this value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub exact: Option<String>,
    /// Matches the whole value by a regular expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub regex: Option<String>,
    /// Matches any value. May only be true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::always_true")]
    pub present: Option<bool>,
}

/// Port of a Service, and its share of the requests.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("!has(self.namespace) || has(self.service)")
        .message(messages::BACKEND_NAMESPACE).reason(Reason::FieldValueForbidden).field_path(".namespace"),
)]
#[serde(rename_all = "camelCase")]
pub struct BackendRef {
    /// Name of a Service. Defaults to the object's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub service: Option<String>,
    /// Namespace of the Service. Defaults to the namespace of the object. In another one, a ReferenceGrant of
    /// the Gateway API must allow ExposedPorts of this namespace to refer to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// Port of the Service, by number or name, such as `80` or `http`.
    #[schemars(schema_with = "schema::port")]
    pub port: IntOrString,
    /// Share of the requests, 0 to 1000000, relative to the other backends of the route; 0 gets none. If
    /// omitted, an equal share when no backend of the route has a weight, else 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::weight")]
    pub weight: Option<i32>,
    /// TLS to the endpoints. If omitted, as the `appProtocol` of the Service or Contour's annotations request,
    /// else unencrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<BackendTls>,
}

/// TLS to endpoints. Without `ca` the traffic is encrypted, but the certificate is not verified.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("has(self.ca) == has(self.subjectName)")
        .message(messages::BACKEND_TLS).reason(Reason::FieldValueInvalid),
)]
#[serde(rename_all = "camelCase")]
pub struct BackendTls {
    /// Authorities that may have issued the endpoint's certificate. If omitted, it is not verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<BackendCa>,
    /// DNS name that the endpoint's certificate must have, such as `blog.internal`. Required with `ca`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub subject_name: Option<String>,
}

/// Authorities that may have issued the certificate of an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackendCa {
    /// Secret with the certificates of the authorities in `ca.crt`.
    pub secret: SecretRef,
}

/// Redirect of a client. Omitted parts of the URL are kept from the request.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("has(self.scheme) || has(self.hostname) || has(self.port) || has(self.path) || has(self.prefixRewrite)")
        .message(messages::REDIRECT_REQUIRED).reason(Reason::FieldValueRequired),
    validation = Rule::new("!(has(self.path) && has(self.prefixRewrite))")
        .message(messages::REWRITE_WITH_PATH).reason(Reason::FieldValueForbidden).field_path(".prefixRewrite"),
)]
#[serde(rename_all = "camelCase")]
pub struct Redirect {
    /// Scheme of the new URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<Scheme>,
    /// Hostname of the new URL, such as `www.example.com`. Defaults to that of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub hostname: Option<String>,
    /// Port of the new URL, 1 to 65535. If omitted, that of the request, or none when scheme or hostname
    /// change.
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
    /// Status of the response: 301, 302, 303, 307 or 308. Defaults to 302.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::redirect_status")]
    pub status: Option<i32>,
}

/// Scheme of the new URL: `http` or `https`. Defaults to that of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// Plaintext.
    Http,
    /// Over TLS.
    Https,
}

/// Response of the proxy itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Respond {
    /// Status of the response, 200 to 599.
    #[schemars(range(min = 200, max = 599))]
    pub status: i32,
    /// Body of the response, at most 4096 characters. Defaults to empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub body: Option<String>,
    /// Content type of the body. Defaults to `text/plain; charset=utf-8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::field_value")]
    pub content_type: Option<String>,
}
