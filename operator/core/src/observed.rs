//! Observed state that a status depends on: children in the API server, and proxies.

use jiff::Timestamp;
use portolan_discovery::table::ResourceName;
use std::collections::BTreeMap;

/// Observed state of one object, or of one class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// State of the desired children. One that is absent here was not applied yet.
    pub children: BTreeMap<ChildKey, ChildState>,
    /// The proxies of the class that are connected.
    pub proxies: Vec<ObservedProxy>,
}

/// Kind and name of a child; its namespace is known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChildKey {
    /// Such as `Service`.
    pub kind: String,
    /// `metadata.name`.
    pub name: String,
}

/// State of a child in the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChildState {
    /// It is stored as desired.
    Applied,
    /// An object that Portolan does not manage has its name; it is left alone.
    Foreign,
    /// The API server refused it, in these words.
    Failed(String),
}

/// One proxy that is connected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObservedProxy {
    /// The name of its pod.
    pub name: String,
    /// True if it takes requests; one that does not is no reason against Ready.
    pub ready: bool,
    /// State of the current version of each resource that was asked for; absent means [`AckState::Behind`].
    pub acks: BTreeMap<ResourceName, AckState>,
    /// By hostname (in a wildcard's case `*.` and the domain): the certificate that it presents.
    pub served: BTreeMap<String, ServedCertificate>,
}

/// Acknowledgement of the current version of a resource by a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AckState {
    /// Every worker has it.
    Acknowledged,
    /// It has not acknowledged this version yet.
    Behind,
    /// It cannot use it, for this reason, and goes on with the version before.
    Refused(String),
}

/// A certificate as a handshake showed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedCertificate {
    /// SHA-256 of the leaf, in lower-case hex.
    pub fingerprint: String,
    /// When it expires.
    pub not_after: Timestamp,
}
