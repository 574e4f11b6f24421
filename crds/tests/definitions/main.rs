//! The definitions that the chart carries: what they are made of, and what an API server asks of them.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // A test that cannot go on panics.

mod foreign;
mod generated;
mod schema;
