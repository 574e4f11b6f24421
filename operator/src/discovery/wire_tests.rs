//! Through the wire: a real client and a real server on loopback, with real TLS. Only the token
//! review is the tests' own, for it needs an API server.

use super::acks::Acks;
use super::auth::{Denied, Identity, Reviewer};
use super::ca::{Authority, server_names};
use super::changes::{AckChanges, Scope};
use super::metrics::Metrics;
use super::server::Server;
use super::table::Table;
use super::tls::Presented;
use crate::lease::Leadership;
use portolan_core::AckState;
use portolan_discovery::grpc::generated as proto;
use portolan_discovery::grpc::generated::discovery_client::DiscoveryClient;
use portolan_discovery::session::{
    self, Ack, Heartbeat, Hello, ProxyReport, ToOperator, ToProxy, Transaction,
};
use portolan_discovery::table::{Certificate, Kind, Resource, ResourceName};
use portolan_discovery::version::Version;
use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::metadata::MetadataValue;
use tonic::transport::{ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status, Streaming};

const NAME: &str = "portolan-discovery.portolan-system.svc";

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let ended = tokio::time::timeout(Duration::from_secs(20), future).await;
    ended.unwrap_or_else(|_| panic!("waited too long for {what}"))
}

/// Knows the tokens `proxy of <class>`, as the API server would.
struct KnownTokens;

impl Reviewer for KnownTokens {
    async fn review(&self, token: &str) -> Result<Identity, Denied> {
        let class = token.strip_prefix("proxy of ");
        let class = class.ok_or_else(|| Denied::Invalid("unknown".into()))?;
        Ok(Identity {
            username: format!("system:serviceaccount:portolan-system:{class}"),
            pod: None,
        })
    }
}

struct Operator {
    address: SocketAddr,
    ca_pem: String,
    presented: Arc<Presented>,
    table: Arc<Table>,
    acks: Arc<Acks>,
    changes: AckChanges,
    leadership: watch::Sender<Leadership>,
    synced: watch::Sender<bool>,
    _stop: DropGuard,
}

fn new_authority(presented: &Presented) -> String {
    let now = SystemTime::now();
    let authority = Authority::generate(now).unwrap();
    let names = server_names("portolan-system", "cluster.local");
    presented.set(authority.leaf(&names, now).unwrap().key);
    authority.certificate_pem().to_owned()
}

impl Operator {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let presented = Arc::new(Presented::default());
        let ca_pem = new_authority(&presented);
        let table = Arc::new(Table::default());
        let (acks, changes) = Acks::new();
        let (leadership, leads) = watch::channel(Leadership {
            leader: true,
            epoch: 3,
        });
        let (synced, is_synced) = watch::channel(true);
        let shutdown = CancellationToken::new();
        let server = Server {
            table: Arc::clone(&table),
            acks: Arc::clone(&acks),
            reviewer: KnownTokens,
            username: Box::new(|class| format!("system:serviceaccount:portolan-system:{class}")),
            leadership: leads,
            synced: is_synced,
            metrics: Metrics::default(),
            shutdown: shutdown.clone(),
        };
        tokio::spawn(server.serve(listener, Arc::clone(&presented)));
        Self {
            address,
            ca_pem,
            presented,
            table,
            acks,
            changes,
            leadership,
            synced,
            _stop: shutdown.drop_guard(),
        }
    }

    fn set(&self, name: &str, chain: &str) -> Version {
        let resource = certificate(name, chain);
        let version = Version::of(&resource);
        let content = Some((resource, Vec::new()));
        self.table.update("public", &named(name), content);
        version
    }

    async fn dial(
        &self,
        ca_pem: &str,
    ) -> Result<tonic::transport::Channel, tonic::transport::Error> {
        let tls = ClientTlsConfig::new()
            .ca_certificate(tonic::transport::Certificate::from_pem(ca_pem))
            .domain_name(NAME);
        let endpoint = Endpoint::from_shared(format!("https://{}", self.address)).unwrap();
        endpoint.tls_config(tls).unwrap().connect().await
    }

    async fn subscribe(&self, token: &str, hello: Hello) -> Result<Proxy, Status> {
        let channel = self.dial(&self.ca_pem).await.unwrap();
        let (outbound, messages) = mpsc::channel(16);
        let first = ToOperator::Hello(hello).into();
        outbound.send(first).await.unwrap();
        let mut request = Request::new(ReceiverStream::new(messages));
        let bearer = MetadataValue::try_from(format!("Bearer {token}")).unwrap();
        request.metadata_mut().insert("authorization", bearer);
        let mut client = DiscoveryClient::new(channel);
        let inbound = soon("an answer", client.subscribe(request))
            .await?
            .into_inner();
        Ok(Proxy { outbound, inbound })
    }

    async fn proxy(&self, pod: &str, held: BTreeMap<ResourceName, Version>) -> Proxy {
        let hello = hello("public", pod, held);
        self.subscribe("proxy of public", hello).await.unwrap()
    }

    fn verdict(&self, pod: &str, name: &str, version: Version) -> Option<AckState> {
        let verdicts = self.acks.acknowledged("public", &named(name), version);
        let mut verdicts = verdicts.into_iter();
        verdicts.find_map(|(it, verdict)| (it.name == pod).then_some(verdict))
    }
}

