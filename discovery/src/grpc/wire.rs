//! The door: what is said on a stream, from wire to plain types and back.
//!
//! Into the wire cannot fail. Out of it everything is judged, and an error names the field:
//! `transaction.upserts[3].resource.virtual_host.routes[0].path: is absent`.

use super::generated as proto;
use crate::delta::{Batch, Update};
use crate::session::{
    Ack, Heartbeat, Hello, Report, Served, ToOperator, ToProxy, Transaction, Verdict,
};
use crate::table::{Kind, Origin, Resource, ResourceName};
use crate::version::Version;
use thiserror::Error;

/// A message that breaks the contract.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{field}: {problem}")]
pub struct WireError {
    /// The path to the field, as in the proto file.
    pub field: String,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What can be wrong with a field.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Problem {
    /// A message, or a choice between messages, that must be there.
    #[error("is absent, or of a kind that this version does not know")]
    Absent,
    /// An enum without a known value.
    #[error("has no known value")]
    Unknown,
    /// Not 16 bytes.
    #[error("is no version; 16 bytes are")]
    Version,
    /// Not `address:port`.
    #[error("is no address; `10.0.0.1:8080` and `[fd00::1]:8080` are")]
    Address,
    /// Above 65535.
    #[error("is no port; 0 to 65535 are")]
    Port,
    /// Not from 100 to 599.
    #[error("is no status; 100 to 599 are")]
    Status,
    /// Not 32 bytes.
    #[error("is no seed of tickets; 32 bytes are")]
    TicketSeed,
}

impl WireError {
    pub(super) fn new(field: &str, problem: Problem) -> Self {
        Self {
            field: field.to_owned(),
            problem,
        }
    }
}

/// Puts the name of the surrounding field before the path of an error.
pub(super) trait Within<T> {
    fn within(self, field: &str) -> Result<T, WireError>;
}

impl<T> Within<T> for Result<T, WireError> {
    fn within(self, field: &str) -> Result<T, WireError> {
        self.map_err(|error| WireError {
            field: format!("{field}.{}", error.field),
            ..error
        })
    }
}

/// A part that must be there.
pub(super) fn present<M, T>(field: &str, part: Option<M>) -> Result<T, WireError>
where
    T: TryFrom<M, Error = WireError>,
{
    let part = part.ok_or_else(|| WireError::new(field, Problem::Absent))?;
    T::try_from(part).within(field)
}

/// Every element of a repeated field.
pub(super) fn each<M, T, C>(field: &str, elements: Vec<M>) -> Result<C, WireError>
where
    T: TryFrom<M, Error = WireError>,
    C: FromIterator<T>,
{
    let elements = elements.into_iter().enumerate();
    elements
        .map(|(index, it)| T::try_from(it).within(&format!("{field}[{index}]")))
        .collect()
}

pub(super) fn into_all<T, M: From<T>>(elements: impl IntoIterator<Item = T>) -> Vec<M> {
    elements.into_iter().map(M::from).collect()
}

fn version(bytes: &[u8]) -> Result<Version, WireError> {
    let bytes = bytes.try_into();
    bytes
        .map(Version)
        .map_err(|_| WireError::new("version", Problem::Version))
}

impl From<ToOperator> for proto::ToOperator {
    fn from(message: ToOperator) -> Self {
        use proto::to_operator::Message;
        let message = match message {
            ToOperator::Hello(it) => Message::Hello(it.into()),
            ToOperator::Follow(follow) => Message::Follow(proto::Follow { follow }),
            ToOperator::Ack(it) => Message::Ack(it.into()),
            ToOperator::Report(it) => Message::Report(it.into()),
        };
        Self {
            message: Some(message),
        }
    }
}

impl TryFrom<proto::ToOperator> for ToOperator {
    type Error = WireError;

    fn try_from(message: proto::ToOperator) -> Result<Self, WireError> {
        use proto::to_operator::Message;
        Ok(match message.message {
            Some(Message::Hello(it)) => Self::Hello(it.try_into().within("hello")?),
            Some(Message::Follow(it)) => Self::Follow(it.follow),
            Some(Message::Ack(it)) => Self::Ack(it.try_into().within("ack")?),
            Some(Message::Report(it)) => Self::Report(it.into()),
            None => return Err(WireError::new("message", Problem::Absent)),
        })
    }
}

impl From<ToProxy> for proto::ToProxy {
    fn from(message: ToProxy) -> Self {
        use proto::to_proxy::Message;
        let message = match message {
            ToProxy::Transaction(it) => Message::Transaction(it.into()),
            ToProxy::Heartbeat(Heartbeat { epoch, leader }) => {
                Message::Heartbeat(proto::Heartbeat { epoch, leader })
            }
        };
        Self {
            message: Some(message),
        }
    }
}

impl TryFrom<proto::ToProxy> for ToProxy {
    type Error = WireError;

    fn try_from(message: proto::ToProxy) -> Result<Self, WireError> {
        use proto::to_proxy::Message;
        Ok(match message.message {
            Some(Message::Transaction(it)) => {
                Self::Transaction(it.try_into().within("transaction")?)
            }
            Some(Message::Heartbeat(proto::Heartbeat { epoch, leader })) => {
                Self::Heartbeat(Heartbeat { epoch, leader })
            }
            None => return Err(WireError::new("message", Problem::Absent)),
        })
    }
}

impl From<Hello> for proto::Hello {
    fn from(hello: Hello) -> Self {
        Self {
            class: hello.class,
            pod_name: hello.pod_name,
            pod_uid: hello.pod_uid,
            held: into_all(hello.held),
        }
    }
}

impl TryFrom<proto::Hello> for Hello {
    type Error = WireError;

