//! Measures Portolan's data plane beside HAProxy, nginx, Envoy and a raw relay, and what a change costs the
//! operator's core among few objects and among many.
//!
//! `make bench-proxy` and `make bench-index` run it and `make bench-verify` checks what it wrote; docs/internals/benchmarks.md
//! says how it measures. One program plays every part, so that nothing else has to be installed:
//!
//! ```text
//! core 1: clients (load) and origin        core 0: the proxy, one worker
//!   clients ── operations when they are due ──► proxy ──► origin
//!      └─ every answer byte by byte               └─ scheduler time per operation (sample)
//! candidates in random order, round after round (run) ─► statistics ─► results ─► report
//! ```

mod allocations;
mod candidate;
mod cases;
mod http2;
mod idle;
mod index;
mod instructions;
mod load;
mod machine;
mod message;
mod origin;
mod poller;
mod provenance;
mod relay;
mod report;
mod results;
mod run;
mod sample;
mod statistics;
mod verify;

use anyhow::{Context as _, bail};
use candidate::Workspace;
use cases::Case;
use clap::{Parser, Subcommand};
use load::Target;
use results::Results;
use run::{Rounds, Run};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

/// Measures the data plane beside other proxies, and the operator's core
#[derive(Debug, Parser)]
#[command(name = "portolan-bench", version, max_term_width = 100)]
struct Options {
    #[command(subcommand)]
    part: Part,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// Measure, print the table, write the results file and the page
    Proxy(Measure),
    /// Measure what one change costs among few exposures and among many
    Index(index::Options),
    /// Recompute everything from the raw rounds and fail on a difference
    Verify {
        /// The results file
        #[arg(long, default_value = "bench/results/proxy.json")]
        results: PathBuf,
        /// That of the operator's core
        #[arg(long, default_value = "bench/results/index.json")]
        index: PathBuf,
        /// The page with the tables
        #[arg(long, default_value = "docs/internals/benchmarks.md")]
        page: PathBuf,
    },
    /// Load one candidate and look at it meanwhile, such as with perf or strace
    Drive {
        /// The case whose load it gets
        #[arg(long)]
        case: String,
        /// Name of the candidate
        #[arg(long, default_value = "portolan")]
        candidate: String,
        /// Operations a second
        #[arg(long, default_value_t = 15_000.0)]
        rate: f64,
        /// Seconds of load
        #[arg(long, default_value_t = 5)]
        seconds: u64,
        #[command(flatten)]
        programs: Programs,
        /// Command that observes it: the word PID stands for the candidate's process
        #[arg(last = true)]
        look: Vec<String>,
    },
    /// The origin behind the proxies
    #[command(hide = true)]
    Origin { port: u16 },
    /// A relay that parses nothing
    #[command(hide = true)]
    Relay { port: u16, origin: u16 },
    /// Idle clients
    #[command(hide = true)]
    Hold {
        #[arg(value_enum)]
        what: cases::Idle,
        address: SocketAddr,
        host: String,
        authority: PathBuf,
    },
    /// Parse, route and edit, to be counted
    #[command(hide = true)]
    Route { hosts: usize, requests: u64 },
}

/// Programs to start, and their folder.
#[derive(Debug, clap::Args)]
struct Programs {
    /// The program portolan
    #[arg(long)]
    portolan: PathBuf,
    /// The program envoy
    #[arg(long)]
    envoy: Option<PathBuf>,
    /// A folder for configurations and logs
    #[arg(long)]
    folder: PathBuf,
}

#[derive(Debug, clap::Args)]
struct Measure {
    /// Cases to run. Defaults to all
    #[arg(long, env = "CASES", value_delimiter = ',')]
    cases: Vec<String>,
    /// Number of rounds; more, up to --most, while a verdict is not clear
    #[arg(long, env = "ROUNDS", default_value_t = 11)]
    rounds: usize,
    /// Limit of rounds
    #[arg(long, env = "MOST_ROUNDS", default_value_t = 60)]
    most: usize,
    /// Number of rounds of the cases about memory, each of which takes a minute
    #[arg(long, env = "MEMORY_ROUNDS", default_value_t = 3)]
    memory_rounds: usize,
    /// Count noisy measurements too, and write nothing: for a trial while the machine is in use
    #[arg(long, env = "TRIAL")]
    trial: bool,
    #[command(flatten)]
    programs: Programs,
    /// The results file; the cases of a part of a run are put into it when it is of the same programs
    #[arg(long, default_value = "bench/results/proxy.json")]
    results: PathBuf,
    /// The page with the table
    #[arg(long, default_value = "docs/internals/benchmarks.md")]
    page: PathBuf,
}

