//! Through the wire: a scripted operator with a real gRPC server and real TLS on loopback, the real
//! subscriber, and in the place of the data plane a task that applies whatever does not call itself bad.

use super::resolve::{Resolve, ResolveError};
use super::{OperatorAddress, Restored, Settings};
use crate::control::{self, Command, Control, ControlReceiver, ResourceAck};
use portolan_discovery::delta::{Batch, Update};
use portolan_discovery::grpc::generated as proto;
use portolan_discovery::grpc::generated::discovery_server::{Discovery, DiscoveryServer};
use portolan_discovery::session::{
    Ack, Heartbeat, Hello, ProxyReport, ToOperator, ToProxy, Transaction,
};
use portolan_discovery::table::{Certificate, Kind, Resource, ResourceName};
use portolan_discovery::version::Version;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};

const NAME: &str = "operators.test";

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let ended = tokio::time::timeout(Duration::from_secs(30), future).await;
    ended.unwrap_or_else(|_| panic!("waited too long for {what}"))
}

/// A self-signed certificate, which is its own authority.
struct Authority {
    certificate: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
        Self {
            certificate: made.cert.pem(),
            key: made.signing_key.serialize_pem(),
        }
    }
}

struct Operator {
    address: SocketAddr,
    streams: mpsc::Receiver<Stream>,
    /// Its heartbeats; `None`: none.
    beats: watch::Sender<Option<Heartbeat>>,
    server: JoinHandle<()>,
}

/// One proxy's stream, seen by the operator.
struct Stream {
    token: String,
    inbound: Streaming<proto::ToOperator>,
    outbound: mpsc::Sender<Result<proto::ToProxy, Status>>,
}

struct Script {
    streams: mpsc::Sender<Stream>,
    beats: watch::Receiver<Option<Heartbeat>>,
}

#[tonic::async_trait]
impl Discovery for Script {
    type SubscribeStream = ReceiverStream<Result<proto::ToProxy, Status>>;

    async fn subscribe(
        &self,
        request: Request<Streaming<proto::ToOperator>>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let token = request.metadata().get("authorization").unwrap();
        let token = token.to_str().unwrap().to_owned();
        let (outbound, messages) = mpsc::channel(16);
        tokio::spawn(beat(outbound.downgrade(), self.beats.clone()));
        let stream = Stream {
            token,
            inbound: request.into_inner(),
            outbound,
        };
        self.streams.send(stream).await.unwrap();
        Ok(Response::new(ReceiverStream::new(messages)))
    }
}

/// For as long as the test holds the stream.
async fn beat(
    outbound: mpsc::WeakSender<Result<proto::ToProxy, Status>>,
    mut beats: watch::Receiver<Option<Heartbeat>>,
) {
    while let Some(outbound) = outbound.upgrade() {
        if let Some(heartbeat) = *beats.borrow_and_update() {
            let _ = outbound.try_send(Ok(ToProxy::Heartbeat(heartbeat).into()));
        }
        drop(outbound);
        let _ = tokio::time::timeout(Duration::from_millis(100), beats.changed()).await;
    }
}

fn leader(epoch: u64) -> Option<Heartbeat> {
    Some(Heartbeat {
        epoch,
        leader: true,
    })
}

fn standby() -> Option<Heartbeat> {
    Some(Heartbeat {
        epoch: 0,
        leader: false,
    })
}

impl Operator {
    async fn start(authority: &Authority, first: Option<Heartbeat>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (beats, seen) = watch::channel(first);
        let (opened, streams) = mpsc::channel(4);
        let script = Script {
            streams: opened,
            beats: seen,
        };
        let identity = Identity::from_pem(&authority.certificate, &authority.key);
        let server = Server::builder()
            .tls_config(ServerTlsConfig::new().identity(identity))
            .unwrap();
        let server = tokio::spawn(async move {
            let service = DiscoveryServer::new(script);
            let incoming = TcpListenerStream::new(listener);
            let _ = server.serve_with_incoming(service, incoming).await;
        });
        Self {
            address,
            streams,
            beats,
            server,
        }
    }

    async fn stream(&mut self) -> (Stream, Hello) {
        let mut stream = soon("a stream", self.streams.recv()).await.unwrap();
        match stream.hear().await {
            Some(ToOperator::Hello(hello)) => (stream, hello),
            other => panic!("{other:?} instead of a Hello"),
        }
    }
}

impl Stream {
    async fn hear(&mut self) -> Option<ToOperator> {
        let message = soon("a message", self.inbound.message()).await.ok()??;
        Some(message.try_into().unwrap())
    }

