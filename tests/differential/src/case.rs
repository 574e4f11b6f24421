//! One case: a pipeline of requests as bytes, with what was done to them and what is meant.

use crate::oddity::{self, Class, Oddity};
use crate::{grammar, grammar::Draft};
use fastrand::Rng;

/// The most requests that one connection carries.
const LONGEST_PIPELINE: usize = 4;

/// The bytes sent on one connection.
#[derive(Clone, Debug)]
pub struct Case {
    /// With the seed, all that is needed to make it again.
    pub index: u64,
    /// The pieces in which the bytes are sent.
    pub pieces: Vec<Vec<u8>>,
    /// Number of requests it was made from.
    pub requests: usize,
    /// Names of its oddities.
    pub oddities: Vec<&'static Oddity>,
    /// Its classes in the distribution.
    pub traits: Vec<Trait>,
    /// Requests that every reader must see, if it has no oddity.
    pub meant: Option<Vec<Meant>>,
}

/// One request that a lawful pipeline has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meant {
    /// See [`Draft::marker`].
    pub marker: u16,
    /// Without its coding.
    pub body: Vec<u8>,
}

/// A class of cases that the distribution must not starve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trait {
    /// Nothing bent.
    Lawful,
    /// More than one request.
    Pipelined,
    /// A body with a length.
    WithLength,
    /// A chunked body.
    Chunked,
    /// A request that closes before the last one.
    Closing,
    /// Sent in more than one piece.
    InPieces,
    /// Two things bent at once.
    BentTwice,
    /// Something of this class bent.
    Bent(Class),
}

impl Case {
    /// The case of this number.
    pub fn generate(seed: u64, index: u64) -> Self {
        // Each case has a generator of its own, so that one can be made again alone.
        let mut rng = Rng::with_seed(seed ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let oddities = oddity::draw(&mut rng);
        let count = rng.usize(1..=LONGEST_PIPELINE);
        let bent = rng.usize(0..count);
        let mut drafts: Vec<Draft> = (0..count)
            .map(|place| {
                let base = match oddities.first() {
                    Some(oddity) if place == bent => oddity.base,
                    _ => grammar::Base::Any,
                };
                grammar::lawful(&mut rng, place as u16, base)
            })
            .collect();
        if let Some(draft) = drafts.get_mut(bent) {
            for oddity in &oddities {
                (oddity.bend)(draft, &mut rng);
            }
        }
        if let Some(cut) = drafts.iter().position(|draft| draft.cut.is_some()) {
            drafts.truncate(cut + 1);
        }
        let traits = traits(&drafts, &oddities);
        let bytes: Vec<u8> = drafts.iter().flat_map(Draft::bytes).collect();
        let pieces = pieces(bytes, &mut rng);
        let in_pieces = (pieces.len() > 1).then_some(Trait::InPieces);
        Self {
            index,
            pieces,
            requests: drafts.len(),
            meant: oddities.is_empty().then(|| meant(&drafts)),
            oddities,
            traits: traits.into_iter().chain(in_pieces).collect(),
        }
    }

    /// All its bytes.
    pub fn bytes(&self) -> Vec<u8> {
        self.pieces.concat()
    }

    /// The names of what was bent.
    pub fn bent(&self) -> String {
        match self.oddities.as_slice() {
            [] => "lawful".to_owned(),
            some => some
                .iter()
                .map(|oddity| oddity.name)
                .collect::<Vec<_>>()
                .join("+"),
        }
    }
}

fn traits(drafts: &[Draft], oddities: &[&'static Oddity]) -> Vec<Trait> {
    let closes_early = drafts.iter().rev().skip(1).any(|draft| draft.closes);
    let mut traits: Vec<Trait> = oddities
        .iter()
        .map(|oddity| Trait::Bent(oddity.class))
        .collect();
    for (holds, class) in [
        (oddities.is_empty(), Trait::Lawful),
        (oddities.len() > 1, Trait::BentTwice),
        (drafts.len() > 1, Trait::Pipelined),
        (closes_early, Trait::Closing),
        (drafts.iter().any(Draft::has_length), Trait::WithLength),
        (drafts.iter().any(Draft::is_chunked), Trait::Chunked),
    ] {
        if holds {
            traits.push(class);
        }
    }
    traits.dedup();
    traits
}

/// RFC 9112 9.6: what follows a request that closes is not processed.
fn meant(drafts: &[Draft]) -> Vec<Meant> {
    let mut meant = Vec::new();
    for draft in drafts {
        meant.push(Meant {
            marker: draft.marker,
            body: draft.content.clone(),
        });
        if draft.closes {
            break;
        }
    }
    meant
}

/// Mostly one piece; readers that look only at the end of what they have are found by the others.
fn pieces(bytes: Vec<u8>, rng: &mut Rng) -> Vec<Vec<u8>> {
    let mut cuts: Vec<usize> = match rng.u8(0..8) {
        0 => vec![rng.usize(0..=bytes.len())],
        1 => vec![rng.usize(0..=bytes.len()), rng.usize(0..=bytes.len())],
        _ => Vec::new(),
    };
    cuts.sort_unstable();
    cuts.push(bytes.len());
    let mut from = 0;
    let pieces = cuts.into_iter().filter_map(|to| {
        let piece = bytes.get(std::mem::replace(&mut from, to)..to)?;
        (!piece.is_empty()).then(|| piece.to_vec())
    });
    pieces.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strict::{Step, read};

    #[test]
    fn a_case_can_be_made_again() {
        for index in 0..200 {
            let (first, again) = (Case::generate(7, index), Case::generate(7, index));
            assert_eq!(first.pieces, again.pieces);
            assert_ne!(first.bytes(), Case::generate(8, index).bytes());
        }
    }

    /// The strict reader understands each lawful case as it is meant; where it is wrong, so is
    /// everything that is concluded from it.
    #[test]
    fn lawful_cases_parse_as_intended() {
        let mut lawful = 0;
        for index in 0..2000 {
            let case = Case::generate(11, index);
            let Some(meant) = &case.meant else { continue };
            lawful += 1;
            let bytes = case.bytes();
            let mut rest = &bytes[..];
            for expected in meant {
                rest = rest.strip_prefix(b"\r\n").unwrap_or(rest);
                let Step::Request { message, used } = read(rest) else {
                    panic!("{}", bytes.escape_ascii());
                };
                assert_eq!(message.marker, Some(expected.marker));
                assert_eq!(message.body, expected.body, "{}", bytes.escape_ascii());
                rest = &rest[used..];
            }
        }
        assert!(lawful > 200, "{lawful}");
    }
}
