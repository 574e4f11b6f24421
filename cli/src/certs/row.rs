//! A row for each hostname, from what was read and the time: pure, so that every case can be shown to it.

use super::exposure::{Exposure, Host, HostTls, SecretId};
use super::source::{self, Classes};
use super::state::{Evidence, State};
use super::stored::Stored;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// Everything that was read.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) exposures: Vec<Exposure>,
    pub(crate) classes: Classes,
    pub(crate) secrets: BTreeMap<SecretId, Stored>,
}

/// One hostname of one ExposedPort.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) hostname: String,
    /// Empty: none was chosen yet.
    pub(crate) class: String,
    pub(crate) state: State,
    /// What is wrong, and what would be right; empty: nothing.
    pub(crate) problem: String,
    /// Absent where there is nothing to be certified.
    pub(crate) evidence: Option<Evidence>,
}

impl World {
    /// The Secrets that are to be read.
    pub(crate) fn secrets_needed(&self) -> Vec<SecretId> {
        let hosts = self
            .exposures
            .iter()
            .flat_map(|it| it.hosts.iter().map(move |host| (it, host)));
        let mut needed: Vec<_> = hosts
            .filter_map(|(exposure, host)| self.places(exposure, host))
            .flatten()
            .collect();
        needed.sort();
        needed.dedup();
        needed
    }

    /// What a person should look at first comes first: those without any certificate, then by the time that
    /// is left, at last those that need none.
    pub(crate) fn rows(&self, now: Timestamp) -> Vec<Row> {
        let living = self.exposures.iter().filter(|it| !it.is_over);
        let mut rows: Vec<_> = living
            .flat_map(|exposure| {
                let told = exposure
                    .hosts
                    .iter()
                    .map(|host| self.row(exposure, host, now));
                told.chain(exposure.untold().map(|host| untold(exposure, host)))
            })
            .collect();
        rows.sort_by_cached_key(Row::urgency);
        rows
    }

    fn places(&self, exposure: &Exposure, host: &Host) -> Option<Vec<SecretId>> {
        let HostTls::Certified(told) = &host.tls else {
            return None;
        };
        source::secrets(&self.exposures, &self.classes, exposure, &host.name, told)
    }

    fn row(&self, exposure: &Exposure, host: &Host, now: Timestamp) -> Row {
        let (state, problem) = match &host.tls {
            HostTls::Certified(told) => {
                let places = self.places(exposure, host).unwrap_or_default();
                let stored = places.into_iter().map(|secret| {
                    let stored = self.secrets.get(&secret).cloned();
                    (secret, stored.unwrap_or(Stored::Failed))
                });
                let evidence = Evidence::new(told, stored.collect());
                let judged = evidence.judge(&host.name, &host.message, now);
                return Row::new(exposure, &host.name, judged, Some(evidence));
            }
            HostTls::Disabled => (State::NoTls, String::new()),
            HostTls::HeldBy(holder) => (
                State::NotHeld,
                format!(
                    "{holder} holds the hostname; choose another one, or have it given up there"
                ),
            ),
            HostTls::Pending => (State::Pending, PENDING.to_owned()),
        };
        Row::new(exposure, &host.name, (state, problem), None)
    }
}

const PENDING: &str = "the operator has not judged it yet; wait a moment, or see whether it runs";

/// A hostname of the spec that status does not list.
fn untold(exposure: &Exposure, host: &str) -> Row {
    let judged = match exposure.is_judged {
        true => (State::Rejected, exposure.description.clone()),
        false => (State::Pending, PENDING.to_owned()),
    };
    Row::new(exposure, host, judged, None)
}

impl Row {
    fn new(
        exposure: &Exposure,
        hostname: &str,
        (state, problem): (State, String),
        evidence: Option<Evidence>,
    ) -> Self {
        Self {
            namespace: exposure.namespace.clone(),
            name: exposure.name.clone(),
            class: exposure.class.clone(),
            hostname: hostname.to_owned(),
            state,
            problem,
            evidence,
        }
    }

    /// When clients will be turned away.
    pub(crate) fn not_after(&self) -> Option<Timestamp> {
        self.evidence.as_ref().and_then(Evidence::not_after)
    }

    /// For the person who asked: object, hostname, problem, and what would be right.
    pub(crate) fn complaint(&self) -> String {
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

/// As much of a fingerprint as tells two certificates apart.
pub(crate) fn short(fingerprint: &str) -> &str {
    fingerprint.get(..12).unwrap_or(fingerprint)
}
