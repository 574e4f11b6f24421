//! How requests are treated on their way: what a class says for all of its objects, an object for all of
//! its routes, and a route for itself.

use crate::{messages, schema};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How requests are treated. What is absent in a route is taken from `spec.policy`, what is absent there
/// from `spec.defaults` of the class, and what is absent there too has the default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    /// Served on plain HTTP too, where the object redirects to HTTPS; absent means false. What a class says
    /// counts only where clients need no certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permit_insecure: Option<bool>,
    /// How long things may take: durations such as `150ms`, `15s` or `1h30m`; `0s` or `infinity` is no
    /// limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<Timeouts>,
    /// More than one attempt, such as `{count: 3, perTryTimeout: 5s}`. Absent: up to three more while
    /// nothing of the request was sent, and one when a kept connection was closed under a request that may be
    /// repeated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<Retries>,
    /// Whether a WebSocket may be opened (RFC 6455); absent means true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub websockets: Option<bool>,
    /// Changes to the headers of requests and responses: removals first, then what is set, then what is
    /// added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<Headers>,
    /// Which other origins a browser may call from. Absent: the application answers for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cors: Option<Cors>,
}

/// How long things may take.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Timeouts {
    /// For an endpoint to take a connection; absent means 5s.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub connect: Option<String>,
    /// For the first byte of the response once the request was sent; absent means 15s.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub response: Option<String>,
    /// For the whole request, its retries included; absent means 60s.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub request: Option<String>,
    /// For a connection on which nothing moves; absent means 60s, and 1h for a WebSocket.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub idle: Option<String>,
}

/// More than one attempt at a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Retries {
    /// How many attempts after the first, 0 to 10; absent means 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10))]
    pub count: Option<i32>,
    /// How long each attempt may take, such as `150ms`; absent: as long as the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub per_try_timeout: Option<String>,
    /// What is worth another attempt, whatever the method; absent: each of them, for idempotent
    /// methods only (RFC 9110 9.2.2).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3), extend("x-kubernetes-list-type" = "set"))]
    pub retry_on: Vec<RetryOn>,
}

/// What is worth another attempt.
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

/// Changes to the headers of requests and responses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Headers {
    /// What changes in requests, on the way to the application.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<HeaderEdits>,
    /// What changes in responses, on the way to the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<HeaderEdits>,
}

/// Changes to a header: removals first, then what is set, then what is added.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HeaderEdits {
    /// Fields by name, such as `x-team: a`, each in the place of every field of that name. `host` in a
    /// request changes what the application is asked for.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::fields")]
    pub set: BTreeMap<String, String>,
    /// Fields by name, each beside whatever fields of that name are there.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::fields")]
    pub add: BTreeMap<String, String>,
    /// Names of fields, such as `x-debug`; every field of that name is taken away.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::field_names")]
    pub remove: Vec<String>,
}

/// Cross-origin resource sharing: which other origins a browser may call from (Fetch standard).
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("!has(self.allowCredentials) || !self.allowCredentials || !self.allowOrigins.exists(o, o == '*')")
        .message(messages::CREDENTIALS_FOR_ALL).reason(Reason::FieldValueForbidden).field_path(".allowCredentials"),
)]
#[serde(rename_all = "camelCase")]
pub struct Cors {
    /// The origins as a browser writes them, such as `https://app.example.com`; `https://*.example.com`
    /// takes names of one label more; `*` takes every origin.
    #[schemars(schema_with = "schema::origins")]
    pub allow_origins: Vec<String>,
    /// The methods that may be used; absent: what the browser asks for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::methods")]
    pub allow_methods: Vec<String>,
    /// The fields that may be sent; absent: what the browser asks for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::field_names")]
    pub allow_headers: Vec<String>,
    /// The fields of the response that scripts may read, beyond the safelisted ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::field_names")]
    pub expose_headers: Vec<String>,
    /// Whether cookies and other credentials may be sent; absent means false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_credentials: Option<bool>,
    /// For how long a browser remembers the answer to its question, such as `10m`; absent leaves that to
    /// the browser.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub max_age: Option<String>,
}
