//! Tests on a cluster with the chart installed; see the library for what they need. Each has an environment
//! of its own, so they run beside one another.

mod acme;
mod backend_encryption;
mod backends;
mod bad_input;
mod browser;
mod certificates;
mod certs;
mod changes;
mod classes;
mod defaults;
mod delegation;
mod discovery;
mod dual_stack;
mod example_setup;
mod examples;
mod expiry;
mod grants;
mod grpc;
mod ingress;
mod largest;
mod lease;
mod overload;
mod pods_only;
mod policies;
mod preconditions;
mod private;
mod readiness;
mod reasons;
mod routes;
mod serving;
mod sharing;
