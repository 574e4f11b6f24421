//! Routes, policy and TLS of an ExposedPort, from the API server to what a visitor sees.

use anyhow::{Context, Result, ensure};
use portolan_e2e::echo::service;
use portolan_e2e::exposed::{KIND, exposed_echo, exposed_port};
use portolan_e2e::pki::{Authority, data};
use portolan_e2e::scene;
use portolan_e2e::visitor::{Scheme, raw};
use portolan_e2e::wait::{LATER, eventually};
use serde_json::{Value, json};

/// A Service that selects nobody.
fn empty_service(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"selector": {"app": "nobody"}, "ports": [{"name": "http", "port": 80}]},
    })
}

#[tokio::test]
async fn each_request_finds_its_route_and_what_is_missing_closes_one() -> Result<()> {
    scene("routes", async |scene| {
        let cluster = &scene.cluster;
        let namespace = scene.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        cluster.apply(&service(&namespace, "blog")).await?;
        cluster.apply(&empty_service(&namespace, "spare")).await?;
        let host = scene.host("shop");
        let blog = json!({
            "match": {"path": {"prefix": "/blog"}},
            "backends": [{"service": "blog", "port": 80, "weight": 1}, {"service": "spare", "port": 80}],
            "prefixRewrite": "/",
            "headers": {"request": {"set": {"x-team": "a"}}, "response": {"set": {"x-served": "blog"}}},
        });
        let open = json!({
            "match": {"path": {"prefix": "/open"}}, "permitInsecure": true,
            "cors": {"allowOrigins": ["https://app.example.com"]},
        });
        let missing = json!({
            "match": {"path": {"exact": "/missing"}}, "backends": [{"service": "missing", "port": 80}],
        });
        let mut routes = vec![
            blog,
            open,
            json!({"match": {"path": {"exact": "/blog/fixed"}}, "respond": {"status": 203, "body": "fixed"}}),
            json!({"match": {"path": {"regex": "/v[0-9]+"}}, "redirect": {"path": "/new", "status": 308}}),
            json!({}),
        ];
        let more = json!({
            "routes": routes, "policy": {"headers": {"response": {"set": {"x-served": "all"}}}},
            "tls": {"hsts": {"maxAge": "1h"}, "minVersion": "1.3"},
        });
        cluster
            .apply(&exposed_echo(&namespace, "shop", &[&host], more))
            .await?;
        let exposed = cluster.ready(&namespace, "shop", LATER).await?;
        let visitor = cluster.visitor()?;
        let ways = cluster.ways(&exposed).await?;
        for way in &ways {
            let get = async |path: &str| visitor.get(Scheme::Https, way.https, &host, path).await;
            let answer = get("/blog/a?b=c").await?;
            let echo = answer.echo()?;
            ensure!(echo.path == "/a" || echo.path == "/a?b=c", "rewritten to {}", echo.path);
            ensure!(echo.header("X-Team") == "a", "{:?}", echo.headers);
            ensure!(answer.header("x-served") == "blog", "{:?}", answer.headers);
            let hsts = answer.header("strict-transport-security");
            ensure!(hsts == "max-age=3600", "{hsts}");
            let answer = get("/blog/fixed").await?;
            ensure!((answer.status, &*answer.body) == (203, b"fixed"), "{}", answer.status);
            let answer = get("/v12").await?;
            let location = answer.header("location");
            ensure!(answer.status == 308 && location.ends_with("/new"), "{} {location}", answer.status);
            let answer = get("/blogger").await?;
            ensure!(answer.echo()?.path == "/blogger", "not a segment");
            ensure!(answer.header("x-served") == "all", "{:?}", answer.headers);
            let closed = visitor.get(Scheme::Http, way.http, &host, "/blog").await?;
            ensure!(closed.status == 301, "{}", closed.status);
            let request = format!(
                "GET /open HTTP/1.1\r\nHost: {host}\r\nOrigin: https://app.example.com\r\nConnection: close\r\n\r\n"
            );
            let answer = String::from_utf8(raw(way.http, request.as_bytes()).await?)?;
            let allowed = "access-control-allow-origin: https://app.example.com";
            ensure!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            ensure!(answer.to_ascii_lowercase().contains(allowed), "{answer}");
        }

        routes.push(missing);
        let patch = json!({"spec": {"routes": routes}});
        cluster.merge(KIND, &namespace, "shop", patch).await?;
        let unready = cluster
            .unready(&namespace, "shop", "ServiceNotFound", LATER)
            .await?;
        let resolved = unready.condition("ResolvedRefs").context("no ResolvedRefs")?;
        let place = "spec.routes[5].backends[0].service: ";
        ensure!(resolved.message.contains(place), "{unready}");
        let way = ways.first().context("no way")?;
        eventually("the route is closed", LATER, async || {
            let answer = visitor.get(Scheme::Https, way.https, &host, "/missing").await?;
            let reason = answer.header("x-portolan-reason");
            ensure!(answer.status == 503 && reason == "ServiceNotFound", "{} {reason}", answer.status);
            Ok(())
        })
        .await?;
        let answer = visitor.get(Scheme::Https, way.https, &host, "/blog").await?;
        answer.echo().context("another route closed with it")?;
        cluster.apply(&service(&namespace, "missing")).await?;
        cluster.ready(&namespace, "shop", LATER).await?;
        let answer = visitor.get(Scheme::Https, way.https, &host, "/missing").await?;
        answer.echo().map(|_| ())
    })
    .await
}

