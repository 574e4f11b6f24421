//! Regular expressions of routes: accepted syntax and size limits. The operator checks a pattern
//! with exactly the function that the proxy compiles it with, so the proxy rejects none.
//!
//! The `regex` crate matches in time linear to the text, so no pattern hangs a worker; what
//! remains to be limited is memory. Paths and fields are bytes, so classes are those of ASCII.

use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};
use thiserror::Error;

/// Maximum size of a compiled pattern, in bytes.
pub const SIZE_MAX: usize = 64 * 1024;
/// Maximum size of the cache that one pattern uses while it matches, in bytes.
pub const CACHE_MAX: usize = 256 * 1024;
/// Maximum length of a pattern, in bytes.
pub const LENGTH_MAX: usize = 1024;
/// Maximum number of patterns in all routes of one object.
pub const PER_OBJECT_MAX: usize = 64;

/// Reason why a pattern is rejected.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PatternError {
    /// Would match only the empty text, which is a mistake.
    #[error("must not be empty")]
    Empty,
    /// See [`LENGTH_MAX`].
    #[error("must have at most {LENGTH_MAX} characters")]
    TooLong,
    /// See [`SIZE_MAX`].
    #[error("must need at most {SIZE_MAX} bytes once compiled; counted repetitions cost most")]
    TooLarge,
    /// Message of the library, on one line.
    #[error("{0}")]
    Syntax(String),
}

/// Compiles a pattern that has to match a whole text.
///
/// ```
/// # use portolan_discovery::pattern::whole;
/// let pattern = whole("/v[0-9]+/.*").unwrap();
/// assert!(pattern.is_match(b"/v2/users"));
/// assert!(!pattern.is_match(b"/api/v2/users"));
/// ```
///
/// # Errors
/// Not in the syntax of the `regex` crate, or beyond the limits.
pub fn whole(pattern: &str) -> Result<Regex, PatternError> {
    if pattern.is_empty() {
        return Err(PatternError::Empty);
    }
    if pattern.len() > LENGTH_MAX {
        return Err(PatternError::TooLong);
    }
    // Compiled alone first: `a)|(b` would become valid between the parentheses below.
    compile(pattern)?;
    compile(&format!(r"\A(?:{pattern})\z"))
}

/// Combines patterns of [`whole`] into one set that is matched in one pass over the text.
///
/// # Errors
/// Together they exceed the sum of their limits.
pub fn any_of<'a>(patterns: impl Iterator<Item = &'a Regex>) -> Result<RegexSet, PatternError> {
    let texts: Vec<&str> = patterns.map(Regex::as_str).collect();
    RegexSetBuilder::new(&texts)
        .unicode(false)
        .size_limit(SIZE_MAX * texts.len().max(1))
        .dfa_size_limit(CACHE_MAX)
        .build()
        .map_err(rejection)
}

fn compile(pattern: &str) -> Result<Regex, PatternError> {
    RegexBuilder::new(pattern)
        .unicode(false)
        .size_limit(SIZE_MAX)
        .dfa_size_limit(CACHE_MAX)
        .build()
        .map_err(rejection)
}

fn rejection(error: regex::Error) -> PatternError {
    match error {
        regex::Error::CompiledTooBig(_) => PatternError::TooLarge,
        // The library prints several lines with a marker; its last line has the reason.
        other => {
            let message = other.to_string();
            let last = message.lines().last().unwrap_or_default().trim();
            PatternError::Syntax(last.strip_prefix("error: ").unwrap_or(last).to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_text_has_to_match() {
        let pattern = whole("a|bc").unwrap();
        for (text, expected) in [("a", true), ("bc", true), ("ac", false), ("xa", false)] {
            assert_eq!(pattern.is_match(text.as_bytes()), expected, "{text}");
        }
        assert!(!whole("(?m)^a$").unwrap().is_match(b"a\nb"));
    }

    #[test]
    fn a_pattern_cannot_leave_its_group() {
        for pattern in ["a)|(b", "(?x)a # b", "("] {
            assert!(
                matches!(whole(pattern), Err(PatternError::Syntax(_))),
                "{pattern}"
            );
        }
    }

    #[test]
    fn rejects_patterns_beyond_the_limits() {
        assert_eq!(whole("(a{100}){100}").err(), Some(PatternError::TooLarge));
        assert_eq!(whole("").err(), Some(PatternError::Empty));
        let long = "a".repeat(LENGTH_MAX + 1);
        assert_eq!(whole(&long).err(), Some(PatternError::TooLong));
        assert!(whole(&"a".repeat(LENGTH_MAX)).is_ok());
        assert!(whole(r"/[\w.-]{1,64}/\d{1,10}(/.*)?").is_ok());
    }

    #[test]
    fn the_reason_is_one_line() {
        let message = whole("/(a").unwrap_err().to_string();
        assert_eq!(message, "unclosed group");
    }

    #[test]
    fn matches_several_patterns_at_once() {
        let patterns = ["/a", "/b.*"].map(|pattern| whole(pattern).unwrap());
        let any = any_of(patterns.iter()).unwrap();
        for (text, expected) in [("/a", true), ("/bc", true), ("/ac", false), ("x/a", false)] {
            assert_eq!(any.is_match(text.as_bytes()), expected, "{text}");
        }
        assert!(!any_of([].iter()).unwrap().is_match(b""));
    }

    #[test]
    fn matches_bytes_that_are_not_utf8() {
        assert!(whole("a.b").unwrap().is_match(b"a\xffb"));
    }
}
