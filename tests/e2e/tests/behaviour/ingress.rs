//! Ingresses of our classes: served by their rules, with their certificates, and told what stands against
//! them in events.

#![allow(clippy::indexing_slicing)] // A test that cannot go on panics.

use anyhow::{Context, Result, ensure};
use portolan_e2e::cluster::text;
use portolan_e2e::echo::{application, container, service};
use portolan_e2e::pki::Authority;
use portolan_e2e::visitor::{Answer, Scheme};
use portolan_e2e::wait::{LATER, SOON, eventually};
use portolan_e2e::{CLASS, Cluster, ISSUER, scene};
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

/// Waits until the Ingress shows where it leads.
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
async fn told(cluster: &Cluster, namespace: &str, name: &str) -> Result<Vec<[String; 3]>> {
    let events = cluster.list("Event", namespace, "").await?;
    let about = |event: &&Value| {
        text(event, "/regarding/kind") == KIND && text(event, "/regarding/name") == name
    };
    let parts = |event: &Value| {
        ["/type", "/reason", "/note"].map(|pointer| text(event, pointer).to_owned())
    };
    Ok(events.iter().filter(about).map(parts).collect())
}

fn of(answer: &Answer, app: &str) -> Result<()> {
    let pod = answer.echo()?.pod;
    ensure!(pod.starts_with(app), "{pod} answered");
    Ok(())
}

#[tokio::test]
async fn an_ingress_is_served_by_its_rules_with_tls_and_shows_where_it_leads() -> Result<()> {
    scene("ingress", async |scene| {
        let cluster = &scene.cluster;
        let namespace = scene.namespace("a").await?;
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
        let [secure, plain] = ["secure", "plain"].map(|part| scene.host(part));
        let authority = Authority::new()?;
        cluster
            .apply(&authority.secret(&namespace, "own", &[&secure])?)
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
                    "tls": [{"hosts": [secure], "secretName": "own"}],
                    "rules": [rule(&secure, &paths), rule(&plain, &[all])],
                }),
            ))
            .await?;
        let address = addressed(cluster, &namespace, "shop").await?;
        let ways = cluster.ways_to(&[&address]).await?;
        let visitor = authority.visitor()?;
        for way in &ways {
            let get = async |path: &str| visitor.get(Scheme::Https, way.https, &secure, path).await;
            eventually("every path leads to its Service", SOON, async || {
                for (path, app) in [
                    ("/one", "echo"),
                    ("/one/", "rest"),
                    ("/api", "echo"),
                    ("/api/x", "echo"),
                    ("/apis", "rest"),
                    ("/", "rest"),
                ] {
                    of(&get(path).await?, app).with_context(|| format!("{} {path}", way.what))?;
                }
                let moved = visitor.get(Scheme::Http, way.http, &secure, "/one").await?;
                ensure!(moved.status == 301, "{}", moved.status);
                let answer = visitor.get(Scheme::Http, way.http, &plain, "/").await?;
                of(&answer, "echo")
            })
            .await?;
        }
        eventually("people are told that it is served", SOON, async || {
            let told = told(cluster, &namespace, "shop").await?;
            let serving = |host: &str| {
                told.iter().any(|[type_, reason, note]| {
                    type_ == "Normal" && reason == "Serving" && note.starts_with(host)
                })
            };
            ensure!(serving(&secure) && serving(&plain), "{told:?}");
            Ok(())
        })
        .await?;

        // Another controller's from now on.
        let other = json!({"spec": {"ingressClassName": scene.label("other")}});
        cluster.merge(KIND, &namespace, "shop", other).await?;
        let way = ways.first().context("no way in")?;
        eventually("it is let go", SOON, async || {
            let answer = visitor.get(Scheme::Http, way.http, &plain, "/").await?;
            ensure!(answer.status == 404, "{}", answer.status);
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
async fn certificates_come_from_the_class_or_from_cert_manager_s_own_annotation() -> Result<()> {
    scene("ingress-issued", async |scene| {
        let cluster = &scene.cluster;
        let namespace = scene.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        cluster.apply(&service(&namespace, "echo")).await?;
        let [ours, theirs] = ["ours", "theirs"].map(|part| scene.host(part));
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
        let visitor = cluster.visitor()?;
        for (name, host) in [("ours", &ours), ("theirs", &theirs)] {
            let address = addressed(cluster, &namespace, name).await?;
            for way in cluster.ways_to(&[&address]).await? {
                eventually("its certificate is served", LATER, async || {
                    visitor.https(way.https, host).await?.echo().map(drop)
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
async fn a_mistake_is_told_in_an_event_and_the_other_hostnames_are_served() -> Result<()> {
    scene("ingress-told", async |scene| {
        let cluster = &scene.cluster;
        let namespace = scene.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        cluster.apply(&service(&namespace, "echo")).await?;
        let [good, bad] = ["good", "bad"].map(|part| scene.host(part));
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
        let visitor = cluster.visitor()?;
        for way in cluster.ways_to(&[&address]).await? {
            eventually("the good one is served", SOON, async || {
                visitor.http(way.http, &good).await?.echo()?;
                let closed = visitor.http(way.http, &bad).await?;
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
        eventually("each mistake is told with its field", SOON, async || {
            let told = told(cluster, &namespace, "shop").await?;
            for (reason, field) in [
                (
                    "ServiceNotFound",
                    "spec.rules[1].http.paths[0].backend.service.name: ",
                ),
                ("InvalidSpec", "spec.rules[2].host: Required value"),
                (
                    "AnnotationNotSupported",
                    "metadata.annotations: nginx.ingress.kubernetes.io/rewrite-target: ",
                ),
            ] {
                let is_told = |it: &[String; 3]| {
                    it[0] == "Warning" && it[1] == reason && it[2].starts_with(field)
                };
                ensure!(told.iter().any(is_told), "{reason}: {told:?}");
            }
            Ok(())
        })
        .await?;
        cluster.apply(&service(&namespace, "missing")).await?;
        eventually("what was missing is served", SOON, async || {
            let told = told(cluster, &namespace, "shop").await?;
            let serving = |it: &[String; 3]| it[1] == "Serving" && it[2].starts_with(&bad);
            ensure!(told.iter().any(serving), "{told:?}");
            Ok(())
        })
        .await
    })
    .await
}
