//! Resolves the spec of an exposure against the store: class, hostnames, certificates, backends, delegation, shared hostnames.

pub(crate) mod backend_policy;
pub(crate) mod backends;
pub(crate) mod certificates;
pub(crate) mod delegation;
pub(crate) mod exposure;
pub(crate) mod route_tree;
pub(crate) mod routing;
pub(crate) mod shared_hosts;
