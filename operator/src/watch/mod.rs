//! Everything that is watched, turned into [`Input`]s on one bounded channel.
//!
//! Of Secrets never more than needed: those of our own Certificates by labelled watches, any other
//! only while an object names it, one by one ([`named`]). Kinds of cert-manager and of the Gateway API are
//! watched while their CustomResourceDefinition is there ([`optional`]), pods while a class sends requests to
//! no other ([`pods`]). Everything else is in [`sources`].
//!
//! A watch that fails starts again with a growing pause; one that hangs is noticed by kube's idle
//! bound (5 s above the 290 s, for Leases 20 s, that the server is asked for) or, before its first answer, by the
//! client's read time-out; one that fell too far behind (410) relists.

mod follow;
mod named;
mod optional;
mod pods;
mod sources;

pub(crate) use pods::SOURCE as PODS;
pub use sources::{Scope, Sources};

use crate::apply::{ChildId, Seen};
use k8s_openapi::api::core::v1::Secret;
use portolan_core::{Change, Event, ObjectRef};
use std::fmt;

/// Something that a watch has seen.
#[derive(Clone, Debug)]
pub enum Input {
    /// For the index.
    Event(Event),
    /// A Secret, and which of the watches that may see it has seen it.
    Secret(Via, Change<Secret>),
    /// A child as it is now.
    Child(ChildId, Box<Seen>),
    /// A child is gone, or carries our label no longer.
    ChildGone {
        /// Which.
        id: ChildId,
        /// The one with this UID; by now there may be another.
        uid: String,
    },
    /// Everything that a source had when it began to watch has been sent.
    Listed(Source),
}

/// By which watch a Secret is seen; one can be seen by both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Via {
    /// It carries our label.
    Label,
    /// An object names it.
    Name,
}

/// Where inputs come from. Nothing is written or served before each source has listed once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A watch that always runs, by what it watches.
    Kind(&'static str),
    /// The watch of one Secret.
    Secret(ObjectRef),
}

impl Source {
    /// For metrics: one label for all Secrets that are watched one by one.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Kind(kind) => kind,
            Self::Secret(_) => "secret by name",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind(kind) => f.write_str(kind),
            Self::Secret(secret) => write!(f, "Secret {secret}"),
        }
    }
}
