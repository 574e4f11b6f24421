//! Policy of requests: of a class for all of its objects, of an object for all of its routes, and of a route.

use crate::{messages, schema};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Policy of requests. Fields that are omitted in a route are taken from `spec.policy`, then from
/// `spec.defaults` of the class, then from the defaults.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    /// Serves plain HTTP too, where the object redirects to HTTPS. Defaults to false. The value of a class has
    /// no effect on objects that require client certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permit_insecure: Option<bool>,
    /// Timeouts: durations such as `150ms`, `15s` or `1h30m`; `0s` or `infinity` is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<Timeouts>,
    /// Retries, such as `{count: 3, perTryTimeout: 5s}`. If omitted, a request is retried up to three times
    /// while none of it was sent, and once when a reused connection was closed under a request that may be
    /// repeated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<Retries>,
    /// Allows WebSocket upgrades (RFC 6455). Defaults to true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub websockets: Option<bool>,
    /// Edits to the headers of requests and responses: fields are removed first, then set, then added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<Headers>,
    /// Cross-origin requests that browsers may send. If omitted, the application handles CORS itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cors: Option<Cors>,
}

/// Timeouts of requests and connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Timeouts {
    /// Time for an endpoint to accept a connection. Defaults to 5s.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub connect: Option<String>,
    /// Time to the first byte of the response after the request was sent. Defaults to 15s.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub response: Option<String>,
    /// Time for the whole request, including retries. Defaults to 60s.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub request: Option<String>,
    /// Time without any data on a connection. Defaults to 60s, and to 1h for a WebSocket.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub idle: Option<String>,
}

/// Retries of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Retries {
    /// Number of retries after the first attempt, 0 to 10. Defaults to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10))]
    pub count: Option<i32>,
    /// Time for each attempt, such as `150ms`. Defaults to the timeout of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub per_try_timeout: Option<String>,
    /// Failures that are retried, for any method. If omitted, all of them are retried for idempotent methods
    /// only (RFC 9110 9.2.2).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3), extend("x-kubernetes-list-type" = "set"))]
    pub retry_on: Vec<RetryOn>,
}

/// Failure that is retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RetryOn {
    /// A response with a status of 500 to 599.
    #[serde(rename = "5xx")]
    ServerError,
    /// No connection could be made.
    #[serde(rename = "connect-failure")]
    ConnectFailure,
    /// The connection broke before a byte of the response came.
    #[serde(rename = "reset")]
    Reset,
}

/// Edits to the headers of requests and responses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Headers {
    /// Edits to requests on the way to the application.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<HeaderEdits>,
    /// Edits to responses on the way to the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<HeaderEdits>,
}

/// Edits to headers: fields are removed first, then set, then added.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HeaderEdits {
    /// Fields to set by name, such as `x-team: a`; each replaces all fields of that name. `host` in a request
    /// changes the host that the application sees.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::fields")]
    pub set: BTreeMap<String, String>,
    /// Fields to add by name; existing fields of that name are kept.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::fields")]
    pub add: BTreeMap<String, String>,
    /// Names of fields to remove, such as `x-debug`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::field_names")]
    pub remove: Vec<String>,
}

/// Cross-origin resource sharing (Fetch standard): the origins that browsers may send requests from.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("!has(self.allowCredentials) || !self.allowCredentials || !self.allowOrigins.exists(o, o == '*')")
        .message(messages::CREDENTIALS_FOR_ALL).reason(Reason::FieldValueForbidden).field_path(".allowCredentials"),
)]
#[serde(rename_all = "camelCase")]
pub struct Cors {
    /// Allowed origins, 1 to 32, such as `https://app.example.com`. `https://*.example.com` matches names with
    /// one more label; `*` matches every origin.
    #[schemars(schema_with = "schema::origins")]
    pub allow_origins: Vec<String>,
    /// Allowed methods. If omitted, the method that the browser requests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::methods")]
    pub allow_methods: Vec<String>,
    /// Allowed request headers. If omitted, the headers that the browser requests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::field_names")]
    pub allow_headers: Vec<String>,
    /// Response headers that scripts may read, in addition to the safelisted ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::field_names")]
    pub expose_headers: Vec<String>,
    /// Allows cookies and other credentials. Defaults to false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_credentials: Option<bool>,
    /// Time for which browsers may cache the result of a preflight request, such as `10m`. If omitted, browsers
    /// decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub max_age: Option<String>,
}
