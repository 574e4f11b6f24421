//! The command line.

use crate::environment;
use crate::failure::exit_code;
use crate::gobuild;
use crate::lb::daemon;
use crate::paths::ClusterName;
use crate::{down, logs, oci, root, selftest, setup, status, up};
use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::process::ExitCode;

const FILES: &str = "\
Files:
  ${XDG_CACHE_HOME:-~/.cache}/portolan/cluster        what was built; safe to delete
  ${XDG_STATE_HOME:-~/.local/state}/portolan/NAME     one cluster: keys, logs, store; `down` removes it
  ${XDG_STATE_HOME:-~/.local/state}/portolan/failed   logs of clusters in which a part failed
  /run/portolan                                       which cluster has which addresses

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not ready in time.";

/// A real Kubernetes with a real cert-manager on this machine, from Go modules and Debian packages.
///
/// Everything runs in network, mount and UTS namespaces of its own; `down` leaves nothing but the build cache.
#[derive(Debug, Parser)]
#[command(name = "testbed", version, after_help = FILES)]
struct Cli {
    #[command(subcommand)]
    command: Action,
}

#[derive(Debug, clap::Args)]
struct Named {
    /// Name of the cluster; several can be up at the same time
    #[arg(long, default_value = "portolan", env = "PORTOLAN_TEST_NAME")]
    name: ClusterName,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Install the Debian packages that are missing, and check that Go is there
    Setup,
    /// Build what is missing into the cache: about 9 minutes the first time, nothing after
    Build,
    /// Bring the cluster up, or start again what ended in it (about 20 seconds)
    Up {
        #[command(flatten)]
        named: Named,
        /// First and longest wait of cert-manager after a failed request, such as 1s (its own default: 1h to 32h)
        #[arg(long, value_parser = go_duration)]
        cert_manager_backoff: Option<String>,
    },
    /// Take the cluster down, whatever state it is in
    Down(Named),
    /// Show what runs and answers; exit code 3 when something does not
    Status {
        #[command(flatten)]
        named: Named,
        /// Output format
        #[arg(short, long, value_enum, default_value = "text")]
        output: Format,
    },
    /// Print the end of a part's log (`audit` is the API server's audit log)
    Logs {
        /// Part, such as kubelet
        part: String,
        /// Number of lines
        #[arg(short = 'n', long, default_value_t = 100)]
        lines: usize,
        #[command(flatten)]
        named: Named,
    },
    /// Print lines that make a shell use the cluster: eval "$(testbed env)"
    Env(Named),
    /// Make an image of static binaries (the first is the entrypoint, user 65532) and give it to the cluster
    Load {
        /// The image's name with registry and tag, such as portolan.dev/portolan:dev
        image: String,
        /// Statically linked programs
        #[arg(required = true)]
        binaries: Vec<PathBuf>,
        #[command(flatten)]
        named: Named,
    },
    /// Make an image of static binaries as an OCI archive, for another cluster or a registry
    Image {
        /// The image's name with registry and tag, such as registry.example.com/portolan:0.1.0
        image: String,
        /// Statically linked programs; the first is the entrypoint
        #[arg(required = true)]
        binaries: Vec<PathBuf>,
        /// File to write it to
        #[arg(short, long)]
        output: PathBuf,
    },
    /// Run a command with the variables of `env`
    Run {
        #[command(flatten)]
        named: Named,
        /// Inside the node's network namespace
        #[arg(long)]
        node: bool,
        /// The command and its arguments
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Prove on a cluster of its own, named `selftest`, that all of the above works (under two minutes)
    Selftest,
    /// Give addresses to Services of type LoadBalancer: a part of the cluster
    #[command(hide = true)]
    LoadBalancerDaemon(daemon::Arguments),
}

/// A duration as Go programs take it: one number and one unit.
fn go_duration(text: &str) -> Result<String, String> {
    let number = ["ms", "s", "m", "h"]
        .iter()
        .find_map(|unit| text.strip_suffix(unit));
    let good = number.is_some_and(|n| n.parse::<u32>().is_ok_and(|n| n > 0));
    if good {
        Ok(text.to_owned())
    } else {
        Err("a duration is a number with ms, s, m or h, such as 1s".to_owned())
    }
}

/// Does what the command line says.
pub(crate) fn main() -> ExitCode {
    match act(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(exit_code(&error))
        }
    }
}

fn act(action: Action) -> Result<()> {
    match action {
        Action::Setup => setup::setup(),
        Action::Build => gobuild::build().map(|built| println!("{}", built.bin.display())),
        Action::Up {
            named,
            cert_manager_backoff,
        } => {
            setup::check()?;
            let built = gobuild::build()?;
            root::become_root()?;
            up::up(
                &named.name,
                &built,
                &up::Options {
                    cert_manager_backoff,
                },
            )
            .map(|_| ())
        }
        Action::Down(named) => {
            root::become_root()?;
            down::down(&named.name)
        }
        Action::Status { named, output } => {
            root::become_root()?;
            let cluster = up::required(&named.name);
            let cluster = cluster.map_err(|error| {
                anyhow::Error::from(crate::failure::NotReady(error.to_string()))
            })?;
            status::print(&status::of(&cluster), matches!(output, Format::Json))
        }
        Action::Logs { part, lines, named } => logs::print(&named.name, &part, lines),
        Action::Env(named) => {
            print!("{}", environment::export_lines(&up::required(&named.name)?));
            Ok(())
        }
        Action::Load {
            image,
            binaries,
            named,
        } => {
            root::become_root()?;
            environment::load(&up::required(&named.name)?, &image, &binaries)
        }
        Action::Image {
            image,
            binaries,
            output,
        } => oci::image_of(&output, &image, &binaries),
        Action::Run {
            named,
            node,
            command,
        } => {
            if node {
                root::become_root()?;
            }
            environment::run(&up::required(&named.name)?, node, &command)
        }
        Action::Selftest => {
            setup::check()?;
            let built = gobuild::build()?;
            root::become_root()?;
            selftest::run(&built)
        }
        Action::LoadBalancerDaemon(arguments) => daemon::run(&arguments),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_have_one_number_and_one_unit() {
        for good in ["1s", "500ms", "2h"] {
            assert_eq!(go_duration(good).as_deref(), Ok(good));
        }
        for bad in ["", "s", "1", "0s", "-1s", "1 s", "bogus"] {
            assert!(go_duration(bad).is_err(), "{bad}");
        }
    }
}
