//! From a parsed request to its response: the plan, then one attempt after another.
//!
//! The only place that names both protocols that endpoints are reached with.

pub(crate) mod attempts;
pub(crate) mod plan;
