//! In a steady state nothing is written, and the operator has sent no request that its roles do not allow.
//!
//! A program of its own, so that no other test runs beside it.

use anyhow::{Result, ensure};
use portolan_e2e::audit::{Audit, Entry};
use portolan_e2e::echo::service;
use portolan_e2e::exposed::exposed_echo;
use portolan_e2e::wait::{LATER, quiet};
use portolan_e2e::{CLASS, test_env};
use serde_json::json;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Time without a write.
const REST: Duration = Duration::from_secs(60);

#[tokio::test]
async fn steady_state_causes_no_write() -> Result<()> {
    test_env("rest", async |env| {
        let cluster = &env.cluster;
        let namespace = env.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        let [issued, plain] = ["issued", "plain"].map(|part| env.host(part));
        cluster
            .apply(&exposed_echo(&namespace, "issued", &[&issued], json!({})))
            .await?;
        let disabled = json!({"tls": {"mode": "Disabled"}});
        cluster
            .apply(&exposed_echo(&namespace, "plain", &[&plain], disabled))
            .await?;
        // One that is never ready must not be tried for ever, either.
        let absent = json!({"className": "no-such-class"});
        cluster
            .apply(&exposed_echo(
                &namespace,
                "never",
                &[&env.host("never")],
                absent,
            ))
            .await?;
        // Nor one that is reported in events alone: a hostname that is served, and one that never is.
        let rule = |part: &str, service: &str| {
            let service = json!({"name": service, "port": {"number": 80}});
            let path = json!({"path": "/", "pathType": "Prefix", "backend": {"service": service}});
            json!({"host": env.host(part), "http": {"paths": [path]}})
        };
        cluster.apply(&service(&namespace, "echo")).await?;
        cluster
            .apply(&json!({
                "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
                "metadata": {"namespace": namespace, "name": "ingress"},
                "spec": {
                    "ingressClassName": CLASS,
                    "rules": [rule("ingress", "echo"), rule("missing", "no-such-service")],
                },
            }))
            .await?;
        cluster.ready(&namespace, "issued", LATER).await?;
        cluster.ready(&namespace, "plain", LATER).await?;
        cluster
            .unready(&namespace, "never", "ClassNotFound", LATER)
            .await?;

        // What other tests left is still being cleared away: wait until a while without a write begins.
        let before = Audit::from_now(cluster)?;
        let settled = Duration::from_secs(10);
        quiet("the operator writes nothing", settled, LATER, async || {
            Ok(before.writes()?.len())
        })
        .await?;
        let audit = Audit::from_now(cluster)?;
        let began = Instant::now();
        while began.elapsed() < REST {
            let writes = audit.writes()?;
            ensure!(
                writes.is_empty(),
                "after {:?}: {}",
                began.elapsed(),
                describe(&writes)
            );
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let renewals = audit.of_the_operator()?;
        let renewed = renewals
            .iter()
            .any(|entry| entry.is_write() && entry.object_ref.resource == "leases");
        ensure!(
            renewed,
            "the audit log shows no Lease renewal, so it would not show other writes either"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn never_lists_all_secrets_and_no_request_is_forbidden() -> Result<()> {
    test_env("audit", async |env| {
        let entries = Audit::whole(&env.cluster).of_the_operator()?;
        let refused: Vec<Entry> = entries
            .iter()
            .filter(|entry| entry.is_forbidden())
            .cloned()
            .collect();
        ensure!(
            refused.is_empty(),
            "the chart's roles lack something: {}",
            describe(&refused)
        );

        let secrets = entries
            .iter()
            .filter(|entry| entry.object_ref.resource == "secrets");
        let wide = secrets.filter(|entry| ["list", "watch"].contains(&entry.verb.as_str()));
        let wide: Vec<Entry> = wide.cloned().collect();
        ensure!(
            !wide.is_empty(),
            "no Secret was ever watched: is this the log of this cluster?"
        );
        let unfiltered: Vec<Entry> = wide
            .into_iter()
            .filter(|entry| {
                let query = entry
                    .request_uri
                    .split_once('?')
                    .map_or("", |(_, query)| query);
                let owners = ["portolan.dev%2Fexposed-port", "portolan.dev%2Fingress"];
                let ours = |part: &str| {
                    part.starts_with("labelSelector=")
                        && owners.iter().any(|owner| part.contains(owner))
                };
                let by_name = |part: &str| part.starts_with("fieldSelector=metadata.name%3D");
                !query.split('&').any(|part| ours(part) || by_name(part))
            })
            .collect();
        ensure!(
            unfiltered.is_empty(),
            "Secrets of others were listed: {}",
            describe(&unfiltered)
        );
        Ok(())
    })
    .await
}

/// Describes each different request once.
fn describe(entries: &[Entry]) -> String {
    let line = |entry: &Entry| {
        format!(
            "{} {} -> {}",
            entry.verb, entry.request_uri, entry.response_status.code
        )
    };
    let lines: BTreeSet<String> = entries.iter().map(line).collect();
    lines.into_iter().take(20).collect::<Vec<_>>().join("\n")
}