    async fn followed(&mut self) -> bool {
        loop {
            match self.hear().await {
                Some(ToOperator::Follow(follow)) => return follow,
                Some(_) => {}
                None => panic!("the stream ended"),
            }
        }
    }

    async fn ack(&mut self) -> Ack {
        loop {
            match self.hear().await {
                Some(ToOperator::Ack(ack)) => return ack,
                Some(_) => {}
                None => panic!("the stream ended"),
            }
        }
    }

    async fn report(&mut self) -> ProxyReport {
        loop {
            match self.hear().await {
                Some(ToOperator::Report(report)) => return report,
                Some(_) => {}
                None => panic!("the stream ended"),
            }
        }
    }

    async fn send(&self, id: u64, upserts: &[&str], removals: &[&str]) {
        let transaction = Transaction {
            id,
            epoch: 1,
            batch: Batch {
                upserts: upserts.iter().map(|name| update(name)).collect(),
                removals: removals.iter().map(|name| named(name)).collect(),
                end_of_snapshot: true,
            },
        };
        let message = ToProxy::Transaction(transaction).into();
        self.outbound.send(Ok(message)).await.unwrap();
    }
}

fn named(name: &str) -> ResourceName {
    ResourceName {
        kind: Kind::Certificate,
        name: name.into(),
    }
}

fn update(name: &str) -> Update {
    let certificate = Certificate {
        name: name.into(),
        chain_pem: "chain".into(),
        key_pem: "key".into(),
    };
    Update::new(Resource::Certificate(certificate), Vec::new())
}

fn held(names: &[&str]) -> BTreeMap<ResourceName, Version> {
    let names = names.iter();
    names
        .map(|name| (named(name), update(name).version))
        .collect()
}

/// Operators that tests start and stop; no name service tells ports apart.
struct Known(Arc<Mutex<BTreeSet<SocketAddr>>>);

impl Resolve for Known {
    async fn addresses(&self) -> Result<BTreeSet<SocketAddr>, ResolveError> {
        Ok(self.0.lock().unwrap().clone())
    }
}

/// A pod: its volumes outlive its processes.
struct Pod {
    volumes: TempDir,
}

struct Process {
    control: Control,
    readiness: watch::Sender<bool>,
    known: Arc<Mutex<BTreeSet<SocketAddr>>>,
    shutdown: CancellationToken,
    running: JoinHandle<()>,
}

impl Pod {
    fn new(authority: &Authority) -> Self {
        let pod = Self {
            volumes: tempfile::tempdir().unwrap(),
        };
        pod.write("ca.crt", &authority.certificate);
        pod.write("token", "first\n");
        pod
    }

    fn write(&self, file: &str, content: &str) {
        std::fs::write(self.volumes.path().join(file), content).unwrap();
    }

    fn process(&self, operators: &[&Operator]) -> Process {
        let (control, receiver) = control::channel();
        let readiness = receiver.readiness.clone();
        tokio::spawn(data_plane(receiver));
        let file = |name: &str| self.volumes.path().join(name);
        let settings = Settings {
            class: "public".into(),
            discovery: OperatorAddress {
                host: NAME.into(),
                port: 9443,
            },
            token_file: file("token"),
            ca_file: file("ca.crt"),
            snapshot_dir: self.volumes.path().to_owned(),
            pod_name: "proxy-0".into(),
            pod_uid: "u".into(),
        };
        let known = operators.iter().map(|operator| operator.address);
        let known = Arc::new(Mutex::new(known.collect()));
        let shutdown = CancellationToken::new();
        let resolver = Known(Arc::clone(&known));
        let (to_run, until) = (control.clone(), shutdown.clone());
        let running = async move {
            let restored = Restored::new(settings, to_run, until).await;
            restored.subscribe(resolver).await;
        };
        Process {
            control,
            readiness,
            known,
            running: tokio::spawn(running),
            shutdown,
        }
    }
}

impl Process {
    async fn stop(self) {
        self.shutdown.cancel();
        soon("the end of the process", self.running).await.unwrap();
    }
}

async fn data_plane(mut receiver: ControlReceiver) {
    while let Some(Command::Apply { batch, answer }) = receiver.commands.recv().await {
        let verdicts = batch.upserts.iter().map(|update| {
            let bad = update.resource.name().name == "bad";
            update.verdict(bad.then(|| "it is bad".to_owned()))
        });
        let verdicts: Vec<ResourceAck> = verdicts.collect();
        receiver.held.change(|held| {
            let good = verdicts.iter().filter(|verdict| verdict.refused.is_none());
            held.extend(good.map(|verdict| (verdict.name.clone(), verdict.version)));
            for name in &batch.removals {
                held.remove(name);
            }
        });
        let _ = answer.send(verdicts);
    }
}

