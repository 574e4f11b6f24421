//! Renders a virtual host of the proxies' table in terms of the API.

use portolan_core::ClassName;
use portolan_discovery::table::{
    Action, AllowedOrigins, Backend, Cors, FieldMatch, HeaderEdits, HostTls, PathMatch,
    PathRewrite, Redirect, Retries, RetryOn, Route, RouteMatch, TlsVersion, UpstreamProtocol,
    ValueMatch, VirtualHost,
};
use portolan_proxy::limits::Limits;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// Renders a virtual host with every effective value.
pub(super) fn render(class: &ClassName, host: &VirtualHost) -> Value {
    object([
        ("hostname", json!(host.hostname)),
        ("className", json!(class.as_str())),
        (
            "tls",
            host.tls.as_ref().map_or(json!({"mode": "Disabled"}), tls),
        ),
        ("routes", host.routes.iter().map(route).collect()),
    ])
}

/// Builds an object without absent fields.
fn object<'a>(fields: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    let present = fields.into_iter().filter(|(_, value)| match value {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        _ => true,
    });
    let fields: Map<String, Value> = present
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    Value::Object(fields)
}

fn tls(tls: &HostTls) -> Value {
    let version = |version: TlsVersion| match version {
        TlsVersion::V1_2 => "1.2",
        TlsVersion::V1_3 => "1.3",
    };
    object([
        ("mode", json!("Terminate")),
        ("certificates", json!(tls.certificates)),
        ("minVersion", json!(version(tls.min_version))),
        ("maxVersion", json!(version(tls.max_version))),
        ("redirectHTTP", json!(tls.redirect)),
        (
            "clientCA",
            tls.client_ca.as_ref().map_or(Value::Null, |ca| {
                json!({"secret": ca.trust, "mode": format!("{:?}", ca.mode)})
            }),
        ),
        (
            "hsts",
            tls.hsts.map_or(Value::Null, |hsts| {
                json!({"maxAge": duration(hsts.max_age), "includeSubDomains": hsts.include_sub_domains})
            }),
        ),
    ])
}

fn route(route: &Route) -> Value {
    let (action, details) = action(&route.action);
    let forwards = matches!(route.action, Action::Forward { .. });
    object([
        ("match", matches(&route.matches)),
        (action, details),
        ("permitInsecure", json!(route.permit_insecure)),
        (
            "rewrite",
            route.rewrite.as_ref().map_or(Value::Null, rewrite),
        ),
        (
            "timeouts",
            if forwards {
                timeouts(route)
            } else {
                Value::Null
            },
        ),
        (
            "retries",
            route.retries.as_ref().map_or(Value::Null, retries),
        ),
        (
            "websockets",
            if forwards {
                json!(route.websockets)
            } else {
                Value::Null
            },
        ),
        (
            "headers",
            object([
                ("request", edits(&route.request_headers)),
                ("response", edits(&route.response_headers)),
            ]),
        ),
        ("cors", route.cors.as_ref().map_or(Value::Null, cors)),
    ])
}

fn matches(matches: &RouteMatch) -> Value {
    let path = match &matches.path {
        PathMatch::Exact(path) => json!({"exact": path}),
        PathMatch::Prefix(path) => json!({"prefix": path}),
        PathMatch::Regex(path) => json!({"regex": path}),
    };
    let fields = |fields: &[FieldMatch]| -> Value { fields.iter().map(field).collect() };
    object([
        ("path", path),
        ("method", json!(matches.method)),
        ("headers", fields(&matches.headers)),
        ("query", fields(&matches.query)),
    ])
}

fn field(field: &FieldMatch) -> Value {
    match &field.value {
        ValueMatch::Exact(value) => json!({"name": field.name, "exact": value}),
        ValueMatch::Regex(value) => json!({"name": field.name, "regex": value}),
        ValueMatch::Present => json!({"name": field.name, "present": true}),
    }
}

fn action(action: &Action) -> (&'static str, Value) {
    match action {
        Action::Forward { backends } => ("backends", backends.iter().map(backend).collect()),
        Action::Redirect(target) => ("redirect", redirect(target)),
        Action::Respond(respond) => (
            "respond",
            json!({
                "status": respond.status,
                "contentType": respond.content_type,
                "body": respond.body,
            }),
        ),
        Action::Unavailable { reason } => ("unavailable", json!(reason)),
    }
}

