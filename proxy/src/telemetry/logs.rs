//! Logs, on standard error. `RUST_LOG` sets the filter (default `info`).

use anyhow::anyhow;
use std::io::{IsTerminal, stderr};
use tracing_subscriber::EnvFilter;

/// How logs look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Sends the logs of this process to standard error.
///
/// # Errors
/// `RUST_LOG` cannot be read, or logs go somewhere already.
pub fn install(format: LogFormat) -> anyhow::Result<()> {
    let filter = EnvFilter::builder()
        .with_default_directive(tracing::Level::INFO.into())
        .from_env()?;
    let terminal = stderr().is_terminal();
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr);
    let installed = match (format, terminal) {
        (LogFormat::Json, _) | (LogFormat::Auto, false) => {
            lines.json().flatten_event(true).try_init()
        }
        (LogFormat::Text, _) | (LogFormat::Auto, true) => lines.with_ansi(terminal).try_init(),
    };
    installed.map_err(|error| anyhow!(error))
}
