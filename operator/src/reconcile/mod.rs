//! Reconciles one key: applies the desired state to the cluster, and reports the result.
//!
//! A reconcile may run at any time and any number of times: it reads the current state, and in an unchanged cluster it
//! writes nothing.

mod child_set;
mod class;
mod deletion;
mod finalizer;
mod hold;
mod ingress;
mod new_status;
mod object;
mod owner_check;
mod workers;

pub use workers::Workers;

use crate::apply::Applier;
use crate::client::{ApiError, within};
use crate::key::Key;
use crate::lease::Permit;
use crate::model::Model;
use crate::queue::Queue;
use crate::status::{IngressEvents, Proxies, ReadyGrace, StatusEvent, StatusWriter};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::Recorder;
use portolan_core::ProxySettings;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tracing::warn;

/// Shared state of all reconciles.
pub struct Reconciler {
    /// Index and records.
    pub model: Arc<Model>,
    /// Queue for keys to reconcile again later.
    pub queue: Arc<Queue<Key>>,
    /// Writes children.
    pub applier: Applier,
    /// Writes statuses.
    pub statuses: StatusWriter,
    /// Observed state of the proxies.
    pub proxies: Proxies,
    /// Suppresses short gaps of Ready.
    pub ready_grace: ReadyGrace,
    /// Problems already reported in events of Ingresses.
    pub ingress_events: IngressEvents,
    /// Publishes events.
    pub recorder: Recorder,
    /// Client for holds.
    pub client: Client,
    /// Permission to write.
    pub permit: Permit,
    /// Settings of every proxy pod.
    pub settings: ProxySettings,
}

/// Attempt to reconcile a key.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// Number of consecutive failures of this key before this attempt.
    pub failures: u32,
}

impl Attempt {
    /// Retries of a transient error before the status reports it.
    const TRANSIENT_RETRIES: u32 = 4;

    /// Returns true if a transient error is retried without changing the status.
    fn may_retry(self) -> bool {
        self.failures < Self::TRANSIENT_RETRIES
    }
}

/// Reconciles keys. All that the workers know of a [`Reconciler`].
pub trait Reconcile: Send + Sync + 'static {
    /// Reconciles one key.
    fn reconcile(
        &self,
        key: &Key,
        attempt: Attempt,
    ) -> impl Future<Output = Result<(), ApiError>> + Send;
}

impl Reconcile for Reconciler {
    async fn reconcile(&self, key: &Key, attempt: Attempt) -> Result<(), ApiError> {
        match key {
            Key::Object(object) => object::reconcile(self, object, attempt).await,
            Key::Ingress(name) => ingress::reconcile(self, name, attempt).await,
            Key::Class(class) => class::reconcile(self, class, attempt).await,
            Key::Hold(hostname) => hold::reconcile(self, hostname).await,
        }
    }
}

impl Reconciler {
    /// Queues a key again for the wall-clock time `when`.
    fn requeue_at(&self, key: &Key, when: Timestamp, now: Timestamp) {
        let wait = Duration::try_from(when.duration_since(now)).unwrap_or_default();
        // At the very moment nothing may have changed yet; a distant time is checked daily, so that a stepped clock
        // costs a day at most.
        let wait = wait.clamp(Duration::from_secs(1), Duration::from_secs(86_400));
        self.queue.add_at(key.clone(), Instant::now() + wait);
    }

    /// Records events; a failure is logged and not retried.
    async fn record_events(&self, reference: &ObjectReference, events: Vec<StatusEvent>) {
        for status_event in events {
            let event = status_event.to_event();
            if let Err(error) = within(self.recorder.publish(&event, reference)).await {
                warn!(reason = status_event.reason, %error, "failed to record event");
            }
        }
    }
}

/// Returns the current time in whole seconds, as Kubernetes stores it.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}
