//! References to Services and Secrets of other namespaces, with their consent and no longer.

use anyhow::{Result, ensure};
use portolan_e2e::client::Scheme;
use portolan_e2e::exposed::{consent, exposed_port};
use portolan_e2e::pki::Authority;
use portolan_e2e::test_env;
use portolan_e2e::wait::{LATER, SOON, eventually};
use serde_json::json;

#[tokio::test]
async fn cross_namespace_references_need_consent() -> Result<()> {
    test_env("grants", async |env| {
        let cluster = &env.cluster;
        let [shop, team] = [env.namespace("shop").await?, env.namespace("team").await?];
        cluster.echo(&team, 1).await?;
        cluster
            .apply(&json!({
                "apiVersion": "v1", "kind": "Service",
                "metadata": {"name": "echo", "namespace": team},
                "spec": {"selector": {"app": "echo"}, "ports": [{"port": 80, "targetPort": 8080}]},
            }))
            .await?;
        let host = env.host("shop");
        let authority = Authority::new()?;
        cluster.apply(&authority.secret(&team, "bought", &[&host])?).await?;
        let spec = json!({
            "hostnames": [host],
            "tls": {"secret": {"name": "bought", "namespace": team}},
            "routes": [{"backends": [{"service": "echo", "namespace": team, "port": 80}]}],
        });
        cluster.apply(&exposed_port(&shop, "shop", spec)).await?;
        cluster.unready(&shop, "shop", "RefNotPermitted", LATER).await?;

        let all = json!([{"group": "", "kind": "Service"}, {"group": "", "kind": "Secret", "name": "bought"}]);
        cluster.apply(&consent(&team, &shop, &all)).await?;
        let exposed = cluster.ready(&shop, "shop", LATER).await?;
        let client = authority.http_client()?;
        let entrypoints = cluster.entrypoints(&exposed).await?;
        for entrypoint in &entrypoints {
            client.get(Scheme::Https, entrypoint.https, &host, "/").await?.echo()?;
        }

        // The Service is taken back, the certificate is not.
        let secret = json!([{"group": "", "kind": "Secret", "name": "bought"}]);
        cluster.apply(&consent(&team, &shop, &secret)).await?;
        for entrypoint in &entrypoints {
            eventually("the Service is out of reach", SOON, async || {
                let response = client.get(Scheme::Https, entrypoint.https, &host, "/").await?;
                let reason = response.header("x-portolan-reason");
                ensure!(response.status == 503 && reason == "RefNotPermitted", "{} {reason}", response.status);
                Ok(())
            })
            .await?;
        }
        cluster.unready(&shop, "shop", "RefNotPermitted", SOON).await?;

        // And now the certificate, too: it was good, and is shown no longer.
        cluster.delete("ReferenceGrant", &team, "consent").await?;
        for entrypoint in &entrypoints {
            eventually("the certificate is shown no longer", SOON, async || {
                let response = client.get(Scheme::Https, entrypoint.https, &host, "/").await;
                ensure!(response.is_err(), "a handshake succeeded");
                Ok(())
            })
            .await?;
        }
        Ok(())
    })
    .await
}
