//! Local responses, before any endpoint is asked.

use crate::origin::Origin;
use crate::protocols::each_protocol;
use crate::proxy::{Proxy, endpoints, forward, host, host_with, tls_host};
use portolan_discovery::table::{
    Action, Backend, FieldMatch, HostTls, PathMatch, Resource, Respond, Route, RouteMatch,
    UpstreamProtocol, ValueMatch, VirtualHost,
};

/// A route that answers with this text.
fn saying(matches: RouteMatch, body: &str) -> Route {
    let respond = Action::Respond(Respond {
        status: 200,
        body: body.into(),
        content_type: "text/plain".into(),
    });
    Route::new(matches, respond)
}

fn shop(tls: Option<HostTls>, routes: Vec<Route>) -> Resource {
    Resource::VirtualHost(VirtualHost {
        hostname: "shop.test".into(),
        tls,
        routes,
    })
}

#[tokio::test]
async fn an_unknown_host_is_404_and_the_connection_goes_on() {
    let origin = Origin::saying("hello").await;
    let proxy = Proxy::serving(vec![
        endpoints("t/s:80", &[origin.address]),
        host("shop.test", "t/s:80"),
    ])
    .await;
    let mut client = proxy.client().await;
    let response = client.get("other.test").await;
    assert_eq!((response.status, response.reason()), (404, "UnknownHost"));
    assert_eq!(response.field("x-request-id").unwrap().len(), 32);
    assert_eq!(client.get("shop.test").await.status, 200);
    client.send("GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!(client.response().await.status, 404);
}

each_protocol!(matches_exact_before_single_label_wildcard);
async fn matches_exact_before_single_label_wildcard() {
    let (exact, wild) = (Origin::saying("exact").await, Origin::saying("wild").await);
    let proxy = Proxy::serving(vec![
        endpoints("t/e:80", &[exact.address]),
        endpoints("t/w:80", &[wild.address]),
        host("shop.example.test", "t/e:80"),
        host("*.example.test", "t/w:80"),
    ])
    .await;
    let mut client = proxy.client().await;
    assert_eq!(client.get("shop.example.test").await.text(), "exact");
    assert_eq!(client.get("Blog.Example.Test.:80").await.text(), "wild");
    assert_eq!(client.get("a.b.example.test").await.status, 404);
    assert_eq!(client.get("example.test").await.status, 404);
}

each_protocol!(routes_are_taken_by_whole_segments_of_the_normalised_path);
async fn routes_are_taken_by_whole_segments_of_the_normalised_path() {
    let (blog, rest) = (Origin::saying("blog").await, Origin::saying("rest").await);
    let route = |prefix: &str, endpoints| {
        Route::new(PathMatch::Prefix(prefix.into()).into(), forward(endpoints))
    };
    let proxy = Proxy::serving(vec![
        endpoints("t/b:80", &[blog.address]),
        endpoints("t/r:80", &[rest.address]),
        Resource::VirtualHost(VirtualHost {
            hostname: "shop.test".into(),
            tls: None,
            routes: vec![route("/blog", "t/b:80"), route("/", "t/r:80")],
        }),
    ])
    .await;
    let mut client = proxy.client().await;
    for (path, taken) in [
        ("/blog/x", "blog"),
        ("/%62log", "blog"),
        ("/a/../blog", "blog"),
        ("/blogger", "rest"),
        ("/blog/../x", "rest"),
        ("/blog%2fx", "rest"),
        ("//blog", "rest"),
    ] {
        assert_eq!(
            client.get_path("shop.test", path).await.text(),
            taken,
            "{path}"
        );
    }
}

each_protocol!(plain_http_is_redirected_once_there_is_a_certificate);
async fn plain_http_is_redirected_once_there_is_a_certificate() {
    let origin = Origin::saying("hello").await;
    let proxy = Proxy::serving(vec![
        endpoints("t/s:80", &[origin.address]),
        tls_host("shop.test", None, "t/s:80"),
    ])
    .await;
    let mut client = proxy.client().await;
    let pending = client.get("shop.test").await;
    assert_eq!(
        (pending.status, pending.reason()),
        (503, "CertificatePending")
    );
    assert!(pending.field("retry-after").is_some());
    let certificate = proxy.certificate("t/c", &["shop.test"]);
    let with_tls = tls_host("shop.test", Some("t/c"), "t/s:80");
    proxy.apply(vec![certificate, with_tls]).await;
    let moved = client.get_path("SHOP.test:8080", "/a/../b?c=d").await;
    assert_eq!(moved.status, 301);
    assert_eq!(moved.field("location"), Some("https://shop.test/b?c=d"));
    client
        .send("POST //evil.test HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 0\r\n\r\n")
        .await;
    let moved = client.response().await;
    assert_eq!(moved.status, 308);
    assert_eq!(
        moved.field("location"),
        Some("https://shop.test//evil.test")
    );
    assert_eq!(origin.bytes(), 0);
}

each_protocol!(a_route_that_cannot_be_resolved_says_why);
async fn a_route_that_cannot_be_resolved_says_why() {
    let action = Action::Unavailable {
        reason: "ServiceNotFound".into(),
    };
    let proxy = Proxy::serving(vec![host_with("shop.test", None, action)]).await;
    let response = proxy.client().await.get("shop.test").await;
    assert_eq!(
        (response.status, response.reason()),
        (503, "ServiceNotFound")
    );
}

each_protocol!(no_ready_endpoints_is_503_with_retry_after);
async fn no_ready_endpoints_is_503_with_retry_after() {
    let proxy = Proxy::serving(vec![endpoints("t/s:80", &[]), host("shop.test", "t/s:80")]).await;
    let mut client = proxy.client().await;
    let response = client.get("shop.test").await;
    assert_eq!(
        (response.status, response.reason()),
        (503, "NoReadyEndpoints")
    );
    assert!(response.field("retry-after").is_some());
    client
        .send("HEAD / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
        .await;
    assert_eq!(client.response_to_head().await.status, 503);
    assert_eq!(client.get("shop.test").await.status, 503);
}

each_protocol!(matches_routes_by_path_method_fields_and_query);
async fn matches_routes_by_path_method_fields_and_query() {
    let condition = |name: &str, value| {
        vec![FieldMatch {
            name: name.into(),
            value,
        }]
    };
    let prefix = || RouteMatch::from(PathMatch::Prefix("/api".into()));
    let post = RouteMatch {
        method: Some("POST".into()),
        ..prefix()
    };
    let beta = RouteMatch {
        headers: condition("x-beta", ValueMatch::Regex("(1|yes)".into())),
        ..prefix()
    };
    let second = RouteMatch {
        query: condition("v", ValueMatch::Exact("2 b".into())),
        ..prefix()
    };
    let proxy = Proxy::serving(vec![shop(
        None,
        vec![
            saying(PathMatch::Exact("/api/one".into()).into(), "exact"),
            saying(PathMatch::Regex("/api/v[0-9]+".into()).into(), "regex"),
            saying(post, "method"),
            saying(beta, "header"),
            saying(second, "query"),
            saying(prefix(), "prefix"),
        ],
    )])
    .await;
    let mut client = proxy.client().await;
    for (request, taken) in [
        ("GET /api/one HTTP/1.1\r\nX-Beta: 1", "exact"),
        ("GET /api/one/ HTTP/1.1", "prefix"),
        ("GET /api/%76%32 HTTP/1.1", "regex"),
        ("GET /api/v2/x HTTP/1.1", "prefix"),
        (
            "POST /api HTTP/1.1\r\nContent-Length: 0\r\nX-Beta: 1",
            "method",
        ),
        ("GET /api HTTP/1.1\r\nx-beta: 0\r\nX-BETA: yes", "header"),
        ("GET /api?v=2+b&v=3 HTTP/1.1", "query"),
        ("GET /api?v=2%20b HTTP/1.1\r\nx-beta: 10", "query"),
        ("GET /api?v=3&v=2+b HTTP/1.1", "prefix"),
        // What belongs to the client's hop decides nothing.
        (
            "GET /api HTTP/1.1\r\nx-beta: 1\r\nConnection: x-beta",
            "prefix",
        ),
    ] {
        client
            .send(format!("{request}\r\nHost: shop.test\r\n\r\n"))
            .await;
        assert_eq!(client.response().await.text(), taken, "{request}");
    }
    assert_eq!(
        client.get_path("shop.test", "/apis").await.reason(),
        "NoRoute"
    );
}

#[tokio::test]
async fn splits_requests_by_backend_weight() {
    let origins = [
        Origin::saying("a").await,
        Origin::saying("b").await,
        Origin::saying("none").await,
    ];
    let backends = |weights: [u32; 3]| {
        let named = ["t/a:80", "t/b:80", "t/none:80"].iter().zip(weights);
        let backends = named.map(|(endpoints, weight)| Backend {
            endpoints: (*endpoints).into(),
            weight,
            protocol: UpstreamProtocol::Http1,
            tls: None,
        });
        let action = Action::Forward {
            backends: backends.collect(),
        };
        host_with("shop.test", None, action)
    };
    let proxy = Proxy::serving(vec![
        endpoints("t/a:80", &[origins[0].address]),
        endpoints("t/b:80", &[origins[1].address]),
        endpoints("t/none:80", &[origins[2].address]),
        backends([3, 1, 0]),
    ])
    .await;
    let mut client = proxy.client().await;
    for _ in 0..40 {
        assert_eq!(client.get("shop.test").await.status, 200);
    }
    let counts = origins.each_ref().map(|it| it.requests().len());
    assert!((28..=32).contains(&counts[0]), "{counts:?}");
    assert_eq!((counts[0] + counts[1], counts[2]), (40, 0));
    proxy.apply(vec![backends([0, 0, 0])]).await;
    let response = client.get("shop.test").await;
    assert_eq!(
        (response.status, response.reason()),
        (503, "AllWeightsZero")
    );
}

each_protocol!(serves_plain_http_where_the_route_permits_it);
async fn serves_plain_http_where_the_route_permits_it() {
    let routes = || {
        let open = PathMatch::Prefix("/open".into());
        let open = Route {
            permit_insecure: true,
            ..saying(open.into(), "open")
        };
        let rest = PathMatch::Prefix("/".into());
        vec![open, saying(rest.into(), "rest")]
    };
    let tls = |certificate: Option<&str>| HostTls {
        certificates: certificate.into_iter().map(Into::into).collect(),
        ..HostTls::default()
    };
    let proxy = Proxy::serving(vec![shop(Some(tls(None)), routes())]).await;
    let mut client = proxy.client().await;
    assert_eq!(client.get_path("shop.test", "/open").await.text(), "open");
    assert_eq!(client.get("shop.test").await.reason(), "CertificatePending");
    let certificate = proxy.certificate("t/c", &["shop.test"]);
    proxy
        .apply(vec![certificate, shop(Some(tls(Some("t/c"))), routes())])
        .await;
    assert_eq!(client.get_path("shop.test", "/open/x").await.text(), "open");
    assert_eq!(client.get("shop.test").await.reason(), "RedirectToHttps");
    let mut client = proxy.tls_client("shop.test").await;
    assert_eq!(client.get("shop.test").await.text(), "rest");
    // A host that does not redirect serves both.
    let both = HostTls {
        redirect: false,
        ..tls(Some("t/c"))
    };
    proxy.apply(vec![shop(Some(both), routes())]).await;
    assert_eq!(proxy.client().await.get("shop.test").await.text(), "rest");
}
