//! What the proxies make of the table: nothing that the operator accepts is refused by them, and the
//! first route that matches is the one that the documented precedence names.

use crate::fixture::*;
use portolan_discovery::table::Resource;
use portolan_proxy_core::decide::{CompileContext, Decision, VirtualHost, decide};
use portolan_proxy_core::field::slots;
use portolan_proxy_core::head::Client;
use portolan_proxy_core::request::RequestHead;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// The virtual host of an object with these routes, as the proxies get it; absent when the object is
/// invalid.
fn virtual_host_of(routes: &[Value]) -> Option<portolan_discovery::table::VirtualHost> {
    let mut fixture = Fixture::empty();
    fixture.put_shop(json!({"service": "shop", "port": 80, "hostnames": [HOST],
        "tls": {"mode": "Disabled"}, "routes": routes}));
    match fixture.resource(&virtual_host(HOST))? {
        Resource::VirtualHost(host) => Some(host),
        other => panic!("{other:?}"),
    }
}

fn compiled(routes: &[Value]) -> Option<VirtualHost<()>> {
    let host = virtual_host_of(routes)?;
    let context = CompileContext {
        workers: 1,
        seed: 0,
        https_port: 443,
    };
    match VirtualHost::compile(&host, |_| Some(()), context) {
        Ok(compiled) => Some(compiled),
        Err(error) => panic!("the proxy refuses the configuration: {error}\n{host:#?}"),
    }
}

/// Good values for the most part, so that whole routes of them come together.
fn mostly(
    good: &[&'static str],
    bad: &[&'static str],
) -> impl Strategy<Value = &'static str> + Clone + use<> {
    prop_oneof![12 => select(good.to_vec()), 1 => select(bad.to_vec())]
}

/// What people write into the fields of a route, good and bad.
fn any_route() -> impl Strategy<Value = Value> {
    let path = || {
        let bad = ["//evil.test", "/a/../b", "/%41", "/a?b", "a", "", "/ä"];
        mostly(&["/", "/a", "/a/", "/a//", "//", "/%2f"], &bad)
    };
    let regex = || mostly(&["/a.*", "/(a|b)"], &["(", "a)|(b", "(?x)/a # b", ""]);
    let matched = prop_oneof![
        path().prop_map(|it| json!({"exact": it})),
        path().prop_map(|it| json!({"prefix": it})),
        regex().prop_map(|it| json!({"regex": it})),
    ];
    let name = || {
        let bad = [
            "host",
            "via",
            "content-length",
            "x_forwarded_for",
            "x y",
            "",
            "ä",
        ];
        mostly(&["x-team", "X-Team"], &bad)
    };
    let settable = || prop_oneof![4 => name(), 1 => Just("Host")];
    let value = || {
        let bad = ["a b", "", " a", "a\r\nb: c", "ä", "a:0", "*.a"];
        mostly(&["1", "inner.test", "A.test:81"], &bad)
    };
    let field = prop_oneof![
        (name(), value()).prop_map(|(name, exact)| json!({"name": name, "exact": exact})),
        (name(), regex()).prop_map(|(name, regex)| json!({"name": name, "regex": regex})),
        name().prop_map(|name| json!({"name": name, "present": true})),
    ];
    let edits = |set: BoxedStrategy<&'static str>| {
        let parts = (set, value(), name(), value(), name());
        parts.prop_map(|(set, one, add, other, remove)| {
            json!({"set": {set: one}, "add": {add: other}, "remove": [remove]})
        })
    };
    let edits = (edits(settable().boxed()), edits(name().boxed()))
        .prop_map(|(request, response)| json!({"request": request, "response": response}));
    let hostname = mostly(
        &["new.test", "New.test"],
        &["*.test", "a:80", "10.0.0.1", ""],
    );
    let redirect = (
        prop::option::of(hostname),
        prop::option::of(path()),
        prop::option::of(path()),
        select(vec![301, 302, 302, 304, 308]),
    )
        .prop_map(|(hostname, path, prefix, status)| {
            let mut redirect = Map::new();
            redirect.insert("status".into(), status.into());
            redirect.extend(hostname.map(|it| ("hostname".to_owned(), it.into())));
            redirect.extend(path.map(|it| ("path".to_owned(), it.into())));
            redirect.extend(prefix.map(|it| ("prefixRewrite".to_owned(), it.into())));
            ("redirect", Value::Object(redirect))
        });
    let respond = (select(vec![100, 200, 204, 404, 503, 599, 600]), value()).prop_map(
        |(status, content_type)| {
            (
                "respond",
                json!({"status": status, "body": "x", "contentType": content_type}),
            )
        },
    );
    let weights = (0..3, 0..3).prop_map(|(one, other)| {
        let backend = |weight: i32| json!({"service": "shop", "port": 80, "weight": weight});
        ("backends", json!([backend(one), backend(other)]))
    });
    let origin = || {
        let good = [
            "https://app.test",
            "https://*.app.test",
            "http://10.0.0.1:8080",
            "https://a:443",
        ];
        mostly(
            &good,
            &["https://App.test", "*", "null", "https://a/", "ftp://a"],
        )
    };
    let origins = prop::collection::vec(origin(), 1..3);
    let cors = (origins, mostly(&["PUT"], &["put", "a b"]), name());
    let cors = cors.prop_map(|(origins, method, header)| {
        json!({"allowOrigins": origins, "allowMethods": [method], "allowHeaders": [header],
            "exposeHeaders": [header], "maxAge": "10m"})
    });
    let extra = |weight: f64, name: &'static str, value: BoxedStrategy<Value>| {
        prop::option::weighted(weight, value.prop_map(move |it| (name, it)))
    };
    let rest = (
        prop::option::weighted(0.7, prop_oneof![redirect, respond, weights]),
        extra(0.2, "prefixRewrite", path().prop_map(Value::from).boxed()),
        extra(0.15, "headers", edits.boxed()),
        extra(0.15, "cors", cors.boxed()),
    );
    let fields = prop::option::weighted(0.2, field);
    (matched, fields.clone(), fields, rest).prop_map(|(path, header, query, rest)| {
        let mut matches = json!({"path": path});
        matches["headers"] = header.into_iter().collect();
        matches["query"] = query.into_iter().collect();
        let mut route = json!({"match": matches});
        for (name, value) in [rest.0, rest.1, rest.2, rest.3].into_iter().flatten() {
            route[name] = value;
        }
        route
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]
    #[test]
    fn what_the_operator_accepts_no_proxy_refuses(route in any_route()) {
        let _ = compiled(&[route]);
    }
}

