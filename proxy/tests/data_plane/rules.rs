//! Route policies for requests and responses.

use crate::origin::{Origin, Then};
use crate::protocols::each_protocol;
use crate::proxy::{Proxy, endpoints, forward, host_with, routed};
use crate::until;
use portolan_discovery::table::{
    Action, AllowedOrigins, Cors, HeaderEdits, HostTls, Hsts, PathMatch, PathRewrite, Redirect,
    Resource, Respond, Route, VirtualHost,
};
use std::time::Duration;

/// A proxy before this origin, with one route for everything, changed.
async fn proxy_with(origin: &Origin, change: impl FnOnce(&mut Route)) -> Proxy {
    Proxy::serving(vec![
        endpoints("t/s:80", &[origin.address]),
        routed("shop.test", "t/s:80", change),
    ])
    .await
}

fn edits(set: &[(&str, &str)], add: &[(&str, &str)], remove: &[&str]) -> HeaderEdits {
    let fields = |of: &[(&str, &str)]| {
        let of = of.iter();
        of.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    };
    HeaderEdits {
        set: fields(set),
        add: fields(add),
        remove: remove.iter().map(ToString::to_string).collect(),
    }
}

fn cors(origins: &[&str]) -> Cors {
    Cors {
        allow_origins: AllowedOrigins::These(origins.iter().map(ToString::to_string).collect()),
        allow_methods: vec!["PUT".into()],
        allow_headers: vec!["x-team".into()],
        expose_headers: vec!["x-total".into()],
        allow_credentials: true,
        max_age: Some(Duration::from_secs(600)),
    }
}

each_protocol!(a_route_redirects_to_where_it_says);
async fn a_route_redirects_to_where_it_says() {
    let redirect =
        |path: PathMatch, redirect: Redirect| Route::new(path.into(), Action::Redirect(redirect));
    let nowhere = || Redirect {
        scheme: None,
        hostname: None,
        port: None,
        path: None,
        status: 302,
    };
    let moved = Redirect {
        hostname: Some("new.test".into()),
        path: Some(PathRewrite::Prefix("/fresh".into())),
        status: 308,
        ..nowhere()
    };
    let root = Redirect {
        path: Some(PathRewrite::Prefix("/".into())),
        ..nowhere()
    };
    let secure = Redirect {
        scheme: Some("https".into()),
        ..nowhere()
    };
    let proxy = Proxy::serving(vec![Resource::VirtualHost(VirtualHost {
        hostname: "shop.test".into(),
        tls: None,
        routes: vec![
            redirect(PathMatch::Prefix("/old".into()), moved),
            redirect(PathMatch::Prefix("/root".into()), root),
            redirect(PathMatch::Exact("/secure".into()), secure),
        ],
    })])
    .await;
    let mut client = proxy.client().await;
    for (path, status, location) in [
        ("/old/a//b?c=/d", 308, "http://new.test/fresh/a//b?c=/d"),
        ("/old", 308, "http://new.test/fresh"),
        ("/root//evil.test", 302, "http://shop.test:8080/evil.test"),
        ("/root", 302, "http://shop.test:8080/"),
        ("/secure", 302, "https://shop.test/secure"),
    ] {
        let response = client.get_path("SHOP.test.:8080", path).await;
        assert_eq!(response.status, status, "{path}");
        assert_eq!(response.field("location"), Some(location), "{path}");
        assert_eq!(response.reason(), "Redirect");
    }
}

each_protocol!(a_route_answers_by_itself);
async fn a_route_answers_by_itself() {
    let respond = |path: &str, status, body: &str| {
        let action = Action::Respond(Respond {
            status,
            body: body.into(),
            content_type: "text/html".into(),
        });
        Route::new(PathMatch::Exact(path.into()).into(), action)
    };
    let proxy = Proxy::serving(vec![Resource::VirtualHost(VirtualHost {
        hostname: "shop.test".into(),
        tls: None,
        routes: vec![
            respond("/closed", 503, "<p>back at nine"),
            respond("/none", 204, "left out"),
        ],
    })])
    .await;
    let mut client = proxy.client().await;
    let response = client.get_path("shop.test", "/closed").await;
    assert_eq!((response.status, response.text()), (503, "<p>back at nine"));
    assert_eq!(response.field("content-type"), Some("text/html"));
    assert_eq!(response.reason(), "DirectResponse");
    assert_eq!(response.field("retry-after"), None);
    client
        .send("HEAD /closed HTTP/1.1\r\nHost: shop.test\r\n\r\n")
        .await;
    let head = client.response_to_head().await;
    assert_eq!(head.field("content-length"), Some("15"));
    let empty = client.get_path("shop.test", "/none").await;
    assert_eq!((empty.status, empty.field("content-length")), (204, None));
    assert_eq!(client.get_path("shop.test", "/closed").await.status, 503);
}