#[tokio::test]
async fn what_the_leader_sends_is_applied_and_answered_one_by_one() {
    let authority = Authority::new();
    let mut operator = Operator::start(&authority, leader(1)).await;
    let pod = Pod::new(&authority);
    let process = pod.process(&[&operator]);
    let (mut stream, hello) = operator.stream().await;
    let expected = Hello {
        class: "public".into(),
        pod_name: "proxy-0".into(),
        pod_uid: "u".into(),
        held: BTreeMap::new(),
    };
    assert_eq!(hello, expected);
    assert!(stream.followed().await);
    stream.send(1, &["a", "bad", "c"], &[]).await;
    let ack = stream.ack().await;
    assert_eq!(ack.transaction, Some(1));
    let refused: Vec<Option<String>> = ack
        .verdicts
        .into_iter()
        .map(|verdict| verdict.refused)
        .collect();
    assert_eq!(refused, [None, Some("it is bad".into()), None]);
    stream.send(2, &[], &["a"]).await;
    let ack = stream.ack().await;
    assert_eq!((ack.transaction, ack.removed), (Some(2), vec![named("a")]));
    assert_eq!(process.control.held(), held(&["c"]));
}

#[tokio::test]
async fn reconnects_with_held_versions_and_the_current_token() {
    let authority = Authority::new();
    let mut operator = Operator::start(&authority, leader(1)).await;
    let pod = Pod::new(&authority);
    let _process = pod.process(&[&operator]);
    let (mut stream, _) = operator.stream().await;
    assert_eq!(stream.token, "Bearer first");
    assert!(stream.followed().await);
    stream.send(1, &["a"], &[]).await;
    stream.ack().await;
    pod.write("token", "second");
    drop(stream);
    let (mut stream, hello) = operator.stream().await;
    assert_eq!(hello.held, held(&["a"]));
    assert_eq!(stream.token, "Bearer second");
    assert!(stream.followed().await, "the same leader, on a new stream");
}

#[tokio::test]
async fn follows_the_higher_epoch_and_acks_to_all() {
    let authority = Authority::new();
    let mut first = Operator::start(&authority, leader(7)).await;
    let mut second = Operator::start(&authority, standby()).await;
    let pod = Pod::new(&authority);
    let process = pod.process(&[&first, &second]);
    let (mut on_first, _) = first.stream().await;
    let (mut on_second, _) = second.stream().await;
    assert!(on_first.followed().await);
    on_first.send(1, &["a"], &[]).await;
    assert_eq!(on_first.ack().await.transaction, Some(1));
    let heard = on_second.ack().await;
    assert_eq!(heard.transaction, None);
    assert_eq!(heard.verdicts[0].name, named("a"));

    second.beats.send_replace(leader(8));
    assert!(on_second.followed().await);
    assert!(!on_first.followed().await);
    on_second.send(1, &["b"], &[]).await;
    assert_eq!(on_second.ack().await.transaction, Some(1));
    assert_eq!(on_first.ack().await.verdicts[0].name, named("b"));
    assert_eq!(process.control.held(), held(&["a", "b"]));
}

#[tokio::test]
async fn ignores_transactions_of_operators_not_followed() {
    let authority = Authority::new();
    let mut first = Operator::start(&authority, leader(7)).await;
    let mut second = Operator::start(&authority, standby()).await;
    let pod = Pod::new(&authority);
    let process = pod.process(&[&first, &second]);
    let (mut on_first, _) = first.stream().await;
    let (mut on_second, _) = second.stream().await;
    assert!(on_first.followed().await);
    on_second.send(1, &["stray"], &[]).await;
    // It is heard before what the same operator says after it.
    second.beats.send_replace(leader(8));
    assert!(on_second.followed().await);
    on_second.send(2, &["b"], &[]).await;
    assert_eq!(on_second.ack().await.transaction, Some(2));
    assert_eq!(process.control.held(), held(&["b"]));
}

#[tokio::test]
async fn leaves_a_silent_leader() {
    let authority = Authority::new();
    let mut first = Operator::start(&authority, leader(7)).await;
    let mut second = Operator::start(&authority, standby()).await;
    let pod = Pod::new(&authority);
    let _process = pod.process(&[&first, &second]);
    let (mut on_first, _) = first.stream().await;
    let (mut on_second, _) = second.stream().await;
    assert!(on_first.followed().await);
    first.beats.send_replace(None);
    assert!(on_second.followed().await);
    assert!(!on_first.followed().await);
    on_second.send(1, &["a"], &[]).await;
    assert_eq!(on_second.ack().await.transaction, Some(1));
}

