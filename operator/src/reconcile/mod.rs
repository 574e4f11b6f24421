//! One pass over one key: makes the cluster what the model says, and says what came of it.
//!
//! A pass may come at any time and as often as it likes: it reads everything anew, and over an
//! unchanged cluster it writes nothing.

mod children;
mod class;
mod deletion;
mod hold;
mod in_use;
mod ingress;
mod judge;
mod object;
mod witness;
mod workers;

pub use workers::Workers;

use crate::apply::Applier;
use crate::client::{Trouble, within};
use crate::key::Key;
use crate::lease::Permit;
use crate::model::Model;
use crate::queue::Queue;
use crate::status::{Doubts, News, Proxies, StatusWriter, Told};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::Recorder;
use portolan_core::ProxySettings;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tracing::warn;

/// Everything that a pass works with.
pub struct Reconciler {
    /// What is known.
    pub model: Arc<Model>,
    /// For what has to be looked at again later.
    pub queue: Arc<Queue<Key>>,
    /// Writes children.
    pub applier: Applier,
    /// Writes statuses.
    pub statuses: StatusWriter,
    /// What proxies say.
    pub proxies: Proxies,
    /// What may pass by itself.
    pub doubts: Doubts,
    /// What people were told of Ingresses.
    pub told: Told,
    /// Publishes events.
    pub recorder: Recorder,
    /// For holds.
    pub client: Client,
    /// Whether writing is allowed.
    pub permit: Permit,
    /// What every proxy pod is told.
    pub settings: ProxySettings,
}

/// What is known of the pass itself.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// How many passes over this key failed in a row before this one.
    pub failures: u32,
}

impl Attempt {
    /// So many everyday troubles in a row are told in the status; fewer only delay it.
    const PATIENCE: u32 = 4;

    /// Whether a trouble that passes is still taken for one.
    fn is_patient(self) -> bool {
        self.failures < Self::PATIENCE
    }
}

/// Whatever can work on a key; the workers know no more of a reconciler.
pub trait Pass: Send + Sync + 'static {
    /// Works on one key.
    fn pass(&self, key: &Key, attempt: Attempt)
    -> impl Future<Output = Result<(), Trouble>> + Send;
}

impl Pass for Reconciler {
    async fn pass(&self, key: &Key, attempt: Attempt) -> Result<(), Trouble> {
        match key {
            Key::Object(object) => object::pass(self, object, attempt).await,
            Key::Ingress(name) => ingress::pass(self, name, attempt).await,
            Key::Class(class) => class::pass(self, class, attempt).await,
            Key::Hold(hostname) => hold::pass(self, hostname).await,
        }
    }
}

impl Reconciler {
    /// Looks at a key again when the wall clock says `when`.
    fn again_at(&self, key: &Key, when: Timestamp, now: Timestamp) {
        let wait = Duration::try_from(when.duration_since(now)).unwrap_or_default();
        // A pass at the very moment would find nothing changed; and a far one is looked at daily,
        // so that a stepped clock costs a day at most.
        let wait = wait.clamp(Duration::from_secs(1), Duration::from_secs(86_400));
        self.queue.add_at(key.clone(), Instant::now() + wait);
    }

    /// Tells people; that an event was not written is no reason to do anything again.
    async fn tell(&self, about: &ObjectReference, news: Vec<News>) {
        for news in news {
            let event = news.event();
            if let Err(trouble) = within(self.recorder.publish(&event, about)).await {
                warn!(reason = news.reason, %trouble, "an event was not written");
            }
        }
    }
}

/// Now, in whole seconds as Kubernetes writes them: what is written reads back as the same.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}
