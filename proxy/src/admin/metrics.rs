//! The metrics page: per-worker cells summed up and written in the OpenMetrics text format.
//!
//! prometheus-client is the encoder only; its own families would be a lock that all workers share.

use crate::control::Held;
use crate::memory::MemoryBudget;
use crate::telemetry::counters::WorkerCounters;
use crate::telemetry::handshakes::Handshakes;
use crate::telemetry::inventory::Inventory;
use portolan_discovery::table::Kind;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Everything that the metrics page shows.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    pub(crate) class: String,
    pub(crate) workers: Vec<Arc<WorkerCounters>>,
    pub(crate) held: Arc<Held>,
    pub(crate) inventory: Arc<Inventory>,
    pub(crate) memory: Arc<MemoryBudget>,
    pub(crate) ready: tokio::sync::watch::Receiver<bool>,
}

impl Metrics {
    /// The page.
    pub(crate) fn page(&self) -> Result<String, fmt::Error> {
        let class = [("class".into(), self.class.clone().into())];
        let mut registry = Registry::with_prefix_and_labels("portolan_proxy", class.into_iter());
        registry.register_collector(Box::new(self.clone()));
        let mut page = String::new();
        encode(&mut page, &registry)?;
        Ok(page)
    }

    fn sum(&self, cell: impl Fn(&WorkerCounters) -> u64) -> u64 {
        self.workers.iter().map(|counters| cell(counters)).sum()
    }
}

/// A label of one name.
type Label<'a> = (&'static str, &'a str);

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let out = &mut encoder;
        let mut by_status: BTreeMap<u8, u64> = BTreeMap::new();
        for (hundreds, count) in self.workers.iter().flat_map(|counters| counters.requests()) {
            *by_status.entry(hundreds).or_default() += count;
        }
        let statuses: Vec<_> = by_status
            .into_iter()
            .map(|(hundreds, count)| (format!("{hundreds}xx"), count))
            .collect();
        counters(
            out,
            "requests",
            "Finished requests by class of status",
            statuses
                .iter()
                .map(|(status, count)| (("status", status.as_str()), *count)),
        )?;
        let counter =
            |out: &mut DescriptorEncoder<'_>, name, help, cell: fn(&WorkerCounters) -> u64| {
                let counter = ConstCounter::new(self.sum(cell));
                let encoder = out.encode_descriptor(name, help, None, MetricType::Counter)?;
                counter.encode(encoder)
            };
        counter(
            out,
            "connections_accepted",
            "Connections that clients opened",
            |counters| counters.connections_accepted.get(),
        )?;
        counter(
            out,
            "connections_shed",
            "Connections without a request that gave way to new ones",
            |counters| counters.connections_shed.get(),
        )?;
        counter(
            out,
            "accept_pauses",
            "Times that no connection was accepted for a while, for want of memory or descriptors",
            |counters| counters.accept_pauses.get(),
        )?;
        counter(
            out,
            "overload_refused",
            "Requests that were refused for want of memory",
            |counters| counters.overload_refused.get(),
        )?;
        let handshakes = || self.workers.iter().map(|counters| &counters.handshakes);
        Handshakes::encode(handshakes, out)?;
        counter(
            out,
            "clients_gone",
            "Requests whose client went away before the response was whole",
            |counters| counters.clients_gone.get(),
        )?;
        counter(
            out,
            "received_bytes",
            "Bytes of request bodies",
            |counters| counters.bytes_received.get(),
        )?;
        counter(out, "sent_bytes", "Bytes of response bodies", |counters| {
            counters.bytes_sent.get()
        })?;
        counter(
            out,
            "upstream_connections_opened",
            "New connections to endpoints",
            |counters| counters.upstream_connections_opened.get(),
        )?;
        counter(
            out,
            "upstream_connections_reused",
            "Requests that went over a connection that was open already",
            |counters| counters.upstream_connections_reused.get(),
        )?;
        counter(
            out,
            "retries",
            "Requests that were sent once more after an endpoint may have seen them",
            |counters| counters.retries.get(),
        )?;
        counter(
            out,
            "access_log_lines_dropped",
            "Lines of the access log that were dropped because the reader was too slow",
            |counters| counters.log_lines_dropped.get(),
        )?;
        let errors = [
            (
                "connect",
                self.sum(|counters| counters.upstream_connect_failed.get()),
            ),
            (
                "tls",
                self.sum(|counters| counters.upstream_tls_failed.get()),
            ),
            (
                "denied",
                self.sum(|counters| counters.upstream_denied.get()),
            ),
            (
                "timeout",
                self.sum(|counters| counters.upstream_timed_out.get()),
            ),
            (
                "malformed",
                self.sum(|counters| counters.upstream_malformed.get()),
            ),
            (
                "closed",
                self.sum(|counters| counters.upstream_closed.get()),
            ),
        ];
        counters(
            out,
            "upstream_errors",
            "Endpoints that failed a request, by what they did",
            errors
                .into_iter()
                .map(|(kind, count)| (("error", kind), count)),
        )?;
        let lookups = ["found", "absent", "failed"]
            .into_iter()
            .zip(self.inventory.lookups());
        counters(
            out,
            "external_lookups",
            "Looks at DNS for external names, by what they came to",
            lookups.map(|(result, count)| (("result", result), count)),
        )?;
        let active = i64::try_from(self.sum(WorkerCounters::active)).unwrap_or(i64::MAX);
        gauge(
            out,
            "connections_active",
            "Connections that are open",
            active,
        )?;
        let by_worker: Vec<_> = (0..)
            .zip(&self.workers)
            .map(|(index, counters): (usize, _)| (index.to_string(), counters.active()))
            .collect();
        gauges(
            out,
            "worker_connections_active",
            "Connections that are open, by the worker that serves them",
            by_worker.iter().map(|(index, active)| {
                let active = i64::try_from(*active).unwrap_or(i64::MAX);
                (("worker", index.as_str()), active)
            }),
        )?;
        let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        gauge(
            out,
            "memory_used_bytes",
            "Memory in use, as it is held against the limit",
            bytes(self.memory.used()),
        )?;
        gauge(
            out,
            "memory_limit_bytes",
            "How much memory may be used",
            bytes(self.memory.limit()),
        )?;
        gauge(
            out,
            "overload_step",
            "0: none; 1: bodies are held up; 2: new requests are refused; 3: no connection is accepted",
            self.memory.pressure() as i64,
        )?;
        let ready = i64::from(*self.ready.borrow());
        gauge(out, "ready", "1 when /readyz says so", ready)?;
        self.encode_inventory(out)
    }
}

