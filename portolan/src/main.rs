//! The `portolan` command.
//!
//! Exit codes: 0 ok, 1 failed, 2 usage.

mod files;
mod logs;
mod offline;
mod serve;
mod store;
mod version;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use portolan_operator::settings::Settings;
use std::io;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

/// Kubernetes ingress controller with its own proxy
#[derive(Debug, Parser)]
#[command(name = "portolan", version, arg_required_else_help = true)]
struct Program {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the operator, which reconciles ExposedPorts, ExposeClasses and Ingresses
    Operator {
        #[command(flatten)]
        settings: Box<Settings>,
        #[command(flatten)]
        logs: logs::Logs,
    },
    /// Serve a folder of files without Kubernetes: same objects, same proxy, one process
    #[command(after_help = serve::EXAMPLE)]
    Serve {
        #[command(flatten)]
        options: Box<serve::Options>,
        #[command(flatten)]
        logs: logs::Logs,
    },
    /// Validate files without a cluster, for repositories and CI
    #[command(after_help = offline::CHECK_EXAMPLE)]
    Check(offline::Check),
    /// Print the result of the operator for files, without a cluster
    #[command(after_help = offline::RENDER_EXAMPLE)]
    Render(offline::Render),
    /// Print the version
    Version {
        /// Output format
        #[arg(short, long, value_enum, default_value_t)]
        output: version::Output,
    },
    /// Print the completion script for a shell
    Completion {
        /// Name of the shell
        shell: Shell,
    },
}

fn main() -> ExitCode {
    match run(Program::parse().command) {
        Ok(code) => code,
        // The reader has closed the pipe, like `head`.
        Err(error) if is_broken_pipe(&error) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Check(check) => return Ok(check.run()?),
        Command::Render(render) => return Ok(render.run()?),
        Command::Operator { settings, logs } => {
            logs.install()?;
            operate(*settings)?;
        }
        Command::Serve { options, logs } => {
            logs.install()?;
            serve(*options)?;
        }
        Command::Version { output } => {
            println!("{}", version::render(output));
        }
        Command::Completion { shell } => {
            let mut program = Program::command();
            clap_complete::generate(shell, &mut program, "portolan", &mut io::stdout());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The data plane has its own threads; one thread is enough for the rest.
#[tokio::main(flavor = "current_thread")]
async fn serve(options: serve::Options) -> anyhow::Result<()> {
    serve::run(options).await
}

#[tokio::main]
async fn operate(settings: Settings) -> anyhow::Result<()> {
    let shutdown = CancellationToken::new();
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let token = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminated.recv() => info!("received SIGTERM, shutting down"),
            _ = interrupted.recv() => info!("received SIGINT, shutting down"),
        }
        token.cancel();
    });
    portolan_operator::run::run(settings, shutdown).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Program::command().debug_assert();
    }
}
