//! One connection for several names (RFC 9113 9.1.1): what may share it, and 421 for what may not.

use super::peers::Asking;
use crate::origin::Origin;
use crate::proxy::{Proxy, endpoints, forward, host_with};
use crate::soon;
use http::Request;
use portolan_discovery::table::{HostTls, Resource, TlsVersion};
use rustls::pki_types::ServerName;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

fn with(hostname: &str, certificate: &str, change: impl FnOnce(&mut HostTls)) -> Resource {
    let mut tls = HostTls {
        certificates: vec![certificate.into()],
        ..HostTls::default()
    };
    change(&mut tls);
    host_with(hostname, Some(tls), forward("t/s:80"))
}

#[tokio::test]
async fn each_request_is_judged_by_the_name_that_it_asks_for() {
    let origin = Origin::saying("hello").await;
    let proxy = Proxy::unconfigured();
    let names = ["one.test", "two.test", "strict.test", "own.test"];
    let (shared, own) = (
        proxy.certificate("t/shared", &names),
        proxy.certificate("t/own", &names),
    );
    let strict = |tls: &mut HostTls| tls.min_version = TlsVersion::V1_3;
    let proxy = proxy
        .open(vec![
            endpoints("t/s:80", &[origin.address]),
            shared,
            own,
            with("one.test", "t/shared", |_| {}),
            with("two.test", "t/shared", |_| {}),
            with("strict.test", "t/shared", strict),
            with("own.test", "t/own", |_| {}),
        ])
        .await;
    let mut config = proxy.client_config();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let tcp = TcpStream::connect(proxy.https).await.unwrap();
    let name = ServerName::try_from("one.test").unwrap();
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, tcp);
    let client = Asking::over(soon("the handshake", connecting).await.unwrap()).await;
    for (host, status) in [
        ("one.test", 200),
        ("two.test", 200),
        ("strict.test", 421),
        ("own.test", 421),
        ("absent.test", 404),
        ("one.test", 200),
    ] {
        let request = Request::builder().uri(format!("https://{host}/"));
        let answer = client.ask(request.body(()).unwrap()).await;
        assert_eq!(answer.status, status, "{host}");
    }
}
