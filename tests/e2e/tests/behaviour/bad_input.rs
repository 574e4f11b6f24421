//! Bad input: rejected by the schema with a message, or reported in status with a documented reason, while
//! all other objects are served.

use anyhow::{Context, Result, ensure};
use portolan_e2e::client::Scheme;
use portolan_e2e::cluster::text;
use portolan_e2e::exposed::{KIND, exposed_echo, exposed_port};
use portolan_e2e::load::Load;
use portolan_e2e::pki::{Authority, data};
use portolan_e2e::wait::{LATER, SOON, eventually};
use portolan_e2e::{Cluster, TestEnv, test_env};
use serde_json::{Value, json};

#[tokio::test]
async fn schema_rejects_with_a_message() -> Result<()> {
    test_env("schema", async |env| {
        let namespace = env.namespace("a").await?;
        let host = env.host("x");
        let with = |spec: Value| exposed_port(&namespace, "x", spec);
        let cases = [
            ("two sources", json!({"selector": {"app": "a"}, "service": "b"}), "spec.service: Forbidden: may not be set together with spec.selector"),
            ("no source", json!({}), "spec.selector: Required value: the labels of your pods"),
            ("an address", json!({"service": "b", "hostnames": ["10.0.0.1"]}), "must be a DNS name such as shop.example.com, not an IP address"),
            ("an underscore", json!({"service": "b", "hostnames": ["a_b.example.com"]}), "must be labels of at most 63 letters"),
            ("an inner wildcard", json!({"service": "b", "hostnames": ["a.*.example.com"]}), "must be labels of at most 63 letters"),
            ("no hostname", json!({"service": "b", "hostnames": []}), "spec.hostnames"),
            ("port 0", json!({"service": "b", "port": 0}), "must be between 1 and 65535, inclusive"),
            ("port 65536", json!({"service": "b", "port": 65536}), "must be between 1 and 65535, inclusive"),
            ("a negative port", json!({"service": "b", "port": -1}), "must be between 1 and 65535, inclusive"),
            (
                "two certificates",
                json!({"service": "b", "tls": {"secret": {"name": "a"}, "issuerRef": {"name": "b"}}}),
                "spec.tls.issuerRef: Forbidden: may not be set together with spec.tls.secret",
            ),
            (
                "a certificate for nothing",
                json!({"service": "b", "tls": {"mode": "Disabled", "secret": {"name": "a"}}}),
                "spec.tls.mode: Forbidden: Disabled may not be set together with secret",
            ),
            (
                "two ends",
                json!({"service": "b", "expiresAfter": "2h", "expiresAt": "2030-01-01T00:00:00Z"}),
                "spec.expiresAt: Forbidden: may not be set together with spec.expiresAfter",
            ),
            ("an end at once", json!({"service": "b", "expiresAfter": "0s"}), "must be a positive duration"),
            ("a lease too short", json!({"service": "b", "lease": {"duration": "4s"}}), "must be a duration from 5s to 24h"),
            ("a lease too long", json!({"service": "b", "lease": {"duration": "24h1ms"}}), "must be a duration from 5s to 24h"),
            ("nothing to expire", json!({"service": "b", "onExpiry": "Keep"}), "spec.onExpiry: Forbidden: requires spec.expiresAfter"),
            ("an unknown mode", json!({"service": "b", "tls": {"mode": "Maybe"}}), "spec.tls.mode"),
        ];
        for (case, more, sentence) in cases {
            let mut spec = json!({"port": 80, "hostnames": [host]});
            let (Some(spec_fields), Value::Object(more)) = (spec.as_object_mut(), more) else { continue };
            spec_fields.extend(more);
            let refusal = env.cluster.refusal(&with(spec)).await.context(case)?;
            ensure!(refusal.contains(sentence), "{case}: {refusal}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn unknown_class_or_service_does_not_affect_others() -> Result<()> {
    test_env("bystander", async |env| {
        let (cluster, namespace, load) = bystander(env).await?;
        let spec = |more: Value| {
            let mut spec = json!({"port": 80, "service": "absent", "tls": {"mode": "Disabled"}});
            if let (Some(spec), Value::Object(more)) = (spec.as_object_mut(), more) {
                spec.extend(more);
            }
            spec
        };
        let host = env.host("class");
        let unknown = spec(json!({"hostnames": [host], "className": "no-such-class"}));
        cluster
            .apply(&exposed_port(&namespace, "class", unknown))
            .await?;
        let host = env.host("service");
        cluster
            .apply(&exposed_port(
                &namespace,
                "service",
                spec(json!({"hostnames": [host]})),
            ))
            .await?;

        let unready = cluster
            .unready(&namespace, "class", "ClassNotFound", SOON)
            .await?;
        let ready = unready.current("Ready").context("no Ready")?;
        ensure!(ready.message.contains("no-such-class"), "{}", ready.message);
        ensure!(
            text(&unready.0, "/status/summary/status") == "Invalid",
            "{unready}"
        );
        let unready = cluster
            .unready(&namespace, "service", "ServiceNotFound", SOON)
            .await?;
        let ready = unready.current("Ready").context("no Ready")?;
        ensure!(ready.message.contains("absent"), "{}", ready.message);
        // The hostname is held and answered, with the reason.
        let client = cluster.http_client()?;
        for proxy in cluster.ready_proxies().await? {
            for entrypoint in proxy.entrypoints() {
                eventually("the proxy knows what is missing", SOON, async || {
                    let response = client.http(entrypoint.http, &host).await?;
                    let reason = response.header("x-portolan-reason");
                    ensure!(
                        (response.status, reason) == (503, "ServiceNotFound"),
                        "{} {reason}",
                        response.status
                    );
                    Ok(())
                })
                .await?;
            }
        }
        load.finish().await.map(drop)
    })
    .await
}

#[tokio::test]
async fn secret_without_key_does_not_affect_others() -> Result<()> {
    test_env("keyless", async |env| {
        let (cluster, namespace, load) = bystander(env).await?;
        let host = env.host("x");
        let pair = Authority::new()?.issue(&[&host])?;
        cluster
            .apply(&json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": namespace, "name": "keyless"},
                "data": data(&[("tls.crt", &pair.certificate)]),
            }))
            .await?;
        let tls = json!({"tls": {"secret": {"name": "keyless"}}});
        cluster.apply(&exposed_echo(&namespace, "x", &[&host], tls)).await?;
        let unready = cluster.unready(&namespace, "x", "SecretWithoutKey", SOON).await?;
        let ready = unready.current("Ready").context("no Ready")?;
        ensure!(ready.message.contains("keyless"), "{}", ready.message);
        load.finish().await.map(drop)
    })
    .await
}

#[tokio::test]
async fn reserved_hostname_is_refused_until_released() -> Result<()> {
    test_env("held", async |env| {
        let (cluster, first, load) = bystander(env).await?;
        let second = env.namespace("b").await?;
        cluster.echo(&second, 1).await?;
        let [wanted, own] = ["wanted", "own"].map(|part| env.host(part));
        cluster
            .apply(&exposed_echo(&first, "x", &[&wanted], plain()))
            .await?;
        cluster.ready(&first, "x", SOON).await?;
        cluster
            .apply(&exposed_echo(&second, "x", &[&own, &wanted], plain()))
            .await?;
        let unready = cluster.unready(&second, "x", "HostnameHeld", SOON).await?;
        let lost = unready.hostname(&wanted)?;
        ensure!(text(lost, "/reason") == "HostnameHeld", "{lost}");
        ensure!(text(lost, "/heldBy").contains(&first), "{lost}");

        let client = cluster.http_client()?;
        let standing = cluster.exposed(&first, "x").await?;
        for entrypoint in cluster.entrypoints(&standing).await? {
            // The one that it has is served although it lost the other.
            eventually("the other name is served", SOON, async || {
                client.http(entrypoint.http, &own).await?.echo().map(drop)
            })
            .await?;
            let echo = client.http(entrypoint.http, &wanted).await?.echo()?;
            let pods = cluster.list("Pod", &first, "app=echo").await?;
            let of_the_holder = pods
                .iter()
                .any(|pod| text(pod, "/metadata/name") == echo.pod);
            ensure!(of_the_holder, "{} leads to {}", entrypoint.what, echo.pod);
        }
        ensure!(
            cluster.exposed(&first, "x").await?.is_ready(),
            "the holder was disturbed"
        );

        cluster.delete(KIND, &first, "x").await?;
        let exposed = cluster.ready(&second, "x", SOON).await?;
        for entrypoint in cluster.entrypoints(&exposed).await? {
            client.http(entrypoint.http, &wanted).await?.echo()?;
        }
        let hold = cluster
            .get("HostnameHold", "", &format!("h.{wanted}"))
            .await?;
        ensure!(hold.to_string().contains(&second), "{hold}");
        load.finish().await.map(drop)
    })
    .await
}

#[tokio::test]
async fn refuses_names_below_a_wildcard_of_another_namespace() -> Result<()> {
    test_env("wildcard", async |env| {
        let (cluster, first, load) = bystander(env).await?;
        let second = env.namespace("b").await?;
        cluster.echo(&second, 1).await?;
        let domain = env.host("wild");
        let (wildcard, narrow) = (format!("*.{domain}"), format!("x.{domain}"));
        cluster
            .apply(&exposed_echo(&first, "x", &[&wildcard], plain()))
            .await?;
        cluster.ready(&first, "x", SOON).await?;
        cluster
            .get("HostnameHold", "", &format!("w.{domain}"))
            .await?;
        cluster
            .apply(&exposed_echo(&second, "x", &[&narrow], plain()))
            .await?;
        let unready = cluster
            .unready(&second, "x", "HeldByWildcard", SOON)
            .await?;
        let lost = unready.hostname(&narrow)?;
        ensure!(text(lost, "/heldBy").contains(&first), "{lost}");
        ensure!(
            text(&unready.0, "/status/summary/status") == "Conflicted",
            "{unready}"
        );
        // The wildcard's own namespace may have it.
        cluster
            .apply(&exposed_echo(&first, "y", &[&narrow], plain()))
            .await?;
        cluster.ready(&first, "y", SOON).await?;
        load.finish().await.map(drop)
    })
    .await
}

#[tokio::test]
async fn leaves_foreign_objects_with_child_names_alone() -> Result<()> {
    test_env("foreign", async |env| {
        let (cluster, namespace, load) = bystander(env).await?;
        let host = env.host("x");
        let object = exposed_echo(&namespace, "x", &[&host], plain());
        // Its children's names are found out by making it once.
        cluster.apply(&object).await?;
        let exposed = cluster.ready(&namespace, "x", SOON).await?;
        let [service, ingress] = [exposed.child("Service")?, exposed.child("Ingress")?];
        cluster.delete(KIND, &namespace, "x").await?;
        cluster.gone("Service", &namespace, service, SOON).await?;
        cluster.gone("Ingress", &namespace, ingress, SOON).await?;
        for foreign in [
            json!({
                "apiVersion": "v1", "kind": "Service",
                "metadata": {"namespace": namespace, "name": service},
                "spec": {"clusterIP": "None", "ports": [{"port": 1234}]},
            }),
            json!({
                "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
                "metadata": {"namespace": namespace, "name": ingress},
                "spec": {"ingressClassName": "other-controller", "rules": [{"host": "foreign.example.com"}]},
            }),
        ] {
            cluster.apply(&foreign).await?;
        }
        let version = async |kind: &str, name: &str| -> Result<String> {
            let object = cluster.get(kind, &namespace, name).await?;
            Ok(text(&object, "/metadata/resourceVersion").to_owned())
        };
        let before = [version("Service", service).await?, version("Ingress", ingress).await?];

        cluster.apply(&object).await?;
        let unready = cluster.unready(&namespace, "x", "ForeignObject", SOON).await?;
        let ready = unready.current("Ready").context("no Ready")?;
        let named = ready.message.contains(service) || ready.message.contains(ingress);
        ensure!(named, "it does not say which: {}", ready.message);
        cluster.delete(KIND, &namespace, "x").await?;
        cluster.gone("HostnameHold", "", &format!("h.{host}"), SOON).await?;
        let after = [version("Service", service).await?, version("Ingress", ingress).await?];
        ensure!(before == after, "a foreign object was touched: {before:?}, {after:?}");

        // With the foreign ones out of the way the same object is served.
        cluster.apply(&object).await?;
        cluster.unready(&namespace, "x", "ForeignObject", SOON).await?;
        cluster.delete("Service", &namespace, service).await?;
        cluster.delete("Ingress", &namespace, ingress).await?;
        cluster.ready(&namespace, "x", SOON).await?;
        load.finish().await.map(drop)
    })
    .await
}

#[tokio::test]
async fn older_object_keeps_the_hostname() -> Result<()> {
    test_env("twins", async |env| {
        let (cluster, namespace, load) = bystander(env).await?;
        let host = env.host("x");
        cluster
            .apply(&exposed_echo(&namespace, "older", &[&host], plain()))
            .await?;
        cluster.ready(&namespace, "older", SOON).await?;
        // Creation times have whole seconds, and the name decides between equals.
        cluster
            .apply(&exposed_echo(&namespace, "younger", &[&host], plain()))
            .await?;
        let unready = cluster
            .unready(&namespace, "younger", "RouteConflict", SOON)
            .await?;
        ensure!(
            text(unready.hostname(&host)?, "/heldBy").contains("older"),
            "{unready}"
        );
        cluster.delete(KIND, &namespace, "older").await?;
        cluster.ready(&namespace, "younger", SOON).await?;
        load.finish().await.map(drop)
    })
    .await
}

/// A namespace with the application, an object that is served there, and a client at every proxy that
/// must be answered all the while.
async fn bystander(env: &TestEnv) -> Result<(Cluster, String, Load)> {
    let cluster = env.cluster.clone();
    let namespace = env.namespace("a").await?;
    cluster.echo(&namespace, 1).await?;
    let host = env.host("bystander");
    cluster
        .apply(&exposed_echo(&namespace, "bystander", &[&host], json!({})))
        .await?;
    let exposed = cluster.ready(&namespace, "bystander", LATER).await?;
    let entrypoints = cluster.entrypoints(&exposed).await?;
    let load = Load::start(&cluster.http_client()?, &entrypoints, Scheme::Https, &host);
    Ok((cluster, namespace, load))
}

fn plain() -> Value {
    json!({"tls": {"mode": "Disabled"}})
}
