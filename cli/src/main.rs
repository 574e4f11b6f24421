//! The kubectl plugin `kubectl portolan`.
//!
//! [`cluster`] is the client of the API server, [`certs`] the one command. It never writes to the cluster.
//! Exit codes: 0 ok, 1 failed, 2 usage, 3 a check found problems.

mod certs;
mod cluster;
mod completion;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use std::io;
use std::process::ExitCode;

/// Inspect Portolan's exposures
#[derive(Debug, Parser)]
#[command(
    name = "kubectl-portolan",
    bin_name = "kubectl portolan",
    version,
    arg_required_else_help = true
)]
struct Program {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the certificate of each hostname: stored, served, and its expiry
    #[command(after_help = certs::EXAMPLE)]
    Certs(Box<certs::Certs>),
    /// Print the completion script for a shell, for `kubectl-portolan`
    Completion {
        /// Name of the shell
        shell: Shell,
    },
    /// Complete a command line for kubectl's plugin completion
    #[command(name = completion::COMMAND, hide = true)]
    Complete {
        /// Words so far; the last one may be empty
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
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

/// Requests are sequential: one thread is enough.
#[tokio::main(flavor = "current_thread")]
async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Certs(certs) => return certs.run().await,
        Command::Completion { shell } => {
            let mut program = Program::command();
            clap_complete::generate(shell, &mut program, "kubectl-portolan", &mut io::stdout());
        }
        Command::Complete { words } => {
            completion::write(&Program::command(), &words, &mut io::stdout().lock())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Program::command().debug_assert();
    }

    #[test]
    fn names_exclude_all_namespaces_and_selectors() {
        let parse = |line: &str| Program::try_parse_from(line.split(' ')).map(|_| ());
        assert!(parse("kubectl-portolan certs shop blog -n team-a -o json").is_ok());
        assert!(
            parse("kubectl-portolan certs -A -n team-a -l app=shop --no-headers --check").is_ok()
        );
        for invalid in [
            "certs shop -A",
            "certs shop -l app=shop",
            "certs team-a/shop",
            "certs -n ../secrets",
            "certs -o xml",
            "certs --request-timeout never",
            "certs --as-group staff",
        ] {
            let error = parse(&format!("kubectl-portolan {invalid}")).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{invalid}");
        }
    }
}
