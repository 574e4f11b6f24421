//! Every error that one object by itself can have, with the message that its author reads.

use super::validate;
use serde_json::{Value, json};

/// Validation messages of an object with these fields in its spec.
fn messages(fields: &Value) -> Vec<String> {
    let mut spec = json!({"port": 8080, "service": "shop", "hostnames": ["shop.example.com"]});
    for (field, value) in fields.as_object().unwrap() {
        spec[field] = value.clone();
    }
    let errors = validate(&serde_json::from_value(spec).unwrap()).err();
    let errors = errors.unwrap_or_default();
    errors.iter().map(ToString::to_string).collect()
}

/// The causes of `k8s.io/apimachinery/pkg/util/validation/field`, with the value where they have one.
const CAUSES: [&str; 7] = [
    "Required value",
    "Invalid value",
    "Forbidden",
    "Not found",
    "Too many",
    "Too long",
    "Unsupported value",
];

/// Checks that a message names the field, one cause of Kubernetes, and what would be right.
pub(super) fn is_complete(message: &str) -> Result<(), String> {
    let (field, rest) = message.split_once(": ").ok_or("no field")?;
    if !field.starts_with("spec") || field.contains(' ') {
        return Err(format!("{field:?} is not a field: {message}"));
    }
    let cause = CAUSES.iter().find(|cause| rest.starts_with(*cause));
    let cause = cause.ok_or_else(|| format!("no cause: {message}"))?;
    let detail = rest[cause.len()..].strip_prefix(": ").unwrap_or_default();
    let remedies = [
        "must ",
        "may not ",
        "requires ",
        "; ",
        "such as ",
        "supported values",
        "may have ",
    ];
    let required = *cause == "Required value" && detail.len() > 10;
    if required || remedies.iter().any(|remedy| detail.contains(remedy)) {
        Ok(())
    } else {
        Err(format!("no remedy: {message}"))
    }
}

#[track_caller]
fn is(fields: Value, expected: &str) {
    let messages = messages(&fields);
    assert_eq!(messages.len(), 1, "{fields}: {messages:?}");
    assert!(messages[0].starts_with(expected), "{fields}: {messages:?}");
    assert_eq!(is_complete(&messages[0]), Ok(()));
}

/// Checks the message of an object with this one route.
#[track_caller]
fn route(route: Value, expected: &str) {
    is(
        json!({"routes": [route]}),
        &format!("spec.routes[0]{expected}"),
    );
}

#[test]
fn rejects_matches() {
    let of = |matches: Value, expected: &str| {
        route(json!({"match": matches}), &format!(".match.{expected}"));
    };
    of(
        json!({"path": {}}),
        "path: Invalid value: must have exactly one of exact, prefix and regex",
    );
    of(
        json!({"path": {"exact": "/a", "prefix": "/a"}}),
        "path: Invalid value: must have exactly one of",
    );
    of(
        json!({"path": {"prefix": "a"}}),
        "path: Invalid value: \"a\": must start with /",
    );
    of(
        json!({"path": {"exact": "/a/../b"}}),
        "path: Invalid value: \"/a/../b\": must be normalised",
    );
    of(
        json!({"path": {"regex": "("}}),
        "path: Invalid value: \"(\": must be a regular expression in the syntax of Rust's regex crate; unclosed group",
    );
    of(
        json!({"path": {"regex": "(a{99}){99}"}}),
        "path: Invalid value: \"(a{99}){99}\": must be a regular expression",
    );
    of(
        json!({"method": "get"}),
        "method: Invalid value: \"get\": must be a method in capitals",
    );
    of(
        json!({"headers": [{"name": "a b", "exact": ""}]}),
        "headers[0]: Invalid value: \"a b\": must be the name of a header field",
    );
    of(
        json!({"headers": [{"name": "X-Real-IP", "exact": ""}]}),
        "headers[0]: Invalid value: \"x-real-ip\": must not be a field of the connection",
    );
    of(
        json!({"headers": [{"name": "a"}]}),
        "headers[0]: Invalid value: must have exactly one of exact, regex and present",
    );
    of(
        json!({"query": [{"name": "a", "present": false}]}),
        "query[0]: Invalid value: present must be true",
    );
    of(
        json!({"query": [{"name": "", "present": true}]}),
        "query[0]: Required value: the name",
    );
    let many: Vec<_> = (0..17)
        .map(|_| json!({"name": "a", "present": true}))
        .collect();
    of(
        json!({"query": many}),
        "query: Too many: 17: must have at most 16 items",
    );
}