/// A generator that never makes the interesting case proves nothing.
#[test]
fn generated_routes_are_accepted_and_refused() {
    let mut runner = TestRunner::deterministic();
    let (mut counts, rounds) = (BTreeMap::<String, u32>::new(), 1000);
    for _ in 0..rounds {
        let route = any_route().new_tree(&mut runner).unwrap().current();
        let valid = virtual_host_of(std::slice::from_ref(&route)).is_some();
        *counts
            .entry(if valid { "accepted" } else { "refused" }.to_owned())
            .or_default() += 1;
        for name in [
            "redirect",
            "respond",
            "backends",
            "headers",
            "cors",
            "prefixRewrite",
        ] {
            let accepted = u32::from(valid && route.get(name).is_some());
            *counts.entry(format!("accepted with {name}")).or_default() += accepted;
        }
    }
    println!("{counts:?}");
    assert!(
        counts["accepted"] * 20 > rounds && counts["refused"] * 20 > rounds,
        "{counts:?}"
    );
    assert!(
        counts.values().all(|count| *count * 100 > rounds),
        "{counts:?}"
    );
}

/// A good route; what it answers is its place in the list.
fn good_route() -> impl Strategy<Value = Value> {
    let path = prop_oneof![
        2 => select(vec!["/", "/a", "/a/b"]).prop_map(|it| json!({"exact": it})),
        3 => select(vec!["/", "/a", "/a/b"]).prop_map(|it| json!({"prefix": it})),
        2 => select(vec!["/.*", "/a.*", "/a/[a-c]"]).prop_map(|it| json!({"regex": it})),
    ];
    let field = |name: &'static str| {
        let field = json!({"name": name, "exact": "1"});
        prop::option::weighted(0.4, Just(field))
    };
    let method = prop::option::weighted(0.4, select(vec!["GET", "PUT"]));
    let fields = (field("x-a"), field("x-b"), field("p"), field("q"));
    (path, method, fields).prop_map(|(path, method, (a, b, p, q))| {
        let headers: Vec<_> = [a, b].into_iter().flatten().collect();
        let query: Vec<_> = [p, q].into_iter().flatten().collect();
        let mut matches = json!({"path": path, "headers": headers, "query": query});
        if let Some(method) = method {
            matches["method"] = method.into();
        }
        matches
    })
}

