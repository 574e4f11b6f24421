//! Writes statuses, only when they differ from the stored ones, and derives events from them.
//!
//! [`proxies`] collects the observed state of proxies, [`ready_grace`] suppresses short gaps of Ready, [`events`]
//! derives the events of a changed status, and [`ingress_events`] those of Ingresses, which have no conditions.

mod events;
mod ingress_events;
mod proxies;
mod ready_grace;
mod writer;

pub use events::{StatusEvent, class_events, object_events, readiness_differs};
pub use ingress_events::{IngressEvents, host_event};
pub use proxies::{Proxies, ProxyInfo};
pub use ready_grace::ReadyGrace;
pub use writer::{StatusWriter, WriteInterval, Written};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// Returns the condition Ready.
fn ready(conditions: &[Condition]) -> Option<&Condition> {
    conditions
        .iter()
        .find(|condition| condition.type_ == "Ready")
}
