//! Discovery carries private keys: only proxies of the class may subscribe.

use anyhow::{Context, Result, bail, ensure};
use futures::stream;
use portolan_discovery::grpc::generated::discovery_client::DiscoveryClient;
use portolan_discovery::grpc::generated::{Hello, ToOperator, to_operator};
use portolan_e2e::cluster::text;
use portolan_e2e::wait::SOON;
use portolan_e2e::{CLASS, Cluster, SYSTEM, test_env};
use serde_json::json;
use tokio::time::timeout;
use tonic::transport::{Certificate, Channel, ClientTlsConfig};
use tonic::{Code, Request, Status};

const AUDIENCE: &str = "portolan-discovery";

#[tokio::test]
async fn rejects_subscribers_other_than_proxies_of_the_class() -> Result<()> {
    test_env("discovery", async |env| {
        let cluster = &env.cluster;
        let namespace = env.namespace("a").await?;
        let account = json!({
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"namespace": namespace, "name": "curious"},
        });
        cluster.apply(&account).await?;
        let proxies = proxy_account(cluster).await?;
        let curious = cluster.token(&namespace, "curious", Some(AUDIENCE)).await?;
        let operators = cluster.token(SYSTEM, "portolan-operator", Some(AUDIENCE)).await?;
        let other_audience = cluster.token(SYSTEM, &proxies, Some("other-audience")).await?;
        let of_the_proxies = cluster.token(SYSTEM, &proxies, Some(AUDIENCE)).await?;

        for pod in cluster.list("Pod", SYSTEM, "app.kubernetes.io/component=operator").await? {
            let mut client = connect(cluster, text(&pod, "/status/podIP")).await?;
            for (case, class, token, wanted) in [
                ("another account", CLASS, Some(&curious), Code::PermissionDenied),
                ("the operator's account", CLASS, Some(&operators), Code::PermissionDenied),
                ("another class", "no-such-class", Some(&of_the_proxies), Code::PermissionDenied),
                ("another audience", CLASS, Some(&other_audience), Code::Unauthenticated),
                ("no token of this cluster", CLASS, Some(&"a.b.c".to_owned()), Code::Unauthenticated),
                ("no token", CLASS, None, Code::Unauthenticated),
            ] {
                let refusal = subscribe(&mut client, class, token).await.context(case)?;
                ensure!(refusal.code() == wanted, "{case}: {refusal}");
            }
        }
        Ok(())
    })
    .await
}

/// The account under which the real proxies run.
async fn proxy_account(cluster: &Cluster) -> Result<String> {
    let pods = cluster.proxy_pods(CLASS).await?;
    Ok(text(
        pods.first().context("no proxy pod")?,
        "/spec/serviceAccountName",
    )
    .to_owned())
}

async fn connect(cluster: &Cluster, ip: &str) -> Result<DiscoveryClient<Channel>> {
    let authority = cluster.get("ConfigMap", SYSTEM, "portolan-ca").await?;
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(text(&authority, "/data/ca.crt")))
        .domain_name(format!("portolan-discovery.{SYSTEM}.svc"));
    let endpoint = Channel::from_shared(format!("https://{ip}:9443"))?.tls_config(tls)?;
    Ok(DiscoveryClient::new(
        endpoint
            .connect()
            .await
            .with_context(|| format!("connect to {ip}"))?,
    ))
}

/// Asks for everything of a class; gives the refusal.
async fn subscribe(
    client: &mut DiscoveryClient<Channel>,
    class: &str,
    token: Option<&String>,
) -> Result<Status> {
    let hello = Hello {
        class: class.to_owned(),
        pod_name: "curious".to_owned(),
        pod_uid: "00000000-0000-4000-8000-000000000000".to_owned(),
        ..Hello::default()
    };
    let hello = ToOperator {
        message: Some(to_operator::Message::Hello(hello)),
    };
    let mut request = Request::new(stream::iter([hello]));
    if let Some(token) = token {
        request
            .metadata_mut()
            .insert("authorization", format!("Bearer {token}").parse()?);
    }
    let asked = async {
        match client.subscribe(request).await {
            Err(refusal) => Ok(refusal),
            // The refusal may come first thing in the stream instead.
            Ok(response) => match response.into_inner().message().await {
                Err(refusal) => Ok(refusal),
                Ok(message) => bail!("subscribed, and received {message:?}"),
            },
        }
    };
    timeout(SOON, asked)
        .await
        .context("neither rejected nor sent anything")?
}
