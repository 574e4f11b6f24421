//! Logs on stderr, filtered by `RUST_LOG` (default `info`).

use anyhow::anyhow;
use clap::{Args, ValueEnum};
use std::io::{IsTerminal, stderr};
use tracing_subscriber::EnvFilter;

/// Options of logs.
#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// Format of logs on stderr; auto is text on a terminal and JSON otherwise
    #[arg(long, env = "PORTOLAN_LOG_FORMAT", value_enum, default_value_t)]
    log_format: Format,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    #[default]
    Auto,
    Text,
    Json,
}

impl Logs {
    pub(crate) fn install(&self) -> anyhow::Result<()> {
        let filter = EnvFilter::builder()
            .with_default_directive(tracing::Level::INFO.into())
            .from_env()?;
        let terminal = stderr().is_terminal();
        let lines = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(stderr);
        let installed = match (self.log_format, terminal) {
            (Format::Json, _) | (Format::Auto, false) => lines
                .json()
                .flatten_event(true)
                .with_span_list(false)
                .try_init(),
            (Format::Text, _) | (Format::Auto, true) => lines.with_ansi(terminal).try_init(),
        };
        installed.map_err(|error| anyhow!(error))
    }
}
