//! `portolan check` and `portolan render`: validation and result of the operator for files, without a
//! cluster and without serving anything.
//!
//! ```text
//! files ──► model (the operator's core, over a store in memory) ─┬─► check: findings
//!                                                                └─► render: children, table, status
//! ```

mod check;
mod model;
mod render;
mod severity;

pub(crate) use check::{CHECK_EXAMPLE, Check};
pub(crate) use render::{RENDER_EXAMPLE, Render};

use std::path::PathBuf;

/// Input files.
#[derive(Debug, clap::Args)]
pub(crate) struct Files {
    /// Files, or folders with .yaml, .yml and .json files; - for standard input
    #[arg(short = 'f', long = "filename", value_name = "PATH", required = true, num_args = 1..)]
    paths: Vec<PathBuf>,
}
