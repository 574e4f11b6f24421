//! Converts messages of a stream to plain types and back.
//!
//! Encoding cannot fail. Decoding checks everything, and an error names the field:
//! `transaction.upserts[3].resource.virtual_host.routes[0].path: is missing`.

use super::generated as proto;
use crate::delta::{Batch, Update};
use crate::session::{
    Ack, Heartbeat, Hello, PresentedCertificate, ProxyReport, ResourceAck, ToOperator, ToProxy,
    Transaction,
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
    /// Reason why it is invalid.
    pub problem: Problem,
}

/// Reason why a field is invalid.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Problem {
    /// A required message, or choice between messages.
    #[error("is missing, or of a kind that this version does not know")]
    Missing,
    /// An enum without a known value.
    #[error("has an unknown value")]
    Unknown,
    /// Not 16 bytes.
    #[error("is not a version; must be 16 bytes")]
    Version,
    /// Not `address:port`.
    #[error("is not an address; must be like `10.0.0.1:8080` or `[fd00::1]:8080`")]
    Address,
    /// Above 65535.
    #[error("is not a port; must be from 0 to 65535")]
    Port,
    /// Not from 100 to 599.
    #[error("is not a status; must be from 100 to 599")]
    Status,
    /// Not 32 bytes.
    #[error("is not a seed of tickets; must be 32 bytes")]
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

/// Prefixes the path of an error with the name of the surrounding field.
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

/// Converts a required message.
pub(super) fn present<M, T>(field: &str, part: Option<M>) -> Result<T, WireError>
where
    T: TryFrom<M, Error = WireError>,
{
    let part = part.ok_or_else(|| WireError::new(field, Problem::Missing))?;
    T::try_from(part).within(field)
}

/// Converts every element of a repeated field.
pub(super) fn each<M, T, C>(field: &str, elements: Vec<M>) -> Result<C, WireError>
where
    T: TryFrom<M, Error = WireError>,
    C: FromIterator<T>,
{
    let elements = elements.into_iter().enumerate();
    elements
        .map(|(index, element)| T::try_from(element).within(&format!("{field}[{index}]")))
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
            ToOperator::Hello(hello) => Message::Hello(hello.into()),
            ToOperator::Follow(follow) => Message::Follow(proto::Follow { follow }),
            ToOperator::Ack(ack) => Message::Ack(ack.into()),
            ToOperator::Report(report) => Message::Report(report.into()),
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
            Some(Message::Hello(hello)) => Self::Hello(hello.try_into().within("hello")?),
            Some(Message::Follow(message)) => Self::Follow(message.follow),
            Some(Message::Ack(ack)) => Self::Ack(ack.try_into().within("ack")?),
            Some(Message::Report(report)) => Self::Report(report.into()),
            None => return Err(WireError::new("message", Problem::Missing)),
        })
    }
}

impl From<ToProxy> for proto::ToProxy {
    fn from(message: ToProxy) -> Self {
        use proto::to_proxy::Message;
        let message = match message {
            ToProxy::Transaction(transaction) => Message::Transaction(transaction.into()),
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
            Some(Message::Transaction(transaction)) => {
                Self::Transaction(transaction.try_into().within("transaction")?)
            }
            Some(Message::Heartbeat(proto::Heartbeat { epoch, leader })) => {
                Self::Heartbeat(Heartbeat { epoch, leader })
            }
            None => return Err(WireError::new("message", Problem::Missing)),
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

    /// Keeps the version as it was sent: a proxy of another release, whose canonical bytes may
    /// differ, must acknowledge the version that the operator gave.
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
            verdicts: each::<_, ResourceAck, _>("verdicts", ack.verdicts)?,
            removed: each::<_, ResourceName, _>("removed", ack.removed)?,
        })
    }
}

impl From<ResourceAck> for proto::ResourceAck {
    fn from(verdict: ResourceAck) -> Self {
        Self {
            name: Some(verdict.name.into()),
            version: verdict.version.0.to_vec(),
            origins: into_all(verdict.origins),
            refused: verdict.refused,
        }
    }
}

impl TryFrom<proto::ResourceAck> for ResourceAck {
    type Error = WireError;

    fn try_from(verdict: proto::ResourceAck) -> Result<Self, WireError> {
        Ok(Self {
            name: present("name", verdict.name)?,
            version: version(&verdict.version)?,
            origins: into_all(verdict.origins),
            refused: verdict.refused,
        })
    }
}

impl From<ProxyReport> for proto::ProxyReport {
    fn from(report: ProxyReport) -> Self {
        Self {
            ready: report.ready,
            served: into_all(report.served),
            unserved: report.unserved,
        }
    }
}

impl From<proto::ProxyReport> for ProxyReport {
    fn from(report: proto::ProxyReport) -> Self {
        Self {
            ready: report.ready,
            served: into_all(report.served),
            unserved: report.unserved,
        }
    }
}

impl From<PresentedCertificate> for proto::PresentedCertificate {
    fn from(served: PresentedCertificate) -> Self {
        Self {
            server_name: served.server_name,
            certificate: served.certificate.name,
            fingerprint: served.fingerprint,
            not_after_unix: served.not_after_unix,
        }
    }
}

impl From<proto::PresentedCertificate> for PresentedCertificate {
    fn from(served: proto::PresentedCertificate) -> Self {
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
