//! Regular expressions of routes: what is taken, and how far it may grow. The operator judges a
//! pattern with exactly what the proxy compiles it with, so none is refused at its last stop.
//!
//! The `regex` crate matches in time linear to the text, so no pattern hangs a worker; what is
//! left to bound is memory. Paths and fields are bytes, so classes are those of ASCII.

use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};
use thiserror::Error;

/// How large a compiled pattern may be, in bytes.
pub const SIZE_MAX: usize = 64 * 1024;
/// How much one pattern may remember while it matches, in bytes.
pub const CACHE_MAX: usize = 256 * 1024;
/// How long a pattern may be, in bytes.
pub const LENGTH_MAX: usize = 1024;
/// How many patterns the routes of one object may have together.
pub const PER_OBJECT_MAX: usize = 64;

/// Why a text is no pattern.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PatternError {
    /// Matches nothing but the empty text, which nobody means.
    #[error("it is empty")]
    Empty,
    /// See [`LENGTH_MAX`].
    #[error("it has more than {LENGTH_MAX} characters")]
    TooLong,
    /// See [`SIZE_MAX`].
    #[error("it needs more than {SIZE_MAX} bytes once compiled; counted repetitions cost most")]
    TooLarge,
    /// In the words of the library, on one line.
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
/// What the syntax of the `regex` crate does not know, and what would grow beyond the bounds.
pub fn whole(pattern: &str) -> Result<Regex, PatternError> {
    if pattern.is_empty() {
        return Err(PatternError::Empty);
    }
    if pattern.len() > LENGTH_MAX {
        return Err(PatternError::TooLong);
    }
    // Alone first: `a)|(b` would come to life between the brackets below.
    compile(pattern)?;
    compile(&format!(r"\A(?:{pattern})\z"))
}

/// One expression for whether any of several that [`whole`] gave matches: one pass over the text.
///
/// # Errors
/// Together they grow beyond the sum of their bounds.
pub fn any_of<'a>(patterns: impl Iterator<Item = &'a Regex>) -> Result<RegexSet, PatternError> {
    let texts: Vec<&str> = patterns.map(Regex::as_str).collect();
    RegexSetBuilder::new(&texts)
        .unicode(false)
        .size_limit(SIZE_MAX * texts.len().max(1))
        .dfa_size_limit(CACHE_MAX)
        .build()
        .map_err(refusal)
}

fn compile(pattern: &str) -> Result<Regex, PatternError> {
    RegexBuilder::new(pattern)
        .unicode(false)
        .size_limit(SIZE_MAX)
        .dfa_size_limit(CACHE_MAX)
        .build()
        .map_err(refusal)
}

fn refusal(error: regex::Error) -> PatternError {
    match error {
        regex::Error::CompiledTooBig(_) => PatternError::TooLarge,
        // The library draws an arrow below the place, over several lines; its last line says why.
        other => {
            let told = other.to_string();
            let last = told.lines().last().unwrap_or_default().trim();
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
    fn a_pattern_cannot_leave_its_brackets() {
        for pattern in ["a)|(b", "(?x)a # b", "("] {
            assert!(
                matches!(whole(pattern), Err(PatternError::Syntax(_))),
                "{pattern}"
            );
        }
    }

    #[test]
    fn what_grows_too_large_is_refused() {
        assert_eq!(whole("(a{100}){100}").err(), Some(PatternError::TooLarge));
        assert_eq!(whole("").err(), Some(PatternError::Empty));
        let long = "a".repeat(LENGTH_MAX + 1);
        assert_eq!(whole(&long).err(), Some(PatternError::TooLong));
        assert!(whole(&"a".repeat(LENGTH_MAX)).is_ok());
        assert!(whole(r"/[\w.-]{1,64}/\d{1,10}(/.*)?").is_ok());
    }

    #[test]
    fn why_it_is_refused_stands_on_one_line() {
        let told = whole("/(a").unwrap_err().to_string();
        assert_eq!(told, "unclosed group");
    }

    #[test]
    fn several_are_matched_at_once() {
        let patterns = ["/a", "/b.*"].map(|it| whole(it).unwrap());
        let any = any_of(patterns.iter()).unwrap();
        for (text, expected) in [("/a", true), ("/bc", true), ("/ac", false), ("x/a", false)] {
            assert_eq!(any.is_match(text.as_bytes()), expected, "{text}");
        }
        assert!(!any_of([].iter()).unwrap().is_match(b""));
    }

    #[test]
    fn bytes_that_are_no_text_are_matched() {
        assert!(whole("a.b").unwrap().is_match(b"a\xffb"));
    }
}
