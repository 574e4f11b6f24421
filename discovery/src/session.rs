//! What operator and proxy say to each other on a stream, as plain types.
//!
//! ```text
//! proxy                                   operator
//!   │ Hello: class, pod, name -> version     │
//!   ├───────────────────────────────────────►│   checks the token against the class
//!   │                Heartbeat: epoch, leader│   every 500 ms, once its inputs are listed
//!   │◄───────────────────────────────────────┤
//!   │ Follow                                 │   to the leader; to another after 2 s of silence
//!   ├───────────────────────────────────────►│
//!   │                     Transaction: batch │   one in flight
//!   │◄───────────────────────────────────────┤
//!   │ Ack: per resource                      │   also to the operators that are not followed
//!   ├───────────────────────────────────────►│
//!   │ Report: ready, what TLS presents       │
//!   ├───────────────────────────────────────►│
//! ```
//! An operator sends transactions only to a proxy that follows it, so two operators never tell a
//! proxy different things. The acknowledgements that go to every operator keep the others as
//! knowing as the leader: being followed costs them no resending.

use crate::delta::{Batch, Update};
use crate::table::{Origin, ResourceName};
use crate::version::Version;
use std::collections::BTreeMap;
use std::time::Duration;

/// How often an operator whose inputs are listed says that it lives.
pub const HEARTBEAT: Duration = Duration::from_millis(500);

/// How long a proxy waits for the heartbeat of its leader before it follows another operator.
pub const FAIL_OVER: Duration = Duration::from_secs(2);

/// What a proxy says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToOperator {
    /// Once, first.
    Hello(Hello),
    /// Whether transactions are wanted from this operator.
    Follow(bool),
    /// See [`Ack`].
    Ack(Ack),
    /// See [`Report`].
    Report(Report),
}

/// What an operator says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToProxy {
    /// See [`Transaction`].
    Transaction(Transaction),
    /// See [`Heartbeat`].
    Heartbeat(Heartbeat),
}

/// Who subscribes, and what it has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// The ExposeClass; the token must belong to its ServiceAccount.
    pub class: String,
    /// `metadata.name` of the pod.
    pub pod_name: String,
    /// `metadata.uid` of the pod.
    pub pod_uid: String,
    /// What is applied now.
    pub held: BTreeMap<ResourceName, Version>,
}

/// A batch that is answered with one [`Ack`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Unique and rising within the stream, from 1.
    pub id: u64,
    /// The operator's lease epoch when it was sent.
    pub epoch: u64,
    /// What to apply.
    pub batch: Batch,
}

/// A sign of life. Only operators that have listed every input give one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// Rises with every change of leader. What the leader has, or what another last saw.
    pub epoch: u64,
    /// Holds the lease.
    pub leader: bool,
}

/// What became of resources. A resource of the transaction that is not named is still being tried;
/// its verdict comes with a later one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ack {
    /// The transaction that is answered; absent when another operator's was applied.
    pub transaction: Option<u64>,
    /// Applied or refused, one by one.
    pub verdicts: Vec<Verdict>,
    /// No longer there.
    pub removed: Vec<ResourceName>,
}

/// Whether every worker of a proxy serves a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Which resource.
    pub name: ResourceName,
    /// The content that was judged.
    pub version: Version,
    /// The origins that came with it.
    pub origins: Vec<Origin>,
    /// Why it is not served; an older version of it may be.
    pub refused: Option<String>,
}

impl Update {
    /// What became of this update.
    pub fn verdict(&self, refused: Option<String>) -> Verdict {
        Verdict {
            name: self.resource.name(),
            version: self.version,
            origins: self.origins.clone(),
            refused,
        }
    }
}

/// What changed of what the proxy sees of itself; the first one after [`Hello`] is whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What `/readyz` says.
    pub ready: bool,
    /// The certificates that real handshakes with the proxy's own listeners showed.
    pub served: Vec<Served>,
    /// Server names that no longer have one.
    pub unserved: Vec<String>,
}

/// The certificate that a client gets for a server name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// As sent in SNI.
    pub server_name: String,
    /// The certificate resource of its virtual host.
    pub certificate: ResourceName,
    /// SHA-256 of the leaf in DER, lower-case hex.
    pub fingerprint: String,
    /// The leaf's notAfter, seconds since 1970.
    pub not_after_unix: i64,
}