fn main() -> anyhow::Result<()> {
    match Options::parse().part {
        Part::Proxy(measure) => self::measure(measure),
        Part::Index(options) => index::measure(&options),
        Part::Verify {
            results,
            index,
            page,
        } => {
            verify(&results, &page, Results::settle, report::in_page)?;
            if !index.exists() {
                println!(
                    "{} is not there yet; make bench-index writes it",
                    index.display()
                );
                return Ok(());
            }
            verify(&index, &page, index::settle, index::in_page)
        }
        Part::Drive {
            case,
            candidate,
            rate,
            seconds,
            programs,
            look,
        } => {
            let cases = run::chosen(&[case])?;
            let length = Duration::from_secs(seconds);
            run(
                programs,
                cases,
                Rounds {
                    least: 1,
                    most: 1,
                    memory: 1,
                },
                true,
            )?
            .drive(&candidate, rate, length, &look)
        }
        Part::Origin { port } => origin::serve(port),
        Part::Relay { port, origin } => {
            relay::serve(port, SocketAddr::from((Ipv4Addr::LOCALHOST, origin)))
        }
        Part::Hold {
            what,
            address,
            host,
            authority,
        } => {
            let target = Target {
                address,
                host,
                tls: None,
            };
            idle::hold(what, target, &authority)
        }
        Part::Route { hosts, requests } => instructions::route(hosts, requests),
    }
}

fn measure(options: Measure) -> anyhow::Result<()> {
    let cases = run::chosen(&options.cases)?;
    let fresh = provenance::of(
        &options.programs.portolan,
        options.programs.envoy.as_deref(),
    )?;
    let results = match Results::read(&options.results) {
        // The cases that are not run now stay, if they were measured with the same programs.
        Ok(earlier) if !options.cases.is_empty() && earlier.is_of_the_same(&fresh) => earlier,
        _ => fresh,
    };
    let rounds = Rounds {
        least: options.rounds.max(1),
        most: options.most.max(options.rounds),
        memory: options.memory_rounds.max(1),
    };
    let run = run(options.programs, cases, rounds, options.trial)?;
    let results = run.go(results, |results| match options.trial {
        true => Ok(()),
        false => results.write(&options.results),
    })?;
    println!("{}", report::table(&results));
    if options.trial {
        return Ok(());
    }
    let page = fs::read_to_string(&options.page)?;
    fs::write(&options.page, report::in_page(&page, &results)?)?;
    println!(
        "written: {} and {}",
        options.results.display(),
        options.page.display()
    );
    match results.failed.len() {
        0 => Ok(()),
        count => bail!("{count} cases could not be measured"),
    }
}

fn run(
    programs: Programs,
    cases: Vec<&'static Case>,
    rounds: Rounds,
    trial: bool,
) -> anyhow::Result<Run> {
    fs::create_dir_all(&programs.folder)?;
    Ok(Run {
        workspace: Workspace::new(programs.folder.clone(), programs.portolan, programs.envoy)?,
        rounds,
        cases,
        trial,
        folder: programs.folder,
    })
}

fn verify(
    results: &Path,
    page: &Path,
    settle: fn(&mut Results),
    in_page: fn(&str, &Results) -> anyhow::Result<String>,
) -> anyhow::Result<()> {
    let text = fs::read_to_string(page).with_context(|| page.display().to_string())?;
    let found = Results::read(results)?;
    let differences = verify::differences(&found, &text, settle, in_page)?;
    for difference in &differences {
        println!("{difference}");
    }
    match differences.len() {
        0 => println!(
            "{}: {} rows, {} ratios: all follow from the raw rounds",
            results.display(),
            found.rows.len(),
            found.ratios.len()
        ),
        count => bail!("{count} differences"),
    }
    Ok(())
}
