//! `kubectl portolan certs` of certificates that are really issued and served.

use anyhow::{Context, Result, ensure};
use portolan_e2e::cluster::text;
use portolan_e2e::exposed::exposed_echo;
use portolan_e2e::pki::Authority;
use portolan_e2e::plugin::Told;
use portolan_e2e::wait::{LATER, eventually};
use portolan_e2e::{CLASS, Cluster, ISSUER, scene};
use serde_json::{Value, json};

/// Who may read ExposedPorts, and nothing else.
const CURIOUS: &str = "curious";

#[tokio::test]
async fn the_plugin_shows_what_is_stored_and_what_a_client_is_shown() -> Result<()> {
    scene("certs", async |scene| {
        let cluster = &scene.cluster;
        let namespace = scene.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        let host = scene.host("shop");
        let shop = exposed_echo(&namespace, "shop", &[&host], json!({}));
        cluster.apply(&shop).await?;
        let exposed = cluster.ready(&namespace, "shop", LATER).await?;
        let way = cluster.ways(&exposed).await?.into_iter().next();
        let way = way.context("no way")?;
        let answer = cluster.visitor()?.https(way.https, &host).await?;
        let shown = answer.fingerprint()?;
        let short = shown.get(..12).context("no fingerprint")?;
        let certs = async |more: &[&str]| {
            let arguments = [&["certs", "-n", &namespace], more].concat();
            cluster.plugin(&arguments).await
        };

        let told = certs(&["shop", "--no-headers", "--check"]).await?;
        ensure!(told.code == 0 && told.err.is_empty(), "{told:?}");
        let cells: Vec<_> = told.out.split_whitespace().collect();
        ensure!(
            cells.starts_with(&["shop", &host, "Ok", short, "same"]),
            "{told:?}"
        );
        let issuer = format!("ClusterIssuer/{ISSUER}");
        ensure!(cells.last() == Some(&issuer.as_str()), "{told:?}");

        let row = only_row(&certs(&["-o", "json"]).await?)?;
        let status = exposed.hostname(&host)?;
        let stored = "/stored/0/certificate";
        for (field, expected) in [
            ("/hostname", host.as_str()),
            ("/state", "Ok"),
            ("/className", CLASS),
            ("/issuer", &issuer),
            ("/served/fingerprint", &shown),
            (&format!("{stored}/fingerprint"), &shown),
            (&format!("{stored}/dnsNames/0"), &host),
            ("/notAfter", text(status, "/certificate/notAfter")),
            ("/renewalTime", text(status, "/certificate/renewalTime")),
            ("/stored/0/secretNamespace", &namespace),
            (
                "/stored/0/secretName",
                text(status, "/certificate/secretName"),
            ),
        ] {
            ensure!(
                text(&row, field) == expected,
                "{field} is not {expected}: {row}"
            );
        }

        let told = certs(&["shop", "nobody"]).await?;
        ensure!(told.code == 1 && told.out.contains(&host), "{told:?}");
        ensure!(
            told.err
                .contains("exposedports.portolan.dev \"nobody\" not found"),
            "{told:?}"
        );
        let told = certs(&["shop", "-A"]).await?;
        ensure!(told.code == 2, "{told:?}");

        without_secrets(cluster, &namespace).await?;
        let everywhere = cluster.plugin(&["certs", "-A", "-o", "yaml"]).await?;
        ensure!(
            everywhere.code == 0 && everywhere.out.contains(&host),
            "{everywhere:?}"
        );
        ensure!(!everywhere.out.contains("PRIVATE KEY"), "a key is printed");
        Ok(())
    })
    .await
}

/// Whoever may not read Secrets sees what is served, and is told once what is missing.
async fn without_secrets(cluster: &Cluster, namespace: &str) -> Result<()> {
    let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": CURIOUS});
    let account = json!({"kind": "ServiceAccount", "namespace": namespace, "name": CURIOUS});
    let metadata = json!({"namespace": namespace, "name": CURIOUS});
    for object in [
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata,
            "rules": [{"apiGroups": ["portolan.dev"], "resources": ["exposedports"], "verbs": ["get", "list"]}],
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": metadata,
            "roleRef": role, "subjects": [account],
        }),
    ] {
        cluster.apply(&object).await?;
    }
    let curious = format!("system:serviceaccount:{namespace}:{CURIOUS}");
    eventually("the right is known to the API server", LATER, async || {
        let arguments = [
            "certs",
            "-n",
            namespace,
            "--as",
            &curious,
            "--no-headers",
            "--check",
        ];
        let told = cluster.plugin(&arguments).await?;
        let cells: Vec<_> = told.out.split_whitespace().collect();
        ensure!(
            told.code == 0 && cells.get(2..4) == Some(&["Ok", "-"]),
            "{told:?}"
        );
        ensure!(
            told.err.starts_with("note: Secret ") && told.err.lines().count() == 1,
            "{told:?}"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_check_fails_while_a_certificate_is_missing_or_of_no_use() -> Result<()> {
    scene("certs-check", async |scene| {
        let cluster = &scene.cluster;
        let namespace = scene.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        let (host, other) = (scene.host("shop"), scene.host("other"));
        let own = json!({"tls": {"secret": {"name": "bought"}}});
        let shop = exposed_echo(&namespace, "shop", &[&host], own);
        cluster.apply(&shop).await?;
        let is = async |state: &str, code: i32| {
            eventually(state, LATER, async || {
                let told = cluster
                    .plugin(&["certs", "-n", &namespace, "-o", "json", "--check"])
                    .await?;
                let row = only_row(&told)?;
                ensure!(
                    text(&row, "/state") == state && told.code == code,
                    "{told:?}"
                );
                let complaint = format!("{state}: ExposedPort {namespace}/shop: {host}: ");
                ensure!(code == 0 || told.err.starts_with(&complaint), "{told:?}");
                Ok(row)
            })
            .await
        };
        is("Missing", 3).await?;
        let authority = Authority::new()?;
        let good = authority.secret(&namespace, "bought", &[&host])?;
        cluster.apply(&good).await?;
        is("Ok", 0).await?;

        // The last good one stays in service.
        let wrong = authority.secret(&namespace, "bought", &[&other])?;
        cluster.apply(&wrong).await?;
        let row = is("Unusable", 3).await?;
        let problem = text(&row, "/problem");
        ensure!(
            problem.contains(&format!("the certificate there is for {other}")),
            "{problem}"
        );
        ensure!(!text(&row, "/served/fingerprint").is_empty(), "{row}");
        Ok(())
    })
    .await
}

fn only_row(told: &Told) -> Result<Value> {
    let report: Value = serde_json::from_str(&told.out).with_context(|| format!("{told:?}"))?;
    let rows = report.pointer("/hostnames").and_then(Value::as_array);
    match rows.map(Vec::as_slice) {
        Some([row]) => Ok(row.clone()),
        _ => anyhow::bail!("not one row: {report}"),
    }
}
