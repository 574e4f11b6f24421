//! Settings that a class permits to its objects, and their effect on the children.

use anyhow::{Context, Result, ensure};
use portolan_e2e::client::Scheme;
use portolan_e2e::exposed::exposed_echo;
use portolan_e2e::pki::{Authority, tls_secret};
use portolan_e2e::wait::{LATER, SOON, eventually};
use portolan_e2e::{Cluster, ISSUER, test_env};
use serde_json::{Value, json};

const BODY_SIZE: &str = "nginx.ingress.kubernetes.io/proxy-body-size";

async fn ingress(cluster: &Cluster, namespace: &str, name: &str) -> Result<Value> {
    let exposed = cluster.exposed(namespace, name).await?;
    cluster
        .get("Ingress", namespace, exposed.child("Ingress")?)
        .await
}

#[tokio::test]
async fn passes_allowed_labels_and_annotations_to_children() -> Result<()> {
    test_env("decoration", async |env| {
        let cluster = &env.cluster;
        let namespace = env.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        let annotations = json!({"allow": [BODY_SIZE]});
        let proxy = json!({"replicas": 1});
        let issuer = json!({"name": ISSUER});
        let spec = json!({"proxy": proxy, "issuerRef": issuer, "annotations": annotations});
        let class = env.class("c", spec).await?;
        let host = env.host("shop");
        let more = json!({
            "className": class,
            "childLabels": {"example.com/customer": "a"},
            "annotations": {BODY_SIZE: "10m", "example.com/other": "b"},
        });
        cluster
            .apply(&exposed_echo(&namespace, "shop", &[&host], more))
            .await?;
        // An annotation that is not passed on does not stop the service.
        let exposed = cluster.ready(&namespace, "shop", LATER).await?;
        let accepted = exposed.current("Accepted");
        ensure!(
            accepted.is_some_and(|accepted| accepted.reason == "AnnotationNotAllowed"
                && accepted.message.contains("example.com/other")),
            "{exposed}"
        );
        let of = ingress(cluster, &namespace, "shop").await?;
        let annotations = &of["metadata"]["annotations"];
        ensure!(annotations[BODY_SIZE] == "10m", "{of}");
        ensure!(annotations["example.com/other"] == Value::Null, "{of}");
        for kind in ["Service", "Ingress", "Certificate"] {
            let labelled = cluster
                .list(kind, &namespace, "example.com/customer=a")
                .await?;
            ensure!(labelled.len() == 1, "{} of {kind}", labelled.len());
        }

        // What is taken out of the spec leaves the children.
        let bare = exposed_echo(&namespace, "shop", &[&host], json!({"className": class}));
        cluster.apply(&bare).await?;
        eventually("nothing of it is left", SOON, async || {
            let of = ingress(cluster, &namespace, "shop").await?;
            ensure!(
                of["metadata"]["annotations"][BODY_SIZE] == Value::Null,
                "{of}"
            );
            for kind in ["Service", "Ingress", "Certificate"] {
                let labelled = cluster
                    .list(kind, &namespace, "example.com/customer")
                    .await?;
                ensure!(labelled.is_empty(), "{kind}");
            }
            Ok(())
        })
        .await
    })
    .await
}

#[tokio::test]
async fn issuers_and_own_secrets_need_permission_of_the_class() -> Result<()> {
    test_env("issuers", async |env| {
        let cluster = &env.cluster;
        let [bank, shop] = [env.namespace("bank").await?, env.namespace("shop").await?];
        for namespace in [&bank, &shop] {
            cluster.echo(namespace, 1).await?;
        }
        let tls = json!({
            "allowedIssuers": [{"name": ISSUER, "namespaces": [bank]}],
            "allowOwnSecrets": {"namespaces": [bank]},
        });
        let spec = json!({"proxy": {"replicas": 1}, "tls": tls});
        let class = env.class("c", spec).await?;
        let expose = async |namespace: &str, tls: Value| -> Result<String> {
            let host = env.host(if namespace == bank { "bank" } else { "shop" });
            let more = json!({"className": class, "tls": tls});
            cluster
                .apply(&exposed_echo(namespace, "web", &[&host], more))
                .await?;
            Ok(host)
        };
        let named = json!({"issuerRef": {"name": ISSUER}});
        let host = expose(&bank, named.clone()).await?;
        let exposed = cluster.ready(&bank, "web", LATER).await?;
        expose(&shop, named).await?;
        let refused = cluster
            .unready(&shop, "web", "IssuerNotAllowed", SOON)
            .await?;
        ensure!(refused.children("Certificate").is_empty(), "{refused}");
        expose(&shop, json!({"secret": {"name": "mine"}})).await?;
        cluster
            .unready(&shop, "web", "OwnSecretNotAllowed", SOON)
            .await?;

        // Trust that is taken back counts at once.
        let none = json!({"spec": {"tls": {"allowedIssuers": []}}});
        cluster.merge("ExposeClass", "", &class, none).await?;
        cluster
            .unready(&bank, "web", "IssuerNotAllowed", SOON)
            .await?;
        let client = cluster.http_client()?;
        for entrypoint in exposed.entries()? {
            eventually("the object is not served", SOON, async || {
                let response = client
                    .get(Scheme::Http, entrypoint.http, &host, "/")
                    .await?;
                ensure!(response.status == 404, "{}", response.status);
                Ok(())
            })
            .await?;
        }
        Ok(())
    })
    .await
}

