//! The table of what one change costs.

use super::change::CHANGES;
use super::{COUNT, METRICS, SIZES, TIME};
use crate::report;
use crate::results::Results;
use std::fmt::Write as _;

const BEGIN: &str =
    "<!-- made from bench/results/index.json by `make bench-index`; do not edit -->";

/// All there is to say, in Markdown.
pub(super) fn table(results: &Results) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = table_to(results, &mut out);
    out
}

fn table_to(results: &Results, out: &mut String) -> std::fmt::Result {
    report::provenance(results, "", out)?;
    let [small, large] = SIZES.map(|size| size.to_string());
    writeln!(
        out,
        "\n| change | metric | among {small} | among {large} | ratio (95 % interval) | bar | verdict |"
    )?;
    writeln!(out, "|---|---|---|---|---|---|---|")?;
    for change in CHANGES {
        for (metric, unit) in METRICS
            .into_iter()
            .filter(|(metric, _)| [TIME, COUNT].contains(metric))
        {
            let median = |size: &str| {
                results
                    .row(change.name(), size, metric)
                    .map(|row| row.median)
            };
            let of_metric = |ratio: &&crate::results::Ratio| {
                ratio.case == change.name() && ratio.metric == metric
            };
            let (Some(few), Some(many), Some(ratio)) = (
                median(&small),
                median(&large),
                results.ratios.iter().find(of_metric),
            ) else {
                continue;
            };
            writeln!(
                out,
                "| {} | {metric}, {unit} | {few:.1} | {many:.1} | {:.3} ({:.3} to {:.3}) | {:.2} | **{}** |",
                change.what(),
                ratio.interval.median,
                ratio.interval.low,
                ratio.interval.high,
                ratio.bar.unwrap_or_default(),
                ratio.verdict.map_or("", |verdict| verdict.as_str()),
            )?;
        }
    }
    Ok(())
}

/// The page with the table in its place.
pub(crate) fn in_page(page: &str, results: &Results) -> anyhow::Result<String> {
    report::between(page, BEGIN, &table(results))
}
