//! Rows in JSON and YAML. Every field is always present, null or empty if unknown; later versions only
//! add fields, and values of `state` and `outcome`. docs/reference/cli.md describes each.

use super::exposure::{SecretId, ServedCertificate};
use super::row::Row;
use super::state::{CertificateInfo, State};
use super::stored::Stored;
use jiff::Timestamp;
use serde::Serialize;

/// All rows, in their order.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CertificateReport<'a> {
    checked_at: Timestamp,
    hostnames: Vec<Hostname<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Hostname<'a> {
    namespace: &'a str,
    name: &'a str,
    hostname: &'a str,
    class_name: &'a str,
    state: State,
    problem: &'a str,
    issuer: &'a str,
    not_after: Option<Timestamp>,
    seconds_left: Option<i64>,
    renewal_time: Option<Timestamp>,
    served: Option<Presented<'a>>,
    stored: Vec<SecretResult<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Presented<'a> {
    fingerprint: &'a str,
    not_after: Option<Timestamp>,
}

/// Result of reading one Secret.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SecretResult<'a> {
    secret_namespace: &'a str,
    secret_name: &'a str,
    outcome: &'static str,
    certificate: Option<Certificate<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Certificate<'a> {
    fingerprint: &'a str,
    dns_names: &'a [String],
    not_before: Timestamp,
    not_after: Timestamp,
}

impl<'a> CertificateReport<'a> {
    pub(crate) fn new(rows: &'a [Row], now: Timestamp) -> Self {
        Self {
            checked_at: now,
            hostnames: rows.iter().map(|row| Hostname::new(row, now)).collect(),
        }
    }
}

impl<'a> Hostname<'a> {
    fn new(row: &'a Row, now: Timestamp) -> Self {
        let info = row.certificate.as_ref();
        let stored = info.map(|info| info.stored.as_slice()).unwrap_or_default();
        let served = info.and_then(|info| info.served.as_ref());
        let not_after = row.not_after();
        Self {
            namespace: &row.namespace,
            name: &row.name,
            hostname: &row.hostname,
            class_name: &row.class,
            state: row.state,
            problem: &row.problem,
            issuer: info.map(issuer).unwrap_or_default(),
            not_after,
            seconds_left: not_after.map(|at| at.duration_since(now).as_secs()),
            renewal_time: info.and_then(|info| info.renewal_time),
            served: served.map(Presented::new),
            stored: stored.iter().map(SecretResult::new).collect(),
        }
    }
}

fn issuer(info: &CertificateInfo) -> &str {
    &info.issuer
}

impl<'a> Presented<'a> {
    fn new(served: &'a ServedCertificate) -> Self {
        Self {
            fingerprint: &served.fingerprint,
            not_after: served.not_after,
        }
    }
}

impl<'a> SecretResult<'a> {
    fn new((secret, stored): &'a (SecretId, Stored)) -> Self {
        Self {
            secret_namespace: &secret.namespace,
            secret_name: &secret.name,
            outcome: match stored {
                Stored::Certificate(_) => "Read",
                Stored::NotFound => "NotFound",
                Stored::Unreadable(_) => "Unreadable",
                Stored::Forbidden => "Forbidden",
                Stored::Failed => "Failed",
            },
            certificate: stored.leaf().map(|leaf| Certificate {
                fingerprint: &leaf.fingerprint,
                dns_names: leaf.dns_names.as_slice(),
                not_before: leaf.not_before,
                not_after: leaf.not_after,
            }),
        }
    }
}
