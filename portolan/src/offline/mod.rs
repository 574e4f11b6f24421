//! `portolan check` and `portolan render`: what the operator would say and make of files, without a
//! cluster and without serving anything.
//!
//! ```text
//! files ──► model (the operator's core, over a store in memory) ─┬─► check: what stands against it
//!                                                                └─► render: children, table, status
//! ```

mod check;
mod model;
mod render;
mod weight;

pub(crate) use check::{CHECK_EXAMPLE, Check};
pub(crate) use render::{RENDER_EXAMPLE, Render};

use std::path::PathBuf;

/// Which files.
#[derive(Debug, clap::Args)]
pub(crate) struct Files {
    /// Files, or folders with .yaml, .yml and .json files; - is standard input
    #[arg(short = 'f', long = "filename", value_name = "PATH", required = true, num_args = 1..)]
    paths: Vec<PathBuf>,
}
