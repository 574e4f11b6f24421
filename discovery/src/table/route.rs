//! Routes of a virtual host: matches, actions and policies.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One route of a virtual host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Requests that the route applies to.
    pub matches: RouteMatch,
    /// Action on a matched request.
    pub action: Action,
    /// Serves plain HTTP too, where the host redirects to HTTPS.
    pub permit_insecure: bool,
    /// Change of the path before the request is forwarded.
    pub rewrite: Option<PathRewrite>,
    /// Timeouts of the route.
    pub timeouts: Timeouts,
    /// If absent, one more attempt is made when nothing was sent, and no other.
    pub retries: Option<Retries>,
    /// Allows WebSocket upgrades (RFC 6455).
    pub websockets: bool,
    /// Changes to the header fields of the request.
    pub request_headers: HeaderEdits,
    /// Changes to the header fields of the response.
    pub response_headers: HeaderEdits,
    /// Origins that browsers may send cross-origin requests from.
    pub cors: Option<Cors>,
}

impl Route {
    /// Returns a route with every default: WebSockets allowed, nothing rewritten, no retries.
    pub fn new(matches: RouteMatch, action: Action) -> Self {
        Self {
            matches,
            action,
            permit_insecure: false,
            rewrite: None,
            timeouts: Timeouts::default(),
            retries: None,
            websockets: true,
            request_headers: HeaderEdits::default(),
            response_headers: HeaderEdits::default(),
            cors: None,
        }
    }
}

/// Conditions on a request, all of which must match.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RouteMatch {
    /// The path, normalised.
    pub path: PathMatch,
    /// The method, exactly; if absent, every method matches.
    pub method: Option<String>,
    /// Header fields, all of which must match.
    pub headers: Vec<FieldMatch>,
    /// Query parameters, all of which must match.
    pub query: Vec<FieldMatch>,
}

impl From<PathMatch> for RouteMatch {
    /// Matches every request with such a path.
    fn from(path: PathMatch) -> Self {
        Self {
            path,
            method: None,
            headers: Vec::new(),
            query: Vec::new(),
        }
    }
}

/// Condition on the path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PathMatch {
    /// Exactly this path.
    Exact(String),
    /// By whole segments: `/blog` matches `/blog` and `/blog/x`, never `/blogger`. `/` matches every path.
    Prefix(String),
    /// The whole path matches this regular expression (syntax of the `regex` crate).
    Regex(String),
}

/// Condition on a header field or query parameter, which must be present.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FieldMatch {
    /// For a header field, in lower case; for a query parameter, after decoding.
    pub name: String,
    /// Condition on its value.
    pub value: ValueMatch,
}

/// Condition on a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ValueMatch {
    /// Equal, byte by byte.
    Exact(String),
    /// The whole value matches this regular expression (syntax of the `regex` crate).
    Regex(String),
    /// Any value.
    Present,
}

/// Action on a matched request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Forwards it to a ready endpoint; 503 `NoReadyEndpoints` when there is none.
    Forward {
        /// Chosen by weight.
        backends: Vec<Backend>,
    },
    /// Redirects the client.
    Redirect(Redirect),
    /// Sends a configured response.
    Respond(Respond),
    /// Responds with 503 and this value in `x-portolan-reason`, because the route cannot be resolved.
    Unavailable {
        /// A documented reason, such as `ServiceNotFound`.
        reason: String,
    },
}

/// Destination of a share of the requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backend {
    /// The name of the [`super::EndpointSet`].
    pub endpoints: String,
    /// Relative to the route's other backends; 0 gets nothing.
    pub weight: u32,
    /// Protocol of its endpoints.
    pub protocol: UpstreamProtocol,
    /// If absent, connections are not encrypted.
    pub tls: Option<BackendTls>,
}

/// Version of HTTP of an endpoint.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum UpstreamProtocol {
    /// HTTP/1.1 (RFC 9112).
    #[default]
    Http1,
    /// HTTP/2 (RFC 9113): by prior knowledge over plaintext (3.3), by ALPN over TLS (3.2).
    Http2,
}

/// TLS to an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BackendTls {
    /// DNS name sent in SNI (RFC 6066 3).
    pub server_name: String,
    /// The name of the [`super::TrustAnchors`] that the endpoint's certificate is verified against.
    /// If absent, connections are encrypted but the certificate is not verified.
    pub trust: Option<String>,
    /// Name that the endpoint's certificate must have. Defaults to `server_name`.
    pub subject_name: Option<String>,
}

/// Redirect. Absent parts stay as in the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redirect {
    /// `http` or `https`.
    pub scheme: Option<String>,
    /// A DNS name.
    pub hostname: Option<String>,
    /// If absent, no port is written when the scheme or the hostname changes, else that of the request.
    pub port: Option<u16>,
    /// Change of the path; the query is kept.
    pub path: Option<PathRewrite>,
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
}

/// Configured response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Respond {
    /// 200 to 599.
    pub status: u16,
    /// Body of the response.
    pub body: String,
    /// Content type of the body.
    pub content_type: String,
}

/// Change of a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PathRewrite {
    /// The matched prefix is replaced by this one, by whole segments.
    Prefix(String),
    /// The whole path is replaced.
    Full(String),
}

/// Timeouts of a route. If absent, the default of the proxy applies; zero is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeouts {
    /// For connecting to an endpoint.
    pub connect: Option<Duration>,
    /// For the first byte of the response, once the request was sent.
    pub response: Option<Duration>,
    /// For the whole request, with its retries.
    pub request: Option<Duration>,
    /// For a connection without traffic, including WebSockets.
    pub idle: Option<Duration>,
}

/// Retry policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retries {
    /// Number of retries after the first attempt.
    pub count: u32,
    /// Time limit of each attempt; if absent, attempts have no limit of their own.
    pub per_try_timeout: Option<Duration>,
    /// Conditions for a retry, sorted; empty means every one of them, for idempotent
    /// methods only (RFC 9110 9.2.2).
    pub retry_on: Vec<RetryOn>,
}

/// Condition for a retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RetryOn {
    /// The connection failed.
    ConnectFailure,
    /// The connection was reset before the first byte of the response.
    Reset,
    /// A response with a status of 500 to 599.
    ServerError,
}

/// Changes to header fields: first `remove`, then `set`, then `add`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderEdits {
    /// Replaces every field of that name. `host` in a request changes what the endpoint gets.
    pub set: Vec<(FieldName, String)>,
    /// Adds a field beside those of that name.
    pub add: Vec<(FieldName, String)>,
    /// Removes every field of that name.
    pub remove: Vec<FieldName>,
}

/// The name of a header field, in lower case.
pub type FieldName = String;

/// Cross-origin resource sharing (Fetch standard, section "HTTP CORS protocol").
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cors {
    /// Allowed origins.
    pub allow_origins: AllowedOrigins,
    /// Methods beyond GET, HEAD and POST; empty allows what the browser requests.
    pub allow_methods: Vec<String>,
    /// Fields beyond the safelisted ones, in lower case; empty allows what the browser requests.
    pub allow_headers: Vec<FieldName>,
    /// Fields of the response that scripts may read.
    pub expose_headers: Vec<FieldName>,
    /// Allows cookies and other credentials.
    pub allow_credentials: bool,
    /// Time for which a browser caches the response to a preflight.
    pub max_age: Option<Duration>,
}

/// Allowed origins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AllowedOrigins {
    /// Every origin.
    Any,
    /// These, as a browser writes them: `https://app.example.com`; `https://*.example.com` matches
    /// names of exactly one more label.
    These(Vec<String>),
}
