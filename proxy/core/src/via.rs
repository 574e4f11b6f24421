//! Requests that come back: each hop says that it was passed (RFC 9110 7.6.3), and who sees its own
//! name too often has found a loop.

use httparse::Header;
use thiserror::Error;

/// How often a request may have come by before. A class may lawfully stand before itself once or
/// twice: a route to a Service whose pods call another route of the same class.
pub const MOST_PASSES: usize = 4;

/// Under which name this installation stands in `Via`: it tells others where a request passed, and
/// nothing about hosts or versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pseudonym(Box<str>);

impl Default for Pseudonym {
    fn default() -> Self {
        Self("portolan".into())
    }
}

/// What a pseudonym must be.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("a name of 1 to 64 letters, digits, hyphens, underscores and dots")]
pub struct BadPseudonym;

impl std::str::FromStr for Pseudonym {
    type Err = BadPseudonym;

    fn from_str(text: &str) -> Result<Self, BadPseudonym> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        match (1..=64).contains(&text.len()) && text.bytes().all(plain) {
            true => Ok(Self(text.into())),
            false => Err(BadPseudonym),
        }
    }
}

impl Pseudonym {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a request with these fields has passed here too often.
    pub fn is_looping(&self, fields: &[Header<'_>]) -> bool {
        let via = fields
            .iter()
            .filter(|field| field.name.eq_ignore_ascii_case("via"));
        via.map(|field| self.passes(field.value)).sum::<usize>() > MOST_PASSES
    }

    /// How often a `Via` value names us: as the second word of a member, after the protocol.
    fn passes(&self, value: &[u8]) -> usize {
        let members = value.split(|byte| *byte == b',');
        members
            .filter(|member| {
                let mut words = member
                    .split(|byte| matches!(byte, b' ' | b'\t'))
                    .filter(|word| !word.is_empty());
                words
                    .nth(1)
                    .is_some_and(|name| name.eq_ignore_ascii_case(self.0.as_bytes()))
            })
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looping(values: &[&str]) -> bool {
        let fields: Vec<_> = values
            .iter()
            .map(|value| Header {
                name: "VIA",
                value: value.as_bytes(),
            })
            .collect();
        "shop-edge"
            .parse::<Pseudonym>()
            .unwrap()
            .is_looping(&fields)
    }

    #[test]
    fn five_passes_are_a_loop_however_they_are_written() {
        assert!(!looping(&[]));
        assert!(!looping(&["1.1 shop-edge"; 4]));
        assert!(looping(&["1.1 shop-edge"; 5]));
        assert!(looping(&[
            "1.1 shop-edge, 1.0 fred,HTTP/1.1\tSHOP-EDGE (Apache/1.1)",
            "2  shop-edge,1.1 shop-edge ,1.1 shop-edge"
        ]));
    }

    #[test]
    fn others_are_not_us() {
        assert!(!looping(&["1.1 shop-edge-2"; 9]));
        assert!(!looping(&["shop-edge 1.1"; 9]));
        assert!(!looping(&["1.1 other (shop-edge)"; 9]));
        assert!(!looping(&[""; 9]));
    }

    #[test]
    fn a_pseudonym_fits_into_a_field() {
        for bad in ["", "a b", "a,b", "a\r\n", "é", &"x".repeat(65)] {
            assert!(bad.parse::<Pseudonym>().is_err(), "{bad:?}");
        }
        assert!("portolan".parse::<Pseudonym>().is_ok());
    }
}
