//! Sessions: resumed by any proxy of the class, under the same name and the same policy only.

use super::only;
use crate::client::Client;
use crate::origin::Origin;
use crate::proxy::{Proxy, endpoints, forward, host_with, settings, tls_host};
use portolan_discovery::table::{HostTls, Resource, TlsVersion};
use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Resumption, Tls12ClientSessionValue,
    Tls13ClientSessionValue,
};
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind, NamedGroup};
use std::sync::Arc;

/// Remembers sessions under one name, whatever they were for.
#[derive(Debug)]
struct Careless(ClientSessionMemoryCache);

fn any() -> ServerName<'static> {
    ServerName::try_from("any.test").unwrap()
}

impl ClientSessionStore for Careless {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        self.0.set_kx_hint(any(), group);
    }
    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        self.0.kx_hint(&any())
    }
    fn set_tls12_session(&self, _: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.0.set_tls12_session(any(), value);
    }
    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.0.tls12_session(&any())
    }
    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        self.0.remove_tls12_session(&any());
    }
    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.0.insert_tls13_ticket(any(), value);
    }
    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.0.take_tls13_ticket(&any())
    }
}

async fn serving(origin: &Origin, seeds: &[u8]) -> Proxy {
    let proxy = Proxy::unconfigured();
    let resources = vec![
        endpoints("t/s:80", &[origin.address]),
        proxy.certificate("t/c", &["*.example.test"]),
        tls_host("shop.example.test", Some("t/c"), "t/s:80"),
        tls_host("blog.example.test", Some("t/c"), "t/s:80"),
        settings(Some("t/c"), seeds),
    ];
    proxy.open(resources).await
}

/// Shakes hands, does a request (so that tickets arrive), and tells how it went.
async fn visit(proxy: &Proxy, config: &Arc<ClientConfig>, name: &str) -> HandshakeKind {
    let stream = proxy
        .handshake_with(Arc::clone(config), name)
        .await
        .unwrap();
    let kind = stream.get_ref().1.handshake_kind().unwrap();
    let mut client = Client::over(stream);
    assert_eq!(client.get(name).await.status, 200);
    kind
}

/// Clients of both versions that keep sessions for one name.
fn clients(proxy: &Proxy) -> [Arc<ClientConfig>; 2] {
    [&TLS12, &TLS13].map(|version| Arc::new(only(version, proxy)))
}

const NAME: &str = "shop.example.test";
const RESUMED: HandshakeKind = HandshakeKind::Resumed;
const FULL: HandshakeKind = HandshakeKind::Full;

#[tokio::test]
async fn resumes_sessions_across_proxies_and_restarts() {
    let origin = Origin::saying("hello").await;
    let first = serving(&origin, &[1]).await;
    let second = serving(&origin, &[1]).await;
    for client in clients(&first) {
        assert_eq!(visit(&first, &client, NAME).await, FULL);
        assert_eq!(visit(&second, &client, NAME).await, RESUMED);
        assert_eq!(visit(&first, &client, NAME).await, RESUMED);
    }
    let at = crate::admin::admin(&second).await;
    let (_, metrics) = crate::admin::page(at, "/metrics").await;
    for version in ["1.2", "1.3"] {
        let line = format!(
            "portolan_proxy_handshakes_total{{class=\"public\",version=\"{version}\",\
             resumed=\"true\"}} 1"
        );
        assert!(metrics.contains(&line), "{line} is not in\n{metrics}");
    }
}

#[tokio::test]
async fn without_a_seed_nothing_is_resumed() {
    let origin = Origin::saying("hello").await;
    let proxy = serving(&origin, &[]).await;
    for client in clients(&proxy) {
        assert_eq!(visit(&proxy, &client, NAME).await, FULL);
        assert_eq!(visit(&proxy, &client, NAME).await, FULL);
    }
}

#[tokio::test]
async fn the_former_seed_is_accepted_until_it_is_gone() {
    let origin = Origin::saying("hello").await;
    let proxy = serving(&origin, &[1]).await;
    for client in clients(&proxy) {
        proxy.apply(vec![settings(None, &[1])]).await;
        assert_eq!(visit(&proxy, &client, NAME).await, FULL);
        proxy.apply(vec![settings(None, &[2, 1])]).await;
        assert_eq!(visit(&proxy, &client, NAME).await, RESUMED);
        proxy.apply(vec![settings(None, &[2])]).await;
        assert_eq!(visit(&proxy, &client, NAME).await, RESUMED);
        proxy.apply(vec![settings(None, &[3])]).await;
        assert_eq!(visit(&proxy, &client, NAME).await, FULL);
    }
}

#[tokio::test]
async fn no_session_is_resumed_across_names() {
    let origin = Origin::saying("hello").await;
    let proxy = serving(&origin, &[1]).await;
    for client in clients(&proxy) {
        let mut careless = ClientConfig::clone(&client);
        careless.resumption =
            Resumption::store(Arc::new(Careless(ClientSessionMemoryCache::new(8))));
        let mut nameless = careless.clone();
        nameless.enable_sni = false;
        let (careless, nameless) = (Arc::new(careless), Arc::new(nameless));
        assert_eq!(visit(&proxy, &careless, NAME).await, FULL);
        assert_eq!(
            visit(&proxy, &careless, NAME).await,
            RESUMED,
            "the store works"
        );
        assert_eq!(visit(&proxy, &careless, "blog.example.test").await, FULL);
        assert_eq!(visit(&proxy, &nameless, NAME).await, FULL);
        assert_eq!(visit(&proxy, &careless, NAME).await, FULL);
    }
}

#[tokio::test]
async fn no_session_is_resumed_across_a_change_of_policy() {
    let origin = Origin::saying("hello").await;
    let proxy = serving(&origin, &[1]).await;
    let client = Arc::new(only(&TLS13, &proxy));
    let host = |min: TlsVersion| -> Resource {
        let tls = HostTls {
            certificates: vec!["t/c".into()],
            min_version: min,
            ..HostTls::default()
        };
        host_with(NAME, Some(tls), forward("t/s:80"))
    };
    assert_eq!(visit(&proxy, &client, NAME).await, FULL);
    proxy.apply(vec![host(TlsVersion::V1_2)]).await;
    assert_eq!(
        visit(&proxy, &client, NAME).await,
        RESUMED,
        "the same policy"
    );
    proxy.apply(vec![host(TlsVersion::V1_3)]).await;
    assert_eq!(visit(&proxy, &client, NAME).await, FULL);
}
