//! Compiles the index to plain values: nothing can fail here, because everything that
//! could was settled before.

mod class_children;
mod class_settings;
mod metadata;
mod network_policies;
mod object_children;
mod quantity;
mod table;
mod virtual_host;

pub use class_settings::TicketKey;
pub(crate) use class_settings::epoch;
pub(crate) use object_children::ingress_name;