impl Metrics {
    fn encode_inventory(&self, out: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let kinds = [
            (Kind::Endpoints, "endpoints"),
            (Kind::Certificate, "certificate"),
            (Kind::VirtualHost, "virtual_host"),
            (Kind::Listener, "listener"),
        ];
        let counts = self.held.change(|held| {
            kinds.map(|(kind, label)| {
                let count = held.keys().filter(|name| name.kind == kind).count();
                (("kind", label), count as i64)
            })
        });
        gauges(
            out,
            "applied_resources",
            "Resources that are applied, by kind",
            counts,
        )?;
        gauge(
            out,
            "configuration_applied_timestamp_seconds",
            "When configuration was last applied, in seconds since 1970",
            i64::try_from(self.inventory.applied_at()).unwrap_or(i64::MAX),
        )?;
        let certificates = self.inventory.certificates();
        gauges(
            out,
            "certificate_not_after_timestamp_seconds",
            "The end of a certificate's validity, in seconds since 1970",
            certificates.iter().map(|(name, slot)| {
                (
                    ("certificate", name.as_str()),
                    slot.presented().not_after_unix,
                )
            }),
        )?;
        let endpoints = self.inventory.endpoints();
        gauges(
            out,
            "upstream_endpoints",
            "Ready endpoints",
            endpoints
                .iter()
                .map(|(name, set)| (("endpoints", name.as_str()), set.len() as i64)),
        )?;
        gauges(
            out,
            "upstream_connections_idle",
            "Connections to endpoints that wait for their next request",
            endpoints
                .iter()
                .map(|(name, set)| (("endpoints", name.as_str()), set.idle() as i64)),
        )?;
        gauges(
            out,
            "upstream_requests_in_flight",
            "Requests under way at endpoints",
            endpoints
                .iter()
                .map(|(name, set)| (("endpoints", name.as_str()), set.in_flight() as i64)),
        )
    }
}

fn counters<'a>(
    out: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (Label<'a>, u64)>,
) -> Result<(), fmt::Error> {
    let mut encoder = out.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (label, value) in values {
        ConstCounter::new(value).encode(encoder.encode_family(&[label])?)?;
    }
    Ok(())
}

fn gauges<'a>(
    out: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (Label<'a>, i64)>,
) -> Result<(), fmt::Error> {
    let mut encoder = out.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (label, value) in values {
        ConstGauge::new(value).encode(encoder.encode_family(&[label])?)?;
    }
    Ok(())
}

fn gauge(
    out: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: i64,
) -> Result<(), fmt::Error> {
    let encoder = out.encode_descriptor(name, help, None, MetricType::Gauge)?;
    ConstGauge::new(value).encode(encoder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_summed_up() {
        let workers: Vec<Arc<WorkerCounters>> = (0..2).map(|_| Arc::default()).collect();
        workers.iter().for_each(|counters| counters.finished(204));
        let (_sender, ready) = tokio::sync::watch::channel(true);
        let metrics = Metrics {
            class: "public".into(),
            workers,
            held: Arc::default(),
            inventory: Arc::default(),
            memory: Arc::new(MemoryBudget::new(None)),
            ready,
        };
        let page = metrics.page().unwrap();
        let line = r#"portolan_proxy_requests_total{class="public",status="2xx"} 2"#;
        assert!(page.contains(line), "{page}");
        assert!(
            page.contains(r#"portolan_proxy_ready{class="public"} 1"#),
            "{page}"
        );
        assert!(page.ends_with("# EOF\n"));
    }
}