#[tokio::test]
async fn an_operator_that_gives_no_sign_of_life_is_never_followed() {
    let authority = Authority::new();
    let mut unsynced = Operator::start(&authority, None).await;
    let mut synced = Operator::start(&authority, standby()).await;
    let pod = Pod::new(&authority);
    let process = pod.process(&[&unsynced, &synced]);
    let (mut on_unsynced, _) = unsynced.stream().await;
    let (mut on_synced, _) = synced.stream().await;
    assert!(
        on_synced.followed().await,
        "there is no leader, so after two seconds"
    );
    on_synced.send(1, &["a"], &[]).await;
    on_synced.ack().await;
    // Nothing but the greeting, a report and the acknowledgement went to the other.
    assert!(matches!(
        on_unsynced.hear().await,
        Some(ToOperator::Report(_))
    ));
    assert!(matches!(on_unsynced.hear().await, Some(ToOperator::Ack(_))));
    assert_eq!(process.control.held(), held(&["a"]));
}

#[tokio::test]
async fn a_restarted_container_needs_no_operator() {
    let authority = Authority::new();
    let mut operator = Operator::start(&authority, leader(1)).await;
    let pod = Pod::new(&authority);
    let process = pod.process(&[&operator]);
    let (mut stream, _) = operator.stream().await;
    assert!(stream.followed().await);
    stream.send(1, &["a", "bad", "b"], &[]).await;
    stream.ack().await;
    stream.send(2, &["c"], &["b"]).await;
    stream.ack().await;
    operator.server.abort();
    drop(stream);
    process.stop().await;

    let restarted = pod.process(&[]);
    soon("the restored state", async {
        while restarted.control.held() != held(&["a", "c"]) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut operator = Operator::start(&authority, leader(2)).await;
    restarted.known.lock().unwrap().insert(operator.address);
    let (_stream, hello) = operator.stream().await;
    assert_eq!(hello.held, held(&["a", "c"]), "nothing of it is sent again");
}

#[tokio::test]
async fn ignores_a_damaged_state_file() {
    let authority = Authority::new();
    let mut operator = Operator::start(&authority, leader(1)).await;
    let pod = Pod::new(&authority);
    let process = pod.process(&[&operator]);
    let (mut stream, _) = operator.stream().await;
    assert!(stream.followed().await);
    stream.send(1, &["a"], &[]).await;
    stream.ack().await;
    process.stop().await;
    let path = pod.volumes.path().join("state");
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();

    let restarted = pod.process(&[&operator]);
    let (mut stream, hello) = operator.stream().await;
    assert_eq!(hello.held, BTreeMap::new());
    assert!(stream.followed().await);
    stream.send(1, &["b"], &[]).await;
    stream.ack().await;
    assert_eq!(restarted.control.held(), held(&["b"]));
    restarted.stop().await;
    let process = pod.process(&[]);
    soon("the new state", async {
        while process.control.held() != held(&["b"]) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn connects_once_the_authority_is_in_the_bundle() {
    let (known, unknown) = (Authority::new(), Authority::new());
    let mut operator = Operator::start(&unknown, leader(1)).await;
    let mut trusted = Operator::start(&known, leader(2)).await;
    let pod = Pod::new(&known);
    let process = pod.process(&[&operator, &trusted]);
    let (mut stream, _) = trusted.stream().await;
    assert!(stream.followed().await);
    stream.send(1, &["a"], &[]).await;
    stream.ack().await;
    assert!(operator.streams.try_recv().is_err());
    pod.write("ca.crt", &[known.certificate, unknown.certificate].concat());
    let (_stream, hello) = operator.stream().await;
    assert_eq!(hello.held, held(&["a"]));
    assert_eq!(process.control.held(), held(&["a"]));
}

#[tokio::test]
async fn every_operator_hears_of_readiness() {
    let authority = Authority::new();
    let mut first = Operator::start(&authority, leader(1)).await;
    let mut second = Operator::start(&authority, standby()).await;
    let pod = Pod::new(&authority);
    let process = pod.process(&[&first, &second]);
    let (mut on_first, _) = first.stream().await;
    let (mut on_second, _) = second.stream().await;
    for ready in [false, true, false] {
        process.readiness.send_replace(ready);
        assert_eq!(on_first.report().await.ready, ready);
        assert_eq!(on_second.report().await.ready, ready);
    }
}
