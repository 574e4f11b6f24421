//! Leader election: one replica writes at a time, by a Lease of `coordination.k8s.io/v1`.
//!
//! Own code, because the crates that exist (kube-leader-election among them) know neither of the two
//! things that the rest depends on:
//! - an **epoch**, which only ever grows, even if the Lease is deleted: proxies apply from the
//!   replica with the highest one (`docs/internals/data-plane.md`, Discovery);
//! - a **permission that ends by itself**: [`Permit::may_write`] is false from the renew deadline on,
//!   checked against the monotonic clock at the moment of writing, so that a process that was stopped past
//!   its Lease writes nothing when it continues, although its timers have not fired yet.
//!
//! [`elector`] decides (pure, the clock is an argument), [`controller`] executes its decisions.

mod controller;
mod elector;
mod epoch;

pub use controller::{Candidate, run};
pub use elector::Terms;

use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::Instant;

/// Leadership of this replica.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    /// True if it holds the Lease and may write to the API server.
    pub leader: bool,
    /// The number of its term, higher than that of every earlier leader; 0 when it never led.
    pub epoch: u64,
}

/// Permission of this replica to write.
#[derive(Clone, Debug, Default)]
pub struct Permit {
    until: Arc<Mutex<Option<Instant>>>,
}

impl Permit {
    /// Returns true if the Lease covers a write that begins now.
    pub fn may_write(&self) -> bool {
        self.until().is_some_and(|until| Instant::now() < until)
    }

    fn until(&self) -> Option<Instant> {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, until: Option<Instant>) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }
}
