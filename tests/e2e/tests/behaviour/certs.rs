//! `kubectl portolan certs` of certificates that are really issued and served.

use anyhow::{Context, Result, ensure};
use portolan_e2e::cluster::text;
use portolan_e2e::exposed::exposed_echo;
use portolan_e2e::pki::Authority;
use portolan_e2e::plugin::PluginOutput;
use portolan_e2e::wait::{LATER, eventually};
use portolan_e2e::{CLASS, Cluster, ISSUER, test_env};
use serde_json::{Value, json};

/// ServiceAccount that may read ExposedPorts, and nothing else.
const CURIOUS: &str = "curious";

#[tokio::test]
async fn plugin_shows_stored_and_served_certificates() -> Result<()> {
    test_env("certs", async |env| {
        let cluster = &env.cluster;
        let namespace = env.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        let host = env.host("shop");
        let shop = exposed_echo(&namespace, "shop", &[&host], json!({}));
        cluster.apply(&shop).await?;
        let exposed = cluster.ready(&namespace, "shop", LATER).await?;
        let entrypoint = cluster.entrypoints(&exposed).await?.into_iter().next();
        let entrypoint = entrypoint.context("no way")?;
        let response = cluster
            .http_client()?
            .https(entrypoint.https, &host)
            .await?;
        let shown = response.fingerprint()?;
        let short = shown.get(..12).context("no fingerprint")?;
        let certs = async |more: &[&str]| {
            let arguments = [&["certs", "-n", &namespace], more].concat();
            cluster.plugin(&arguments).await
        };

        let issuer = format!("ClusterIssuer/{ISSUER}");
        eventually("the table shows what is served", LATER, async || {
            let output = certs(&["shop", "--no-headers", "--check"]).await?;
            ensure!(output.code == 0 && output.err.is_empty(), "{output:?}");
            let cells: Vec<_> = output.out.split_whitespace().collect();
            let expected = ["shop", &host, "Ok", short, "same"];
            ensure!(cells.starts_with(&expected), "{output:?}");
            ensure!(cells.last() == Some(&issuer.as_str()), "{output:?}");
            Ok(())
        })
        .await?;

        // cert-manager writes renewalTime a moment after the certificate is served and the object Ready, so
        // the row is compared with the status of now, and only once that has the time.
        let stored = "/stored/0/certificate";
        eventually("the row agrees with the status", LATER, async || {
            let row = only_row(&certs(&["-o", "json"]).await?)?;
            let exposed = cluster.exposed(&namespace, "shop").await?;
            let status = exposed.hostname(&host)?;
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
                    !expected.is_empty(),
                    "{field}: the status has none yet\n{exposed}"
                );
                ensure!(
                    text(&row, field) == expected,
                    "{field} is not {expected}: {row}"
                );
            }
            Ok(())
        })
        .await?;

        let output = certs(&["shop", "absent"]).await?;
        ensure!(output.code == 1 && output.out.contains(&host), "{output:?}");
        ensure!(
            output
                .err
                .contains("exposedports.portolan.dev \"absent\" not found"),
            "{output:?}"
        );
        let output = certs(&["shop", "-A"]).await?;
        ensure!(output.code == 2, "{output:?}");

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

/// Without access to Secrets the plugin shows what is served, and prints one note on what is missing.
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
    eventually("the API server knows the RoleBinding", LATER, async || {
        let arguments = [
            "certs",
            "-n",
            namespace,
            "--as",
            &curious,
            "--no-headers",
            "--check",
        ];
        let output = cluster.plugin(&arguments).await?;
        let cells: Vec<_> = output.out.split_whitespace().collect();
        ensure!(
            output.code == 0 && cells.get(2..4) == Some(&["Ok", "-"]),
            "{output:?}"
        );
        ensure!(
            output.err.starts_with("note: Secret ") && output.err.lines().count() == 1,
            "{output:?}"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn check_fails_for_missing_or_unusable_certificates() -> Result<()> {
    test_env("certs-check", async |env| {
        let cluster = &env.cluster;
        let namespace = env.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        let (host, other) = (env.host("shop"), env.host("other"));
        let own = json!({"tls": {"secret": {"name": "bought"}}});
        let shop = exposed_echo(&namespace, "shop", &[&host], own);
        cluster.apply(&shop).await?;
        let is = async |state: &str, code: i32| {
            eventually(state, LATER, async || {
                let output = cluster
                    .plugin(&["certs", "-n", &namespace, "-o", "json", "--check"])
                    .await?;
                let row = only_row(&output)?;
                ensure!(
                    text(&row, "/state") == state && output.code == code,
                    "{output:?}"
                );
                let message = format!("{state}: ExposedPort {namespace}/shop: {host}: ");
                ensure!(code == 0 || output.err.starts_with(&message), "{output:?}");
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
            problem.contains(&format!("certificate is for {other}")),
            "{problem}"
        );
        ensure!(!text(&row, "/served/fingerprint").is_empty(), "{row}");
        Ok(())
    })
    .await
}

fn only_row(output: &PluginOutput) -> Result<Value> {
    let report: Value = serde_json::from_str(&output.out).with_context(|| format!("{output:?}"))?;
    let rows = report.pointer("/hostnames").and_then(Value::as_array);
    match rows.map(Vec::as_slice) {
        Some([row]) => Ok(row.clone()),
        _ => anyhow::bail!("not one row: {report}"),
    }
}
