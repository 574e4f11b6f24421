//! Gives Services of type LoadBalancer their addresses, as a cloud's controller would: a small process beside
//! the others. kube-proxy answers on an address as soon as it stands in the Service's status.
//!
//! - [`assign`]: which Service gets which address. Pure.
//! - [`zone`]: the DNS zone of the test domain, which follows from it. Pure.
//! - [`daemon`]: watches Services, patches statuses, writes the zone.

pub(crate) mod assign;
pub(crate) mod daemon;
pub(crate) mod zone;
