//! TLS handshakes with clients, counted by how they ended.

use crate::telemetry::counter::Counter;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use std::fmt;

/// Handshake counters of one worker.
#[derive(Debug, Default)]
pub(crate) struct Handshakes {
    done: [Counter; Done::ALL.len()],
    failed: [Counter; Failure::ALL.len()],
}

/// A handshake that led to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) tls13: bool,
    pub(crate) resumed: bool,
}

impl Done {
    const ALL: [Self; 4] = [
        Self::new(false, false),
        Self::new(false, true),
        Self::new(true, false),
        Self::new(true, true),
    ];

    const fn new(tls13: bool, resumed: bool) -> Self {
        Self { tls13, resumed }
    }

    fn labels(self) -> [(&'static str, &'static str); 2] {
        let version = if self.tls13 { "1.3" } else { "1.2" };
        let resumed = if self.resumed { "true" } else { "false" };
        [("version", version), ("resumed", resumed)]
    }
}

/// Why a handshake led to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It took too long.
    Timeout,
    /// No server name was asked for, and the class has no default certificate.
    NoServerName,
    /// Nothing is served under the server name.
    UnknownServerName,
    /// The client's certificate is absent, expired, or of an authority that is not trusted.
    ClientCertificate,
    /// No version, cipher suite, signature scheme or application protocol in common.
    Incompatible,
    /// The client ended it by an alert: often it does not trust the certificate it was shown.
    RefusedByClient,
    /// The client violated the TLS protocol.
    Malformed,
    /// The client closed the connection.
    Closed,
}

impl Failure {
    const ALL: [Self; 8] = [
        Self::Timeout,
        Self::NoServerName,
        Self::UnknownServerName,
        Self::ClientCertificate,
        Self::Incompatible,
        Self::RefusedByClient,
        Self::Malformed,
        Self::Closed,
    ];

    fn label(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::NoServerName => "no_server_name",
            Self::UnknownServerName => "unknown_server_name",
            Self::ClientCertificate => "client_certificate",
            Self::Incompatible => "incompatible",
            Self::RefusedByClient => "refused_by_client",
            Self::Malformed => "malformed",
            Self::Closed => "closed",
        }
    }
}

impl Handshakes {
    pub(crate) fn done(&self, done: Done) {
        count(&Done::ALL, &self.done, done);
    }

    pub(crate) fn failed(&self, failure: Failure) {
        count(&Failure::ALL, &self.failed, failure);
    }

    /// Writes the sums over all workers.
    pub(crate) fn encode<'a, I: Iterator<Item = &'a Self>>(
        workers: impl Fn() -> I,
        out: &mut DescriptorEncoder<'_>,
    ) -> fmt::Result {
        let help = "TLS handshakes that led to a connection";
        let mut family = out.encode_descriptor("handshakes", help, None, MetricType::Counter)?;
        for (index, done) in Done::ALL.iter().enumerate() {
            let sum = workers()
                .filter_map(|counters| counters.done.get(index))
                .map(Counter::get)
                .sum();
            let labels = done.labels();
            ConstCounter::<u64>::new(sum).encode(family.encode_family(&labels)?)?;
        }
        let help = "TLS handshakes that did not lead to a connection, by why";
        let name = "handshakes_failed";
        let mut family = out.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (index, failure) in Failure::ALL.iter().enumerate() {
            let sum = workers()
                .filter_map(|counters| counters.failed.get(index))
                .map(Counter::get)
                .sum();
            let labels = [("reason", failure.label())];
            ConstCounter::<u64>::new(sum).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

fn count<T: PartialEq>(all: &[T], counters: &[Counter], what: T) {
    if let Some((_, counter)) = all
        .iter()
        .zip(counters)
        .find(|(counters, _)| **counters == what)
    {
        counter.add(1);
    }
}
