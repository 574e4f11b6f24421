//! A row of a virtual host: which requests it takes, and what is done with them.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One row of a virtual host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Which requests it takes.
    pub matches: RouteMatch,
    /// What is done with the request.
    pub action: Action,
    /// Served on plain HTTP too, where the host redirects to HTTPS.
    pub permit_insecure: bool,
    /// How the path changes on its way to the endpoint.
    pub rewrite: Option<PathRewrite>,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// Absent: one more attempt when nothing was sent, and no other.
    pub retries: Option<Retries>,
    /// A WebSocket may be opened (RFC 6455).
    pub websockets: bool,
    /// Changes to the request's header.
    pub request_headers: HeaderEdits,
    /// Changes to the response's header.
    pub response_headers: HeaderEdits,
    /// Which other origins a browser may call from.
    pub cors: Option<Cors>,
}

impl Route {
    /// A route with every default: WebSockets allowed, nothing rewritten, no retries.
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

/// Which requests a route takes: those that every part of it takes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RouteMatch {
    /// The path, normalised.
    pub path: PathMatch,
    /// The method, exactly; absent takes all.
    pub method: Option<String>,
    /// Header fields, all of which must match.
    pub headers: Vec<FieldMatch>,
    /// Query parameters, all of which must match.
    pub query: Vec<FieldMatch>,
}

impl From<PathMatch> for RouteMatch {
    /// Takes every request with such a path.
    fn from(path: PathMatch) -> Self {
        Self {
            path,
            method: None,
            headers: Vec::new(),
            query: Vec::new(),
        }
    }
}

/// How a path is matched.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PathMatch {
    /// This path and no other.
    Exact(String),
    /// By whole segments: `/blog` takes `/blog` and `/blog/x`, never `/blogger`. `/` takes everything.
    Prefix(String),
    /// The whole path matches this regular expression (syntax of the `regex` crate).
    Regex(String),
}

/// A header field or query parameter that must be there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FieldMatch {
    /// Of a header field: in lower case. Of a query parameter: as it is after decoding.
    pub name: String,
    /// What its value must be.
    pub value: ValueMatch,
}

/// How a value is matched.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ValueMatch {
    /// Byte by byte.
    Exact(String),
    /// The whole value matches this regular expression (syntax of the `regex` crate).
    Regex(String),
    /// Any value will do.
    Present,
}

/// What is done with a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Sent on to a ready endpoint; 503 `NoReadyEndpoints` when there is none.
    Forward {
        /// Chosen by weight.
        backends: Vec<Backend>,
    },
    /// Sent elsewhere.
    Redirect(Redirect),
    /// Answered by the proxy.
    Respond(Respond),
    /// Answered 503 with this value in `x-portolan-reason`, because the route cannot be resolved.
    Unavailable {
        /// A documented reason, such as `ServiceNotFound`.
        reason: String,
    },
}

/// A share of a route's requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backend {
    /// The name of the [`super::EndpointSet`].
    pub endpoints: String,
    /// Relative to the route's other backends; 0 gets nothing.
    pub weight: u32,
    /// What is spoken there.
    pub protocol: UpstreamProtocol,
    /// Absent: in the clear.
    pub tls: Option<BackendTls>,
}

/// The version of HTTP that an endpoint speaks.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum UpstreamProtocol {
    /// HTTP/1.1 (RFC 9112).
    #[default]
    Http1,
    /// HTTP/2 (RFC 9113): by prior knowledge in the clear (3.3), by ALPN over TLS (3.2).
    Http2,
}

/// TLS to an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BackendTls {
    /// What is asked for (RFC 6066 3), a DNS name.
    pub server_name: String,
    /// The name of the [`super::TrustAnchors`] that the endpoint's certificate is checked against.
    /// Absent: encrypted, but nobody knows to whom.
    pub trust: Option<String>,
    /// The name that the endpoint's certificate must have; absent means `server_name`.
    pub subject_name: Option<String>,
}

/// Sends a client elsewhere. What is absent stays as the client has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redirect {
    /// `http` or `https`.
    pub scheme: Option<String>,
    /// A DNS name.
    pub hostname: Option<String>,
    /// Absent: none is written when the scheme or the hostname changes, else the client's.
    pub port: Option<u16>,
    /// How the path changes; the query is kept.
    pub path: Option<PathRewrite>,
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
}

/// An answer of the proxy itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Respond {
    /// 200 to 599.
    pub status: u16,
    /// What the answer says.
    pub body: String,
    /// Of the body.
    pub content_type: String,
}

/// How a path changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PathRewrite {
    /// The matched prefix is replaced by this one, by whole segments.
    Prefix(String),
    /// The whole path is replaced.
    Full(String),
}

/// How long things may take on a route. Absent: the default of the proxy; zero: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeouts {
    /// For an endpoint to take a connection.
    pub connect: Option<Duration>,
    /// For the first byte of the response, once the request was sent.
    pub response: Option<Duration>,
    /// For the whole request, with its retries.
    pub request: Option<Duration>,
    /// For a connection on which nothing moves, a WebSocket included.
    pub idle: Option<Duration>,
}

/// More than one attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retries {
    /// How many attempts after the first.
    pub count: u32,
    /// How long each may take; absent: no limit of its own.
    pub per_try_timeout: Option<Duration>,
    /// What is worth another attempt, sorted; empty means every one of them, for idempotent
    /// methods only (RFC 9110 9.2.2).
    pub retry_on: Vec<RetryOn>,
}

/// What is worth another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RetryOn {
    /// No connection could be made.
    ConnectFailure,
    /// The connection broke before a byte of the response came.
    Reset,
    /// A response with a status of 500 to 599.
    ServerError,
}

/// Changes to a header. Removals come first, then what is set, then what is added.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderEdits {
    /// Replaces every field of that name. `host` in a request changes what the endpoint gets.
    pub set: Vec<(FieldName, String)>,
    /// Stands beside the fields of that name.
    pub add: Vec<(FieldName, String)>,
    /// Every field of that name goes.
    pub remove: Vec<FieldName>,
}

/// The name of a header field, in lower case.
pub type FieldName = String;

/// Cross-origin resource sharing (Fetch standard, section "HTTP CORS protocol").
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cors {
    /// Who may call.
    pub allow_origins: AllowedOrigins,
    /// Methods beyond GET, HEAD and POST; empty allows what the browser asks for.
    pub allow_methods: Vec<String>,
    /// Fields beyond the safelisted ones, in lower case; empty allows what the browser asks for.
    pub allow_headers: Vec<FieldName>,
    /// Fields of the response that scripts may read.
    pub expose_headers: Vec<FieldName>,
    /// Cookies and other credentials may be sent.
    pub allow_credentials: bool,
    /// For how long a browser remembers the answer to a preflight.
    pub max_age: Option<Duration>,
}

/// Which origins may call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AllowedOrigins {
    /// All.
    Any,
    /// These, as a browser writes them: `https://app.example.com`; `https://*.example.com` takes
    /// names of exactly one label more.
    These(Vec<String>),
}
