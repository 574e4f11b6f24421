//! Many cases, in parallel, each to all three; and what came of it.

use crate::case::Case;
use crate::compare::{PeerName, Relation, relation};
use crate::distribution::Distribution;
use crate::known_differences::{KnownDifferences, Signature};
use crate::lane::{Lane, Observed};
use crate::peer;
use anyhow::{Context as _, Result, anyhow};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Cases that run at a time. Most of their time is waiting.
const LANES: usize = 16;
/// Silence after which the client ends its direction.
const PATIENCE: Duration = Duration::from_millis(50);
/// The same for a case that is looked at again, in case the machine was busy.
const MORE_PATIENCE: Duration = Duration::from_millis(500);

/// Selection of the cases to send.
#[derive(Clone, Copy, Debug)]
pub enum Extent {
    /// Cases from the first on, until they hold this many requests.
    Requests(usize),
    /// This one alone.
    Case(u64),
}

/// Result of a campaign.
#[derive(Debug, Default)]
pub struct Report {
    /// Distribution of the generated cases.
    pub distribution: Distribution,
    /// Unknown disagreements: their number, and the first case in full.
    pub unknown: BTreeMap<Signature, (usize, String)>,
    /// Lawful cases that Portolan did not pass on as they are meant, in full.
    pub misread: Vec<String>,
    /// Number of occurrences of each known disagreement.
    pub known_differences: BTreeMap<Signature, usize>,
    /// Disagreements that were not there at a second look.
    pub passing: BTreeMap<Signature, (usize, String)>,
}

/// The three readings of one case.
struct Readings {
    portolan: Observed,
    nginx: Observed,
    haproxy: Observed,
}

struct Trio<'a> {
    portolan: &'a Lane,
    nginx: &'a Lane,
    haproxy: &'a Lane,
}

impl Trio<'_> {
    fn ask(&self, case: &Case, patience: Duration) -> Result<Readings> {
        let ask = |name: &str, lane: &Lane| {
            lane.ask(case, patience)
                .with_context(|| format!("{name}, case {}", case.index))
        };
        Ok(Readings {
            portolan: ask("portolan", self.portolan)?,
            nginx: ask("nginx", self.nginx)?,
            haproxy: ask("haproxy", self.haproxy)?,
        })
    }
}

impl Readings {
    fn of(&self, peer: PeerName) -> &Observed {
        match peer {
            PeerName::Nginx => &self.nginx,
            PeerName::Haproxy => &self.haproxy,
        }
    }

    fn disagreements(&self) -> Vec<(PeerName, Relation)> {
        let compared = |peer| Some((peer, relation(&self.portolan, self.of(peer))?));
        [PeerName::Nginx, PeerName::Haproxy]
            .into_iter()
            .filter_map(compared)
            .collect()
    }

    /// Returns true if Portolan forwarded exactly the intended requests.
    fn is_as_meant(&self, case: &Case) -> bool {
        let Some(meant) = &case.meant else {
            return !self.portolan.hung;
        };
        let seen = self
            .portolan
            .requests
            .iter()
            .map(|message| (message.marker, &message.body));
        seen.eq(meant
            .iter()
            .map(|message| (Some(message.marker), &message.body)))
            && self.portolan.malformed.is_empty()
            && !self.portolan.hung
    }
}

/// Runs a campaign.
///
/// # Errors
/// A proxy does not start or does not take connections.
pub fn run(seed: u64, extent: Extent) -> Result<Report> {
    let known_differences = KnownDifferences::committed()?;
    let portolan = peer::portolan(LANES)?;
    let nginx = peer::nginx(LANES)?;
    let haproxy = peer::haproxy(LANES)?;
    let report = Mutex::new(Report::default());
    let next = AtomicU64::new(0);
    let trios = portolan.lanes.iter().zip(&nginx.lanes).zip(&haproxy.lanes);
    std::thread::scope(|scope| {
        let threads: Vec<_> = trios
            .map(|((portolan, nginx), haproxy)| Trio {
                portolan,
                nginx,
                haproxy,
            })
            .map(|trio| {
                scope.spawn(|| work(trio, seed, extent, &next, &known_differences, &report))
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .map_err(|_| anyhow!("a thread of the campaign panicked"))?
            })
            .collect::<Result<Vec<()>>>()
    })?;
    report
        .into_inner()
        .map_err(|_| anyhow!("a thread of the campaign panicked"))
}

