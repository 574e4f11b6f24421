//! Endpoints that DNS knows, and addresses that are never contacted.

use crate::client::Response;
use crate::name_server::{NameServer, Says};
use crate::origin::Origin;
use crate::proxy::{Proxy, endpoints, host};
use crate::soon;
use portolan_discovery::table::{
    ClassSettings, EndpointSet, ExternalName, Kind, Resource, ResourceName,
};
use std::net::IpAddr;
use std::time::Duration;

const NAME: &str = "db.example.net";

fn external(host: &str, port: u16) -> Resource {
    Resource::Endpoints(EndpointSet {
        name: "t/s:80".into(),
        endpoints: Vec::new(),
        external: Some(ExternalName {
            host: host.into(),
            port,
        }),
    })
}

fn denied(cidrs: &[&str]) -> Resource {
    Resource::ClassSettings(ClassSettings {
        denied_cidrs: cidrs.iter().map(ToString::to_string).collect(),
        ..ClassSettings::default()
    })
}

fn addresses(all: &[&str], ttl: u32) -> Says {
    let parse = |text: &&str| text.parse::<IpAddr>().unwrap();
    Says::Addresses(all.iter().map(parse).collect(), ttl)
}

/// A proxy whose host `shop.test` goes to a name on a port.
async fn proxy(server: &NameServer, port: u16) -> Proxy {
    let proxy = Proxy::with_name_server(server.address);
    proxy
        .open(vec![external(NAME, port), host("shop.test", "t/s:80")])
        .await
}

