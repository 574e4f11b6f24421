//! What a class lets its objects ask for, and what of it reaches the children.

use anyhow::{Context, Result, ensure};
use portolan_e2e::exposed::exposed_echo;
use portolan_e2e::pki::{Authority, tls_secret};
use portolan_e2e::visitor::Scheme;
use portolan_e2e::wait::{LATER, SOON, eventually};
use portolan_e2e::{Cluster, ISSUER, scene};
use serde_json::{Value, json};

const BODY_SIZE: &str = "nginx.ingress.kubernetes.io/proxy-body-size";

async fn ingress(cluster: &Cluster, namespace: &str, name: &str) -> Result<Value> {
    let exposed = cluster.exposed(namespace, name).await?;
    cluster
        .get("Ingress", namespace, exposed.child("Ingress")?)
        .await
}

#[tokio::test]
async fn labels_and_annotations_reach_the_children_as_far_as_the_class_allows() -> Result<()> {
    scene("decoration", async |scene| {
        let cluster = &scene.cluster;
        let namespace = scene.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        let annotations = json!({"allow": [BODY_SIZE]});
        let proxy = json!({"replicas": 1});
        let issuer = json!({"name": ISSUER});
        let spec = json!({"proxy": proxy, "issuerRef": issuer, "annotations": annotations});
        let class = scene.class("c", spec).await?;
        let host = scene.host("shop");
        let more = json!({
            "className": class,
            "childLabels": {"example.com/customer": "a"},
            "annotations": {BODY_SIZE: "10m", "example.com/other": "b"},
        });
        cluster
            .apply(&exposed_echo(&namespace, "shop", &[&host], more))
            .await?;
        // A word that is not passed on costs nobody the service.
        let exposed = cluster.ready(&namespace, "shop", LATER).await?;
        let accepted = exposed.current("Accepted");
        ensure!(
            accepted.is_some_and(|it| it.reason == "AnnotationNotAllowed"
                && it.message.contains("example.com/other")),
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
async fn an_issuer_and_a_certificate_of_ones_own_are_for_those_whom_the_class_trusts() -> Result<()>
{
    scene("issuers", async |scene| {
        let cluster = &scene.cluster;
        let [bank, shop] = [
            scene.namespace("bank").await?,
            scene.namespace("shop").await?,
        ];
        for namespace in [&bank, &shop] {
            cluster.echo(namespace, 1).await?;
        }
        let tls = json!({
            "allowedIssuers": [{"name": ISSUER, "namespaces": [bank]}],
            "allowOwnSecrets": {"namespaces": [bank]},
        });
        let spec = json!({"proxy": {"replicas": 1}, "tls": tls});
        let class = scene.class("c", spec).await?;
        let expose = async |namespace: &str, tls: Value| -> Result<String> {
            let host = scene.host(if namespace == bank { "bank" } else { "shop" });
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
        let nobody = json!({"spec": {"tls": {"allowedIssuers": []}}});
        cluster.merge("ExposeClass", "", &class, nobody).await?;
        cluster
            .unready(&bank, "web", "IssuerNotAllowed", SOON)
            .await?;
        let visitor = cluster.visitor()?;
        for way in exposed.entries()? {
            eventually("nobody is served", SOON, async || {
                let answer = visitor.get(Scheme::Http, way.http, &host, "/").await?;
                ensure!(answer.status == 404, "{}", answer.status);
                Ok(())
            })
            .await?;
        }
        Ok(())
    })
    .await
}

/// Nobody but a label decides, and what it decides counts at once.
#[tokio::test]
async fn a_label_lets_a_namespace_in_and_its_end_takes_everything_back() -> Result<()> {
    scene("labels", async |scene| {
        let cluster = &scene.cluster;
        let [gold, plain] = [
            scene.namespace("gold").await?,
            scene.namespace("plain").await?,
        ];
        let selector = json!({"matchExpressions": [
            {"key": "e2e.portolan.dev/tier", "operator": "In", "values": ["gold", "silver"]}]});
        let spec = json!({"proxy": {"replicas": 1}, "rootNamespaceSelector": selector});
        let class = scene.class("c", spec).await?;
        let host = scene.host("gold");
        for (namespace, host) in [(&gold, &host), (&plain, &scene.host("plain"))] {
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
        let visitor = cluster.visitor()?;
        for (tier, status) in [("silver".into(), 200), (Value::Null, 404)] {
            label(tier).await?;
            for way in exposed.entries()? {
                eventually("what the label says", SOON, async || {
                    let answer = visitor.get(Scheme::Http, way.http, &host, "/").await?;
                    ensure!(answer.status == status, "{}", answer.status);
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
        // A selector that can hold for nobody is refused by the schema, in a sentence.
        let nobody = json!({"matchExpressions": [{"key": "tier", "operator": "In"}]});
        let refusal = cluster
            .refusal(&json!({
                "apiVersion": "portolan.dev/v1alpha1", "kind": "ExposeClass",
                "metadata": {"name": scene.label("bad")},
                "spec": {"rootNamespaceSelector": nobody},
            }))
            .await?;
        ensure!(refusal.contains("must have at least one value"), "{refusal}");
        Ok(())
    })
    .await
}

/// As a homelab has it: one wildcard, made by somebody else, for whatever is exposed below the domain.
#[tokio::test]
async fn a_wildcard_of_the_class_serves_every_namespace_that_may_have_a_name_below_it() -> Result<()>
{
    scene("wildcard", async |scene| {
        let cluster = &scene.cluster;
        let [vault, media, guest] = [
            scene.namespace("vault").await?,
            scene.namespace("media").await?,
            scene.namespace("guest").await?,
        ];
        for namespace in [&media, &guest] {
            cluster.echo(namespace, 1).await?;
        }
        let domain = scene.host("home");
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
        let class = scene.class("c", spec).await?;
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
        let visitor = authority.visitor()?;
        for name in ["films", "music"] {
            let exposed = cluster.ready(&media, name, LATER).await?;
            ensure!(exposed.children("Certificate").is_empty(), "{exposed}");
            let host = format!("{name}.{domain}");
            for way in exposed.entries()? {
                // kube-proxy learns of a new address when it does.
                eventually("the address leads to the proxy", SOON, async || {
                    visitor.https(way.https, &host).await?.echo().map(drop)
                })
                .await?;
            }
        }
        // A renewed one reaches all of them.
        let host = format!("films.{domain}");
        let exposed = cluster.exposed(&media, "films").await?;
        let ways = exposed.entries()?;
        let way = ways.first().context("no way")?;
        let before = visitor.https(way.https, &host).await?.fingerprint()?;
        let renewed = authority.issue(&[&wildcard])?;
        cluster
            .apply(&tls_secret(&vault, "wildcard", &renewed))
            .await?;
        for way in &ways {
            eventually("the renewed certificate is served", SOON, async || {
                let shown = visitor.https(way.https, &host).await?.fingerprint()?;
                ensure!(shown != before, "{shown}");
                Ok(())
            })
            .await?;
        }
        Ok(())
    })
    .await
}