each_protocol!(replaces_a_prefix_and_sends_the_original);
async fn replaces_a_prefix_and_sends_the_original() {
    let origin = Origin::saying("hello").await;
    let route = |prefix: &str, by: &str| Route {
        rewrite: Some(PathRewrite::Prefix(by.into())),
        ..Route::new(PathMatch::Prefix(prefix.into()).into(), forward("t/s:80"))
    };
    let proxy = Proxy::serving(vec![
        endpoints("t/s:80", &[origin.address]),
        Resource::VirtualHost(VirtualHost {
            hostname: "shop.test".into(),
            tls: None,
            routes: vec![route("/blog", "/"), route("/", "/v1")],
        }),
    ])
    .await;
    let mut client = proxy.client().await;
    for (path, upstream, original) in [
        ("/blog/a?b=/c", "/a?b=/c", "/blog/a?b=/c"),
        ("/blog", "/", "/blog"),
        ("/blog//evil.test/x", "/evil.test/x", "/blog//evil.test/x"),
        ("/x/../blog/%2e/y", "/y", "/blog/y"),
        ("/blogger", "/v1/blogger", "/blogger"),
    ] {
        let spoof = "X-Envoy-Original-Path: /spoof\r\nX_Envoy_Original_Path: /spoof";
        client
            .send(format!(
                "GET {path} HTTP/1.1\r\nHost: shop.test\r\n{spoof}\r\n\r\n"
            ))
            .await;
        assert_eq!(client.response().await.status, 200);
        let received = origin.requests().pop().unwrap();
        let line = format!("GET {upstream} HTTP/1.1\r\n");
        assert!(received.head.starts_with(&line), "{}", received.head);
        assert_eq!(received.field("x-envoy-original-path"), Some(original));
        assert!(!received.head.contains("spoof"), "{}", received.head);
    }
}

each_protocol!(fields_are_set_added_and_removed_both_ways);
async fn fields_are_set_added_and_removed_both_ways() {
    let origin = Origin::start(|_| {
        let head = "HTTP/1.1 200 OK\r\nServer: secret\r\nX-Mode: theirs\r\nVary: Accept\r\n";
        let response = format!("{head}Content-Length: 2\r\n\r\nhi");
        (response.into_bytes(), Then::Keep)
    })
    .await;
    let proxy = proxy_with(&origin, |route| {
        let set = [("x-team", "a"), ("host", "inner.test")];
        route.request_headers = edits(&set, &[("x-tag", "2")], &["x-debug"]);
        let set = [("x-mode", "ours")];
        route.response_headers = edits(&set, &[("vary", "Cookie")], &["server"]);
    })
    .await;
    let mut client = proxy.client().await;
    client
        .send(
            "GET / HTTP/1.1\r\nHost: shop.test\r\nX-Team: evil\r\nX_Team: evil\r\nX-Tag: 1\r\n\
             X-Debug: 1\r\n\r\n",
        )
        .await;
    let response = client.response().await;
    assert_eq!(response.text(), "hi");
    assert_eq!(response.field("x-mode"), Some("ours"));
    assert_eq!(response.field("server"), None);
    let head = response.head.to_ascii_lowercase();
    assert!(head.contains("vary: accept\r\n") && head.contains("vary: cookie\r\n"));
    let received = &origin.requests()[0];
    assert_eq!(received.field("x-team"), Some("a"));
    assert_eq!(received.field("host"), Some("inner.test"));
    assert_eq!(received.field("x-forwarded-host"), Some("shop.test"));
    let head = received.head.to_ascii_lowercase();
    assert!(!head.contains("evil") && !head.contains("debug"));
    assert!(head.contains("x-tag: 1\r\n") && head.contains("x-tag: 2\r\n"));
}

#[tokio::test]
async fn applies_response_policy_to_local_responses() {
    let origin = Origin::start(|_| (b"nonsense\r\n\r\n".to_vec(), Then::Close)).await;
    let proxy = proxy_with(&origin, |route| {
        route.response_headers = edits(&[("x-mode", "ours")], &[], &["date"]);
        route.cors = Some(cors(&["https://app.test"]));
    })
    .await;
    let mut client = proxy.client().await;
    client
        .send("GET / HTTP/1.1\r\nHost: shop.test\r\nOrigin: https://app.test\r\n\r\n")
        .await;
    let response = client.response().await;
    assert_eq!(
        (response.status, response.reason()),
        (502, "MalformedResponse")
    );
    assert_eq!(response.field("x-mode"), Some("ours"));
    assert_eq!(response.field("date"), None);
    let allowed = response.field("access-control-allow-origin");
    assert_eq!(allowed, Some("https://app.test"));
}

