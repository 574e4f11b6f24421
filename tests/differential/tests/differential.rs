//! The same bytes to three proxies: every difference in reading must be known.

// The settings of clippy.toml for tests reach test functions, not the functions beside them.
#![allow(clippy::panic, clippy::unwrap_used)]

use portolan_differential::campaign::{Extent, Report, run};
use portolan_differential::known_differences::KnownDifferences;
use std::env;

/// In `make test`, and in `make nightly`.
const REQUESTS: [usize; 2] = [20_000, 1_000_000];

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text}: not a number of 64 bits")),
    )
}

#[test]
fn proxies_agree_except_for_known_differences() {
    let nightly = env::var_os("NIGHTLY").is_some();
    // The same cases for every change; new ones every night.
    let fresh = || if nightly { fastrand::u64(..) } else { 1 };
    let seed = number("PORTOLAN_TEST_SEED").unwrap_or_else(fresh);
    println!("PORTOLAN_TEST_SEED={seed}");
    let extent = match number("PORTOLAN_TEST_CASE") {
        Some(index) => Extent::Case(index),
        None => Extent::Requests(REQUESTS[usize::from(nightly)]),
    };
    let report = run(seed, extent).unwrap();
    print_summary(&report, nightly);
    if let Extent::Requests(least) = extent {
        assert!(report.distribution.requests() >= least);
        assert_eq!(report.distribution.starved(), Vec::<String>::new());
    }
    assert!(
        report.misread.is_empty(),
        "{} lawful cases were misread",
        report.misread.len()
    );
    assert!(
        report.unknown.is_empty(),
        "{} kinds of disagreement are not known",
        report.unknown.len()
    );
}

fn print_summary(report: &Report, nightly: bool) {
    print!("{}", report.distribution);
    let occurrences: usize = report.known_differences.values().sum();
    println!(
        "{occurrences} disagreements of {} known kinds",
        report.known_differences.len()
    );
    for (signature, (count, shown)) in &report.passing {
        println!("not there at a second look, {count} times: {signature:?}\n{shown}");
    }
    for shown in report.misread.iter().take(10) {
        println!("misread: {shown}");
    }
    for (signature, (count, shown)) in &report.unknown {
        println!("unknown, {count} times: {signature:?}\n{shown}");
    }
    if nightly {
        let seen = report.seen();
        for never in KnownDifferences::committed().unwrap().missing(&seen) {
            println!("known, and did not occur: {never:?}");
        }
    }
}
