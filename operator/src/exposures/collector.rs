//! Encodes the exposures as metrics.

use super::{Exposure, Exposures};
use crate::lease::Leadership;
use jiff::Timestamp;
use portolan_core::{CertificateMetrics, HostnameMetrics};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeLabelSet};
use prometheus_client::metrics::MetricType;
use std::fmt;
use std::sync::Arc;
use tokio::sync::watch;

/// Shows the exposures while this replica leads: two replicas that say the same would be two series each.
#[derive(Debug)]
pub struct ExposureCollector {
    exposures: Arc<Exposures>,
    leadership: watch::Receiver<Leadership>,
    synced: watch::Receiver<bool>,
}

impl ExposureCollector {
    /// Reports nothing before the caches are synced, because half of the cluster would look broken.
    pub fn new(
        exposures: Arc<Exposures>,
        leadership: watch::Receiver<Leadership>,
        synced: watch::Receiver<bool>,
    ) -> Self {
        Self {
            exposures,
            leadership,
            synced,
        }
    }
}

impl Collector for ExposureCollector {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let leads = self.leadership.borrow().leader && *self.synced.borrow();
        let (exposures, classes) = match leads {
            true => self.exposures.shown(),
            false => Default::default(),
        };
        let mut page = Written { encoder };
        page.objects(&exposures)?;
        page.hostnames(&exposures)?;
        page.certificates(&exposures)?;
        page.gauge(
            "exposeclass_held_up_exposures",
            "ExposedPorts of the class, and hostnames of its Ingresses, for which a proxy that takes requests has not loaded the newest state, or cannot use it",
            classes
                .into_iter()
                .map(|(class, count)| ([("class", class)], count.proxies_behind)),
        )
    }
}

/// A label and its value.
type Label<'a> = (&'static str, &'a str);

impl Exposure {
    fn label(&self) -> [Label<'_>; 2] {
        [
            ("namespace", self.subject.namespace()),
            ("name", &self.name),
        ]
    }

    fn host<'a>(&'a self, host: &'a HostnameMetrics) -> [Label<'a>; 3] {
        let [namespace, name] = self.label();
        [namespace, name, ("hostname", &host.name)]
    }

    /// Labels of its status and reason.
    fn info(&self) -> [Label<'_>; 5] {
        let [namespace, name] = self.label();
        [
            namespace,
            name,
            ("class", &self.metrics.class),
            ("status", &self.metrics.status),
            ("reason", &self.metrics.reason),
        ]
    }
}

struct Written<'a> {
    encoder: DescriptorEncoder<'a>,
}

impl Written<'_> {
    fn objects(&mut self, exposures: &[Arc<Exposure>]) -> fmt::Result {
        let objects = || exposures.iter().filter(|it| it.is_object());
        let info = objects().map(|it| (it.info(), 1u32));
        self.gauge(
            "exposedport_info",
            "1; the labels say the class, status.summary.status and the reason of Ready (docs/reference/status-reasons.md)",
            info,
        )?;
        let ready = objects().filter_map(|it| Some((it.label(), u32::from(it.metrics.ready?))));
        self.gauge(
            "exposedport_ready",
            "1 while the ExposedPort is Ready; absent when its time is over",
            ready,
        )?;
        let endpoints =
            objects().filter_map(|it| Some((it.label(), u32::from(it.metrics.endpoints_ready?))));
        self.gauge(
            "exposedport_endpoints_ready",
            "1 while requests find an endpoint; absent where that is not evaluated",
            endpoints,
        )
    }

    fn hostnames(&mut self, exposures: &[Arc<Exposure>]) -> fmt::Result {
        let ready = exposures.iter().flat_map(|it| {
            let hosts = it.metrics.hostnames.iter();
            hosts.map(|host| (it.host(host), u32::from(host.ready)))
        });
        self.gauge(
            "hostname_ready",
            "1 while a request to the hostname would succeed",
            ready,
        )
    }

    fn certificates(&mut self, exposures: &[Arc<Exposure>]) -> fmt::Result {
        self.certificate(
            "hostname_certificate_stored",
            "1 when there is a certificate that proxies can serve",
            exposures,
            |it| Some(i64::from(it.stored)),
        )?;
        self.certificate(
            "hostname_certificate_served",
            "1 while every proxy that takes requests presents the stored certificate; absent when none was seen presenting any",
            exposures,
            |it| it.served.map(i64::from),
        )?;
        self.certificate(
            "hostname_certificate_not_before_timestamp_seconds",
            "Since when the stored certificate is good",
            exposures,
            |it| it.not_before.map(Timestamp::as_second),
        )?;
        self.certificate(
            "hostname_certificate_not_after_timestamp_seconds",
            "Until when the stored certificate is good",
            exposures,
            |it| it.not_after.map(Timestamp::as_second),
        )?;
        self.certificate(
            "hostname_certificate_served_not_after_timestamp_seconds",
            "Until when the certificate is good that every proxy presents; absent while they differ",
            exposures,
            |it| it.served_not_after.map(Timestamp::as_second),
        )?;
        self.certificate(
            "hostname_certificate_renewal_timestamp_seconds",
            "When cert-manager renews the stored certificate; absent for one that it did not issue",
            exposures,
            |it| it.renewal.map(Timestamp::as_second),
        )?;
        self.certificate(
            "hostname_certificate_issuance_failures",
            "Attempts to issue the certificate that failed since the last that did not; absent when it is not issued by cert-manager",
            exposures,
            |it| it.failures.map(i64::from),
        )
    }

    fn certificate(
        &mut self,
        name: &str,
        help: &str,
        exposures: &[Arc<Exposure>],
        read: impl Fn(&CertificateMetrics) -> Option<i64>,
    ) -> fmt::Result {
        let read = &read;
        let values = exposures.iter().flat_map(|it| {
            let hosts = it.metrics.hostnames.iter();
            hosts.filter_map(move |host| {
                let value = host.certificate.as_ref().and_then(read)?;
                Some((it.host(host), value))
            })
        });
        self.gauge(name, help, values)
    }

    fn gauge<L: EncodeLabelSet, V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        values: impl Iterator<Item = (L, V)>,
    ) -> fmt::Result {
        let kind = MetricType::Gauge;
        let mut metric = self.encoder.encode_descriptor(name, help, None, kind)?;
        for (label, value) in values {
            metric.encode_family(&label)?.encode_gauge(&value)?;
        }
        Ok(())
    }
}
