//! The one task that applies: it hears every operator, follows one, and tells all what came of it.
//!
//! It never waits for an operator. One that does not read its messages is disconnected; its link
//! connects again, and the `Hello` carries everything.

use super::applied::Applied;
use super::election::{Election, StreamId};
use super::link::Event;
use super::reporter::Reporter;
use super::settings::Settings;
use super::snapshot::State;
use crate::control::Control;
use portolan_discovery::delta::{Batch, Update};
use portolan_discovery::grpc::generated as proto;
use portolan_discovery::session::{Ack, Hello, ResourceAck, ToOperator, ToProxy, Transaction};
use portolan_discovery::table::ResourceName;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(super) struct Subscriber {
    settings: Arc<Settings>,
    control: Control,
    operators: BTreeMap<StreamId, Operator>,
    election: Election,
    applied: Applied,
    states: watch::Sender<Arc<State>>,
}

/// An operator with a stream.
#[derive(Debug)]
struct Operator {
    outbound: mpsc::Sender<proto::ToOperator>,
    reporter: Reporter,
    followed: bool,
}

/// A transaction that the data plane works on.
struct Applying {
    from: StreamId,
    transaction: u64,
    removals: Vec<ResourceName>,
    end_of_snapshot: bool,
    verdicts: Pin<Box<dyn Future<Output = Vec<ResourceAck>> + Send>>,
}

impl Subscriber {
    /// `states` gets every state that is whole.
    pub(super) fn new(
        settings: Arc<Settings>,
        control: Control,
        states: watch::Sender<Arc<State>>,
    ) -> Self {
        Self {
            settings,
            control,
            operators: BTreeMap::new(),
            election: Election::new(Instant::now()),
            applied: Applied::default(),
            states,
        }
    }

    /// Applies what a former process of this pod had applied.
    pub(super) async fn restore(&mut self, state: State) {
        let upserts: Vec<Update> = state
            .values()
            .map(|update| update.as_ref().clone())
            .collect();
        self.applied.begin(&upserts);
        let batch = Batch {
            upserts,
            removals: Vec::new(),
            end_of_snapshot: true,
        };
        let verdicts = self.control.apply(batch).await;
        self.applied.end(&verdicts, &[]);
    }

    /// Until shutdown.
    pub(super) async fn run(
        mut self,
        mut events: mpsc::Receiver<Event>,
        shutdown: CancellationToken,
    ) {
        let mut readiness = self.control.readiness();
        let mut served = self.control.served();
        let mut applying: Option<Applying> = None;
        loop {
            // Between transactions only: what one operator began is not mixed with another's.
            if applying.is_none() {
                self.follow();
            }
            let silence = self.election.decide_again_at(Instant::now());
            tokio::select! {
                Some(event) = events.recv() => {
                    if let Some((from, transaction)) = self.hear(event) {
                        match applying {
                            None => applying = Some(self.apply(from, transaction)),
                            Some(_) => self.give_up(from, "it has two transactions in flight"),
                        }
                    }
                }
                (verdicts, done) = finish(&mut applying) => self.applied(&done, verdicts),
                () = sleep_until(silence) => {}
                Ok(()) = readiness.changed() => self.report_to_all(),
                Ok(()) = served.changed() => self.report_to_all(),
                () = shutdown.cancelled() => return,
            }
        }
    }

    /// Takes an event; gives back a transaction that is to be applied.
    fn hear(&mut self, event: Event) -> Option<(StreamId, Transaction)> {
        match event {
            Event::Opening(id, outbound) => {
                self.open(id, outbound);
                None
            }
            Event::Lost(id) => {
                self.operators.remove(&id);
                self.election.lost(id);
                None
            }
            Event::Message(id, ToProxy::Heartbeat(heartbeat)) => {
                // From an operator that was given up it would be no sign of life.
                if self.operators.contains_key(&id) {
                    self.election.heard(id, heartbeat, Instant::now());
                }
                None
            }
            Event::Message(id, ToProxy::Transaction(transaction)) => {
                let followed = self
                    .operators
                    .get(&id)
                    .is_some_and(|operator| operator.followed);
                // Else it was sent before the operator heard that it is followed no longer.
                followed.then_some((id, transaction))
            }
        }
    }