each_protocol!(sends_hsts_over_tls_only_and_once);
/// RFC 6797 7.2, 8.1: over TLS alone, and one value.
async fn sends_hsts_over_tls_only_and_once() {
    let origin = Origin::start(|_| {
        let head = "HTTP/1.1 200 OK\r\nStrict-Transport-Security: max-age=1\r\n";
        let response = format!("{head}Content-Length: 0\r\n\r\n");
        (response.into_bytes(), Then::Keep)
    })
    .await;
    let tls = HostTls {
        certificates: vec!["t/c".into()],
        hsts: Some(Hsts {
            max_age: Duration::from_secs(31_536_000),
            include_sub_domains: true,
        }),
        ..HostTls::default()
    };
    let proxy = Proxy::unconfigured();
    let certificate = proxy.certificate("t/c", &["shop.test"]);
    let proxy = proxy
        .open(vec![
            certificate,
            endpoints("t/s:80", &[origin.address]),
            host_with("shop.test", Some(tls.clone()), forward("t/s:80")),
        ])
        .await;
    let expected = Some("max-age=31536000; includeSubDomains");
    let mut secure = proxy.tls_client("shop.test").await;
    let response = secure.get("shop.test").await;
    assert_eq!(response.field("strict-transport-security"), expected);
    let redirect = proxy.client().await.get("shop.test").await;
    assert_eq!(redirect.status, 301);
    assert_eq!(redirect.field("strict-transport-security"), None);
    let unavailable = Action::Unavailable {
        reason: "ServiceNotFound".into(),
    };
    proxy
        .apply(vec![host_with("shop.test", Some(tls), unavailable)])
        .await;
    let response = secure.get("shop.test").await;
    assert_eq!(response.status, 503);
    assert_eq!(response.field("strict-transport-security"), expected);
}

each_protocol!(answers_preflights_and_replaces_upstream_cors_fields);
async fn answers_preflights_and_replaces_upstream_cors_fields() {
    let origin = Origin::start(|_| {
        let head = "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nX-Total: 1\r\n";
        let response = format!("{head}Content-Length: 0\r\n\r\n");
        (response.into_bytes(), Then::Keep)
    })
    .await;
    let proxy = proxy_with(&origin, |route| {
        route.cors = Some(cors(&["https://app.test", "https://*.dev.test"]));
    })
    .await;
    let mut client = proxy.client().await;
    let preflight = |from: &str| {
        format!(
            "OPTIONS /x HTTP/1.1\r\nHost: shop.test\r\nOrigin: {from}\r\n\
             Access-Control-Request-Method: PUT\r\nAccess-Control-Request-Headers: x-team\r\n\r\n"
        )
    };
    client.send(preflight("https://a.dev.test")).await;
    let response = client.response().await;
    assert_eq!((response.status, response.reason()), (204, "CorsPreflight"));
    for (name, value) in [
        ("access-control-allow-origin", "https://a.dev.test"),
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-methods", "PUT"),
        ("access-control-allow-headers", "x-team"),
        ("access-control-max-age", "600"),
    ] {
        assert_eq!(response.field(name), Some(value), "{name}");
    }
    client.send(preflight("https://evil.test")).await;
    let response = client.response().await;
    assert_eq!(response.status, 204);
    assert!(
        !response.head.contains("Access-Control-Allow"),
        "{}",
        response.head
    );
    assert_eq!(origin.bytes(), 0, "preflights end here");
    for (from, allowed) in [
        ("Origin: https://app.test\r\n", Some("https://app.test")),
        ("Origin: https://evil.test\r\n", None),
        ("", None),
    ] {
        client
            .send(format!("PUT / HTTP/1.1\r\nHost: shop.test\r\n{from}\r\n"))
            .await;
        let response = client.response().await;
        assert_eq!(
            response.field("access-control-allow-origin"),
            allowed,
            "{from}"
        );
        assert_eq!(response.field("vary"), Some("Origin"), "{from}");
        assert_eq!(response.field("x-total"), Some("1"));
    }
}

#[tokio::test]
async fn a_route_may_refuse_websockets() {
    let origin = Origin::saying("hello").await;
    let proxy = proxy_with(&origin, |route| route.websockets = false).await;
    let mut client = proxy.client().await;
    client
        .send(
            "GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )
        .await;
    let response = client.response().await;
    assert_eq!(
        (response.status, response.reason()),
        (403, "WebSocketRefused")
    );
    assert_eq!(origin.bytes(), 0);
    assert_eq!(client.get("shop.test").await.text(), "hello");
}

each_protocol!(a_request_keeps_the_route_it_was_given);
async fn a_request_keeps_the_route_it_was_given() {
    let origin = Origin::saying("hello").await;
    let mode = |mode: &'static str| {
        routed("shop.test", "t/s:80", |route| {
            route.response_headers = edits(&[("x-mode", mode)], &[], &[]);
        })
    };
    let proxy = Proxy::serving(vec![endpoints("t/s:80", &[origin.address]), mode("old")]).await;
    let mut client = proxy.client().await;
    client
        .send("POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 4\r\n\r\nab")
        .await;
    until("half of the request at the origin", || origin.bytes() > 0).await;
    proxy.apply(vec![mode("new")]).await;
    client.send("cd").await;
    let response = client.response().await;
    assert_eq!(
        (response.text(), response.field("x-mode")),
        ("hello", Some("old"))
    );
    assert_eq!(client.get("shop.test").await.field("x-mode"), Some("new"));
}
