//! The program as a person or a pipeline runs it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::expect_used
)] // A test that cannot go on panics.

mod offline;
mod serve;
