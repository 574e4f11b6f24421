//! The admin port tells readiness with its reason, and counts.

use crate::client::Client;
use crate::origin::Origin;
use crate::proxy::{Proxy, endpoints, host};
use std::net::SocketAddr;

pub(crate) async fn admin(proxy: &Proxy) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(proxy.plane.admin(listener));
    at
}

pub(crate) async fn page(at: SocketAddr, path: &str) -> (u16, String) {
    let mut client = Client::connect(at).await;
    let response = client.get_path("admin", path).await;
    (response.status, response.text().to_owned())
}

#[tokio::test]
async fn readiness_has_its_reason() {
    let proxy = Proxy::unconfigured();
    let at = admin(&proxy).await;
    assert_eq!(page(at, "/readyz").await, (503, "NoConfiguration\n".into()));
    assert_eq!(page(at, "/livez").await.0, 200);
    let proxy = proxy.open(Vec::new()).await;
    assert_eq!(page(at, "/readyz").await, (200, "ok\n".into()));
    assert_eq!(page(at, "/other").await.0, 404);
    drop(proxy);
}

#[tokio::test]
async fn what_happened_is_counted() {
    let origin = Origin::saying("hello").await;
    let proxy = Proxy::unconfigured();
    let certificate = proxy.certificate("t/c", &["shop.test"]);
    let proxy = proxy
        .open(vec![
            certificate,
            endpoints("t/s:80", &[origin.address]),
            host("shop.test", "t/s:80"),
        ])
        .await;
    let at = admin(&proxy).await;
    let mut client = proxy.client().await;
    for _ in 0..2 {
        client.get("shop.test").await;
    }
    client.get("other.test").await;
    assert!(proxy.handshake("other.test").await.is_err());
    let handshakes =
        r#"portolan_proxy_handshakes_failed_total{class="public",reason="unknown_server_name"} 1"#;
    let metrics = crate::soon("the count of handshakes", async {
        loop {
            let (_, metrics) = page(at, "/metrics").await;
            if metrics.contains(handshakes) {
                return metrics;
            }
        }
    })
    .await;
    for line in [
        r#"portolan_proxy_requests_total{class="public",status="2xx"} 2"#,
        r#"portolan_proxy_requests_total{class="public",status="4xx"} 1"#,
        r#"portolan_proxy_connections_active{class="public"} 1"#,
        r#"portolan_proxy_upstream_connections_reused_total{class="public"} 1"#,
        r#"portolan_proxy_applied_resources{class="public",kind="virtual_host"} 1"#,
        r#"portolan_proxy_upstream_endpoints{class="public",endpoints="t/s:80"} 1"#,
        r#"portolan_proxy_certificate_not_after_timestamp_seconds{class="public",certificate="t/c"} "#,
        r#"portolan_proxy_ready{class="public"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}