#[test]
fn rejects_actions() {
    let backend = json!({"service": "a", "port": 80});
    let with = |field: &str, value: Value| {
        let mut backend = backend.clone();
        backend[field] = value;
        json!({"backends": [backend]})
    };
    route(
        json!({"backends": [backend], "respond": {"status": 200}}),
        ": Forbidden: may have at most one of backends",
    );
    let to = json!({"name": "docs"});
    route(
        json!({"backends": [backend], "delegate": to}),
        ": Forbidden: may have at most one of backends",
    );
    route(
        json!({"match": {"path": {"exact": "/a"}}, "delegate": to}),
        ".match.path: Invalid value: must be a prefix",
    );
    route(
        json!({"delegate": to, "websockets": false}),
        ".delegate: Forbidden: may not be set together with permitInsecure",
    );
    is(
        json!({"allowedParents": [{"namespace": "a"}]}),
        "spec.allowedParents: Forbidden: may not be set together with spec.hostnames",
    );
    route(
        with("weight", json!(-1)),
        ".backends[0].weight: Invalid value: -1: must be between 0",
    );
    route(
        with("weight", json!(1_000_001)),
        ".backends[0].weight: Invalid value: 1000001: must be between 0",
    );
    route(
        with("port", json!(0)),
        ".backends[0].port: Invalid value: 0: must be between",
    );
    route(
        with("port", json!("A")),
        ".backends[0].port: Invalid value: \"A\": must be lower-case",
    );
    route(
        with("tls", json!({"subjectName": "a"})),
        ".backends[0].tls: Invalid value: must have both ca and subjectName",
    );
    let ca = json!({"secret": {"name": "ca"}});
    route(
        with("tls", json!({"ca": ca, "subjectName": "*.a"})),
        ".backends[0].tls: Invalid value: \"*.a\": must be one DNS name",
    );
    route(
        with("tls", json!({"ca": ca, "subjectName": "-"})),
        ".backends[0].tls: Invalid value: \"-\": label \"-\" must be",
    );
    let many = vec![backend; 17];
    route(json!({"backends": many}), ".backends: Too many: 17: ");
    route(
        json!({"redirect": {"status": 301}}),
        ".redirect: Required value: at least one of scheme",
    );
    route(
        json!({"redirect": {"path": "/a", "prefixRewrite": "/b"}}),
        ".redirect.prefixRewrite: Forbidden: may not be set together with path",
    );
    route(
        json!({"redirect": {"path": "/a", "status": 200}}),
        ".redirect.status: Unsupported value: 200: supported values: 301, ",
    );
    route(
        json!({"redirect": {"port": 0}}),
        ".redirect.port: Invalid value: 0: must be between",
    );
    route(
        json!({"redirect": {"hostname": "1.2.3.4"}}),
        ".redirect.hostname: Invalid value: \"1.2.3.4\": must be a DNS name",
    );
    route(
        json!({"respond": {"status": 101}}),
        ".respond.status: Invalid value: 101: must be between 200 and 599",
    );
    route(
        json!({"respond": {"status": 200, "body": "a".repeat(4097)}}),
        ".respond.body: Too long: may not be more than 4096 characters",
    );
    let split = json!({"status": 200, "contentType": "a\r\nb"});
    route(
        json!({"respond": split}),
        ".respond.contentType: Invalid value: the value of content-type must be",
    );
    route(
        json!({"respond": {"status": 200}, "prefixRewrite": "/"}),
        ".prefixRewrite: Forbidden: may not be set together with redirect",
    );
    let by_pattern = json!({"match": {"path": {"regex": "/a"}}, "prefixRewrite": "/"});
    route(
        by_pattern,
        ".prefixRewrite: Forbidden: may not be set for a path.regex",
    );
}

#[test]
fn rejects_policy() {
    route(
        json!({"timeouts": {"idle": "soon"}}),
        ".timeouts.idle: Invalid value: \"soon\": must be a duration such as 150ms, 15s or 1h30m (0s: no limit)",
    );
    is(
        json!({"policy": {"timeouts": {"connect": "1"}}}),
        "spec.policy.timeouts.connect: Invalid value: \"1\": ",
    );
    route(
        json!({"retries": {"count": 11}}),
        ".retries.count: Invalid value: 11: must be between 0 and 10",
    );
    route(
        json!({"headers": {"request": {"set": {"te": "a"}}}}),
        ".headers.request.set: Invalid value: \"te\": must not be a field of the connection",
    );
    route(
        json!({"headers": {"request": {"add": {"host": "a"}}}}),
        ".headers.request.add: Invalid value: \"host\": must not be",
    );
    route(
        json!({"headers": {"response": {"set": {"host": "a"}}}}),
        ".headers.response.set: Invalid value: \"host\": must not be",
    );
    route(
        json!({"headers": {"response": {"set": {"a": "b\r\nc: d"}}}}),
        ".headers.response.set: Invalid value: the value of a must be",
    );
    route(
        json!({"headers": {"response": {"remove": ["content-length"]}}}),
        ".headers.response.remove: Invalid value: \"content-length\": must not be",
    );
    route(
        json!({"cors": {"allowOrigins": []}}),
        ".cors.allowOrigins: Required value: at least one origin",
    );
    for origin in [
        "app.example.com",
        "ftp://a.test",
        "https://a.test/",
        "https://a.test:0x1",
        "null",
    ] {
        let sentence =
            format!(".cors.allowOrigins: Invalid value: {origin:?}: must be scheme and host");
        route(json!({"cors": {"allowOrigins": [origin]}}), &sentence);
    }
    let open = json!({"allowOrigins": ["*"], "allowCredentials": true});
    route(
        json!({"cors": open}),
        ".cors.allowCredentials: Forbidden: may not be used with allowOrigins \"*\"",
    );
    let good = json!({"cors": {"allowOrigins": ["https://*.a.test:8443", "http://10.0.0.1", "*"]}});
    assert_eq!(messages(&json!({"policy": good})), [""; 0]);
}

