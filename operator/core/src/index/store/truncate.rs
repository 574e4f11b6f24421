//! What others say, as far as it fits into a status.

/// A message of an issuer or of a server may be a whole page; a status holds a sentence.
const WORDS_MAX: usize = 512;

pub(in crate::index) fn cut(said: &str) -> String {
    said.chars().take(WORDS_MAX).collect()
}
