//! A run: case after case, candidates interleaved in random order, until the verdicts are clear.

use crate::candidate::{Candidate, Ports, Program, Workspace, spawn};
use crate::cases::{CASES, Case, Idle, Kind, Lifetime, Load, Upstream};
use crate::idle;
use crate::instructions;
use crate::load::Clients;
use crate::machine::{self, LOAD_CORE};
use crate::results::{Conditions, Figures, Ratio, Results, Row};
use crate::sample::Sample;
use crate::statistics::Verdict;
use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal};
use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::thread;
use std::time::Duration;

/// Length of one measurement.
const LENGTH: Duration = Duration::from_secs(1);
/// Time of load before anything is measured.
const WARM_UP: Duration = Duration::from_millis(300);
/// All candidates run at this share of the slowest one's maximum.
const SHARE: f64 = 0.6;
/// Retries of a void measurement within its round.
const ATTEMPTS: u32 = 3;

/// Number of rounds of a case.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rounds {
    pub(crate) least: usize,
    /// Where a verdict is not clear before.
    pub(crate) most: usize,
    /// Of the cases about memory.
    pub(crate) memory: usize,
}

/// Options of a run.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) workspace: Workspace,
    pub(crate) rounds: Rounds,
    pub(crate) cases: Vec<&'static Case>,
    /// Measurements count that are void by what else the machine does.
    pub(crate) trial: bool,
    /// For logs.
    pub(crate) folder: PathBuf,
}

impl Run {
    /// Measures, and writes the file after each case, so that a run that is broken off is not lost.
    pub(crate) fn go(
        &self,
        mut results: Results,
        mut finished: impl FnMut(&Results) -> anyhow::Result<()>,
    ) -> anyhow::Result<Results> {
        prepare()?;
        let _origins = self.origins()?;
        for case in &self.cases {
            eprintln!("==> {}: {}", case.name, case.title);
            let mut present = Vec::new();
            for name in case.candidates.iter().copied() {
                match self.workspace.lacks(name) {
                    None => present.push(name),
                    Some(why) => {
                        eprintln!("    {name} is skipped: {why}");
                        results.skipped.insert(name.to_owned(), why);
                    }
                }
            }
            let ended = match case.kind {
                Kind::Load(load) => self.load(case, load, &present, &mut results),
                Kind::Idle(idle) => self.idle(case, idle, &present, &mut results),
                Kind::Instructions => self.instructions(case, &mut results),
            };
            results.failed.remove(case.name);
            // What cannot be measured is named, and does not take the other cases with it.
            if let Err(why) = ended {
                eprintln!("    failed: {why:#}");
                results
                    .failed
                    .insert(case.name.to_owned(), format!("{why:#}"));
            }
            finished(&results)?;
        }
        Ok(results)
    }

    /// Loads one candidate while a command looks at it; what an operation cost, where no command
    /// disturbs it.
    pub(crate) fn drive(
        &self,
        name: &str,
        rate: f64,
        length: Duration,
        look: &[String],
    ) -> anyhow::Result<()> {
        prepare()?;
        let _origins = self.origins()?;
        for case in &self.cases {
            let Kind::Load(load) = case.kind else {
                bail!("{} has no load", case.name);
            };
            let found = case.candidates.iter().find(|candidate| **candidate == name);
            let name = found.with_context(|| format!("{} has no candidate {name}", case.name))?;
            let (candidate, _) = self.workspace.start(name, load.upstream())?;
            let resume = load.lifetime == Lifetime::Resumed;
            let target = self
                .workspace
                .target(candidate.ports, load.tls, load.version, resume)?;
            let mut runners = [(candidate, Clients::new(load, target)?)];
            self.calibrate(&mut runners, case)?;
            let [(candidate, clients)] = &mut runners;
            let pid = candidate.id().to_string();
            let command = |look: &[String]| {
                let mut words = look.iter().map(|word| word.replace("PID", &pid));
                let program = words.next()?;
                Some(Command::new(program).args(words).spawn())
            };
            let looking = command(look).transpose()?;
            let sample = Sample::at_rate(candidate, clients, rate, length, 1)?;
            if let Some(mut looking) = looking {
                rustix::process::kill_process(child_id(&looking)?, Signal::INT)?;
                looking.wait()?;
            }
            for (metric, unit, figure) in sample.figures(load) {
                println!("{metric}: {figure:.3} {unit}");
            }
            println!("void: {}", sample.void().as_deref().unwrap_or("no"));
        }
        Ok(())
    }