#[tokio::test]
async fn clients_without_a_certificate_are_kept_out_and_status_is_ready() -> Result<()> {
    scene("mutual", async |scene| {
        let cluster = &scene.cluster;
        let namespace = scene.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        let host = scene.host("closed");
        let tls = json!({"clientCA": {"secret": {"name": "clients"}}});
        let exposed = exposed_echo(&namespace, "closed", &[&host], json!({"tls": tls}));
        cluster.apply(&exposed).await?;
        cluster
            .unready(&namespace, "closed", "SecretNotFound", LATER)
            .await?;
        let authority = Authority::new()?;
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"namespace": namespace, "name": "clients"},
            "data": data(&[("ca.crt", authority.pem())]),
        });
        cluster.apply(&secret).await?;
        let exposed = cluster.ready(&namespace, "closed", LATER).await?;
        let visitor = cluster.visitor()?;
        for way in cluster.ways(&exposed).await? {
            let refused = visitor.https(way.https, &host).await;
            ensure!(
                refused.is_err(),
                "{}: let in without a certificate",
                way.what
            );
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn nonsense_is_refused_with_a_sentence() -> Result<()> {
    scene("nonsense", async |scene| {
        let cluster = &scene.cluster;
        let namespace = scene.namespace("a").await?;
        for (route, sentence) in [
            (json!({"backends": [{"service": "a", "port": 80}], "redirect": {"path": "/x"}}), "Forbidden: may have at most one of backends"),
            (json!({"backends": [{"service": "a", "port": 80, "weight": -1}]}), "must be between 0 (no requests) and 1000000"),
            (json!({"match": {"path": {"prefix": "blog"}}}), "must start with / and have no query"),
            (json!({"timeouts": {"request": "5 minutes"}}), "must be a duration such as 150ms, 15s or 1h30m"),
            (json!({"redirect": {"status": 301}}), "Required value: at least one of scheme, hostname, port, path or prefixRewrite"),
            (json!({"backends": [{"service": "a", "port": 80, "tls": {"subjectName": "a"}}]}), "must have both ca and subjectName"),
            (json!({"cors": {"allowOrigins": ["*"], "allowCredentials": true}}), "allowCredentials: Forbidden: may not be used with allowOrigins"),
        ] {
            let spec = json!({"port": 80, "service": "a", "hostnames": [scene.host("a")], "routes": [route]});
            let refused = cluster.apply(&exposed_port(&namespace, "a", spec)).await;
            let told = refused.err().map(|error| format!("{error:#}")).unwrap_or_default();
            ensure!(told.contains(sentence), "{route}: {told:?}");
        }
        Ok(())
    })
    .await
}
