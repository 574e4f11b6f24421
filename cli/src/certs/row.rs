//! Computes a row for each hostname from the data and the time. Pure, so that every case can be tested.

use super::exposure::{Exposure, Host, HostTls, SecretId};
use super::source;
use super::state::{CertificateInfo, State};
use super::stored::Stored;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// Objects that were read.
#[derive(Debug, Default)]
pub(crate) struct ClusterData {
    pub(crate) exposures: Vec<Exposure>,
    pub(crate) secrets: BTreeMap<SecretId, Stored>,
}

/// One hostname of one ExposedPort.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) hostname: String,
    /// Empty if none is chosen yet.
    pub(crate) class: String,
    pub(crate) state: State,
    /// Problem and remedy; empty if there is none.
    pub(crate) problem: String,
    /// Absent without TLS termination.
    pub(crate) certificate: Option<CertificateInfo>,
}

impl ClusterData {
    /// Returns the Secrets to read.
    pub(crate) fn secrets_needed(&self) -> Vec<SecretId> {
        let hosts = self
            .exposures
            .iter()
            .flat_map(|exposure| exposure.hosts.iter().map(move |host| (exposure, host)));
        let mut needed: Vec<_> = hosts
            .flat_map(|(exposure, host)| self.secrets_of(exposure, host))
            .collect();
        needed.sort();
        needed.dedup();
        needed
    }

    /// Returns the rows, most urgent first: those without a certificate, then by remaining time, last
    /// those that need none.
    pub(crate) fn rows(&self, now: Timestamp) -> Vec<Row> {
        let active = self
            .exposures
            .iter()
            .filter(|exposure| !exposure.is_expired);
        let mut rows: Vec<_> = active
            .flat_map(|exposure| {
                let reported = exposure
                    .hosts
                    .iter()
                    .map(|host| self.row(exposure, host, now));
                reported.chain(exposure.unreported().map(|host| unreported(exposure, host)))
            })
            .collect();
        rows.sort_by_cached_key(Row::urgency);
        rows
    }

    fn secrets_of(&self, exposure: &Exposure, host: &Host) -> Vec<SecretId> {
        match &host.tls {
            HostTls::Terminated(status) => {
                source::secrets(&self.exposures, exposure, &host.name, status)
            }
            HostTls::Disabled | HostTls::HeldBy(_) | HostTls::Pending => Vec::new(),
        }
    }

    fn row(&self, exposure: &Exposure, host: &Host, now: Timestamp) -> Row {
        let (state, problem) = match &host.tls {
            HostTls::Terminated(status) => {
                let secrets = self.secrets_of(exposure, host).into_iter();
                let stored = secrets.map(|secret| {
                    let stored = self.secrets.get(&secret).cloned();
                    (secret, stored.unwrap_or(Stored::Failed))
                });
                let certificate = CertificateInfo::new(status, stored.collect());
                let result = certificate.check(&host.name, &host.message, now);
                return Row::new(exposure, &host.name, result, Some(certificate));
            }
            HostTls::Disabled => (State::NoTls, String::new()),
            HostTls::HeldBy(holder) => (
                State::NotHeld,
                format!(
                    "already in use by {holder}; choose another hostname or ask its owner to release it"
                ),
            ),
            HostTls::Pending => (State::Pending, PENDING.to_owned()),
        };
        Row::new(exposure, &host.name, (state, problem), None)
    }
}

const PENDING: &str =
    "not processed by the operator yet; if this persists, check that the operator is running";

/// Returns the row of a hostname of the spec that is not in status.
fn unreported(exposure: &Exposure, host: &str) -> Row {
    let result = if exposure.is_observed {
        (State::Rejected, exposure.description.clone())
    } else {
        (State::Pending, PENDING.to_owned())
    };
    Row::new(exposure, host, result, None)
}

impl Row {
    fn new(
        exposure: &Exposure,
        hostname: &str,
        (state, problem): (State, String),
        certificate: Option<CertificateInfo>,
    ) -> Self {
        Self {
            namespace: exposure.namespace.clone(),
            name: exposure.name.clone(),
            class: exposure.class.clone(),
            hostname: hostname.to_owned(),
            state,
            problem,
            certificate,
        }
    }

    /// Returns the time from which clients reject the certificate.
    pub(crate) fn not_after(&self) -> Option<Timestamp> {
        self.certificate
            .as_ref()
            .and_then(CertificateInfo::not_after)
    }

    /// Returns object, hostname, problem and remedy.
    pub(crate) fn message(&self) -> String {
        let Self {
            namespace,
            name,
            hostname,
            problem,
            ..
        } = self;
        format!("ExposedPort {namespace}/{name}: {hostname}: {problem}")
    }

    fn urgency(&self) -> impl Ord + use<> {
        let not_after = self.not_after();
        let rank = match not_after {
            None if self.state.is_failing() => 0,
            Some(_) => 1,
            None => 2,
        };
        let name = [&self.namespace, &self.name, &self.hostname].map(Clone::clone);
        (rank, not_after, name)
    }
}

/// Returns the start of a fingerprint, enough to distinguish certificates.
pub(crate) fn short(fingerprint: &str) -> &str {
    fingerprint.get(..12).unwrap_or(fingerprint)
}
