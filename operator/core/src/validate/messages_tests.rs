//! Every mistake that one object alone can make, with the sentence that its author reads.

use super::validate;
use serde_json::{Value, json};

/// What is told about an object with this in its spec.
fn told(more: &Value) -> Vec<String> {
    let mut spec = json!({"port": 8080, "service": "shop", "hostnames": ["shop.example.com"]});
    for (field, value) in more.as_object().unwrap() {
        spec[field] = value.clone();
    }
    let problems = validate(&serde_json::from_value(spec).unwrap()).err();
    let problems = problems.unwrap_or_default();
    problems.iter().map(ToString::to_string).collect()
}

#[track_caller]
fn is(more: Value, sentence: &str) {
    let told = told(&more);
    assert_eq!(told.len(), 1, "{more}: {told:?}");
    assert!(told[0].starts_with(sentence), "{more}: {told:?}");
    assert!(
        told[0].contains("; ") || told[0].contains(", such as"),
        "what would be right? {told:?}"
    );
}

/// Of an object with this one route.
#[track_caller]
fn route(route: Value, sentence: &str) {
    is(
        json!({"routes": [route]}),
        &format!("spec.routes[0]{sentence}"),
    );
}

#[test]
fn matches() {
    let of = |matches: Value, sentence: &str| {
        route(json!({"match": matches}), &format!(".match.{sentence}"));
    };
    of(
        json!({"path": {}}),
        "path: not exactly one of exact, prefix and regex",
    );
    of(
        json!({"path": {"exact": "/a", "prefix": "/a"}}),
        "path: not exactly one of",
    );
    of(json!({"path": {"prefix": "a"}}), "path: \"a\" is no path");
    of(
        json!({"path": {"exact": "/a/../b"}}),
        "path: \"/a/../b\" is never matched",
    );
    of(
        json!({"path": {"regex": "("}}),
        "path: the regular expression \"(\" cannot be used: unclosed group",
    );
    of(
        json!({"path": {"regex": "(a{99}){99}"}}),
        "path: the regular expression",
    );
    of(json!({"method": "get"}), "method: \"get\" is no method");
    of(
        json!({"headers": [{"name": "a b", "exact": ""}]}),
        "headers[0]: \"a b\" is no name",
    );
    of(
        json!({"headers": [{"name": "X-Real-IP", "exact": ""}]}),
        "headers[0]: x-real-ip belongs",
    );
    of(
        json!({"headers": [{"name": "a"}]}),
        "headers[0]: not exactly one of exact, regex and present",
    );
    of(
        json!({"query": [{"name": "a", "present": false}]}),
        "query[0]: present only says true",
    );
    of(
        json!({"query": [{"name": "", "present": true}]}),
        "query[0]: the name is empty",
    );
    let many: Vec<_> = (0..17)
        .map(|_| json!({"name": "a", "present": true}))
        .collect();
    of(json!({"query": many}), "query: 17 are given");
}

#[test]
fn actions() {
    let backend = json!({"service": "a", "port": 80});
    let with = |field: &str, value: Value| {
        let mut backend = backend.clone();
        backend[field] = value;
        json!({"backends": [backend]})
    };
    route(
        json!({"backends": [backend], "respond": {"status": 200}}),
        ": several of backends",
    );
    let to = json!({"name": "docs"});
    route(
        json!({"backends": [backend], "delegate": to}),
        ": several of backends",
    );
    route(
        json!({"match": {"path": {"exact": "/a"}}, "delegate": to}),
        ".match.path: what is delegated is a prefix",
    );
    route(
        json!({"delegate": to, "websockets": false}),
        ": whoever a route is delegated to",
    );
    is(
        json!({"allowedParents": [{"namespace": "a"}]}),
        "spec.allowedParents: others delegate to this object",
    );
    route(
        with("weight", json!(-1)),
        ".backends[0].weight: is negative",
    );
    route(
        with("weight", json!(1_000_001)),
        ".backends[0].weight: 1000001 is no weight",
    );
    route(with("port", json!(0)), ".backends[0].port: is no port");
    route(
        with("port", json!("A")),
        ".backends[0].port: is no name of a port",
    );
    route(
        with("tls", json!({"subjectName": "a"})),
        ".backends[0].tls: ca and subjectName",
    );
    let ca = json!({"secret": {"name": "ca"}});
    route(
        with("tls", json!({"ca": ca, "subjectName": "*.a"})),
        ".backends[0].tls: \"*.a\" is a wildcard",
    );
    route(
        with("tls", json!({"ca": ca, "subjectName": "-"})),
        ".backends[0].tls: \"-\" of \"-\" is no DNS label",
    );
    let many = vec![backend; 17];
    route(json!({"backends": many}), ".backends: 17 are given");
    route(
        json!({"redirect": {"status": 301}}),
        ".redirect: says nothing",
    );
    route(
        json!({"redirect": {"path": "/a", "prefixRewrite": "/b"}}),
        ".redirect: path and prefixRewrite",
    );
    route(
        json!({"redirect": {"path": "/a", "status": 200}}),
        ".redirect.status: 200 does not redirect",
    );
    route(
        json!({"redirect": {"port": 0}}),
        ".redirect.port: is no port",
    );
    route(
        json!({"redirect": {"hostname": "1.2.3.4"}}),
        ".redirect.hostname: \"1.2.3.4\" is an IP address",
    );
    route(
        json!({"respond": {"status": 101}}),
        ".respond.status: 101 ends no request",
    );
    route(
        json!({"respond": {"status": 200, "body": "a".repeat(4097)}}),
        ".respond.body: has 4097",
    );
    let split = json!({"status": 200, "contentType": "a\r\nb"});
    route(
        json!({"respond": split}),
        ".respond.contentType: the value of content-type",
    );
    route(
        json!({"respond": {"status": 200}, "prefixRewrite": "/"}),
        ".prefixRewrite: changes the path",
    );
    let by_pattern = json!({"match": {"path": {"regex": "/a"}}, "prefixRewrite": "/"});
    route(
        by_pattern,
        ".prefixRewrite: what a regular expression matched",
    );
}

