//! A proxy whose clients need more memory than its container has.

use anyhow::{Context, Result, ensure};
use portolan_e2e::client::{Client, Scheme};
use portolan_e2e::cluster::text;
use portolan_e2e::exposed::exposed_echo;
use portolan_e2e::proxies::is_ready;
use portolan_e2e::wait::{LATER, SOON, eventually};
use portolan_e2e::{Cluster, test_env};
use serde_json::{Value, json};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Memory limit of the container.
const LIMIT: u64 = 64 << 20;
/// So many heads, each nearly as large as a head may be, are twice as much.
const ATTACKERS: usize = 2_200;
const HEAD: usize = 60 << 10;

/// Without the proxy's own measures the kernel would kill it, and with it every connection.
#[tokio::test]
async fn proxy_survives_memory_pressure_from_clients() -> Result<()> {
    test_env("overload", async |env| {
        let cluster = &env.cluster;
        let namespace = env.namespace("a").await?;
        cluster.echo(&namespace, 1).await?;
        let limits = json!({"limits": {"memory": LIMIT.to_string()}});
        let proxy = json!({"replicas": 1, "resources": limits});
        let class = env.class("c", json!({"proxy": proxy})).await?;
        let host = env.host("shop");
        let more = json!({"className": class, "tls": {"mode": "Disabled"}});
        cluster
            .apply(&exposed_echo(&namespace, "shop", &[&host], more))
            .await?;
        cluster.ready(&namespace, "shop", LATER).await?;

        let before = only_pod(cluster, &class).await?;
        let ip: IpAddr = text(&before, "/status/podIP").parse()?;
        let target = Overload {
            client: cluster.http_client()?,
            http: SocketAddr::new(ip, 8080),
            admin: SocketAddr::new(ip, 9090),
            host,
        };
        target.served().await?;
        let known = target.metric("portolan_proxy_memory_limit_bytes").await?;
        ensure!(known == LIMIT, "the proxy counts against {known} bytes");

        let mut attackers = JoinSet::new();
        for _ in 0..ATTACKERS {
            attackers.spawn(attack(target.http, target.host.clone()));
        }
        eventually("the proxy takes on less", SOON, async || {
            let refused = target
                .metric("portolan_proxy_overload_refused_total")
                .await?;
            let paused = target.metric("portolan_proxy_accept_pauses_total").await?;
            ensure!(refused + paused > 0, "it takes on everything");
            println!("overload: {refused} requests refused, {paused} pauses");
            Ok(())
        })
        .await?;
        attackers.shutdown().await;
        eventually("it serves as before", SOON, async || target.served().await).await?;

        // Its readiness may have been asked for in vain meanwhile.
        let again = async || only_pod(cluster, &class).await;
        let after = eventually("its proxy is ready", LATER, again).await?;
        for pointer in ["/metadata/uid", "/status/containerStatuses/0/containerID"] {
            ensure!(
                text(&before, pointer) == text(&after, pointer),
                "it was killed: {}",
                after["status"]
            );
        }
        Ok(())
    })
    .await
}

struct Overload {
    client: Client,
    http: SocketAddr,
    admin: SocketAddr,
    host: String,
}

impl Overload {
    async fn served(&self) -> Result<()> {
        self.client.http(self.http, &self.host).await?.echo()?;
        Ok(())
    }

    /// Returns the current value of a metric, summed over all labels.
    async fn metric(&self, name: &str) -> Result<u64> {
        let asked = self
            .client
            .get(Scheme::Http, self.admin, "proxy", "/metrics");
        let text = String::from_utf8(asked.await?.body.to_vec())?;
        let mut values = text
            .lines()
            .filter(|line| {
                line.strip_prefix(name)
                    .is_some_and(|labels| labels.starts_with('{'))
            })
            .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
            .peekable();
        values
            .peek()
            .with_context(|| format!("no {name} in\n{text}"))?;
        Ok(values.sum())
    }
}

/// Begins one large head after the other and ends none.
async fn attack(at: SocketAddr, host: String) {
    let head = format!(
        "GET / HTTP/1.1\r\nHost: {host}\r\nX-Filler: {}",
        "x".repeat(HEAD)
    );
    loop {
        let one = async {
            let mut stream = TcpStream::connect(at).await?;
            stream.write_all(head.as_bytes()).await?;
            // Until the proxy has enough of it.
            stream.readable().await
        };
        // A connection that is not taken, or thrown out, is an answer too.
        let _ = timeout(Duration::from_secs(20), one).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn only_pod(cluster: &Cluster, class: &str) -> Result<Value> {
    let mut pods = cluster.proxy_pods(class).await?;
    pods.retain(is_ready);
    ensure!(pods.len() == 1, "{} ready proxies", pods.len());
    pods.pop().context("no proxy")
}