fn backend(backend: &Backend) -> Value {
    let protocol = match backend.protocol {
        UpstreamProtocol::Http1 => "HTTP/1.1",
        UpstreamProtocol::Http2 => "HTTP/2",
    };
    object([
        ("endpoints", json!(backend.endpoints)),
        ("weight", json!(backend.weight)),
        ("protocol", json!(protocol)),
        (
            "tls",
            backend.tls.as_ref().map_or(Value::Null, |tls| {
                object([
                    ("serverName", json!(tls.server_name)),
                    ("ca", json!(tls.trust)),
                    ("subjectName", json!(tls.subject_name)),
                ])
            }),
        ),
    ])
}

fn redirect(redirect: &Redirect) -> Value {
    object([
        ("scheme", json!(redirect.scheme)),
        ("hostname", json!(redirect.hostname)),
        ("port", json!(redirect.port)),
        ("path", redirect.path.as_ref().map_or(Value::Null, rewrite)),
        ("status", json!(redirect.status)),
    ])
}

fn rewrite(rewrite: &PathRewrite) -> Value {
    match rewrite {
        PathRewrite::Prefix(path) => json!({"prefix": path}),
        PathRewrite::Full(path) => json!({"path": path}),
    }
}

/// Renders timeouts, with the defaults of the proxy for those that are not set.
fn timeouts(route: &Route) -> Value {
    let limits = Limits::default();
    let set = route.timeouts;
    let or = |set: Option<Duration>, default| json!(duration(set.unwrap_or(default)));
    object([
        ("connect", or(set.connect, limits.connect)),
        ("response", or(set.response, limits.response)),
        ("request", or(set.request, limits.request)),
        ("idle", or(set.idle, limits.idle)),
    ])
}

fn retries(retries: &Retries) -> Value {
    let condition = |condition: &RetryOn| match condition {
        RetryOn::ConnectFailure => "connect-failure",
        RetryOn::Reset => "reset",
        RetryOn::ServerError => "5xx",
    };
    let on: Vec<_> = retries.retry_on.iter().map(condition).collect();
    object([
        ("count", json!(retries.count)),
        (
            "perTryTimeout",
            json!(retries.per_try_timeout.map(duration)),
        ),
        ("retryOn", json!(on)),
    ])
}

fn edits(edits: &HeaderEdits) -> Value {
    let fields = |fields: &[(String, String)]| -> Value {
        let fields = fields
            .iter()
            .map(|(name, value)| (name.clone(), json!(value)));
        Value::Object(fields.collect())
    };
    object([
        ("set", fields(&edits.set)),
        ("add", fields(&edits.add)),
        ("remove", json!(edits.remove)),
    ])
}

fn cors(cors: &Cors) -> Value {
    let origins = match &cors.allow_origins {
        AllowedOrigins::Any => json!(["*"]),
        AllowedOrigins::These(these) => json!(these),
    };
    object([
        ("allowOrigins", origins),
        ("allowMethods", json!(cors.allow_methods)),
        ("allowHeaders", json!(cors.allow_headers)),
        ("exposeHeaders", json!(cors.expose_headers)),
        ("allowCredentials", json!(cors.allow_credentials)),
        ("maxAge", json!(cors.max_age.map(duration))),
    ])
}

/// Formats a duration like the API (GEP-2257): `1h30m`, `15s`, `150ms`.
fn duration(duration: Duration) -> String {
    let all = duration.as_millis();
    if all == 0 {
        return "0s".to_owned();
    }
    let units = [(3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms")];
    let mut left = all;
    let mut text = String::new();
    for (millis, unit) in units {
        if left >= millis {
            text.push_str(&format!("{}{unit}", left / millis));
            left %= millis;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_durations_like_the_api() {
        for (millis, text) in [
            (0, "0s"),
            (150, "150ms"),
            (15_000, "15s"),
            (5_400_000, "1h30m"),
            (61_001, "1m1s1ms"),
        ] {
            assert_eq!(duration(Duration::from_millis(millis)), text);
        }
    }
}
