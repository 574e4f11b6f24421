//! Distribution of the generated cases over their classes: a generator that drifts tests nothing and stays green.

use crate::case::{Case, Trait};
use crate::oddity::{self, CLASSES};
use std::collections::BTreeMap;
use std::fmt;

/// Least share of every class, in percent.
const LEAST: usize = 5;

/// Counts of what was drawn.
#[derive(Debug, Default)]
pub struct Distribution {
    cases: usize,
    requests: usize,
    traits: BTreeMap<Trait, usize>,
    oddities: BTreeMap<&'static str, usize>,
}

/// The classes that must not starve.
fn interesting() -> impl Iterator<Item = Trait> {
    let plain = [
        Trait::Lawful,
        Trait::Pipelined,
        Trait::WithLength,
        Trait::Chunked,
        Trait::Closing,
        Trait::InPieces,
        Trait::BentTwice,
    ];
    plain
        .into_iter()
        .chain(CLASSES.into_iter().map(Trait::Bent))
}

impl Distribution {
    /// Takes in one case.
    pub fn count(&mut self, case: &Case) {
        self.cases += 1;
        self.requests += case.requests;
        for class in &case.traits {
            *self.traits.entry(*class).or_default() += 1;
        }
        for oddity in &case.oddities {
            *self.oddities.entry(oddity.name).or_default() += 1;
        }
    }

    /// Number of requests.
    pub fn requests(&self) -> usize {
        self.requests
    }

    /// The classes below 5 %, and the oddities that never came.
    pub fn starved(&self) -> Vec<String> {
        let below = |class: &Trait| self.share(*class) < LEAST as f64;
        let classes = interesting()
            .filter(below)
            .map(|class| format!("{class:?}"));
        let never = oddity::all().filter(|oddity| !self.oddities.contains_key(oddity.name));
        classes
            .chain(never.map(|oddity| oddity.name.to_owned()))
            .collect()
    }

    fn share(&self, class: Trait) -> f64 {
        let count = self.traits.get(&class).copied().unwrap_or_default();
        100.0 * count as f64 / self.cases.max(1) as f64
    }
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} cases, {} requests:", self.cases, self.requests)?;
        for class in interesting() {
            writeln!(f, "  {:5.1} %  {class:?}", self.share(class))?;
        }
        let rarest = self.oddities.iter().min_by_key(|(_, count)| *count);
        if let Some((name, count)) = rarest {
            writeln!(
                f,
                "  {} oddities, the rarest {name}: {count} times",
                self.oddities.len()
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_class_starves() {
        let mut drawn = Distribution::default();
        (0..8000).for_each(|index| drawn.count(&Case::generate(3, index)));
        assert_eq!(drawn.starved(), Vec::<String>::new(), "{drawn}");
    }

    #[test]
    fn reports_a_starved_class() {
        assert!(
            Distribution::default()
                .starved()
                .contains(&"Lawful".to_owned())
        );
    }
}