    /// One for each candidate: each has a limit of open files of its own.
    fn origins(&self) -> anyhow::Result<Vec<Program>> {
        let mut origins = Vec::new();
        for port in Ports::of_origins() {
            let arguments = ["origin".to_owned(), port.to_string()];
            let log = self.folder.join(format!("origin-{port}.log"));
            origins.push(spawn(
                &std::env::current_exe()?,
                &arguments,
                &log,
                LOAD_CORE,
            )?);
            let mut tries = 0;
            while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
                tries += 1;
                if tries == 500 {
                    bail!("the origin does not start: {}", fs::read_to_string(log)?);
                }
                thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(origins)
    }

    fn load(
        &self,
        case: &Case,
        load: Load,
        present: &[&'static str],
        results: &mut Results,
    ) -> anyhow::Result<()> {
        let mut runners = Vec::new();
        for name in present.iter().copied() {
            let (candidate, config) = self.workspace.start(name, load.upstream())?;
            results.configs.insert(load.upstream().of(name), config);
            let resume = load.lifetime == Lifetime::Resumed;
            let target = self
                .workspace
                .target(candidate.ports, load.tls, load.version, resume)?;
            runners.push((candidate, Clients::new(load, target)?));
        }
        let mut conditions = Conditions {
            what: case.title.to_owned(),
            rate: self.calibrate(&mut runners, case)?,
            ..Conditions::default()
        };
        conditions.maxima = self.maxima(&mut runners)?;
        let slowest = conditions
            .maxima
            .values()
            .copied()
            .fold(f64::INFINITY, f64::min);
        conditions.rate = conditions.rate.min(slowest * SHARE).round();
        eprintln!("    {:.0} operations a second", conditions.rate);

        let mut rounds: BTreeMap<&'static str, Vec<Figures>> = BTreeMap::new();
        let mut random = fastrand::Rng::new();
        let mut counted = 0;
        for round in 1..=2 * self.rounds.most {
            random.shuffle(&mut runners);
            let Some(figures) = self.round(&mut runners, load, random.u64(..), &mut conditions)?
            else {
                eprintln!("    round {round}: void");
                continue;
            };
            counted += 1;
            eprintln!("    round {counted}: {}", line(case, present, &figures));
            for (name, figures) in figures {
                rounds.entry(name).or_default().push(figures);
            }
            if counted >= self.rounds.least {
                results.take_case(case.name, conditions.clone(), rows(case, present, &rounds));
                if counted >= self.rounds.most || settled(&results.ratios, case) {
                    break;
                }
            }
        }
        if counted == 0 {
            bail!("every round was void: {:?}", conditions.void);
        }
        results.take_case(case.name, conditions, rows(case, present, &rounds));
        Ok(())
    }

    /// One measurement of each candidate. A round counts when it counts for all: its figures are
    /// compared with one another.
    fn round(
        &self,
        runners: &mut [(Candidate, Clients)],
        load: Load,
        seed: u64,
        conditions: &mut Conditions,
    ) -> anyhow::Result<Option<BTreeMap<&'static str, Figures>>> {
        let mut figures = BTreeMap::new();
        for (candidate, clients) in runners {
            let void = &mut conditions.void;
            let Some(sample) = self.measure(candidate, clients, conditions.rate, seed, void)?
            else {
                return Ok(None);
            };
            figures.insert(candidate.name, sample.figures(load));
            let open = machine::connections_to(candidate.ports.origin)?;
            let held = &mut conditions.upstream_connections;
            let most = held.entry(candidate.name.to_owned()).or_default();
            *most = open.max(*most);
        }
        Ok(Some(figures))
    }

    /// Warms every candidate up, checks its answers, and finds what the clients' core allows.
    fn calibrate(&self, runners: &mut [(Candidate, Clients)], case: &Case) -> anyhow::Result<f64> {
        let mut limit = f64::INFINITY;
        for (candidate, clients) in runners {
            clients.flat_out(WARM_UP)?;
            candidate.find_processes()?;
            let sample = Sample::of(candidate, || clients.flat_out(WARM_UP))?;
            if let Some(wrong) = sample.wrong() {
                bail!("{}: {} gives {wrong}", case.name, candidate.name);
            }
            limit = limit.min(sample.clients_limit());
        }
        Ok(limit)
    }

    /// Measures the maximum rate of each candidate, the median of three tries.
    fn maxima(
        &self,
        runners: &mut [(Candidate, Clients)],
    ) -> anyhow::Result<BTreeMap<String, f64>> {
        let mut tries: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for _ in 0..3 {
            for (candidate, clients) in runners.iter_mut() {
                let sample = Sample::of(candidate, || clients.flat_out(WARM_UP))?;
                tries
                    .entry(candidate.name.to_owned())
                    .or_default()
                    .push(sample.rate());
            }
        }
        let median = |(name, tries): (String, Vec<f64>)| {
            let tries = crate::statistics::sorted(&tries);
            Some((name, crate::statistics::quantile(&tries, 0.5)?.round()))
        };
        Ok(tries.into_iter().filter_map(median).collect())
    }

    fn measure(
        &self,
        candidate: &Candidate,
        clients: &mut Clients,
        rate: f64,
        seed: u64,
        void: &mut BTreeMap<String, u32>,
    ) -> anyhow::Result<Option<Sample>> {
        for _ in 0..ATTEMPTS {
            // Caches and predictors belong to the one that ran last.
            clients.at(rate, WARM_UP / 3, seed)?;
            let sample = Sample::at_rate(candidate, clients, rate, LENGTH, seed)?;
            let cause = match self.trial {
                true => sample.wrong(),
                false => sample.void(),
            };
            match cause {
                None => return Ok(Some(sample)),
                Some(why) => {
                    *void
                        .entry(format!("{}: {why}", candidate.name))
                        .or_default() += 1
                }
            }
        }
        Ok(None)
    }

    fn idle(
        &self,
        case: &Case,
        idle: Idle,
        present: &[&'static str],
        results: &mut Results,
    ) -> anyhow::Result<()> {
        let mut rounds: BTreeMap<&'static str, Vec<Figures>> = BTreeMap::new();
        for round in 1..=self.rounds.memory {
            let mut held = Vec::new();
            for name in present.iter().copied() {
                let (candidate, config) = self.workspace.start(name, Upstream::Http1)?;
                results.configs.insert(name.to_owned(), config);
                held.push(candidate);
            }
            let found = idle::measure(idle, &held, &self.workspace)?;
            let line: Vec<String> = found
                .bytes
                .iter()
                .map(|(name, bytes)| format!("{name} {bytes:.0}"))
                .collect();
            eprintln!("    round {round}: {}", line.join(", "));
            for (name, why) in found.failed {
                eprintln!("    {name} is left out: {why}");
                results
                    .skipped
                    .insert(format!("{name}, {}", case.name), why);
            }
            for (name, bytes) in found.bytes {
                rounds
                    .entry(name)
                    .or_default()
                    .push(vec![(crate::cases::MEMORY, "bytes", bytes)]);
            }
        }
        let conditions = Conditions {
            what: format!("{}: {} connections, 30 s", case.title, idle::CONNECTIONS),
            ..Conditions::default()
        };
        results.take_case(case.name, conditions, rows(case, present, &rounds));
        Ok(())
    }

    fn instructions(&self, case: &Case, results: &mut Results) -> anyhow::Result<()> {
        if machine::output_of("valgrind", &["--version"]).is_empty() {
            results.skipped.insert(
                "instructions".to_owned(),
                "valgrind is not installed".to_owned(),
            );
            return Ok(());
        }
        let mut rounds: BTreeMap<&'static str, Vec<Figures>> = BTreeMap::new();
        for (name, hosts) in [("10000-hosts", 10_000), ("1-host", 1)] {
            let count = instructions::count(hosts, &self.folder)?;
            eprintln!("    {name}: {count:.1} instructions");
            rounds.entry(name).or_default().push(vec![(
                crate::cases::INSTRUCTIONS,
                "instructions",
                count,
            )]);
        }
        let conditions = Conditions {
            what: "valgrind --tool=callgrind; the difference of two runs of different length"
                .to_owned(),
            ..Conditions::default()
        };
        results.take_case(case.name, conditions, rows(case, case.candidates, &rounds));
        Ok(())
    }
}

/// A round in short: the figure that the case's first bar is about.
fn line(case: &Case, present: &[&'static str], round: &BTreeMap<&'static str, Figures>) -> String {
    let metric = case.bars.first().map(|bar| bar.metric);
    let figure = |name: &str| {
        let figures = round.get(name)?;
        let (_, _, value) = figures.iter().find(|figure| Some(figure.0) == metric)?;
        Some(format!("{name} {value:.3}"))
    };
    let figures: Vec<String> = present.iter().filter_map(|name| figure(name)).collect();
    figures.join(", ")
}

fn prepare() -> anyhow::Result<()> {
    machine::pin(LOAD_CORE)?;
    // Waking up late would make operations late (prctl(2), PR_SET_TIMERSLACK).
    rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1))?;
    Ok(())
}

fn child_id(child: &Child) -> anyhow::Result<Pid> {
    Pid::from_raw(child.id() as i32).context("no process")
}

fn settled(ratios: &[Ratio], case: &Case) -> bool {
    ratios
        .iter()
        .filter(|ratio| ratio.case == case.name)
        .all(|ratio| ratio.verdict != Some(Verdict::Unresolved))
}

fn rows(
    case: &Case,
    present: &[&'static str],
    rounds: &BTreeMap<&'static str, Vec<Figures>>,
) -> Vec<Row> {
    let mut rows = Vec::new();
    for name in present {
        let Some(figures) = rounds.get(name) else {
            continue;
        };
        let metrics: Vec<_> = figures
            .first()
            .into_iter()
            .flatten()
            .map(|figure| (figure.0, figure.1))
            .collect();
        for (metric, unit) in metrics {
            let of_metric =
                |round: &Figures| Some(round.iter().find(|figure| figure.0 == metric)?.2);
            let values = figures.iter().filter_map(of_metric).collect();
            rows.extend(Row::of(case.name, name, metric, unit, values));
        }
    }
    rows
}

/// The cases that are asked for; all where none is.
pub(crate) fn chosen(names: &[String]) -> anyhow::Result<Vec<&'static Case>> {
    let known = |name: &String| {
        let case = CASES.iter().find(|case| case.name == name);
        case.with_context(|| {
            let all: Vec<&str> = CASES.iter().map(|case| case.name).collect();
            format!("{name} is no case; there are {}", all.join(", "))
        })
    };
    match names {
        [] => Ok(CASES.iter().collect()),
        names => names.iter().map(known).collect(),
    }
}
