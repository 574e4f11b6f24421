//! References to Services and Secrets of other namespaces, with their consent and no longer.

use anyhow::{Result, ensure};
use portolan_e2e::exposed::{consent, exposed_port};
use portolan_e2e::pki::Authority;
use portolan_e2e::scene;
use portolan_e2e::visitor::Scheme;
use portolan_e2e::wait::{LATER, SOON, eventually};
use serde_json::json;

#[tokio::test]
async fn a_service_and_a_certificate_of_another_namespace_are_served_with_consent_and_no_longer()
-> Result<()> {
    scene("grants", async |scene| {
        let cluster = &scene.cluster;
        let [shop, team] = [scene.namespace("shop").await?, scene.namespace("team").await?];
        cluster.echo(&team, 1).await?;
        cluster
            .apply(&json!({
                "apiVersion": "v1", "kind": "Service",
                "metadata": {"name": "echo", "namespace": team},
                "spec": {"selector": {"app": "echo"}, "ports": [{"port": 80, "targetPort": 8080}]},
            }))
            .await?;
        let host = scene.host("shop");
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
        let visitor = authority.visitor()?;
        let ways = cluster.ways(&exposed).await?;
        for way in &ways {
            visitor.get(Scheme::Https, way.https, &host, "/").await?.echo()?;
        }

        // The Service is taken back, the certificate is not.
        let secret = json!([{"group": "", "kind": "Secret", "name": "bought"}]);
        cluster.apply(&consent(&team, &shop, &secret)).await?;
        for way in &ways {
            eventually("the Service is out of reach", SOON, async || {
                let answer = visitor.get(Scheme::Https, way.https, &host, "/").await?;
                let reason = answer.header("x-portolan-reason");
                ensure!(answer.status == 503 && reason == "RefNotPermitted", "{} {reason}", answer.status);
                Ok(())
            })
            .await?;
        }
        cluster.unready(&shop, "shop", "RefNotPermitted", SOON).await?;

        // And now the certificate, too: it was good, and is shown no longer.
        cluster.delete("ReferenceGrant", &team, "consent").await?;
        for way in &ways {
            eventually("the certificate is shown no longer", SOON, async || {
                let answer = visitor.get(Scheme::Https, way.https, &host, "/").await;
                ensure!(answer.is_err(), "a handshake succeeded");
                Ok(())
            })
            .await?;
        }
        Ok(())
    })
    .await
}
