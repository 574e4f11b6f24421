//! The disagreements that somebody has looked at: who is right, by which rule, and why.

use crate::case::Case;
use crate::compare::{PeerName, Relation};
use crate::oddity;
use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use std::collections::BTreeSet;

/// The committed file.
const FILE: &str = include_str!("../judged.yaml");

/// Who reads it as the standards say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Right {
    /// The peer's reading is not allowed.
    Portolan,
    /// The standards leave it open, or both are allowed to refuse it.
    Both,
}

/// One judgement.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judgement {
    /// What was bent.
    pub oddities: Vec<String>,
    /// In comparison with whom.
    pub peers: Vec<PeerName>,
    /// How the readings relate.
    pub relations: Vec<Relation>,
    /// Who is right.
    pub right: Right,
    /// By which rule.
    pub rule: String,
    /// In words.
    pub why: String,
}

/// What a disagreement is known by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Signature {
    /// What was bent, or `lawful`.
    pub oddity: String,
    /// In comparison with whom.
    pub peer: PeerName,
    /// How the readings relate.
    pub relation: Relation,
}

/// All judgements.
#[derive(Debug)]
pub struct Judged {
    known: BTreeSet<Signature>,
}

impl Judged {
    /// The committed ones.
    ///
    /// # Errors
    /// The file names what is not there, says the same twice, or gives no reason.
    pub fn committed() -> Result<Self> {
        let judgements: Vec<Judgement> = serde_yaml::from_str(FILE).context("judged.yaml")?;
        let names: BTreeSet<&str> = oddity::all().map(|it| it.name).collect();
        let mut known = BTreeSet::new();
        for judgement in judgements {
            if judgement.rule.is_empty() || judgement.why.is_empty() {
                bail!(
                    "judged.yaml: {:?}: no rule or no reason",
                    judgement.oddities
                );
            }
            if judgement
                .relations
                .contains(&Relation::PortolanForwardsMalformed)
            {
                bail!("judged.yaml: {:?}: that is never right", judgement.oddities);
            }
            for signature in signatures(&judgement) {
                if !names.contains(signature.oddity.as_str()) {
                    bail!("judged.yaml: there is no oddity {}", signature.oddity);
                }
                if known.contains(&signature) {
                    bail!("judged.yaml: {signature:?} is judged twice");
                }
                known.insert(signature);
            }
        }
        Ok(Self { known })
    }

    /// The judgement that explains a disagreement: that of one of the case's oddities.
    pub fn explains(&self, case: &Case, peer: PeerName, relation: Relation) -> Option<&Signature> {
        case.oddities.iter().find_map(|it| {
            self.known.get(&Signature {
                oddity: it.name.to_owned(),
                peer,
                relation,
            })
        })
    }

    /// Those that have not occurred.
    pub fn missing<'a>(
        &'a self,
        seen: &'a BTreeSet<Signature>,
    ) -> impl Iterator<Item = &'a Signature> {
        self.known.difference(seen)
    }
}

/// Everything that one judgement is about.
fn signatures(judgement: &Judgement) -> Vec<Signature> {
    let mut signatures = Vec::new();
    for oddity in &judgement.oddities {
        for peer in &judgement.peers {
            for relation in &judgement.relations {
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
    fn the_committed_judgements_are_well_formed() {
        Judged::committed().unwrap();
    }
}