    fn open(&mut self, id: StreamId, outbound: mpsc::Sender<proto::ToOperator>) {
        let operator = Operator {
            outbound,
            reporter: Reporter::default(),
            followed: false,
        };
        self.operators.insert(id, operator);
        let hello = Hello {
            class: self.settings.class.clone(),
            pod_name: self.settings.pod_name.clone(),
            pod_uid: self.settings.pod_uid.clone(),
            held: self.control.held(),
        };
        self.say(id, ToOperator::Hello(hello));
        self.report(id);
    }

    /// Tells every operator whose part has changed.
    fn follow(&mut self) {
        let leader = self.election.decide(Instant::now());
        let turned = self
            .operators
            .iter_mut()
            .filter(|(id, operator)| operator.followed != (Some(**id) == leader));
        let turned: Vec<(StreamId, bool)> = turned
            .map(|(id, operator)| {
                operator.followed = !operator.followed;
                (*id, operator.followed)
            })
            .collect();
        for (id, followed) in turned {
            tracing::info!(stream = id.0, followed, "changed the followed operator");
            self.say(id, ToOperator::Follow(followed));
        }
    }

    fn apply(&mut self, from: StreamId, transaction: Transaction) -> Applying {
        let Transaction { id, batch, .. } = transaction;
        self.applied.begin(&batch.upserts);
        let control = self.control.clone();
        Applying {
            from,
            transaction: id,
            removals: batch.removals.clone(),
            end_of_snapshot: batch.end_of_snapshot,
            verdicts: Box::pin(async move { control.apply(batch).await }),
        }
    }

    /// A transaction is done: acknowledges to all, saves when the state is whole.
    fn applied(&mut self, done: &Applying, verdicts: Vec<ResourceAck>) {
        self.applied.end(&verdicts, &done.removals);
        if done.end_of_snapshot {
            self.states.send_replace(self.applied.state());
        }
        let ack = Ack {
            transaction: None,
            verdicts,
            removed: done.removals.clone(),
        };
        let operators: Vec<StreamId> = self.operators.keys().copied().collect();
        for id in operators {
            let transaction = (id == done.from).then_some(done.transaction);
            let ack = Ack {
                transaction,
                ..ack.clone()
            };
            self.say(id, ToOperator::Ack(ack));
        }
    }

    fn report_to_all(&mut self) {
        let operators: Vec<StreamId> = self.operators.keys().copied().collect();
        for id in operators {
            self.report(id);
        }
    }

    fn report(&mut self, id: StreamId) {
        let ready = *self.control.readiness().borrow();
        let served = Arc::clone(&self.control.served().borrow());
        let Some(operator) = self.operators.get_mut(&id) else {
            return;
        };
        for report in operator.reporter.reports(ready, &served) {
            self.say(id, ToOperator::Report(report));
        }
    }

    fn say(&mut self, id: StreamId, message: ToOperator) {
        let Some(operator) = self.operators.get(&id) else {
            return;
        };
        if operator.outbound.try_send(message.into()).is_err() {
            self.give_up(id, "it does not read its messages");
        }
    }

    /// Ends the stream by dropping our half of it; its link tells us when it is gone.
    fn give_up(&mut self, id: StreamId, why: &str) {
        tracing::warn!(stream = id.0, why, "disconnected operator");
        self.operators.remove(&id);
        self.election.lost(id);
    }
}

/// Waits for the transaction in work and takes it out; for ever when there is none.
async fn finish(applying: &mut Option<Applying>) -> (Vec<ResourceAck>, Applying) {
    let verdicts = match applying {
        Some(applying) => applying.verdicts.as_mut().await,
        None => std::future::pending().await,
    };
    match applying.take() {
        Some(done) => (verdicts, done),
        None => std::future::pending().await,
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
