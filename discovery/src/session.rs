//! Messages of a stream between operator and proxy, as plain types.
//!
//! ```text
//! proxy                                   operator
//!   │ Hello: class, pod, name -> version     │
//!   ├───────────────────────────────────────►│   checks the token against the class
//!   │                Heartbeat: epoch, leader│   every 500 ms, once its caches are synced
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
//! An operator sends transactions only to a proxy that follows it, so two operators never send a
//! proxy different things. The acknowledgements that go to every operator keep the others as
//! up to date as the leader: when a proxy follows another one, nothing is sent again.

use crate::delta::{Batch, Update};
use crate::table::{Origin, ResourceName};
use crate::version::Version;
use std::collections::BTreeMap;
use std::time::Duration;

/// Interval of heartbeats from an operator whose caches are synced.
pub const HEARTBEAT: Duration = Duration::from_millis(500);

/// Time without a heartbeat of its leader after which a proxy follows another operator.
pub const FAIL_OVER: Duration = Duration::from_secs(2);

/// Message from a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToOperator {
    /// Sent once, first.
    Hello(Hello),
    /// True if transactions are wanted from this operator.
    Follow(bool),
    /// See [`Ack`].
    Ack(Ack),
    /// See [`ProxyReport`].
    Report(ProxyReport),
}

/// Message from an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToProxy {
    /// See [`Transaction`].
    Transaction(Transaction),
    /// See [`Heartbeat`].
    Heartbeat(Heartbeat),
}

/// Identity of a subscriber, and the resources it has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// The ExposeClass; the token must belong to its ServiceAccount.
    pub class: String,
    /// `metadata.name` of the pod.
    pub pod_name: String,
    /// `metadata.uid` of the pod.
    pub pod_uid: String,
    /// Resources that are applied now.
    pub held: BTreeMap<ResourceName, Version>,
}

/// A batch, acknowledged by one [`Ack`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Unique and rising within the stream, from 1.
    pub id: u64,
    /// The operator's lease epoch when it was sent.
    pub epoch: u64,
    /// Changes to apply.
    pub batch: Batch,
}

/// Sign of life. Sent only by operators whose caches are synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// Rises with every change of leader: the epoch of the leader, or the one another operator last saw.
    pub epoch: u64,
    /// True for the holder of the lease.
    pub leader: bool,
}

/// Result of a transaction. A resource of the transaction that is not listed is still being applied;
/// its result comes with a later one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ack {
    /// The acknowledged transaction; absent when another operator's was applied.
    pub transaction: Option<u64>,
    /// Applied or rejected, one by one.
    pub verdicts: Vec<ResourceAck>,
    /// Removed resources.
    pub removed: Vec<ResourceName>,
}

/// Result for one resource: every worker of the proxy serves it, or it was rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceAck {
    /// Name of the resource.
    pub name: ResourceName,
    /// The content that was checked.
    pub version: Version,
    /// The origins that came with it.
    pub origins: Vec<Origin>,
    /// Reason for not serving it; an older version of it may be served.
    pub refused: Option<String>,
}

impl Update {
    /// Returns the result of this update.
    pub fn verdict(&self, refused: Option<String>) -> ResourceAck {
        ResourceAck {
            name: self.resource.name(),
            version: self.version,
            origins: self.origins.clone(),
            refused,
        }
    }
}

/// Changes in what the proxy observes about itself; the first one after [`Hello`] is complete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyReport {
    /// Result of `/readyz`.
    pub ready: bool,
    /// Certificates that handshakes with the proxy's own listeners presented.
    pub served: Vec<PresentedCertificate>,
    /// Server names that no longer have a certificate.
    pub unserved: Vec<String>,
}

/// Certificate that a client gets for a server name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresentedCertificate {
    /// Server name as sent in SNI.
    pub server_name: String,
    /// Certificate resource of its virtual host.
    pub certificate: ResourceName,
    /// SHA-256 of the leaf in DER, lower-case hex.
    pub fingerprint: String,
    /// The leaf's notAfter, seconds since 1970.
    pub not_after_unix: i64,
}