fn hello(class: &str, pod: &str, held: BTreeMap<ResourceName, Version>) -> Hello {
    Hello {
        class: class.into(),
        pod_name: pod.into(),
        pod_uid: format!("uid of {pod}"),
        held,
    }
}

fn certificate(name: &str, chain: &str) -> Resource {
    Resource::Certificate(Certificate {
        name: name.into(),
        chain_pem: chain.into(),
        key_pem: String::new(),
    })
}

fn named(name: &str) -> ResourceName {
    ResourceName {
        kind: Kind::Certificate,
        name: name.into(),
    }
}

struct Proxy {
    outbound: mpsc::Sender<proto::ToOperator>,
    inbound: Streaming<proto::ToProxy>,
}

impl Proxy {
    async fn say(&self, message: ToOperator) {
        self.outbound.send(message.into()).await.unwrap();
    }

    async fn receive(&mut self) -> Result<ToProxy, Status> {
        let message = soon("a message", self.inbound.message()).await?;
        Ok(message.expect("the stream goes on").try_into().unwrap())
    }

    async fn transaction(&mut self) -> Transaction {
        loop {
            if let ToProxy::Transaction(it) = self.receive().await.unwrap() {
                return it;
            }
        }
    }

    async fn heartbeat(&mut self) -> Heartbeat {
        loop {
            if let ToProxy::Heartbeat(it) = self.receive().await.unwrap() {
                return it;
            }
        }
    }

    async fn ack(&self, transaction: &Transaction, refused: Option<&str>) {
        let verdicts = transaction.batch.upserts.iter();
        let verdicts = verdicts.map(|update| session::ResourceAck {
            name: update.resource.name(),
            version: update.version,
            origins: update.origins.clone(),
            refused: refused.map(str::to_owned),
        });
        self.say(ToOperator::Ack(Ack {
            transaction: Some(transaction.id),
            verdicts: verdicts.collect(),
            removed: transaction.batch.removals.clone(),
        }))
        .await;
    }
}

fn contents(transaction: &Transaction) -> Vec<(String, String)> {
    let upserts = transaction.batch.upserts.iter();
    upserts
        .map(|update| match &update.resource {
            Resource::Certificate(it) => (it.name.clone(), it.chain_pem.clone()),
            other => panic!("{other:?}"),
        })
        .collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let pairs = pairs.iter();
    pairs
        .map(|(name, chain)| ((*name).to_owned(), (*chain).to_owned()))
        .collect()
}

#[tokio::test]
async fn a_new_proxy_gets_everything_and_then_only_what_changes() {
    let operator = Operator::start().await;
    operator.set("a", "1");
    operator.set("b", "1");
    let mut proxy = operator.proxy("proxy-0", BTreeMap::new()).await;
    proxy.say(ToOperator::Follow(true)).await;
    let snapshot = proxy.transaction().await;
    assert_eq!(contents(&snapshot), pairs(&[("a", "1"), ("b", "1")]));
    assert!(snapshot.batch.end_of_snapshot);
    assert_eq!(snapshot.epoch, 3);
    proxy.ack(&snapshot, None).await;

    operator.set("b", "2");
    let delta = proxy.transaction().await;
    assert_eq!(contents(&delta), pairs(&[("b", "2")]));
    proxy.ack(&delta, None).await;

    operator.table.update("public", &named("a"), None);
    let removal = proxy.transaction().await;
    assert_eq!(removal.batch.removals, [named("a")]);
    assert!(removal.batch.upserts.is_empty());
}

