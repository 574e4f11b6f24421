//! Rows for programs. Every field is always there, null or empty where nothing is known; later versions only
//! add fields, and words of `state` and `outcome`. docs/reference/cli.md describes each.

use super::exposure::{SecretId, Served};
use super::row::Row;
use super::state::{Evidence, State};
use super::stored::Stored;
use jiff::Timestamp;
use serde::Serialize;

/// All rows, in their order.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report<'a> {
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
    stored: Vec<Read<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Presented<'a> {
    fingerprint: &'a str,
    not_after: Option<Timestamp>,
}

/// What was found in one Secret.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Read<'a> {
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

impl<'a> Report<'a> {
    pub(crate) fn new(rows: &'a [Row], now: Timestamp) -> Self {
        Self {
            checked_at: now,
            hostnames: rows.iter().map(|row| Hostname::new(row, now)).collect(),
        }
    }
}

impl<'a> Hostname<'a> {
    fn new(row: &'a Row, now: Timestamp) -> Self {
        let evidence = row.evidence.as_ref();
        let stored = evidence.map(|it| it.stored.as_slice()).unwrap_or_default();
        let served = evidence.and_then(|it| it.served.as_ref());
        let not_after = row.not_after();
        Self {
            namespace: &row.namespace,
            name: &row.name,
            hostname: &row.hostname,
            class_name: &row.class,
            state: row.state,
            problem: &row.problem,
            issuer: evidence.map(issuer).unwrap_or_default(),
            not_after,
            seconds_left: not_after.map(|at| at.duration_since(now).as_secs()),
            renewal_time: evidence.and_then(|it| it.renewal_time),
            served: served.map(Presented::new),
            stored: stored.iter().map(Read::new).collect(),
        }
    }
}

fn issuer(evidence: &Evidence) -> &str {
    &evidence.issuer
}

impl<'a> Presented<'a> {
    fn new(served: &'a Served) -> Self {
        Self {
            fingerprint: &served.fingerprint,
            not_after: served.not_after,
        }
    }
}

impl<'a> Read<'a> {
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
                dns_names: &leaf.dns_names,
                not_before: leaf.not_before,
                not_after: leaf.not_after,
            }),
        }
    }
}
