//! The results file: raw rounds, and what follows from them.

use crate::cases::{CASES, Case};
use crate::statistics::{Interval, Verdict, paired_ratio, quantile, sorted};
use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Everything that a run found out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Results {
    /// When the run began, RFC 3339.
    pub(crate) when: String,
    /// Commit that was built; with `+` when the working tree differed from it.
    pub(crate) commit: String,
    pub(crate) machine: BTreeMap<String, String>,
    /// Programs and their TLS libraries.
    pub(crate) versions: BTreeMap<String, String>,
    /// SHA-256 of each program.
    pub(crate) binaries: BTreeMap<String, String>,
    /// The exact configuration of each candidate.
    pub(crate) configs: BTreeMap<String, String>,
    /// Candidates that were not there, and why.
    pub(crate) skipped: BTreeMap<String, String>,
    /// Cases that could not be measured, and why.
    #[serde(default)]
    pub(crate) failed: BTreeMap<String, String>,
    /// Under which conditions each case ran.
    pub(crate) cases: BTreeMap<String, Conditions>,
    pub(crate) rows: Vec<Row>,
    pub(crate) ratios: Vec<Ratio>,
}

/// Conditions that were equal for all candidates of a case.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Conditions {
    /// Operation that was measured.
    pub(crate) what: String,
    /// Operations a second, offered whether or not the earlier ones are answered; 0 where no load runs.
    pub(crate) rate: f64,
    /// The highest rate that each candidate served; the lowest of them sets the rate.
    pub(crate) maxima: BTreeMap<String, f64>,
    /// Connections to endpoints that each candidate held, at most.
    pub(crate) upstream_connections: BTreeMap<String, usize>,
    /// Number of void measurements by cause.
    pub(crate) void: BTreeMap<String, u32>,
}

/// One figure of one candidate in each round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) case: String,
    pub(crate) candidate: String,
    pub(crate) metric: String,
    pub(crate) unit: String,
    pub(crate) median: f64,
    pub(crate) q1: f64,
    pub(crate) q3: f64,
    /// In the order in which they were taken; the same place is the same round for every candidate.
    pub(crate) rounds: Vec<f64>,
}

/// One figure beside another's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ratio {
    pub(crate) case: String,
    pub(crate) of: String,
    pub(crate) to: String,
    pub(crate) metric: String,
    #[serde(flatten)]
    pub(crate) interval: Interval,
    /// Absent where nothing is promised.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) bar: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) verdict: Option<Verdict>,
}

/// The figures that one measurement gives: metric, unit, value.
pub(crate) type Figures = Vec<(&'static str, &'static str, f64)>;

impl Row {
    /// A row with what follows from its rounds.
    pub(crate) fn of(
        case: &str,
        candidate: &str,
        metric: &str,
        unit: &str,
        rounds: Vec<f64>,
    ) -> Option<Self> {
        let ordered = sorted(&rounds);
        Some(Self {
            case: case.to_owned(),
            candidate: candidate.to_owned(),
            metric: metric.to_owned(),
            unit: unit.to_owned(),
            median: quantile(&ordered, 0.5)?,
            q1: quantile(&ordered, 0.25)?,
            q3: quantile(&ordered, 0.75)?,
            rounds,
        })
    }
}

impl Results {
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        serde_json::from_str(&text).with_context(|| path.display().to_string())
    }

    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        fs::write(path, text).with_context(|| path.display().to_string())
    }

    /// Returns true if both are of the same proxies; the benchmark itself may have been built again.
    pub(crate) fn is_of_the_same(&self, other: &Self) -> bool {
        let proxies = |results: &Self| {
            let mut proxies = results.binaries.clone();
            proxies.remove("portolan-bench");
            proxies
        };
        proxies(self) == proxies(other)
    }

    pub(crate) fn row(&self, case: &str, candidate: &str, metric: &str) -> Option<&Row> {
        self.rows
            .iter()
            .find(|row| row.case == case && row.candidate == candidate && row.metric == metric)
    }

    /// Replaces the rows of a case by those of another run of the same programs.
    pub(crate) fn take_case(&mut self, name: &str, conditions: Conditions, rows: Vec<Row>) {
        self.rows.retain(|row| row.case != name);
        self.rows.extend(rows);
        self.cases.insert(name.to_owned(), conditions);
        self.settle();
    }

    /// Computes everything that follows from the raw rounds.
    pub(crate) fn settle(&mut self) {
        let order = |name: &str| CASES.iter().position(|case| case.name == name);
        self.rows.sort_by_key(|row| order(&row.case));
        self.settle_rows();
        self.ratios = CASES.iter().flat_map(|case| self.ratios_of(case)).collect();
    }

    /// Computes medians and quartiles.
    pub(crate) fn settle_rows(&mut self) {
        self.rows = self
            .rows
            .iter()
            .filter_map(|row| {
                let rounds = row.rounds.clone();
                Row::of(&row.case, &row.candidate, &row.metric, &row.unit, rounds)
            })
            .collect();
    }

    /// The ratios of one case: each bar, ours twice, and every other candidate for comparison.
    pub(crate) fn ratios_of(&self, case: &Case) -> Vec<Ratio> {
        let interval = |of: &str, to: &str, metric: &str| {
            let of = self.row(case.name, of, metric)?;
            let to = self.row(case.name, to, metric)?;
            paired_ratio(&of.rounds, &to.rounds)
        };
        let mut ratios = Vec::new();
        for bar in case.bars {
            let even = interval("portolan-again", "portolan", bar.metric);
            let Some(found) = interval(bar.of, bar.to, bar.metric) else {
                continue;
            };
            ratios.push(Ratio {
                case: case.name.to_owned(),
                of: bar.of.to_owned(),
                to: bar.to.to_owned(),
                metric: bar.metric.to_owned(),
                interval: found,
                bar: Some(bar.at_most),
                verdict: Some(found.verdict(bar.at_most, even.as_ref())),
            });
        }
        let Some(metric) = case.bars.first().map(|bar| bar.metric) else {
            return ratios;
        };
        let others = self
            .rows
            .iter()
            .filter(|row| row.case == case.name && row.metric == metric);
        for other in others {
            let (of, to) = match other.candidate.as_str() {
                "portolan-again" => ("portolan-again", "portolan"),
                other => ("portolan", other),
            };
            let known = |ratio: &Ratio| {
                let pair = [ratio.of.as_str(), ratio.to.as_str()];
                ratio.metric == metric && (pair == [of, to] || pair == [to, of])
            };
            if of == to || ratios.iter().any(known) {
                continue;
            }
            if let Some(interval) = interval(of, to, metric) {
                ratios.push(Ratio {
                    case: case.name.to_owned(),
                    of: of.to_owned(),
                    to: to.to_owned(),
                    metric: metric.to_owned(),
                    interval,
                    bar: None,
                    verdict: None,
                });
            }
        }
        ratios
    }
}
