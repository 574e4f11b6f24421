//! The largest object that the schema takes is served, and its status stays small enough to store.

use anyhow::{Result, ensure};
use portolan_e2e::exposed::exposed_echo;
use portolan_e2e::pki::Authority;
use portolan_e2e::test_env;
use portolan_e2e::wait::LATER;
use serde_json::json;

/// Bounds of the schema: how many hostnames, and how long each.
const HOSTNAMES: usize = 64;
const LENGTH: usize = 240;
/// Limit of the size of a status.
const STATUS_LIMIT: usize = 256 * 1024;

#[tokio::test]
async fn serves_sixty_four_hostnames_of_full_length() -> Result<()> {
    test_env("largest", async |env| {
        let cluster = &env.cluster;
        let namespace = env.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        let domain = env.host("l");
        let names: Vec<String> = (0..HOSTNAMES)
            .map(|n| filled(&format!("{n:02}"), &domain))
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        ensure!(names.iter().all(|name| name.len() == LENGTH), "{names:?}");
        let authority = Authority::new()?;
        // With a Secret of one's own, because issuing 64 certificates takes minutes: status has the
        // same fields either way.
        cluster
            .apply(&authority.secret(&namespace, "own", &names)?)
            .await?;
        let tls = json!({"tls": {"secret": {"name": "own"}}});
        cluster
            .apply(&exposed_echo(&namespace, "largest", &names, tls.clone()))
            .await?;
        let exposed = cluster.ready(&namespace, "largest", LATER).await?;
        let size = exposed
            .0
            .get("status")
            .map_or(0, |status| status.to_string().len());
        ensure!(size < STATUS_LIMIT, "status has {size} bytes");
        println!("largest: status has {size} bytes");

        let client = authority.http_client()?;
        for proxy in cluster.ready_proxies().await? {
            for entrypoint in proxy.entrypoints() {
                for name in [names[0], names[HOSTNAMES - 1]] {
                    client.https(entrypoint.https, name).await?.echo()?;
                }
            }
        }

        let one_more = env.host("one-more");
        let too_many: Vec<&str> = names.iter().copied().chain([one_more.as_str()]).collect();
        let refusal = cluster
            .refusal(&exposed_echo(&namespace, "larger", &too_many, tls.clone()))
            .await?;
        ensure!(
            refusal.contains("spec.hostnames") && refusal.contains("64"),
            "{refusal}"
        );
        let longer = format!("a{}", names[0]);
        let refusal = cluster
            .refusal(&exposed_echo(&namespace, "longer", &[&longer], tls))
            .await?;
        ensure!(refusal.contains("spec.hostnames"), "{refusal}");
        Ok(())
    })
    .await
}

/// A hostname of exactly [`LENGTH`] characters below the domain, distinguished by its first label.
fn filled(first: &str, domain: &str) -> String {
    let left = |name: &str| LENGTH - name.len() - 1;
    let mut name = domain.to_owned();
    while left(&name) > 63 {
        name = format!("{}.{name}", "m".repeat(40));
    }
    format!("{first}{}.{name}", "f".repeat(left(&name) - first.len()))
}