#[test]
fn policy() {
    route(
        json!({"timeouts": {"idle": "soon"}}),
        ".timeouts.idle: \"soon\" is no duration",
    );
    is(
        json!({"policy": {"timeouts": {"connect": "1"}}}),
        "spec.policy.timeouts.connect: \"1\"",
    );
    route(
        json!({"retries": {"count": 11}}),
        ".retries.count: 11 is no number of attempts",
    );
    route(
        json!({"headers": {"request": {"set": {"te": "a"}}}}),
        ".headers.request.set: te belongs",
    );
    route(
        json!({"headers": {"request": {"add": {"host": "a"}}}}),
        ".headers.request.add: host belongs",
    );
    route(
        json!({"headers": {"response": {"set": {"host": "a"}}}}),
        ".headers.response.set: host belongs",
    );
    route(
        json!({"headers": {"response": {"set": {"a": "b\r\nc: d"}}}}),
        ".headers.response.set: the value of a",
    );
    route(
        json!({"headers": {"response": {"remove": ["content-length"]}}}),
        ".headers.response.remove: content-length",
    );
    route(
        json!({"cors": {"allowOrigins": []}}),
        ".cors.allowOrigins: no origin is given",
    );
    for origin in [
        "app.example.com",
        "ftp://a.test",
        "https://a.test/",
        "https://a.test:0x1",
        "null",
    ] {
        let sentence = format!(".cors.allowOrigins: {origin:?} is no origin");
        route(json!({"cors": {"allowOrigins": [origin]}}), &sentence);
    }
    let open = json!({"allowOrigins": ["*"], "allowCredentials": true});
    route(
        json!({"cors": open}),
        ".cors.allowCredentials: every origin is allowed",
    );
    let good = json!({"cors": {"allowOrigins": ["https://*.a.test:8443", "http://10.0.0.1", "*"]}});
    assert_eq!(told(&json!({"policy": good})), [""; 0]);
}

#[test]
fn tls() {
    let of = |tls: Value, sentence: &str| is(json!({"tls": tls}), &format!("spec.tls{sentence}"));
    of(
        json!({"mode": "Disabled", "hsts": {"maxAge": "1h"}}),
        ".mode: Disabled leaves nothing",
    );
    of(
        json!({"additionalSecrets": [{"name": "a"}]}),
        ".additionalSecrets: there is no secret",
    );
    let four = vec![json!({"name": "a"}); 4];
    of(
        json!({"secret": {"name": "a"}, "additionalSecrets": four}),
        ".additionalSecrets: 4 are given",
    );
    of(
        json!({"minVersion": "1.3", "maxVersion": "1.2"}),
        ".maxVersion: is older than minVersion",
    );
    of(
        json!({"hsts": {"maxAge": "a year"}}),
        ".hsts.maxAge: \"a year\" is no duration",
    );
}

#[test]
fn lifetimes() {
    is(
        json!({"expiresAfter": "tomorrow"}),
        "spec.expiresAfter: \"tomorrow\" is no duration",
    );
    is(
        json!({"expiresAfter": "0s"}),
        "spec.expiresAfter: is over before it begins",
    );
    is(
        json!({"expiresAfter": "2h", "expiresAt": "2030-01-01T00:00:00Z"}),
        "spec.expiresAfter, spec.expiresAt: both are set",
    );
    is(
        json!({"onExpiry": "Delete"}),
        "spec.onExpiry: nothing expires",
    );
    for duration in ["0s", "infinity", "4s", "4999ms", "24h1s"] {
        let sentence = format!("spec.lease.duration: {duration:?} is no duration of a lease");
        is(json!({"lease": {"duration": duration}}), &sentence);
    }
    is(
        json!({"lease": {"duration": "soon"}}),
        "spec.lease.duration: \"soon\" is no duration;",
    );
    for duration in ["5s", "1m30s", "24h"] {
        assert_eq!(told(&json!({"lease": {"duration": duration}})), [""; 0]);
    }
}

#[test]
fn the_object_s_own_port() {
    let own = Value::Null;
    let answers = json!([{"respond": {"status": 200}}]);
    is(json!({"port": own}), "spec.port: is missing");
    is(
        json!({"service": own, "routes": answers}),
        "spec.port: nothing has this port",
    );
    let backends = json!([{"backends": [{"port": 80}]}]);
    let absent = json!({"service": own, "port": own, "routes": backends});
    is(absent, "spec.routes[0].backends[0].service: is missing");
    let half = json!([{"respond": {"status": 200}, "match": {"method": "GET"}}, {}]);
    let told = told(&json!({"service": own, "port": own, "routes": half}));
    assert!(
        told[0].starts_with("spec: neither selector nor service is set"),
        "{told:?}"
    );
    assert!(
        told[1].starts_with("spec.routes[1]: has no action"),
        "{told:?}"
    );
}

#[test]
fn as_many_as_there_may_be() {
    let routes = |count: usize| json!({"routes": vec![json!({}); count]});
    assert_eq!(told(&routes(128)), [""; 0]);
    is(routes(129), "spec.routes: 129 are given");
    let patterns = |count: usize| {
        let route = json!({"match": {"path": {"regex": "/a"}}});
        json!({"routes": vec![route; count]})
    };
    assert_eq!(told(&patterns(64)), [""; 0]);
    is(
        patterns(65),
        "spec.routes: the routes have 65 regular expressions",
    );
}
