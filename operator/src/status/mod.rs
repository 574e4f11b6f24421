//! The one writer of statuses: written when it differs from what is stored, and only then.
//!
//! [`proxies`] gathers what proxies say, [`doubt`] waits for what passes by
//! itself, [`news`] finds what is worth an event, and [`told`] does for Ingresses, which
//! have no other place for it.

mod doubt;
mod news;
mod proxies;
mod told;
mod writer;

pub use doubt::Doubts;
pub use news::{News, of_class, of_object, readiness_differs};
pub use proxies::{Patience, Proxies};
pub use told::{Told, of_host};
pub use writer::{Pace, StatusWriter, Written};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// The condition that sums up the others.
fn ready(conditions: &[Condition]) -> Option<&Condition> {
    conditions.iter().find(|it| it.type_ == "Ready")
}
