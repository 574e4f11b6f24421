//! Loop detection: each hop adds its name to `Via` (RFC 9110 7.6.3), and a proxy that finds its own
//! name too often has found a loop.

use httparse::Header;
use thiserror::Error;

/// Maximum number of earlier passes of a request. A class may legitimately be passed more than once:
/// by a route to a Service whose pods call another route of the same class.
pub const MAX_PASSES: usize = 4;

/// Name of this installation in `Via`, which reveals neither hosts nor versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pseudonym(Box<str>);

impl Default for Pseudonym {
    fn default() -> Self {
        Self("portolan".into())
    }
}

/// Not a pseudonym.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("must be 1 to 64 letters, digits, hyphens, underscores and dots")]
pub struct BadPseudonym;

impl std::str::FromStr for Pseudonym {
    type Err = BadPseudonym;

    fn from_str(text: &str) -> Result<Self, BadPseudonym> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if (1..=64).contains(&text.len()) && text.bytes().all(plain) {
            Ok(Self(text.into()))
        } else {
            Err(BadPseudonym)
        }
    }
}

impl Pseudonym {
    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns true if a request with these fields has passed here too often.
    pub fn is_looping(&self, fields: &[Header<'_>]) -> bool {
        let via = fields
            .iter()
            .filter(|field| field.name.eq_ignore_ascii_case("via"));
        via.map(|field| self.passes(field.value)).sum::<usize>() > MAX_PASSES
    }

    /// Counts this name in a `Via` value: as the second word of a member, after the protocol.
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
    fn five_passes_are_a_loop_in_every_spelling() {
        assert!(!looping(&[]));
        assert!(!looping(&["1.1 shop-edge"; 4]));
        assert!(looping(&["1.1 shop-edge"; 5]));
        assert!(looping(&[
            "1.1 shop-edge, 1.0 fred,HTTP/1.1\tSHOP-EDGE (Apache/1.1)",
            "2  shop-edge,1.1 shop-edge ,1.1 shop-edge"
        ]));
    }

    #[test]
    fn ignores_other_names() {
        assert!(!looping(&["1.1 shop-edge-2"; 9]));
        assert!(!looping(&["shop-edge 1.1"; 9]));
        assert!(!looping(&["1.1 other (shop-edge)"; 9]));
        assert!(!looping(&[""; 9]));
    }

    #[test]
    fn rejects_names_that_do_not_fit_a_field() {
        for bad in ["", "a b", "a,b", "a\r\n", "é", &"x".repeat(65)] {
            assert!(bad.parse::<Pseudonym>().is_err(), "{bad:?}");
        }
        assert!("portolan".parse::<Pseudonym>().is_ok());
    }
}
