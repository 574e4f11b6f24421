//! Routes, policy and TLS of an ExposedPort, from the API server to the client.

use anyhow::{Context, Result, ensure};
use portolan_e2e::client::{Scheme, raw};
use portolan_e2e::echo::service;
use portolan_e2e::exposed::{KIND, exposed_echo, exposed_port};
use portolan_e2e::pki::{Authority, data};
use portolan_e2e::test_env;
use portolan_e2e::wait::{LATER, eventually};
use serde_json::{Value, json};

/// A Service that selects no pod.
fn empty_service(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"selector": {"app": "none"}, "ports": [{"name": "http", "port": 80}]},
    })
}

#[tokio::test]
async fn routes_requests_and_closes_only_broken_routes() -> Result<()> {
    test_env("routes", async |env| {
        let cluster = &env.cluster;
        let namespace = env.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        cluster.apply(&service(&namespace, "blog")).await?;
        cluster.apply(&empty_service(&namespace, "spare")).await?;
        let host = env.host("shop");
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
        let client = cluster.http_client()?;
        let entrypoints = cluster.entrypoints(&exposed).await?;
        for entrypoint in &entrypoints {
            let get = async |path: &str| client.get(Scheme::Https, entrypoint.https, &host, path).await;
            let response = get("/blog/a?b=c").await?;
            let echo = response.echo()?;
            ensure!(echo.path == "/a" || echo.path == "/a?b=c", "rewritten to {}", echo.path);
            ensure!(echo.header("X-Team") == "a", "{:?}", echo.headers);
            ensure!(response.header("x-served") == "blog", "{:?}", response.headers);
            let hsts = response.header("strict-transport-security");
            ensure!(hsts == "max-age=3600", "{hsts}");
            let response = get("/blog/fixed").await?;
            ensure!((response.status, &*response.body) == (203, b"fixed"), "{}", response.status);
            let response = get("/v12").await?;
            let location = response.header("location");
            ensure!(response.status == 308 && location.ends_with("/new"), "{} {location}", response.status);
            let response = get("/blogger").await?;
            ensure!(response.echo()?.path == "/blogger", "not a segment");
            ensure!(response.header("x-served") == "all", "{:?}", response.headers);
            let closed = client.get(Scheme::Http, entrypoint.http, &host, "/blog").await?;
            ensure!(closed.status == 301, "{}", closed.status);
            let request = format!(
                "GET /open HTTP/1.1\r\nHost: {host}\r\nOrigin: https://app.example.com\r\nConnection: close\r\n\r\n"
            );
            let response = String::from_utf8(raw(entrypoint.http, request.as_bytes()).await?)?;
            let allowed = "access-control-allow-origin: https://app.example.com";
            ensure!(response.starts_with("HTTP/1.1 200"), "{response}");
            ensure!(response.to_ascii_lowercase().contains(allowed), "{response}");
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
        let entrypoint = entrypoints.first().context("no way")?;
        eventually("the route is closed", LATER, async || {
            let response = client.get(Scheme::Https, entrypoint.https, &host, "/missing").await?;
            let reason = response.header("x-portolan-reason");
            ensure!(response.status == 503 && reason == "ServiceNotFound", "{} {reason}", response.status);
            Ok(())
        })
        .await?;
        let response = client.get(Scheme::Https, entrypoint.https, &host, "/blog").await?;
        response.echo().context("another route closed with it")?;
        cluster.apply(&service(&namespace, "missing")).await?;
        cluster.ready(&namespace, "shop", LATER).await?;
        let response = client.get(Scheme::Https, entrypoint.https, &host, "/missing").await?;
        response.echo().map(|_| ())
    })
    .await
}

#[tokio::test]
async fn rejects_clients_without_a_certificate_while_ready() -> Result<()> {
    test_env("mutual", async |env| {
        let cluster = &env.cluster;
        let namespace = env.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        let host = env.host("closed");
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
        let client = cluster.http_client()?;
        for entrypoint in cluster.entrypoints(&exposed).await? {
            let refused = client.https(entrypoint.https, &host).await;
            ensure!(
                refused.is_err(),
                "{}: let in without a certificate",
                entrypoint.what
            );
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn schema_rejects_invalid_routes_with_a_message() -> Result<()> {
    test_env("nonsense", async |env| {
        let cluster = &env.cluster;
        let namespace = env.namespace("a").await?;
        for (route, sentence) in [
            (json!({"backends": [{"service": "a", "port": 80}], "redirect": {"path": "/x"}}), "Forbidden: may have at most one of backends"),
            (json!({"backends": [{"service": "a", "port": 80, "weight": -1}]}), "must be between 0 (no requests) and 1000000"),
            (json!({"match": {"path": {"prefix": "blog"}}}), "must start with / and have no query"),
            (json!({"timeouts": {"request": "5 minutes"}}), "must be a duration such as 150ms, 15s or 1h30m"),
            (json!({"redirect": {"status": 301}}), "Required value: at least one of scheme, hostname, port, path or prefixRewrite"),
            (json!({"backends": [{"service": "a", "port": 80, "tls": {"subjectName": "a"}}]}), "must have both ca and subjectName"),
            (json!({"cors": {"allowOrigins": ["*"], "allowCredentials": true}}), "allowCredentials: Forbidden: may not be used with allowOrigins"),
        ] {
            let spec = json!({"port": 80, "service": "a", "hostnames": [env.host("a")], "routes": [route]});
            let refused = cluster.apply(&exposed_port(&namespace, "a", spec)).await;
            let error = refused.err().map(|error| format!("{error:#}")).unwrap_or_default();
            ensure!(error.contains(sentence), "{route}: {error:?}");
        }
        Ok(())
    })
    .await
}
