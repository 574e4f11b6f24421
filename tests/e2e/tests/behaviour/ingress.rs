//! Ingresses of our classes: served by their rules, with their certificates, and their problems reported in
//! events.

#![allow(clippy::indexing_slicing)] // A test that cannot go on panics.

use anyhow::{Context, Result, ensure};
use portolan_e2e::client::{Response, Scheme};
use portolan_e2e::cluster::text;
use portolan_e2e::echo::{application, container, service};
use portolan_e2e::pki::Authority;
use portolan_e2e::wait::{LATER, SOON, eventually};
use portolan_e2e::{CLASS, Cluster, ISSUER, test_env};
use serde_json::{Value, json};

const KIND: &str = "Ingress";

fn ingress(namespace: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": KIND,
        "metadata": {"namespace": namespace, "name": name}, "spec": spec,
    })
}

fn path(type_: &str, path: &str, service: &str) -> Value {
    let service = json!({"name": service, "port": {"name": "http"}});
    json!({"path": path, "pathType": type_, "backend": {"service": service}})
}

fn rule(host: &str, paths: &[Value]) -> Value {
    json!({"host": host, "http": {"paths": paths}})
}

/// Waits until the Ingress has an address.
async fn addressed(cluster: &Cluster, namespace: &str, name: &str) -> Result<String> {
    eventually("the Ingress has an address", LATER, async || {
        let stored = cluster.get(KIND, namespace, name).await?;
        let ip = text(&stored, "/status/loadBalancer/ingress/0/ip").to_owned();
        ensure!(!ip.is_empty(), "{}", stored["status"]);
        Ok(ip)
    })
    .await
}

/// The events of an Ingress: type, reason and note.
async fn events(cluster: &Cluster, namespace: &str, name: &str) -> Result<Vec<[String; 3]>> {
    let events = cluster.list("Event", namespace, "").await?;
    let about = |event: &&Value| {
        text(event, "/regarding/kind") == KIND && text(event, "/regarding/name") == name
    };
    let parts = |event: &Value| {
        ["/type", "/reason", "/note"].map(|pointer| text(event, pointer).to_owned())
    };
    Ok(events.iter().filter(about).map(parts).collect())
}

fn of(response: &Response, app: &str) -> Result<()> {
    let pod = response.echo()?.pod;
    ensure!(pod.starts_with(app), "{pod} answered");
    Ok(())
}

#[tokio::test]
async fn serves_an_ingress_with_tls_and_sets_its_address() -> Result<()> {
    test_env("ingress", async |env| {
        let cluster = &env.cluster;
        let namespace = env.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        cluster.apply(&service(&namespace, "echo")).await?;
        let one = container("echo", "web", 8080, json!([]));
        cluster
            .apply(&application(&namespace, "rest", 1, &[one]))
            .await?;
        let mut rest = service(&namespace, "rest");
        rest["spec"]["selector"] = json!({"app": "rest"});
        cluster.apply(&rest).await?;
        cluster.rolled_out(&namespace, "rest").await?;
        let [secure_host, plain] = ["secure", "plain"].map(|part| env.host(part));
        let authority = Authority::new()?;
        cluster
            .apply(&authority.secret(&namespace, "own", &[&secure_host])?)
            .await?;
        let paths = [
            path("Exact", "/one", "echo"),
            path("Prefix", "/api", "echo"),
        ];
        let all = path("ImplementationSpecific", "/", "echo");
        cluster
            .apply(&ingress(
                &namespace,
                "shop",
                json!({
                    "ingressClassName": CLASS,
                    "defaultBackend": {"service": {"name": "rest", "port": {"number": 80}}},
                    "tls": [{"hosts": [secure_host], "secretName": "own"}],
                    "rules": [rule(&secure_host, &paths), rule(&plain, &[all])],
                }),
            ))
            .await?;
        let address = addressed(cluster, &namespace, "shop").await?;
        let entrypoints = cluster.entrypoints_at(&[&address]).await?;
        let client = authority.http_client()?;
        for entrypoint in &entrypoints {
            let get = async |path: &str| {
                client
                    .get(Scheme::Https, entrypoint.https, &secure_host, path)
                    .await
            };
            eventually("every path leads to its Service", SOON, async || {
                for (path, app) in [
                    ("/one", "echo"),
                    ("/one/", "rest"),
                    ("/api", "echo"),
                    ("/api/x", "echo"),
                    ("/apis", "rest"),
                    ("/", "rest"),
                ] {
                    of(&get(path).await?, app)
                        .with_context(|| format!("{} {path}", entrypoint.what))?;
                }
                let moved = client
                    .get(Scheme::Http, entrypoint.http, &secure_host, "/one")
                    .await?;
                ensure!(moved.status == 301, "{}", moved.status);
                let response = client
                    .get(Scheme::Http, entrypoint.http, &plain, "/")
                    .await?;
                of(&response, "echo")
            })
            .await?;
        }
        eventually("an event reports that it is served", SOON, async || {
            let events = events(cluster, &namespace, "shop").await?;
            let serving = |host: &str| {
                events.iter().any(|[type_, reason, note]| {
                    type_ == "Normal" && reason == "Serving" && note.starts_with(host)
                })
            };
            ensure!(serving(&secure_host) && serving(&plain), "{events:?}");
            Ok(())
        })
        .await?;

        // Another controller's from now on.
        let other = json!({"spec": {"ingressClassName": env.label("other")}});
        cluster.merge(KIND, &namespace, "shop", other).await?;
        let entrypoint = entrypoints.first().context("no way in")?;
        eventually("it is no longer served", SOON, async || {
            let response = client
                .get(Scheme::Http, entrypoint.http, &plain, "/")
                .await?;
            ensure!(response.status == 404, "{}", response.status);
            let stored = cluster.get(KIND, &namespace, "shop").await?;
            let shown = text(&stored, "/status/loadBalancer/ingress/0/ip");
            ensure!(shown.is_empty(), "it still shows {shown}");
            Ok(())
        })
        .await
    })
    .await
}