#[tokio::test]
async fn a_reconnect_sends_only_differences() {
    let operator = Operator::start().await;
    let a = operator.set("a", "1");
    operator.set("b", "2");
    let held = [
        (named("a"), a),
        (named("b"), Version([1; 16])),
        (named("gone"), Version([2; 16])),
    ];
    let mut proxy = operator.proxy("proxy-0", held.into()).await;
    proxy.say(ToOperator::Follow(true)).await;
    let delta = proxy.transaction().await;
    assert_eq!(contents(&delta), pairs(&[("b", "2")]));
    assert_eq!(delta.batch.removals, [named("gone")]);
    assert!(delta.batch.end_of_snapshot);
}

#[tokio::test]
async fn a_slow_proxy_gets_only_the_newest() {
    let operator = Operator::start().await;
    operator.set("a", "0");
    let mut proxy = operator.proxy("proxy-0", BTreeMap::new()).await;
    proxy.say(ToOperator::Follow(true)).await;
    let snapshot = proxy.transaction().await;
    for round in 1..=100 {
        operator.set("a", &round.to_string());
        operator.set("b", &round.to_string());
    }
    proxy.ack(&snapshot, None).await;
    let next = proxy.transaction().await;
    assert_eq!(contents(&next), pairs(&[("a", "100"), ("b", "100")]));
    proxy.ack(&next, None).await;
    let last = operator.set("c", "1");
    assert_eq!(proxy.transaction().await.batch.upserts[0].version, last);
}

#[tokio::test]
async fn a_proxy_of_another_class_hears_nothing_of_this_one() {
    let operator = Operator::start().await;
    operator.set("secret", "1");
    let own = (certificate("own", "1"), Vec::new());
    operator.table.update("private", &named("own"), Some(own));
    let hello = hello("private", "proxy-0", BTreeMap::new());
    let mut proxy = operator.subscribe("proxy of private", hello).await.unwrap();
    proxy.say(ToOperator::Follow(true)).await;
    let snapshot = proxy.transaction().await;
    assert_eq!(contents(&snapshot), pairs(&[("own", "1")]));
}

#[tokio::test]
async fn an_unknown_token_and_a_token_of_another_class_are_refused() {
    let operator = Operator::start().await;
    let hello = || hello("public", "proxy-0", BTreeMap::new());
    let unknown = operator.subscribe("another", hello()).await.err().unwrap();
    assert_eq!(unknown.code(), Code::Unauthenticated);
    let wrong = operator.subscribe("proxy of private", hello()).await;
    let wrong = wrong.err().unwrap();
    assert_eq!(wrong.code(), Code::PermissionDenied);
    assert!(
        wrong.message().contains("class public"),
        "{}",
        wrong.message()
    );
    let empty = operator.subscribe("", hello()).await.err().unwrap();
    assert_eq!(empty.code(), Code::Unauthenticated);
    assert_eq!(operator.acks.proxies("public"), []);
}

#[tokio::test]
async fn a_rejection_is_recorded_per_resource_and_proxy() {
    let mut operator = Operator::start().await;
    let good = operator.set("good", "1");
    let mut proxy = operator.proxy("proxy-0", BTreeMap::new()).await;
    proxy.say(ToOperator::Follow(true)).await;
    let snapshot = proxy.transaction().await;
    proxy.ack(&snapshot, None).await;
    let bad = operator.set("bad", "1");
    let second = proxy.transaction().await;
    proxy.ack(&second, Some("the key does not fit")).await;
    soon("the verdict", async {
        while operator.verdict("proxy-0", "bad", bad) == Some(AckState::Behind) {
            operator.changes.changed().await;
        }
    })
    .await;
    let refused = AckState::Refused("the key does not fit".into());
    assert_eq!(operator.verdict("proxy-0", "bad", bad), Some(refused));
    assert_eq!(
        operator.verdict("proxy-0", "good", good),
        Some(AckState::Acknowledged)
    );
}

