//! One proxy's stream: what it says goes into the outbox and the record, what the outbox has to say
//! goes out.
//!
//! Nothing here waits for a slow proxy: a message is sent when there is room, else at the next
//! turn. A heartbeat without room is dropped, for the messages before it are as good a sign of life.

use super::acks::Session;
use super::metrics::StreamMetrics;
use super::outbox::Outbox;
use super::table::Subscription;
use crate::lease::Leadership;
use portolan_discovery::grpc::generated as proto;
use portolan_discovery::session::{Ack, HEARTBEAT, Heartbeat, ToOperator, ToProxy};
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

/// See the module.
pub(super) struct Stream {
    pub(super) subscription: Subscription,
    pub(super) session: Session,
    pub(super) metrics: StreamMetrics,
    /// For the log.
    pub(super) proxy: String,
    pub(super) outbox: Outbox,
    pub(super) outbound: mpsc::Sender<Result<proto::ToProxy, Status>>,
    pub(super) leadership: watch::Receiver<Leadership>,
    pub(super) synced: watch::Receiver<bool>,
}

impl Stream {
    /// Until the proxy leaves, breaks the contract, is replaced by its successor, or shutdown.
    pub(super) async fn run(
        mut self,
        inbound: Streaming<proto::ToOperator>,
        shutdown: CancellationToken,
    ) {
        tracing::info!(proxy = self.proxy, "proxy connected");
        let end = tokio::select! {
            end = self.converse(inbound) => end,
            () = shutdown.cancelled() => Status::unavailable("the operator is stopping"),
        };
        tracing::info!(
            proxy = self.proxy,
            reason = end.message(),
            "proxy disconnected"
        );
        // Without room the proxy sees the stream end without a status, and reconnects as well.
        let _ = self.outbound.try_send(Err(end));
    }

    async fn converse(&mut self, mut inbound: Streaming<proto::ToOperator>) -> Status {
        let mut beat = tokio::time::interval(HEARTBEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                message = inbound.message() => {
                    if let Err(end) = self.receive(message) {
                        return end;
                    }
                }
                names = self.subscription.changed() => self.outbox.changed(names),
                Ok(()) = self.leadership.changed() => self.beat(),
                Ok(()) = self.synced.changed() => self.beat(),
                () = self.outbound.closed() => return Status::cancelled("the proxy left"),
                _ = beat.tick() => {
                    if self.session.is_replaced() {
                        return Status::aborted("another stream of the same pod took over");
                    }
                    self.beat();
                }
            }
            self.send();
            self.metrics.waiting(self.outbox.waiting());
        }
    }

    fn receive(
        &mut self,
        message: Result<Option<proto::ToOperator>, Status>,
    ) -> Result<(), Status> {
        let message = message?.ok_or_else(|| Status::cancelled("the proxy left"))?;
        let message = ToOperator::try_from(message);
        match message.map_err(|error| Status::invalid_argument(error.to_string()))? {
            ToOperator::Hello(_) => {
                return Err(Status::invalid_argument("hello: must come once"));
            }
            ToOperator::Follow(follow) => {
                let outbox = &mut self.outbox;
                self.subscription
                    .wanted(|wanted| outbox.follow(follow, wanted));
            }
            ToOperator::Ack(ack) => {
                self.log_refusals(&ack);
                self.outbox.acked(&ack);
                self.session.ack(&ack);
            }
            ToOperator::Report(report) => self.session.report(report),
        }
        Ok(())
    }

    fn log_refusals(&self, ack: &Ack) {
        for verdict in &ack.verdicts {
            let Some(reason) = &verdict.refused else {
                continue;
            };
            self.metrics.refused();
            let (resource, origins) = (&verdict.name, &verdict.origins);
            tracing::warn!(proxy = self.proxy, %resource, ?origins, reason, "proxy rejected resource");
        }
    }

    /// Only a replica that knows every input may be followed, so only such a one gives signs of life.
    fn beat(&self) {
        if !*self.synced.borrow() {
            return;
        }
        let Leadership { leader, epoch } = *self.leadership.borrow();
        let heartbeat = ToProxy::Heartbeat(Heartbeat { epoch, leader });
        let _ = self.outbound.try_send(Ok(heartbeat.into()));
    }

    /// Before every input was listed the table is a part of the truth: what it lacks is no removal,
    /// and what it has may lack its endpoints. So nothing of it is sent.
    fn send(&mut self) {
        if !*self.synced.borrow() {
            return;
        }
        let Ok(room) = self.outbound.try_reserve() else {
            return;
        };
        let epoch = self.leadership.borrow().epoch;
        let outbox = &mut self.outbox;
        let next = self
            .subscription
            .wanted(|wanted| outbox.next(epoch, wanted));
        if let Some(transaction) = next {
            room.send(Ok(ToProxy::Transaction(transaction).into()));
        }
    }
}