fn work(
    trio: Trio<'_>,
    seed: u64,
    extent: Extent,
    next: &AtomicU64,
    known_differences: &KnownDifferences,
    report: &Mutex<Report>,
) -> Result<()> {
    let poisoned = || anyhow!("a thread of the campaign panicked");
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        let case = match extent {
            Extent::Case(_) if index > 0 => return Ok(()),
            Extent::Case(index) => Case::generate(seed, index),
            Extent::Requests(most) => {
                let case = Case::generate(seed, index);
                let mut report = report.lock().map_err(|_| poisoned())?;
                if report.distribution.requests() >= most {
                    return Ok(());
                }
                report.distribution.count(&case);
                case
            }
        };
        let readings = trio.ask(&case, PATIENCE)?;
        let unexplained = |readings: &Readings| {
            !readings.is_as_meant(&case)
                || readings.disagreements().iter().any(|(peer, relation)| {
                    known_differences
                        .explains(&case, *peer, *relation)
                        .is_none()
                })
        };
        // A disagreement is run again before it is reported, with longer waits.
        let again = match unexplained(&readings) || matches!(extent, Extent::Case(_)) {
            true => Some(trio.ask(&case, MORE_PATIENCE)?),
            false => None,
        };
        let mut report = report.lock().map_err(|_| poisoned())?;
        report.take_in(seed, &case, &readings, again.as_ref(), known_differences);
        if matches!(extent, Extent::Case(_)) {
            println!(
                "{}",
                shown(seed, &case, again.as_ref().unwrap_or(&readings))
            );
        }
    }
}

impl Report {
    fn take_in(
        &mut self,
        seed: u64,
        case: &Case,
        first: &Readings,
        again: Option<&Readings>,
        known_differences: &KnownDifferences,
    ) {
        let last = again.unwrap_or(first);
        if !last.is_as_meant(case) {
            self.misread.push(shown(seed, case, last));
        }
        let (before, now) = (first.disagreements(), last.disagreements());
        for (peer, relation) in before.iter().filter(|difference| !now.contains(difference)) {
            if known_differences.explains(case, *peer, *relation).is_none() {
                let entry = self.passing.entry(signature(case, *peer, *relation));
                entry.or_insert_with(|| (0, shown(seed, case, first))).0 += 1;
            }
        }
        for (peer, relation) in now {
            match known_differences.explains(case, peer, relation) {
                Some(known) => *self.known_differences.entry(known.clone()).or_default() += 1,
                None => {
                    let entry = self.unknown.entry(signature(case, peer, relation));
                    entry.or_insert_with(|| (0, shown(seed, case, last))).0 += 1;
                }
            }
        }
    }

    /// Returns the known disagreements that occurred.
    pub fn seen(&self) -> BTreeSet<Signature> {
        self.known_differences.keys().cloned().collect()
    }
}

fn signature(case: &Case, peer: PeerName, relation: Relation) -> Signature {
    Signature {
        oddity: case.bent(),
        peer,
        relation,
    }
}

/// A case with its readings, for a person, and how to run it again.
fn shown(seed: u64, case: &Case, readings: &Readings) -> String {
    let mut out = format!(
        "{}: PORTOLAN_TEST_SEED={seed} PORTOLAN_TEST_CASE={} cargo test -p portolan-differential\n",
        case.bent(),
        case.index,
    );
    for piece in &case.pieces {
        // Writing into a string cannot fail.
        let _ = writeln!(out, "  sent: {}", shortened(piece));
    }
    let named = [
        ("portolan", &readings.portolan),
        ("nginx", &readings.nginx),
        ("haproxy", &readings.haproxy),
    ];
    for (name, observed) in named {
        let _ = writeln!(
            out,
            "  {name}: answered {:?}, {} unfinished{}",
            observed.answers,
            observed.unfinished,
            if observed.hung { ", HUNG" } else { "" },
        );
        for request in &observed.requests {
            let body = shortened(&request.body);
            let _ = writeln!(
                out,
                "    {}  body of {}: {body}",
                request.line,
                request.body.len()
            );
        }
        for malformed in &observed.malformed {
            let _ = writeln!(out, "    malformed: {}", shortened(malformed.as_bytes()));
        }
    }
    out
}

fn shortened(bytes: &[u8]) -> String {
    const MOST: usize = 1500;
    match bytes.get(..MOST) {
        None => bytes.escape_ascii().to_string(),
        Some(front) => format!("{}… ({} bytes)", front.escape_ascii(), bytes.len()),
    }
}