/// Whether it matches what this request says.
fn takes(matches: &Value, request: &Request) -> bool {
    let holds = |list: &str, names: &[&str]| {
        let wanted = matches[list].as_array().unwrap();
        wanted
            .iter()
            .all(|it| names.contains(&it["name"].as_str().unwrap()))
    };
    let path = &matches["path"];
    let at = request.path;
    let by_path = match (
        path["exact"].as_str(),
        path["prefix"].as_str(),
        path["regex"].as_str(),
    ) {
        (Some(exact), None, None) => exact == at,
        (None, Some("/"), None) | (None, None, Some("/.*")) => true,
        (None, Some(prefix), None) => at == prefix || at.starts_with(&format!("{prefix}/")),
        (None, None, Some("/a.*")) => at.starts_with("/a"),
        (None, None, Some("/a/[a-c]")) => ["/a/a", "/a/b", "/a/c"].contains(&at),
        other => panic!("{other:?}"),
    };
    by_path
        && matches["method"]
            .as_str()
            .is_none_or(|it| it == request.method)
        && holds("headers", &request.headers)
        && holds("query", &request.query)
}

/// The precedence of docs/guides/routing.md: the smallest comes first.
fn rank(matches: &Value) -> (u8, Reverse<usize>, bool, Reverse<usize>, Reverse<usize>) {
    let path = &matches["path"];
    let (kind, length) = match (path["regex"].as_str(), path["prefix"].as_str()) {
        (Some(text), _) => (1, text.len()),
        (None, Some(text)) => (2, text.len()),
        (None, None) => (0, 0),
    };
    let count = |list: &str| Reverse(matches[list].as_array().unwrap().len());
    (
        kind,
        Reverse(length),
        matches["method"].is_null(),
        count("headers"),
        count("query"),
    )
}

#[derive(Clone, Debug)]
struct Request {
    method: &'static str,
    path: &'static str,
    headers: Vec<&'static str>,
    query: Vec<&'static str>,
}

fn request() -> impl Strategy<Value = Request> {
    let some = |names: [&'static str; 2]| proptest::sample::subsequence(names.to_vec(), 0..=2);
    let path = select(vec!["/", "/a", "/a/b", "/a/b/c", "/ab", "/x"]);
    (
        select(vec!["GET", "PUT", "POST"]),
        path,
        some(["x-a", "x-b"]),
        some(["p", "q"]),
    )
        .prop_map(|(method, path, headers, query)| Request {
            method,
            path,
            headers,
            query,
        })
}

/// What the proxy answers.
fn answered(host: &VirtualHost<()>, request: &Request) -> String {
    let query: Vec<_> = request
        .query
        .iter()
        .map(|name| format!("{name}=1"))
        .collect();
    let fields: String = request
        .headers
        .iter()
        .map(|name| format!("{name}: 1\r\n"))
        .collect();
    let text = format!(
        "{} {}?{} HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n",
        request.method,
        request.path,
        query.join("&")
    );
    let mut room = slots();
    let head = RequestHead::parse(text.as_bytes(), &mut room).unwrap();
    let client = Client {
        address: "192.0.2.7",
        secure: false,
    };
    match decide(&head.view(head.authority.as_ref().unwrap(), client), host) {
        Decision::LocalResponse(answer) => answer.body().concat(),
        Decision::Forward { .. } => panic!("every route answers by itself"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn takes_the_route_with_the_highest_precedence(
        matches in prop::collection::vec(good_route(), 1..10),
        requests in prop::collection::vec(request(), 1..8),
    ) {
        let respond = |(index, matches): (usize, &Value)| {
            json!({"match": matches, "respond": {"status": 200, "body": index.to_string()}})
        };
        let routes: Vec<_> = matches.iter().enumerate().map(respond).collect();
        let host = compiled(&routes).unwrap();
        for request in &requests {
            let fitting = matches.iter().enumerate().filter(|(_, it)| takes(it, request));
            let first = fitting.min_by_key(|(index, it)| (rank(it), *index));
            let expected = match first {
                Some((index, _)) => index.to_string(),
                None => "No route matches this request.\n".to_owned(),
            };
            prop_assert_eq!(answered(&host, request), expected, "{:?} among {:#?}", request, matches);
        }
    }
}
