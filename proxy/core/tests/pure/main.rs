//! The pure half of the proxy against plain and slow readings of the same rules.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // A test that cannot go on panics.

mod answers_page;
mod responses;