#[tokio::test]
async fn ingress_certificates_come_from_class_or_annotation() -> Result<()> {
    test_env("ingress-issued", async |env| {
        let cluster = &env.cluster;
        let namespace = env.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        cluster.apply(&service(&namespace, "echo")).await?;
        let [ours, theirs] = ["ours", "theirs"].map(|part| env.host(part));
        let all = [path("Prefix", "/", "echo")];
        let spec = |host: &str, tls: Value| {
            json!({"ingressClassName": CLASS, "rules": [rule(host, &all)], "tls": [tls]})
        };
        let of_class = spec(&ours, json!({"hosts": [ours]}));
        cluster.apply(&ingress(&namespace, "ours", of_class)).await?;
        let shim = spec(&theirs, json!({"hosts": [theirs], "secretName": "theirs-tls"}));
        let mut shim = ingress(&namespace, "theirs", shim);
        shim["metadata"]["annotations"] = json!({"cert-manager.io/cluster-issuer": ISSUER});
        cluster.apply(&shim).await?;
        let client = cluster.http_client()?;
        for (name, host) in [("ours", &ours), ("theirs", &theirs)] {
            let address = addressed(cluster, &namespace, name).await?;
            for entrypoint in cluster.entrypoints_at(&[&address]).await? {
                eventually("its certificate is served", LATER, async || {
                    client.https(entrypoint.https, host).await?.echo().map(drop)
                })
                .await?;
            }
        }
        let label = "portolan.dev/ingress=ours";
        let made = cluster.list("Certificate", &namespace, label).await?;
        ensure!(made.len() == 1, "{made:?}");
        let certificates = cluster.list("Certificate", &namespace, "").await?;
        ensure!(certificates.len() == 2, "one each: {certificates:?}");
        cluster.delete(KIND, &namespace, "ours").await?;
        let name = text(made.first().context("none")?, "/metadata/name").to_owned();
        cluster.gone("Certificate", &namespace, &name, LATER).await
    })
    .await
}

#[tokio::test]
async fn reports_ingress_errors_in_events_and_serves_the_rest() -> Result<()> {
    test_env("ingress-events", async |env| {
        let cluster = &env.cluster;
        let namespace = env.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        cluster.apply(&service(&namespace, "echo")).await?;
        let [good, bad] = ["good", "bad"].map(|part| env.host(part));
        let echo = path("Prefix", "/", "echo");
        let rules = json!([
            rule(&good, std::slice::from_ref(&echo)),
            rule(&bad, &[path("Prefix", "/", "missing")]),
            {"http": {"paths": [echo]}},
        ]);
        let spec = json!({"ingressClassName": CLASS, "rules": rules});
        let mut object = ingress(&namespace, "shop", spec);
        object["metadata"]["annotations"] =
            json!({"nginx.ingress.kubernetes.io/rewrite-target": "/"});
        cluster.apply(&object).await?;
        let address = addressed(cluster, &namespace, "shop").await?;
        let client = cluster.http_client()?;
        for entrypoint in cluster.entrypoints_at(&[&address]).await? {
            eventually("the good one is served", SOON, async || {
                client.http(entrypoint.http, &good).await?.echo()?;
                let closed = client.http(entrypoint.http, &bad).await?;
                let reason = closed.header("x-portolan-reason");
                ensure!(
                    closed.status == 503 && reason == "ServiceNotFound",
                    "{} {reason}",
                    closed.status
                );
                Ok(())
            })
            .await?;
        }
        eventually("an event for each error has its field", SOON, async || {
            let events = events(cluster, &namespace, "shop").await?;
            for (reason, field) in [
                (
                    "ServiceNotFound",
                    "spec.rules[1].http.paths[0].backend.service.name: ",
                ),
                ("InvalidSpec", "spec.rules[2].host: Required value"),
                (
                    "AnnotationNotSupported",
                    "metadata.annotations: Unsupported value: nginx.ingress.kubernetes.io/rewrite-target: ",
                ),
            ] {
                let is_expected = |event: &[String; 3]| {
                    event[0] == "Warning" && event[1] == reason && event[2].starts_with(field)
                };
                ensure!(events.iter().any(is_expected), "{reason}: {events:?}");
            }
            Ok(())
        })
        .await?;
        cluster.apply(&service(&namespace, "missing")).await?;
        eventually("what was missing is served", SOON, async || {
            let events = events(cluster, &namespace, "shop").await?;
            let serving = |event: &[String; 3]| event[1] == "Serving" && event[2].starts_with(&bad);
            ensure!(events.iter().any(serving), "{events:?}");
            Ok(())
        })
        .await
    })
    .await
}
