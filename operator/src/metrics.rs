//! What the operator counts. Every label has a small, fixed set of values; what has a series for each object
//! is in [`crate::exposures`].

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// A request to the API server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// read, watch, create, update, patch, delete.
    pub verb: &'static str,
}

/// Labels of a reconcile.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReconcileLabels {
    /// object, class, hold.
    pub kind: &'static str,
    /// done, failed, panicked.
    pub outcome: &'static str,
}

/// A kind of key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct KindLabels {
    /// object, class, hold.
    pub kind: &'static str,
}

/// A kind of object that is watched.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct WatchLabels {
    /// What is watched.
    pub watch: &'static str,
}

/// The status of an ExposedPort.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StatusLabels {
    /// As in `status.summary.status`.
    pub status: String,
}

/// All metrics of the operator; cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Requests to the API server.
    pub requests: Family<RequestLabels, Counter>,
    /// Passes over keys.
    pub reconciles: Family<ReconcileLabels, Counter>,
    /// Duration of reconciles.
    pub reconcile_seconds: Family<KindLabels, Histogram, fn() -> Histogram>,
    /// Watches that had to start again after an error.
    pub watch_restarts: Family<WatchLabels, Counter>,
    /// Virtual hosts, certificates and endpoints that could not be compiled because of a fault of ours.
    pub compile_panics: Counter,
    /// Keys that wait for a worker.
    pub queue_waiting: Gauge,
    /// ExposedPorts by status.
    pub objects: Family<StatusLabels, Gauge>,
    /// 1 while this replica holds the Lease.
    pub leader: Gauge,
    /// The epoch of the last term that this replica led.
    pub epoch: Gauge,
    /// 1 from the moment when every watch has listed once.
    pub synced: Gauge,
}

impl Metrics {
    fn new() -> Self {
        let seconds: fn() -> Histogram = || Histogram::new(exponential_buckets(0.001, 4.0, 9));
        Self {
            requests: Family::default(),
            reconciles: Family::default(),
            reconcile_seconds: Family::new_with_constructor(seconds),
            watch_restarts: Family::default(),
            compile_panics: Counter::default(),
            queue_waiting: Gauge::default(),
            objects: Family::default(),
            leader: Gauge::default(),
            epoch: Gauge::default(),
            synced: Gauge::default(),
        }
    }

    /// The metrics, entered into a registry of their own.
    pub fn registered() -> (Self, Registry) {
        let metrics = Self::new();
        let mut registry = Registry::with_prefix("portolan");
        metrics.enter(registry.sub_registry_with_prefix("operator"));
        (metrics, registry)
    }

    fn enter(&self, registry: &mut Registry) {
        registry.register(
            "kube_requests",
            "Requests to the API server, by verb",
            self.requests.clone(),
        );
        registry.register(
            "reconciles",
            "Passes over objects, classes and holds, by outcome",
            self.reconciles.clone(),
        );
        registry.register(
            "reconcile_seconds",
            "Duration of reconciles",
            self.reconcile_seconds.clone(),
        );
        registry.register(
            "watch_restarts",
            "Watches that started again after an error",
            self.watch_restarts.clone(),
        );
        registry.register(
            "compile_panics",
            "Resources that kept their last state because compiling them failed; always a fault of Portolan",
            self.compile_panics.clone(),
        );
        registry.register(
            "queue_waiting",
            "Keys that wait for a worker",
            self.queue_waiting.clone(),
        );
        registry.register("objects", "ExposedPorts, by status", self.objects.clone());
        registry.register(
            "leader",
            "1 while this replica holds the Lease",
            self.leader.clone(),
        );
        registry.register(
            "epoch",
            "The last term that this replica led",
            self.epoch.clone(),
        );
        registry.register(
            "synced",
            "1 when every watch has listed once",
            self.synced.clone(),
        );
    }
}

/// A registry in the text format of OpenMetrics.
pub fn encode(registry: &Registry) -> Result<String, std::fmt::Error> {
    let mut page = String::new();
    text::encode(&mut page, registry)?;
    Ok(page)
}
