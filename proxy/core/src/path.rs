//! Reads the target of a request: a normalised path and the query as written.

use portolan_discovery::path::{PathError, is_path_byte, normalise};
use std::borrow::Cow;

/// A request target without scheme and authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathAndQuery<'a> {
    /// Begins with `/`; normalised. Borrows unless it had to be changed.
    pub path: Cow<'a, str>,
    /// After the first `?`, as written.
    pub query: Option<&'a str>,
}

impl<'a> PathAndQuery<'a> {
    /// Parses an origin-form target.
    ///
    /// ```
    /// # use portolan_proxy_core::path::PathAndQuery;
    /// let target = PathAndQuery::parse("/a/%2e%2E/b//c%2Fd?q=../").unwrap();
    /// assert_eq!((&*target.path, target.query), ("/b//c%2Fd", Some("q=../")));
    /// ```
    ///
    /// # Errors
    /// The target is malformed; the response is 400.
    pub fn parse(target: &'a str) -> Result<Self, PathError> {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        if query.is_some_and(|query| !query.bytes().all(is_query_byte)) {
            return Err(PathError::Character);
        }
        Ok(Self {
            path: normalise(path)?,
            query,
        })
    }
}

/// Returns true for bytes that a query may have: browsers also send `\ ^ { }` and the backtick
/// unescaped there (URL standard, query percent-encode set).
fn is_query_byte(byte: u8) -> bool {
    is_path_byte(byte) || matches!(byte, b'?' | b'\\' | b'^' | b'{' | b'}' | b'`')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn normalises_the_path_and_keeps_the_query() {
        let target = PathAndQuery::parse("/a/../b?x=%zz&y=/../{|}^`\\?").unwrap();
        assert_eq!(target.path, "/b");
        assert_eq!(target.query, Some("x=%zz&y=/../{|}^`\\?"));
    }

    #[test]
    fn rejects_bad_targets() {
        for target in ["/?\"", "/?a#b", "/?ä", "/a b"] {
            let error = PathAndQuery::parse(target).unwrap_err();
            assert_eq!(error, PathError::Character, "{target}");
        }
        for target in ["", "a", "*", "?x", "http://a/"] {
            assert!(PathAndQuery::parse(target).is_err(), "{target}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(target in ".{0,64}") {
            let _ = PathAndQuery::parse(&target);
        }
    }
}