/// Asks until the answer is as it should be.
async fn answers(proxy: &Proxy, what: &str, is: impl Fn(&Response) -> bool) -> Response {
    soon(what, async {
        loop {
            let answer = proxy.client().await.get("shop.test").await;
            if is(&answer) {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
}

#[tokio::test]
async fn a_name_is_followed_to_where_it_points() {
    let one = Origin::saying("one").await;
    let other = Origin::saying_at("127.0.0.2", one.address.port(), "other").await;
    let server = NameServer::start(addresses(&["127.0.0.1"], 1)).await;
    let proxy = proxy(&server, one.address.port()).await;
    answers(&proxy, "the first address", |it| it.body == b"one").await;
    server.says(addresses(&["127.0.0.2"], 1));
    answers(&proxy, "the second address", |it| it.body == b"other").await;
    drop(other);
    assert!(
        server.asked().iter().all(|name| name == "db.example.net."),
        "{:?}",
        server.asked()
    );
}

#[tokio::test]
async fn a_long_ttl_is_not_asked_again() {
    let origin = Origin::saying("one").await;
    let server = NameServer::start(addresses(&["127.0.0.1"], 600)).await;
    let proxy = proxy(&server, origin.address.port()).await;
    answers(&proxy, "the address", |it| it.status == 200).await;
    let asked = server.asked().len();
    assert_eq!(asked, 2, "once for each family");
    for _ in 0..20 {
        assert_eq!(proxy.client().await.get("shop.test").await.status, 200);
    }
    assert_eq!(server.asked().len(), asked, "requests cause no lookup");
}

#[tokio::test]
async fn keeps_addresses_on_errors_and_drops_missing_names() {
    let origin = Origin::saying("one").await;
    let server = NameServer::start(addresses(&["127.0.0.1"], 1)).await;
    let proxy = proxy(&server, origin.address.port()).await;
    answers(&proxy, "the address", |it| it.status == 200).await;
    for trouble in [Says::Trouble, Says::Nothing] {
        server.says(trouble);
        let asked = server.asked().len();
        soon("being asked again", async {
            while server.asked().len() < asked + 2 {
                assert_eq!(proxy.client().await.get("shop.test").await.status, 200);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        assert_eq!(proxy.client().await.get("shop.test").await.status, 200);
    }
    server.says(Says::NoSuchName);
    let answer = answers(&proxy, "that it is gone", |it| it.status == 503).await;
    assert_eq!(answer.reason(), "NoReadyEndpoints");
    server.says(addresses(&["127.0.0.1"], 1));
    answers(&proxy, "that it is back", |it| it.status == 200).await;
}

#[tokio::test]
async fn denies_an_address_that_a_name_changes_to() {
    let outside = Origin::saying_at("127.0.0.2", 0, "outside").await;
    let inside = Origin::saying_at("127.0.0.1", outside.address.port(), "inside").await;
    let server = NameServer::start(addresses(&["127.0.0.2"], 1)).await;
    let proxy = proxy(&server, outside.address.port()).await;
    proxy.apply(vec![denied(&["127.0.0.1/32"])]).await;
    answers(&proxy, "the allowed address", |it| it.body == b"outside").await;
    server.says(addresses(&["127.0.0.1"], 1));
    let answer = answers(&proxy, "the refusal", |it| it.status == 503).await;
    assert_eq!(answer.reason(), "DeniedAddress");
    assert_eq!(inside.connections(), 0, "no connection attempt");
}

#[tokio::test]
async fn denies_listed_endpoints_in_every_address_form() {
    let origin = Origin::saying("one").await;
    let port = origin.address.port();
    let mapped = format!("[::ffff:127.0.0.1]:{port}").parse().unwrap();
    let proxy = Proxy::serving(vec![
        denied(&["127.0.0.0/8"]),
        endpoints("t/s:80", &[origin.address]),
        endpoints("t/m:80", &[mapped]),
        host("shop.test", "t/s:80"),
        host("mapped.test", "t/m:80"),
    ])
    .await;
    for name in ["shop.test", "mapped.test"] {
        let answer = proxy.client().await.get(name).await;
        assert_eq!(
            (answer.status, answer.reason()),
            (503, "DeniedAddress"),
            "{name}"
        );
    }
    assert_eq!(origin.connections(), 0);
    let verdicts = proxy.apply(vec![denied(&["127.0.0.0/33"])]).await;
    let refused = verdicts[0].refused.as_deref().unwrap_or_default();
    assert!(
        refused.starts_with("deniedCIDRs: \"127.0.0.0/33\""),
        "{refused}"
    );
    let settings = ResourceName {
        kind: Kind::ClassSettings,
        name: ClassSettings::NAME.into(),
    };
    proxy.change(Vec::new(), vec![settings]).await;
    assert_eq!(
        proxy.client().await.get("shop.test").await.status,
        200,
        "nothing is denied any more"
    );
}

#[tokio::test]
async fn one_denied_endpoint_does_not_hide_the_others() {
    let good = Origin::saying_at("127.0.0.2", 0, "good").await;
    let bad = Origin::saying_at("127.0.0.1", good.address.port(), "bad").await;
    let proxy = Proxy::serving(vec![
        denied(&["127.0.0.1/32"]),
        endpoints("t/s:80", &[good.address, bad.address]),
        host("shop.test", "t/s:80"),
    ])
    .await;
    for _ in 0..10 {
        assert_eq!(proxy.client().await.get("shop.test").await.body, b"good");
    }
    assert_eq!(bad.connections(), 0);
}

#[tokio::test]
async fn a_set_may_change_from_names_to_addresses_and_back() {
    let one = Origin::saying("listed").await;
    let other = Origin::saying_at("127.0.0.2", 0, "named").await;
    let server = NameServer::start(addresses(&["127.0.0.2"], 1)).await;
    let proxy = proxy(&server, other.address.port()).await;
    answers(&proxy, "the name", |it| it.body == b"named").await;
    proxy.apply(vec![endpoints("t/s:80", &[one.address])]).await;
    assert_eq!(proxy.client().await.get("shop.test").await.body, b"listed");
    proxy
        .apply(vec![external(NAME, other.address.port())])
        .await;
    answers(&proxy, "the name again", |it| it.body == b"named").await;
}