#[test]
fn rejects_tls_settings() {
    let of = |tls: Value, expected: &str| is(json!({"tls": tls}), &format!("spec.tls{expected}"));
    of(
        json!({"mode": "Disabled", "hsts": {"maxAge": "1h"}}),
        ".mode: Forbidden: Disabled may not be set together with additionalSecrets",
    );
    of(
        json!({"additionalSecrets": [{"name": "a"}]}),
        ".additionalSecrets: Forbidden: requires spec.tls.secret",
    );
    let four = vec![json!({"name": "a"}); 4];
    of(
        json!({"secret": {"name": "a"}, "additionalSecrets": four}),
        ".additionalSecrets: Too many: 4: must have at most 3 items",
    );
    of(
        json!({"minVersion": "1.3", "maxVersion": "1.2"}),
        ".maxVersion: Invalid value: \"1.2\": must not be older than minVersion",
    );
    of(
        json!({"hsts": {"maxAge": "a year"}}),
        ".hsts.maxAge: Invalid value: \"a year\": must be a duration",
    );
}

#[test]
fn rejects_lifetimes() {
    is(
        json!({"expiresAfter": "tomorrow"}),
        "spec.expiresAfter: Invalid value: \"tomorrow\": must be a duration",
    );
    is(
        json!({"expiresAfter": "0s"}),
        "spec.expiresAfter: Invalid value: \"0s\": must be a positive duration",
    );
    is(
        json!({"expiresAfter": "2h", "expiresAt": "2030-01-01T00:00:00Z"}),
        "spec.expiresAt: Forbidden: may not be set together with spec.expiresAfter",
    );
    is(
        json!({"onExpiry": "Delete"}),
        "spec.onExpiry: Forbidden: requires spec.expiresAfter or spec.expiresAt",
    );
    for duration in ["0s", "infinity", "4s", "4999ms", "24h1s"] {
        let sentence = format!(
            "spec.lease.duration: Invalid value: {duration:?}: must be a duration from 5s to 24h"
        );
        is(json!({"lease": {"duration": duration}}), &sentence);
    }
    is(
        json!({"lease": {"duration": "soon"}}),
        "spec.lease.duration: Invalid value: \"soon\": must be a duration such as",
    );
    for duration in ["5s", "1m30s", "24h"] {
        assert_eq!(messages(&json!({"lease": {"duration": duration}})), [""; 0]);
    }
}

#[test]
fn rejects_targets_without_ports_and_ports_without_targets() {
    let own = Value::Null;
    let answers = json!([{"respond": {"status": 200}}]);
    is(
        json!({"port": own}),
        "spec.port: Required value: the port the application listens on",
    );
    is(
        json!({"service": own, "routes": answers}),
        "spec.port: Forbidden: requires spec.selector or spec.service",
    );
    let backends = json!([{"backends": [{"port": 80}]}]);
    let absent = json!({"service": own, "port": own, "routes": backends});
    is(
        absent,
        "spec.routes[0].backends[0].service: Required value: the name of a Service",
    );
    let half = json!([{"respond": {"status": 200}, "match": {"method": "GET"}}, {}]);
    let messages = messages(&json!({"service": own, "port": own, "routes": half}));
    assert!(
        messages[0].starts_with("spec.selector: Required value: the labels of your pods"),
        "{messages:?}"
    );
    assert!(
        messages[1].starts_with("spec.routes[1]: Required value: one of backends"),
        "{messages:?}"
    );
}

#[test]
fn rejects_too_many_routes_and_patterns() {
    let routes = |count: usize| json!({"routes": vec![json!({}); count]});
    assert_eq!(messages(&routes(128)), [""; 0]);
    is(
        routes(129),
        "spec.routes: Too many: 129: must have at most 128 items",
    );
    let patterns = |count: usize| {
        let route = json!({"match": {"path": {"regex": "/a"}}});
        json!({"routes": vec![route; count]})
    };
    assert_eq!(messages(&patterns(64)), [""; 0]);
    is(
        patterns(65),
        "spec.routes: Invalid value: 65: must have at most 64 regular expressions",
    );
}
