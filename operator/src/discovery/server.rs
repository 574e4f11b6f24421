//! gRPC service: authorizes each proxy and opens its stream.

use super::acks::Acks;
use super::auth::{Denied, Reviewer, admits};
use super::metrics::Metrics;
use super::outbox::Outbox;
use super::stream::Stream;
use super::table::Table;
use super::tls::{Presented, accept, server_config};
use crate::lease::Leadership;
use portolan_discovery::grpc::MESSAGE_BYTES;
use portolan_discovery::grpc::generated as proto;
use portolan_discovery::grpc::generated::discovery_server::{Discovery, DiscoveryServer};
use portolan_discovery::session::{Hello, ToOperator};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};

/// How long a proxy may take to say who it is.
const HELLO: Duration = Duration::from_secs(10);
const PING: Duration = Duration::from_secs(10);
/// A proxy needs one stream; a second is its successor on a connection that is kept.
const STREAMS_PER_CONNECTION: u32 = 4;
/// One transaction and a few heartbeats; see [`Stream`] for what happens when it is full.
const OUTBOUND: usize = 4;

/// What every stream works with.
pub(super) struct Server<R> {
    pub(super) table: Arc<Table>,
    pub(super) acks: Arc<Acks>,
    pub(super) reviewer: R,
    /// The username of a class's proxy.
    pub(super) username: Box<dyn Fn(&str) -> String + Send + Sync>,
    pub(super) leadership: watch::Receiver<Leadership>,
    pub(super) synced: watch::Receiver<bool>,
    pub(super) metrics: Metrics,
    pub(super) shutdown: CancellationToken,
}

impl<R: Reviewer> Server<R> {
    /// Serves until shutdown, and until the streams have ended by it.
    pub(super) async fn serve(
        self,
        listener: TcpListener,
        presented: Arc<Presented>,
    ) -> anyhow::Result<()> {
        let shutdown = self.shutdown.clone();
        let incoming = accept(listener, server_config(presented)?, shutdown.clone());
        let service = DiscoveryServer::new(self).max_decoding_message_size(MESSAGE_BYTES);
        tonic::transport::Server::builder()
            .http2_keepalive_interval(Some(PING))
            .http2_keepalive_timeout(Some(PING))
            .max_concurrent_streams(STREAMS_PER_CONNECTION)
            .serve_with_incoming_shutdown(service, incoming, shutdown.cancelled_owned())
            .await?;
        Ok(())
    }

    async fn admit(
        &self,
        request: Request<Streaming<proto::ToOperator>>,
    ) -> Result<(Hello, Streaming<proto::ToOperator>), Status> {
        // Whose token it is comes first: a stranger's Hello is not even read.
        let token = bearer(request.metadata())?;
        let identity = self.reviewer.review(token).await?;
        let mut inbound = request.into_inner();
        let hello = tokio::time::timeout(HELLO, hello(&mut inbound))
            .await
            .map_err(|_| Status::deadline_exceeded("hello: did not come"))??;
        admits(&identity, &(self.username)(&hello.class), &hello)?;
        Ok((hello, inbound))
    }
}

#[tonic::async_trait]
impl<R: Reviewer> Discovery for Server<R> {
    type SubscribeStream = ReceiverStream<Result<proto::ToProxy, Status>>;

    async fn subscribe(
        &self,
        request: Request<Streaming<proto::ToOperator>>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let (hello, inbound) = self.admit(request).await.inspect_err(|status| {
            self.metrics.deny();
            tracing::warn!(reason = status.message(), "subscription denied");
        })?;
        let (outbound, messages) = mpsc::channel(OUTBOUND);
        let stream = Stream {
            subscription: self.table.subscribe(&hello.class),
            session: self.acks.begin(&hello),
            metrics: self.metrics.stream(&hello.class),
            proxy: format!("{} of class {}", hello.pod_name, hello.class),
            outbox: Outbox::new(hello.held),
            outbound,
            leadership: self.leadership.clone(),
            synced: self.synced.clone(),
        };
        tokio::spawn(stream.run(inbound, self.shutdown.clone()));
        Ok(Response::new(ReceiverStream::new(messages)))
    }
}

fn bearer(metadata: &MetadataMap) -> Result<&str, Denied> {
    let value = metadata
        .get("authorization")
        .and_then(|it| it.to_str().ok());
    let token = value.and_then(|value| value.strip_prefix("Bearer "));
    token.filter(|it| !it.is_empty()).ok_or(Denied::NoToken)
}

async fn hello(inbound: &mut Streaming<proto::ToOperator>) -> Result<Hello, Status> {
    let message = inbound.message().await?;
    let message = message.ok_or_else(|| Status::invalid_argument("hello: did not come"))?;
    match ToOperator::try_from(message) {
        Ok(ToOperator::Hello(hello)) => Ok(hello),
        Ok(_) => Err(Status::invalid_argument("hello: must come first")),
        Err(error) => Err(Status::invalid_argument(error.to_string())),
    }
}

impl From<Denied> for Status {
    fn from(denied: Denied) -> Self {
        let message = denied.to_string();
        match denied {
            Denied::NoToken | Denied::Invalid(_) => Self::unauthenticated(message),
            Denied::AnotherAccount { .. } | Denied::AnotherPod(_) => {
                Self::permission_denied(message)
            }
            Denied::Unreviewed(_) => Self::unavailable(message),
        }
    }
}
