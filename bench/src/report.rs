//! Tables: for the terminal, and for the documents between two markers.

use crate::cases::{CASES, Kind};
use crate::load::tls::PARAMETERS;
use crate::results::{Ratio, Results};
use anyhow::Context as _;
use std::fmt::Write as _;

const BEGIN: &str =
    "<!-- made from bench/results/proxy.json by `make bench-proxy`; do not edit -->";
const END: &str = "<!-- end of what is made -->";

/// All there is to say, in Markdown.
pub(crate) fn table(results: &Results) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = table_to(results, &mut out);
    out
}

fn table_to(results: &Results, out: &mut String) -> std::fmt::Result {
    provenance(results, &format!("; {PARAMETERS}"), out)?;
    for (name, why) in &results.skipped {
        writeln!(out, "- {name}: skipped, {why}")?;
    }
    for (case, why) in &results.failed {
        writeln!(out, "- {case}: not measured, {why}")?;
    }
    writeln!(
        out,
        "\n| case | what | ratio (95 % interval) | bar | verdict | rounds |"
    )?;
    writeln!(out, "|---|---|---|---|---|---|")?;
    for ratio in results.ratios.iter().filter(|ratio| ratio.bar.is_some()) {
        bar(results, ratio, out)?;
    }
    writeln!(
        out,
        "\n| case | operations a second | metric | {} |",
        NAMES.join(" | ")
    )?;
    writeln!(out, "|---|---|---|{}", "---|".repeat(NAMES.len()))?;
    for case in CASES {
        let mut metrics: Vec<&str> = case.bars.iter().map(|bar| bar.metric).collect();
        metrics.dedup();
        for metric in metrics {
            figures(results, case.name, case.title, case.kind, metric, out)?;
        }
    }
    Ok(())
}

/// Time, subject and machine of the measurement.
pub(crate) fn provenance(results: &Results, more: &str, out: &mut String) -> std::fmt::Result {
    writeln!(
        out,
        "Measured {} at commit {}.",
        results.when, results.commit
    )?;
    let machine = |name: &str| results.machine.get(name).map_or("", String::as_str);
    writeln!(
        out,
        "{} ({} cores), Linux {}{more}.\n",
        machine("cpu"),
        machine("cores"),
        machine("kernel"),
    )?;
    for (name, version) in &results.versions {
        writeln!(out, "- {name}: {version}")?;
    }
    Ok(())
}

/// The columns of the second table.
const NAMES: [&str; 7] = [
    "portolan",
    "portolan-again",
    "haproxy",
    "haproxy-bare",
    "nginx",
    "envoy",
    "relay",
];

fn bar(results: &Results, ratio: &Ratio, out: &mut String) -> std::fmt::Result {
    let title = CASES
        .iter()
        .find(|case| case.name == ratio.case)
        .map_or("", |case| case.title);
    let row = results.row(&ratio.case, &ratio.of, &ratio.metric);
    let rounds = row.map_or(0, |row| row.rounds.len());
    writeln!(
        out,
        "| {title} | {}: {} beside {} | {:.3} ({:.3} to {:.3}) | {:.2} | **{}** | {rounds} |",
        ratio.metric,
        ratio.of,
        ratio.to,
        ratio.interval.median,
        ratio.interval.low,
        ratio.interval.high,
        ratio.bar.unwrap_or_default(),
        ratio.verdict.map_or("", |verdict| verdict.as_str()),
    )
}

fn figures(
    results: &Results,
    case: &str,
    title: &str,
    kind: Kind,
    metric: &str,
    out: &mut String,
) -> std::fmt::Result {
    let rows = || {
        results
            .rows
            .iter()
            .filter(|row| row.case == case && row.metric == metric)
    };
    let Some(unit) = rows().next().map(|row| &row.unit) else {
        return Ok(());
    };
    let rate = match (kind, results.cases.get(case)) {
        (Kind::Load(_), Some(conditions)) => format!("{:.0}", conditions.rate),
        _ => String::new(),
    };
    write!(out, "| {title} | {rate} | {metric}, {unit} |")?;
    for name in NAMES {
        match results.row(case, name, metric) {
            Some(row) if row.median < 10.0 => write!(out, " {:.3} |", row.median)?,
            Some(row) => write!(out, " {:.1} |", row.median)?,
            None => write!(out, " |")?,
        }
    }
    let others = rows().filter(|row| !NAMES.contains(&row.candidate.as_str()));
    let others: Vec<String> = others
        .map(|row| format!("{} {:.1}", row.candidate, row.median))
        .collect();
    match others.is_empty() {
        true => writeln!(out),
        false => writeln!(out, " {}", others.join(", ")),
    }
}

/// The page with the table in its place.
pub(crate) fn in_page(page: &str, results: &Results) -> anyhow::Result<String> {
    between(page, BEGIN, &table(results))
}

/// The page with what is made behind a marker.
pub(crate) fn between(page: &str, begin: &str, made: &str) -> anyhow::Result<String> {
    let (before, rest) = page
        .split_once(begin)
        .context("the page lacks the marker where the table begins")?;
    let (_, after) = rest
        .split_once(END)
        .context("the page lacks the marker where the table ends")?;
    Ok(format!("{before}{begin}\n\n{made}\n{END}{after}"))
}
