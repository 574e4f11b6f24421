//! Statistics over rounds: medians, intervals and verdicts.
//!
//! Everything here is a function of the raw rounds and a fixed seed, so that `verify` comes to
//! the same figures as the run did.

use serde::{Deserialize, Serialize};

/// Number of bootstrap samples.
const RESAMPLES: usize = 10_000;
/// The bootstrap's seed: fixed, so that the figures can be recomputed.
const SEED: u64 = 0x706f_7274_6f6c_616e;

/// A median and where it lies with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Interval {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// Verdict on a bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// The whole interval lies at or below the bar.
    Holds,
    /// The whole interval lies above the bar.
    Fails,
    /// The bar lies within the interval, or the run cannot tell two equal programs apart.
    Unresolved,
}

impl Verdict {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Fails => "fails",
            Self::Unresolved => "unresolved",
        }
    }
}

impl Interval {
    /// Returns the verdict on the interval. `even` is the interval of a program beside itself: when it excludes
    /// 1.00 the run measures something else than the programs.
    pub(crate) fn verdict(&self, bar: f64, even: Option<&Self>) -> Verdict {
        if even.is_some_and(|even| !even.contains(1.0)) {
            return Verdict::Unresolved;
        }
        if self.high <= bar {
            Verdict::Holds
        } else if self.low > bar {
            Verdict::Fails
        } else {
            Verdict::Unresolved
        }
    }

    pub(crate) fn contains(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }
}

/// The value below which the share `at` of the sorted values lies, between two of them by proportion.
pub(crate) fn quantile(sorted: &[f64], at: f64) -> Option<f64> {
    let place = sorted.len().checked_sub(1)? as f64 * at.clamp(0.0, 1.0);
    let below = *sorted.get(place.floor() as usize)?;
    let above = *sorted.get(place.ceil() as usize)?;
    Some(below + (above - below) * place.fract())
}

/// The values in order.
pub(crate) fn sorted(values: &[f64]) -> Vec<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values
}

/// The median of the per-round ratios and its 95 % bootstrap interval (percentile method).
///
/// Rounds are paired: both programs ran within the same few seconds, so what slowed the machine
/// down for one slowed it down for the other, and goes out of the ratio. `None` without a round.
pub(crate) fn paired_ratio(of: &[f64], to: &[f64]) -> Option<Interval> {
    let ratios: Vec<f64> = of.iter().zip(to).map(|(of, to)| of / to).collect();
    let median = quantile(&sorted(&ratios), 0.5)?;
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut drawn = Vec::with_capacity(ratios.len());
    let mut medians = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES {
        drawn.clear();
        drawn.extend((0..ratios.len()).filter_map(|_| ratios.get(random.usize(..ratios.len()))));
        drawn.sort_by(f64::total_cmp);
        medians.push(quantile(&drawn, 0.5)?);
    }
    medians.sort_by(f64::total_cmp);
    Some(Interval {
        median,
        low: quantile(&medians, 0.025)?,
        high: quantile(&medians, 0.975)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(seed: u64, centre: f64, noise: f64, count: usize) -> Vec<f64> {
        let mut random = fastrand::Rng::with_seed(seed);
        let round = |_| centre * (1.0 + noise * (random.f64() - 0.5));
        (0..count).map(round).collect()
    }

    #[test]
    fn quantiles_lie_between_the_values() {
        let values = sorted(&[4.0, 1.0, 3.0, 2.0]);
        assert_eq!(quantile(&values, 0.5), Some(2.5));
        assert_eq!(quantile(&values, 0.25), Some(1.75));
        assert_eq!(quantile(&values, 0.0), Some(1.0));
        assert_eq!(quantile(&values, 1.0), Some(4.0));
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(quantile(&[7.0], 0.75), Some(7.0));
    }

    #[test]
    fn interval_covers_the_truth_at_its_confidence() {
        let mut held = 0;
        for seed in 0..200 {
            let of = rounds(seed, 8.0, 0.2, 25);
            let to = rounds(seed + 1_000, 10.0, 0.2, 25);
            let interval = paired_ratio(&of, &to).unwrap();
            assert!(interval.low <= interval.median && interval.median <= interval.high);
            held += u32::from(interval.contains(0.8));
        }
        assert!(
            (180..=200).contains(&held),
            "{held} of 200 intervals held 0.8"
        );
    }

    #[test]
    fn paired_ratio_cancels_common_slowdown() {
        // The machine is up to ten times slower in some rounds; the ratio is exact all the same.
        let slowness = rounds(3, 5.0, 1.8, 15);
        let of: Vec<f64> = slowness.iter().map(|slow| slow * 7.0).collect();
        let to: Vec<f64> = slowness.iter().map(|slow| slow * 10.0).collect();
        let interval = paired_ratio(&of, &to).unwrap();
        assert!((interval.low - 0.7).abs() < 1e-9 && (interval.high - 0.7).abs() < 1e-9);
    }

    #[test]
    fn figures_can_be_recomputed() {
        let (of, to) = (rounds(1, 1.0, 0.3, 11), rounds(2, 1.0, 0.3, 11));
        assert_eq!(paired_ratio(&of, &to), paired_ratio(&of, &to));
        assert_eq!(paired_ratio(&[], &[]), None);
    }

    #[test]
    fn the_same_program_twice_is_even() {
        let interval = paired_ratio(&rounds(5, 10.0, 0.1, 21), &rounds(6, 10.0, 0.1, 21)).unwrap();
        assert!(interval.contains(1.0), "{interval:?}");
    }

    #[test]
    fn verdict_needs_an_interval_on_one_side() {
        let interval = |low, high| Interval {
            median: f64::midpoint(low, high),
            low,
            high,
        };
        assert_eq!(interval(0.7, 0.85).verdict(0.85, None), Verdict::Holds);
        assert_eq!(interval(0.86, 0.9).verdict(0.85, None), Verdict::Fails);
        assert_eq!(interval(0.8, 0.9).verdict(0.85, None), Verdict::Unresolved);
        let even = interval(0.98, 1.01);
        assert_eq!(
            interval(0.7, 0.8).verdict(0.85, Some(&even)),
            Verdict::Holds
        );
        // Ours twice differ: whatever the interval says, it says it about the machine.
        let uneven = interval(1.01, 1.04);
        let verdict = interval(0.7, 0.8).verdict(0.85, Some(&uneven));
        assert_eq!(verdict, Verdict::Unresolved);
    }
}