    fn try_from(hello: proto::Hello) -> Result<Self, WireError> {
        Ok(Self {
            class: hello.class,
            pod_name: hello.pod_name,
            pod_uid: hello.pod_uid,
            held: each::<_, (ResourceName, Version), _>("held", hello.held)?,
        })
    }
}

impl From<(ResourceName, Version)> for proto::Held {
    fn from((name, version): (ResourceName, Version)) -> Self {
        Self {
            name: Some(name.into()),
            version: version.0.to_vec(),
        }
    }
}

impl TryFrom<proto::Held> for (ResourceName, Version) {
    type Error = WireError;

    fn try_from(held: proto::Held) -> Result<Self, WireError> {
        Ok((present("name", held.name)?, version(&held.version)?))
    }
}

impl From<Transaction> for proto::Transaction {
    fn from(transaction: Transaction) -> Self {
        Self {
            id: transaction.id,
            epoch: transaction.epoch,
            upserts: into_all(transaction.batch.upserts),
            removals: into_all(transaction.batch.removals),
            end_of_snapshot: transaction.batch.end_of_snapshot,
        }
    }
}

impl TryFrom<proto::Transaction> for Transaction {
    type Error = WireError;

    fn try_from(transaction: proto::Transaction) -> Result<Self, WireError> {
        Ok(Self {
            id: transaction.id,
            epoch: transaction.epoch,
            batch: Batch {
                upserts: each::<_, Update, _>("upserts", transaction.upserts)?,
                removals: each::<_, ResourceName, _>("removals", transaction.removals)?,
                end_of_snapshot: transaction.end_of_snapshot,
            },
        })
    }
}

impl From<Update> for proto::Update {
    fn from(update: Update) -> Self {
        Self {
            version: update.version.0.to_vec(),
            origins: into_all(update.origins),
            resource: Some(update.resource.into()),
        }
    }
}

impl TryFrom<proto::Update> for Update {
    type Error = WireError;

    /// The version is taken as it was said: a proxy of another release, whose canonical bytes may
    /// differ, must acknowledge the name that the operator gave.
    fn try_from(update: proto::Update) -> Result<Self, WireError> {
        Ok(Self {
            version: version(&update.version)?,
            origins: into_all(update.origins),
            resource: present::<_, Resource>("resource", update.resource)?,
        })
    }
}

impl From<Ack> for proto::Ack {
    fn from(ack: Ack) -> Self {
        Self {
            transaction: ack.transaction.unwrap_or(0),
            verdicts: into_all(ack.verdicts),
            removed: into_all(ack.removed),
        }
    }
}

impl TryFrom<proto::Ack> for Ack {
    type Error = WireError;

    fn try_from(ack: proto::Ack) -> Result<Self, WireError> {
        Ok(Self {
            transaction: (ack.transaction != 0).then_some(ack.transaction),
            verdicts: each::<_, Verdict, _>("verdicts", ack.verdicts)?,
            removed: each::<_, ResourceName, _>("removed", ack.removed)?,
        })
    }
}

impl From<Verdict> for proto::Verdict {
    fn from(verdict: Verdict) -> Self {
        Self {
            name: Some(verdict.name.into()),
            version: verdict.version.0.to_vec(),
            origins: into_all(verdict.origins),
            refused: verdict.refused,
        }
    }
}

impl TryFrom<proto::Verdict> for Verdict {
    type Error = WireError;

    fn try_from(verdict: proto::Verdict) -> Result<Self, WireError> {
        Ok(Self {
            name: present("name", verdict.name)?,
            version: version(&verdict.version)?,
            origins: into_all(verdict.origins),
            refused: verdict.refused,
        })
    }
}

impl From<Report> for proto::Report {
    fn from(report: Report) -> Self {
        Self {
            ready: report.ready,
            served: into_all(report.served),
            unserved: report.unserved,
        }
    }
}

impl From<proto::Report> for Report {
    fn from(report: proto::Report) -> Self {
        Self {
            ready: report.ready,
            served: into_all(report.served),
            unserved: report.unserved,
        }
    }
}

impl From<Served> for proto::Served {
    fn from(served: Served) -> Self {
        Self {
            server_name: served.server_name,
            certificate: served.certificate.name,
            fingerprint: served.fingerprint,
            not_after_unix: served.not_after_unix,
        }
    }
}

impl From<proto::Served> for Served {
    fn from(served: proto::Served) -> Self {
        Self {
            server_name: served.server_name,
            certificate: ResourceName {
                kind: Kind::Certificate,
                name: served.certificate,
            },
            fingerprint: served.fingerprint,
            not_after_unix: served.not_after_unix,
        }
    }
}

impl From<Origin> for proto::Origin {
    fn from(Origin { uid, generation }: Origin) -> Self {
        Self { uid, generation }
    }
}

impl From<proto::Origin> for Origin {
    fn from(proto::Origin { uid, generation }: proto::Origin) -> Self {
        Self { uid, generation }
    }
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