/// Only a label decides, with immediate effect.
#[tokio::test]
async fn namespace_selector_takes_effect_at_once() -> Result<()> {
    test_env("labels", async |env| {
        let cluster = &env.cluster;
        let [gold, plain] = [env.namespace("gold").await?, env.namespace("plain").await?];
        let selector = json!({"matchExpressions": [
            {"key": "e2e.portolan.dev/tier", "operator": "In", "values": ["gold", "silver"]}]});
        let spec = json!({"proxy": {"replicas": 1}, "rootNamespaceSelector": selector});
        let class = env.class("c", spec).await?;
        let host = env.host("gold");
        for (namespace, host) in [(&gold, &host), (&plain, &env.host("plain"))] {
            cluster.echo(namespace, 1).await?;
            let more = json!({"className": class, "tls": {"mode": "Disabled"}});
            cluster
                .apply(&exposed_echo(namespace, "web", &[host], more))
                .await?;
            cluster
                .unready(namespace, "web", "RootNamespaceDenied", LATER)
                .await?;
        }
        let label = async |tier: Value| {
            let labels = json!({"metadata": {"labels": {"e2e.portolan.dev/tier": tier}}});
            cluster.merge("Namespace", "", &gold, labels).await
        };
        label("gold".into()).await?;
        let exposed = cluster.ready(&gold, "web", LATER).await?;
        let client = cluster.http_client()?;
        for (tier, status) in [("silver".into(), 200), (Value::Null, 404)] {
            label(tier).await?;
            for entrypoint in exposed.entries()? {
                eventually("the label is in effect", SOON, async || {
                    let response = client
                        .get(Scheme::Http, entrypoint.http, &host, "/")
                        .await?;
                    ensure!(response.status == status, "{}", response.status);
                    Ok(())
                })
                .await?;
            }
        }
        for namespace in [&gold, &plain] {
            cluster
                .unready(namespace, "web", "RootNamespaceDenied", SOON)
                .await?;
        }
        // A selector that can never match is rejected by the schema, with a message.
        let empty = json!({"matchExpressions": [{"key": "tier", "operator": "In"}]});
        let refusal = cluster
            .refusal(&json!({
                "apiVersion": "portolan.dev/v1alpha1", "kind": "ExposeClass",
                "metadata": {"name": env.label("bad")},
                "spec": {"rootNamespaceSelector": empty},
            }))
            .await?;
        ensure!(
            refusal.contains("must have at least one value"),
            "{refusal}"
        );
        Ok(())
    })
    .await
}

/// As a homelab has it: one wildcard, made by another program, for everything exposed below the domain.
#[tokio::test]
async fn shared_wildcard_serves_permitted_namespaces() -> Result<()> {
    test_env("wildcard", async |env| {
        let cluster = &env.cluster;
        let [vault, media, guest] = [
            env.namespace("vault").await?,
            env.namespace("media").await?,
            env.namespace("guest").await?,
        ];
        for namespace in [&media, &guest] {
            cluster.echo(namespace, 1).await?;
        }
        let domain = env.host("home");
        let authority = Authority::new()?;
        let wildcard = format!("*.{domain}");
        cluster
            .apply(&authority.secret(&vault, "wildcard", &[&wildcard])?)
            .await?;
        let secret = json!({"namespace": vault, "name": "wildcard"});
        let spec = json!({
            "proxy": {"replicas": 1},
            "domain": domain,
            "hostnames": [{"domains": [domain], "namespaces": [media]}],
            "certificates": {"shared": [{"secret": secret, "hostnames": [wildcard]}]},
        });
        let class = env.class("c", spec).await?;
        let expose = async |namespace: &str, name: &str| {
            let hostname = format!("{name}.*");
            let more = json!({"className": class});
            cluster
                .apply(&exposed_echo(namespace, name, &[&hostname], more))
                .await
        };
        expose(&media, "films").await?;
        expose(&media, "music").await?;
        expose(&guest, "other").await?;
        cluster
            .unready(&guest, "other", "HostnameNotAllowed", LATER)
            .await?;
        let client = authority.http_client()?;
        for name in ["films", "music"] {
            let exposed = cluster.ready(&media, name, LATER).await?;
            ensure!(exposed.children("Certificate").is_empty(), "{exposed}");
            let host = format!("{name}.{domain}");
            for entrypoint in exposed.entries()? {
                // kube-proxy learns of a new address when it does.
                eventually("the address leads to the proxy", SOON, async || {
                    client
                        .https(entrypoint.https, &host)
                        .await?
                        .echo()
                        .map(drop)
                })
                .await?;
            }
        }
        // A renewed one reaches all of them.
        let host = format!("films.{domain}");
        let exposed = cluster.exposed(&media, "films").await?;
        let entrypoints = exposed.entries()?;
        let entrypoint = entrypoints.first().context("no way")?;
        let before = client.https(entrypoint.https, &host).await?.fingerprint()?;
        let renewed = authority.issue(&[&wildcard])?;
        cluster
            .apply(&tls_secret(&vault, "wildcard", &renewed))
            .await?;
        for entrypoint in &entrypoints {
            eventually("the renewed certificate is served", SOON, async || {
                let shown = client.https(entrypoint.https, &host).await?.fingerprint()?;
                ensure!(shown != before, "{shown}");
                Ok(())
            })
            .await?;
        }
        Ok(())
    })
    .await
}
