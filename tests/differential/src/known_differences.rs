//! Known disagreements: which reader is right, by which rule, and why.

use crate::case::Case;
use crate::compare::{PeerName, Relation};
use crate::oddity;
use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use std::collections::BTreeSet;

/// The committed file.
const FILE: &str = include_str!("../known_differences.yaml");

/// Reader that follows the standards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Right {
    /// The peer's reading is not allowed.
    Portolan,
    /// The standards leave it open, or both are allowed to refuse it.
    Both,
}

/// A known difference of some peers under some oddities.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownDifference {
    /// Names of the oddities.
    pub oddities: Vec<String>,
    /// Peers in comparison.
    pub peers: Vec<PeerName>,
    /// Relation of the readings.
    pub relations: Vec<Relation>,
    /// Reader that is right.
    pub right: Right,
    /// Rule that decides.
    pub rule: String,
    /// Explanation.
    pub why: String,
}

/// Signature by which a disagreement is recognised.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Signature {
    /// Name of the oddity, or `lawful`.
    pub oddity: String,
    /// Peers in comparison.
    pub peer: PeerName,
    /// Relation of the readings.
    pub relation: Relation,
}

/// All known differences.
#[derive(Debug)]
pub struct KnownDifferences {
    known: BTreeSet<Signature>,
}

impl KnownDifferences {
    /// Reads the committed file.
    ///
    /// # Errors
    /// When the file has an unknown oddity, a duplicate, or an entry without rule or reason.
    pub fn committed() -> Result<Self> {
        let differences: Vec<KnownDifference> =
            serde_yaml::from_str(FILE).context("known_differences.yaml")?;
        let names: BTreeSet<&str> = oddity::all().map(|oddity| oddity.name).collect();
        let mut known = BTreeSet::new();
        for difference in differences {
            if difference.rule.is_empty() || difference.why.is_empty() {
                bail!(
                    "known_differences.yaml: {:?}: no rule or no reason",
                    difference.oddities
                );
            }
            if difference
                .relations
                .contains(&Relation::PortolanForwardsMalformed)
            {
                bail!(
                    "known_differences.yaml: {:?}: that is never right",
                    difference.oddities
                );
            }
            for signature in signatures(&difference) {
                if !names.contains(signature.oddity.as_str()) {
                    bail!(
                        "known_differences.yaml: oddity {:?} not found",
                        signature.oddity
                    );
                }
                if known.contains(&signature) {
                    bail!("known_differences.yaml: {signature:?} is listed twice");
                }
                known.insert(signature);
            }
        }
        Ok(Self { known })
    }

    /// Returns the known difference that explains a disagreement: that of one of the case's oddities.
    pub fn explains(&self, case: &Case, peer: PeerName, relation: Relation) -> Option<&Signature> {
        case.oddities.iter().find_map(|oddity| {
            self.known.get(&Signature {
                oddity: oddity.name.to_owned(),
                peer,
                relation,
            })
        })
    }

    /// Known differences that have not occurred.
    pub fn missing<'a>(
        &'a self,
        seen: &'a BTreeSet<Signature>,
    ) -> impl Iterator<Item = &'a Signature> {
        self.known.difference(seen)
    }
}

/// Signatures that one entry stands for.
fn signatures(difference: &KnownDifference) -> Vec<Signature> {
    let mut signatures = Vec::new();
    for oddity in &difference.oddities {
        for peer in &difference.peers {
            for relation in &difference.relations {
                signatures.push(Signature {
                    oddity: oddity.clone(),
                    peer: *peer,
                    relation: *relation,
                });
            }
        }
    }
    signatures
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn committed_differences_are_well_formed() {
        KnownDifferences::committed().unwrap();
    }
}
