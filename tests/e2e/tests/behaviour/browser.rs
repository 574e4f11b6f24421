//! A browser: HTTP/2 by ALPN, many requests at a time, one connection for several names.

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use portolan_e2e::SYSTEM;
use portolan_e2e::cluster::text;
use portolan_e2e::exposed::exposed_echo;
use portolan_e2e::http2::Browser;
use portolan_e2e::pki::Authority;
use portolan_e2e::test_env;
use portolan_e2e::wait::{LATER, eventually};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::task::JoinSet;

/// Requests that a browser has in flight.
const AT_A_TIME: usize = 100;

#[tokio::test]
async fn answers_a_hundred_concurrent_http2_requests() -> Result<()> {
    test_env("browser", async |env| {
        let cluster = &env.cluster;
        let namespace = env.namespace("a").await?;
        cluster.echo(&namespace, 2).await?;
        let host = env.host("shop");
        cluster
            .apply(&exposed_echo(&namespace, "shop", &[&host], json!({})))
            .await?;
        let exposed = cluster.ready(&namespace, "shop", LATER).await?;
        let client = cluster.http_client()?;
        for entrypoint in cluster.entrypoints(&exposed).await? {
            let session = client.session(entrypoint.https, &host).await?;
            let asked = (0..AT_A_TIME).map(|number| {
                let (session, host) = (&session, &host);
                async move {
                    let path = format!("/item/{number}");
                    let crumb = format!("b={number}");
                    // Browsers send cookies in crumbs over HTTP/2 (RFC 9113, 8.2.3).
                    let fields = [
                        ("cookie", "a=1"),
                        ("cookie", crumb.as_str()),
                        ("priority", "u=1"),
                    ];
                    let echo = session.get(host, &path, &fields).await?.echo()?;
                    ensure!(echo.path == path && echo.host == *host, "{path}: {echo:?}");
                    let cookie = echo.header("Cookie");
                    ensure!(cookie == format!("a=1; {crumb}"), "{path}: {cookie}");
                    Ok(())
                }
            });
            try_join_all(asked)
                .await
                .with_context(|| entrypoint.what.clone())?;
        }
        Ok(())
    })
    .await
}

/// A browser uses a connection for every name that its certificate has (RFC 9113, 9.1.1), so a name that
/// must not be reached that way is rejected with 421.
#[tokio::test]
async fn coalesced_connection_respects_tls_policy() -> Result<()> {
    test_env("coalesce", async |env| {
        let cluster = &env.cluster;
        let namespace = env.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        let [one, two, strict] = ["one", "two", "strict"].map(|part| env.host(part));
        let authority = Authority::new()?;
        cluster
            .apply(&authority.secret(&namespace, "all", &[&one, &two, &strict])?)
            .await?;
        let tls = |more: Value| {
            let mut tls = json!({"secret": {"name": "all"}});
            if let (Some(tls), Value::Object(more)) = (tls.as_object_mut(), more) {
                tls.extend(more);
            }
            json!({"tls": tls})
        };
        for (name, host, more) in [
            ("one", &one, json!({})),
            ("two", &two, json!({})),
            ("strict", &strict, json!({"minVersion": "1.3"})),
        ] {
            cluster
                .apply(&exposed_echo(&namespace, name, &[host], tls(more)))
                .await?;
        }
        let mut exposed = None;
        for name in ["one", "two", "strict"] {
            exposed = Some(cluster.ready(&namespace, name, LATER).await?);
        }
        let client = authority.http_client()?;
        for entrypoint in cluster.entrypoints(&exposed.context("none")?).await? {
            let session = client.session(entrypoint.https, &one).await?;
            for host in [&one, &two] {
                let echo = session.get(host, "/", &[]).await?.echo()?;
                ensure!(echo.host == *host, "{}: {echo:?}", entrypoint.what);
            }
            let response = session.get(&strict, "/", &[]).await?;
            ensure!(
                response.status == 421,
                "{}: {}",
                entrypoint.what,
                response.status
            );
            let response = session.get("unknown.portolan.test", "/", &[]).await?;
            ensure!(
                response.status == 404,
                "{}: {}",
                entrypoint.what,
                response.status
            );
            let own = client.session(entrypoint.https, &strict).await?;
            own.get(&strict, "/", &[]).await?.echo()?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn rollouts_of_application_and_proxies_lose_no_request() -> Result<()> {
    test_env("replaced", async |env| {
        let cluster = &env.cluster;
        let namespace = env.namespace("a").await?;
        cluster.echo(&namespace, 2).await?;
        let class = env.own_class(2).await?;
        let host = env.host("shop");
        cluster
            .apply(&exposed_echo(
                &namespace,
                "shop",
                &[&host],
                json!({"className": class}),
            ))
            .await?;
        let exposed = cluster.ready(&namespace, "shop", LATER).await?;
        let address = exposed.addresses().first().context("no address")?.parse()?;
        let at = SocketAddr::new(address, 443);
        let client = cluster.http_client()?;
        // The address is new, and kube-proxy may be a moment behind the status of its Service.
        eventually("the address answers", LATER, async || {
            client.https(at, &host).await?.echo()
        })
        .await?;
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicU64::new(0));
        let mut clients = JoinSet::new();
        for _ in 0..2 {
            let browser = Arc::new(Browser::new(client.clone(), at, &host));
            for tab in 0..4 {
                let (browser, stop, answered) = (browser.clone(), stop.clone(), answered.clone());
                clients.spawn(async move {
                    while !stop.load(Ordering::Relaxed) {
                        browser.get(&format!("/tab/{tab}")).await?;
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                    anyhow::Ok(())
                });
            }
        }
        let again = json!({"spec": {"template": {"metadata": {"annotations": {"again": "1"}}}}});
        cluster
            .merge("Deployment", &namespace, "echo", again.clone())
            .await?;
        cluster.rolled_out(&namespace, "echo").await?;
        let of_application = answered.load(Ordering::Relaxed);
        let pods = cluster.proxy_pods(&class).await?;
        let label = format!("portolan.dev/class={class}");
        let deployments = cluster.list("Deployment", SYSTEM, &label).await?;
        let deployment = deployments.first().context("no proxies")?;
        let name = text(deployment, "/metadata/name");
        cluster.merge("Deployment", SYSTEM, name, again).await?;
        cluster.rolled_out(SYSTEM, name).await?;
        // They go on for what they have while they drain.
        for pod in pods {
            let name = text(&pod, "/metadata/name");
            cluster.gone("Pod", SYSTEM, name, LATER).await?;
        }
        stop.store(true, Ordering::Relaxed);
        while let Some(client) = clients.join_next().await {
            client??;
        }
        let all = answered.load(Ordering::Relaxed);
        println!(
            "{of_application} answers while the application, {all} until the proxies were replaced"
        );
        ensure!(of_application > 0 && all > of_application, "no requests");
        Ok(())
    })
    .await
}