#[tokio::test]
async fn nothing_is_sent_before_every_input_was_listed() {
    let mut operator = Operator::start().await;
    operator.synced.send_replace(false);
    let held = BTreeMap::from([(named("a"), Version::of(&certificate("a", "1")))]);
    let mut proxy = operator.proxy("proxy-0", held).await;
    proxy.say(ToOperator::Follow(true)).await;
    let ready = ProxyReport {
        ready: true,
        ..ProxyReport::default()
    };
    proxy.say(ToOperator::Report(ready)).await;
    soon("the report, which comes after the wish to follow", async {
        while !operator.acks.proxies("public").iter().any(|it| it.ready) {
            operator.changes.changed().await;
        }
    })
    .await;
    // Only now the list comes that names it: an empty table was no reason to remove it.
    operator.set("a", "1");
    operator.synced.send_replace(true);
    let first = proxy.transaction().await;
    assert_eq!(first.batch.removals, []);
    assert_eq!(contents(&first), []);
    assert!(first.batch.end_of_snapshot);
}

#[tokio::test]
async fn heartbeats_say_at_once_who_leads() {
    let operator = Operator::start().await;
    let mut proxy = operator.proxy("proxy-0", BTreeMap::new()).await;
    let first = proxy.heartbeat().await;
    assert_eq!((first.epoch, first.leader), (3, true));
    operator.leadership.send_replace(Leadership {
        leader: false,
        epoch: 3,
    });
    soon("the loss of the lease", async {
        while proxy.heartbeat().await.leader {}
    })
    .await;
}

#[tokio::test]
async fn a_restarted_proxy_replaces_its_former_stream() {
    let mut operator = Operator::start().await;
    let a = operator.set("a", "1");
    let mut first = operator.proxy("proxy-0", BTreeMap::new()).await;
    let _second = operator.proxy("proxy-0", [(named("a"), a)].into()).await;
    let end = loop {
        if let Err(end) = first.receive().await {
            break end;
        }
    };
    assert_eq!(end.code(), Code::Aborted);
    assert_eq!(
        operator.verdict("proxy-0", "a", a),
        Some(AckState::Acknowledged)
    );
    drop(first);
    let changes = soon("a change", operator.changes.changed()).await;
    assert_eq!(changes["public"], Scope::Everything);
    assert_eq!(operator.acks.proxies("public").len(), 1);
}

#[tokio::test]
async fn a_proxy_that_leaves_is_forgotten() {
    let mut operator = Operator::start().await;
    let proxy = operator.proxy("proxy-0", BTreeMap::new()).await;
    assert_eq!(operator.acks.proxies("public").len(), 1);
    drop(proxy);
    soon("the end of the record", async {
        while !operator.acks.proxies("public").is_empty() {
            operator.changes.changed().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_new_certificate_keeps_existing_streams() {
    let operator = Operator::start().await;
    let mut proxy = operator.proxy("proxy-0", BTreeMap::new()).await;
    let renewed = new_authority(&operator.presented);
    assert!(operator.dial(&operator.ca_pem).await.is_err());
    assert!(operator.dial(&renewed).await.is_ok());
    operator.set("a", "1");
    proxy.say(ToOperator::Follow(true)).await;
    assert_eq!(contents(&proxy.transaction().await), pairs(&[("a", "1")]));
}

#[tokio::test]
async fn an_invalid_message_ends_the_stream_with_its_field() {
    let operator = Operator::start().await;
    let mut proxy = operator.proxy("proxy-0", BTreeMap::new()).await;
    let nameless = proto::Ack {
        removed: vec![proto::ResourceName::default()],
        ..proto::Ack::default()
    };
    let message = proto::ToOperator {
        message: Some(proto::to_operator::Message::Ack(nameless)),
    };
    proxy.outbound.send(message).await.unwrap();
    let end = loop {
        if let Err(end) = proxy.receive().await {
            break end;
        }
    };
    assert_eq!(end.code(), Code::InvalidArgument);
    assert!(
        end.message().starts_with("ack.removed[0].kind: "),
        "{}",
        end.message()
    );
}
