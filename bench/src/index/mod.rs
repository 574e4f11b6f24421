//! Cost of one change in the operator's core among 1,000 exposures and among 100,000, in process.
//!
//! A change is an event, and everything that is derived again because of it, as the operator does:
//! children, statuses, holds, resources of the table. Objects that others delegate to, objects that share a
//! hostname, and objects with one of their own stand among one another ([`fixture`]).

mod change;
mod fixture;
mod page;

pub(crate) use page::in_page;

use crate::allocations::Allocated;
use crate::provenance;
use crate::results::{Conditions, Ratio, Results, Row};
use crate::statistics::paired_ratio;
use anyhow::Context as _;
use change::{CHANGES, Change};
use fixture::Fixture;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

/// Numbers of exposures; the promise is the ratio of the second to the first.
const SIZES: [usize; 2] = [1_000, 100_000];
/// By how much a change may cost more in the large one.
const AT_MOST: f64 = 1.5;
/// Changes of a kind in one measurement, each of another object.
const CHANGES_A_ROUND: usize = 50;

const TIME: &str = "time of one change";
const COUNT: &str = "allocations of one change";
const BYTES: &str = "bytes allocated by one change";
const METRICS: [(&str, &str); 3] = [(TIME, "µs"), (COUNT, "allocations"), (BYTES, "bytes")];

/// Options of the measurement.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Number of rounds
    #[arg(long, env = "ROUNDS", default_value_t = 21)]
    rounds: usize,
    /// The results file
    #[arg(long, default_value = "bench/results/index.json")]
    results: PathBuf,
    /// The page with the table
    #[arg(long, default_value = "docs/internals/benchmarks.md")]
    page: PathBuf,
}

/// Measures, prints the table, writes the results file and the page.
pub(crate) fn measure(options: &Options) -> anyhow::Result<()> {
    let mut results = provenance::of_programs(Vec::new(), BTreeMap::new())?;
    let mut fixtures = Vec::new();
    for size in SIZES {
        eprintln!("{size} exposures …");
        fixtures.push(Fixture::of(size)?);
    }
    let mut figures: BTreeMap<(&str, usize, &str), Vec<f64>> = BTreeMap::new();
    // The first round warms up.
    for round in 0..=options.rounds {
        for change in CHANGES {
            // In turn, so that neither is always the one that finds the caches as the other left them.
            let mut order: Vec<_> = fixtures.iter_mut().collect();
            if round % 2 == 0 {
                order.reverse();
            }
            for fixture in order {
                let found = play(fixture, *change, round)?;
                for ((metric, _), value) in METRICS.into_iter().zip(found) {
                    let row = figures.entry((change.name(), fixture.size, metric));
                    if round > 0 {
                        row.or_default().push(value);
                    }
                }
            }
        }
    }
    for change in CHANGES {
        let what = change.what().to_owned();
        let conditions = Conditions {
            what,
            ..Conditions::default()
        };
        results.cases.insert(change.name().to_owned(), conditions);
        for size in SIZES {
            for (metric, unit) in METRICS {
                let rounds = figures.remove(&(change.name(), size, metric));
                let candidate = size.to_string();
                let rounds = rounds.unwrap_or_default();
                let row = Row::of(change.name(), &candidate, metric, unit, rounds);
                results.rows.push(row.context("no round")?);
            }
        }
    }
    settle(&mut results);
    println!("{}", page::table(&results));
    results.write(&options.results)?;
    let page = fs::read_to_string(&options.page)?;
    fs::write(&options.page, in_page(&page, &results)?)?;
    Ok(())
}

/// Time in µs, allocations and bytes of one change: the mean of some of one kind.
fn play(fixture: &mut Fixture, change: Change, round: usize) -> anyhow::Result<[f64; 3]> {
    let tens = fixture.spread(CHANGES_A_ROUND, round);
    let events = tens.iter().map(|ten| change.event(fixture, *ten, round));
    let events = events.collect::<anyhow::Result<Vec<_>>>()?;
    let (before, begin) = (Allocated::now(), Instant::now());
    for event in events {
        fixture.follow(event);
    }
    let (elapsed, allocated) = (begin.elapsed(), Allocated::now().since(before));
    let each = |sum: f64| sum / CHANGES_A_ROUND as f64;
    Ok([
        each(elapsed.as_secs_f64() * 1e6),
        each(allocated.count as f64),
        each(allocated.bytes as f64),
    ])
}

/// Computes everything that follows from the raw rounds.
pub(crate) fn settle(results: &mut Results) {
    results.settle_rows();
    let [small, large] = SIZES.map(|size| size.to_string());
    let mut ratios = Vec::new();
    for change in CHANGES {
        for (metric, _) in METRICS {
            let of = results.row(change.name(), &large, metric);
            let to = results.row(change.name(), &small, metric);
            let Some(interval) = of
                .zip(to)
                .and_then(|(of, to)| paired_ratio(&of.rounds, &to.rounds))
            else {
                continue;
            };
            ratios.push(Ratio {
                case: change.name().to_owned(),
                of: large.clone(),
                to: small.clone(),
                metric: metric.to_owned(),
                interval,
                bar: Some(AT_MOST),
                verdict: Some(interval.verdict(AT_MOST, None)),
            });
        }
    }
    results.ratios = ratios;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each kind of change changes something, also when it comes again; else nothing would be measured.
    #[test]
    fn each_change_is_one() {
        let mut fixture = Fixture::of(20).unwrap();
        for round in [0, 2, 4] {
            for change in CHANGES {
                let event = change.event(&fixture, 1, round).unwrap();
                let affected = fixture.follow(event);
                assert!(!affected.resources.is_empty(), "{change:?}: {affected:?}");
            }
        }
    }

    #[test]
    fn serves_everything_initially() {
        let fixture = Fixture::of(20).unwrap();
        let unserved = fixture.unserved();
        assert!(unserved.is_empty(), "{unserved:?}");
    }

    #[test]
    fn figures_follow_from_the_rounds() {
        let mut results = provenance::of_programs(Vec::new(), BTreeMap::new()).unwrap();
        for (size, value) in [("1000", 2.0), ("100000", 3.5)] {
            let rounds = vec![value; 9];
            let name = CHANGES[0].name();
            let row = Row::of(name, size, COUNT, "allocations", rounds);
            results.rows.push(row.unwrap());
        }
        settle(&mut results);
        let [ratio] = results.ratios.as_slice() else {
            panic!("{:?}", results.ratios)
        };
        assert!((ratio.interval.median - 1.75).abs() < 1e-9);
        assert_eq!(ratio.verdict, Some(crate::statistics::Verdict::Fails));
        let empty = "<!-- made from bench/results/index.json by `make bench-index`; do not edit -->\n\
                     <!-- end of what is made -->\n";
        let page = in_page(empty, &results).unwrap();
        assert!(page.contains("1.750"), "{page}");
        let differences = |page: &str, results: &Results| {
            crate::verify::differences(results, page, settle, in_page).unwrap()
        };
        assert!(differences(&page, &results).is_empty());
        results.rows[0]
            .rounds
            .iter_mut()
            .for_each(|round| *round += 1.0);
        assert!(!differences(&page, &results).is_empty());
    }
}
