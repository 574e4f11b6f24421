//! The stream to one operator: connected, kept, connected again.

use super::backoff::Backoff;
use super::election::StreamId;
use super::settings::Settings;
use portolan_discovery::grpc::MESSAGE_BYTES;
use portolan_discovery::grpc::generated as proto;
use portolan_discovery::grpc::generated::discovery_client::DiscoveryClient;
use portolan_discovery::session::ToProxy;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Request;
use tonic::metadata::MetadataValue;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(20);
const PING: Duration = Duration::from_secs(10);
/// Messages that may wait for a slow operator before it is disconnected.
const OUTBOUND: usize = 256;

/// Events of the links, for the subscriber.
#[derive(Debug)]
pub(super) enum Event {
    /// A stream is being opened; messages sent here go out on it, the `Hello` first.
    Opening(StreamId, mpsc::Sender<proto::ToOperator>),
    /// The operator sent a message.
    Message(StreamId, ToProxy),
    /// The stream ended.
    Lost(StreamId),
}

/// Context of every link.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) settings: Arc<Settings>,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) ids: Arc<AtomicU64>,
}

/// Why a stream could not be opened, or ended.
#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error("{path}: {error}")]
    File { path: String, error: std::io::Error },
    #[error("{path}: not a bearer token")]
    Token { path: String },
    #[error("cannot connect: {0}")]
    Connect(String),
    #[error("{code:?}: {message}", code = .0.code(), message = .0.message())]
    Status(#[from] tonic::Status),
    #[error("no response within {ANSWER:?}")]
    NoAnswer,
    #[error("invalid message from the operator: {0}")]
    Contract(#[from] portolan_discovery::grpc::wire::WireError),
    #[error("stream closed by the operator")]
    Ended,
    #[error("shutting down")]
    Stopping,
}

impl Link {
    /// Until the address is known no longer and the stream has ended; gives the address back.
    pub(super) async fn keep(
        self,
        address: SocketAddr,
        known: watch::Receiver<BTreeSet<SocketAddr>>,
    ) -> SocketAddr {
        let mut backoff = Backoff::default();
        loop {
            let id = StreamId(self.ids.fetch_add(1, Ordering::Relaxed));
            let mut lived = false;
            let Err(error) = self.stream(id, address, &mut lived).await;
            if lived {
                backoff = Backoff::default();
            }
            tracing::info!(%address, %error, "disconnected from operator");
            let sent = self.events.send(Event::Lost(id)).await;
            if sent.is_err() || !known.borrow().contains(&address) {
                return address;
            }
            tokio::time::sleep(backoff.next()).await;
        }
    }

    /// One stream from beginning to end. Token and CA are read each time: both are exchanged
    /// while the pod lives.
    async fn stream(
        &self,
        id: StreamId,
        address: SocketAddr,
        lived: &mut bool,
    ) -> Result<std::convert::Infallible, LinkError> {
        let token = self.token().await?;
        let channel = self.connect(address).await?;
        let (outbound, messages) = mpsc::channel(OUTBOUND);
        self.notify(Event::Opening(id, outbound)).await?;
        let mut request = Request::new(ReceiverStream::new(messages));
        request.metadata_mut().insert("authorization", token);
        let mut client = DiscoveryClient::new(channel).max_decoding_message_size(MESSAGE_BYTES);
        let answer = tokio::time::timeout(ANSWER, client.subscribe(request)).await;
        let mut inbound = answer.map_err(|_| LinkError::NoAnswer)??.into_inner();
        tracing::info!(%address, "connected to operator");
        loop {
            let message = inbound.message().await?.ok_or(LinkError::Ended)?;
            *lived = true;
            self.notify(Event::Message(id, message.try_into()?)).await?;
        }
    }

    async fn notify(&self, event: Event) -> Result<(), LinkError> {
        let sent = self.events.send(event).await;
        sent.map_err(|_| LinkError::Stopping)
    }

    async fn token(&self) -> Result<MetadataValue<tonic::metadata::Ascii>, LinkError> {
        let path = &self.settings.token_file;
        let token = read(path).await?;
        MetadataValue::try_from(format!("Bearer {}", token.trim())).map_err(|_| LinkError::Token {
            path: path.display().to_string(),
        })
    }

    async fn connect(&self, address: SocketAddr) -> Result<Channel, LinkError> {
        let authority = read(&self.settings.ca_file).await?;
        let failed = |error: tonic::transport::Error| LinkError::Connect(with_causes(&error));
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(authority))
            // The address is a pod's; the certificate is the Service's.
            .domain_name(self.settings.host());
        Endpoint::from_shared(format!("https://{address}"))
            .map_err(failed)?
            .tls_config(tls)
            .map_err(failed)?
            .connect_timeout(CONNECT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .keep_alive_while_idle(true)
            .connect()
            .await
            .map_err(failed)
    }
}

async fn read(path: &std::path::Path) -> Result<String, LinkError> {
    let content = tokio::fs::read_to_string(path).await;
    content.map_err(|error| LinkError::File {
        path: path.display().to_string(),
        error,
    })
}

/// tonic says "transport error" and keeps the rest in the sources.
fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
