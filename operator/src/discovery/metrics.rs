//! What discovery counts. The one label is the class: as many values as there are ExposeClasses,
//! and only proxies that were let in make one.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Which class.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClassLabel {
    class: String,
}

/// The metrics of discovery; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    connected: Family<ClassLabel, Gauge>,
    pending: Family<ClassLabel, Gauge>,
    refusals: Family<ClassLabel, Counter>,
    denied: Counter,
}

impl Metrics {
    /// Enters them into a registry.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("operator_discovery");
        registry.register(
            "connected_proxies",
            "Proxies with a stream to this replica",
            self.connected.clone(),
        );
        registry.register(
            "pending_names",
            "Resources that proxies of this replica have not answered for yet",
            self.pending.clone(),
        );
        registry.register(
            "refusals",
            "Resources that a proxy refused",
            self.refusals.clone(),
        );
        registry.register(
            "denied_streams",
            "Subscriptions that were denied",
            self.denied.clone(),
        );
    }

    pub(super) fn deny(&self) {
        self.denied.inc();
    }

    /// Counts a stream from now until it is dropped.
    pub(super) fn stream(&self, class: &str) -> StreamMetrics {
        let label = ClassLabel {
            class: class.to_owned(),
        };
        let stream = StreamMetrics {
            connected: self.connected.get_or_create_owned(&label),
            pending: self.pending.get_or_create_owned(&label),
            refusals: self.refusals.get_or_create_owned(&label),
            waiting: 0,
        };
        stream.connected.inc();
        stream
    }
}

/// The part of one stream in the metrics of its class.
#[derive(Debug)]
pub(super) struct StreamMetrics {
    connected: Gauge,
    pending: Gauge,
    refusals: Counter,
    waiting: i64,
}

impl StreamMetrics {
    pub(super) fn waiting(&mut self, names: usize) {
        let names = i64::try_from(names).unwrap_or(i64::MAX);
        self.pending.inc_by(names - self.waiting);
        self.waiting = names;
    }

    pub(super) fn refused(&self) {
        self.refusals.inc();
    }
}

impl Drop for StreamMetrics {
    fn drop(&mut self) {
        self.waiting(0);
        self.connected.dec();
    }
}
