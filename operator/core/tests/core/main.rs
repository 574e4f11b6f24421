//! One binary for all tests of the core: their fixtures are compiled and linked once.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // A test that cannot go on panics.

mod acceptance;
mod app_protocol;
mod backend_encryption;
mod certificate_modes;
mod certificates;
mod challenges;
mod children;
mod classes;
mod defaults;
mod delegation;
mod grants;
mod history;
mod ingresses;
mod isolation;
mod lease;
mod lifetime;
mod merging;
mod metrics;
mod namespaces;
mod pods_only;
mod policies;
mod proxy;
mod readiness;
mod reasons_page;
mod routes;
mod scale;
mod steps;
mod table;

mod fixture;
