//! One form of a path: what is matched is what is authorised is what is forwarded.
//!
//! Dot segments are removed (RFC 3986 5.2.4, `%2e` included) and unreserved escapes decoded,
//! once. Everything else stays as written: `//` is kept, `%2f` and `%5c` are never separators,
//! and neither is `;`. So no spelling reaches a route that the written path would not.

use std::borrow::Cow;
use thiserror::Error;

/// A request target without scheme and authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathAndQuery<'a> {
    /// Begins with `/`; normalised. Borrows unless it had to be changed.
    pub path: Cow<'a, str>,
    /// After the first `?`, as written.
    pub query: Option<&'a str>,
}

/// Why a path is refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum PathError {
    /// Does not begin with `/`.
    #[error("the path does not begin with a slash")]
    NoSlash,
    /// A byte that must be escaped there (RFC 3986 3.3 and 3.4).
    #[error("the target has a character that must be percent-encoded")]
    Character,
    /// `%` without two hexadecimal digits, or `%00`.
    #[error("the path has a bad percent-encoding")]
    Escape,
    /// In configuration only: has dot segments, or escapes that need not be.
    #[error("the path is not in the form that request paths are brought into")]
    Form,
    /// In configuration only: what is written instead of a path would name a host.
    #[error("the path begins with two slashes")]
    TwoSlashes,
}

impl<'a> PathAndQuery<'a> {
    /// Reads an origin-form target.
    ///
    /// ```
    /// # use portolan_proxy_core::path::PathAndQuery;
    /// let target = PathAndQuery::parse("/a/%2e%2E/b//c%2Fd?q=../").unwrap();
    /// assert_eq!((&*target.path, target.query), ("/b//c%2Fd", Some("q=../")));
    /// ```
    ///
    /// # Errors
    /// What must be answered with 400.
    pub fn parse(target: &'a str) -> Result<Self, PathError> {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        if query.is_some_and(|query| !query.bytes().all(passes_in_query)) {
            return Err(PathError::Character);
        }
        Ok(Self {
            path: normalise(path)?,
            query,
        })
    }
}

fn normalise(path: &str) -> Result<Cow<'_, str>, PathError> {
    if !path.starts_with('/') {
        return Err(PathError::NoSlash);
    }
    let mut suspicious = false;
    let mut previous = 0;
    for byte in path.bytes() {
        if !passes_in_path(byte) {
            return Err(PathError::Character);
        }
        suspicious |= byte == b'%' || (byte == b'.' && previous == b'/');
        previous = byte;
    }
    if !suspicious {
        return Ok(Cow::Borrowed(path));
    }
    let decoded = decode_unreserved(path)?;
    Ok(Cow::Owned(remove_dot_segments(&decoded)))
}

/// `pchar` of RFC 3986 3.3, `/`, `%`, and what browsers send unescaped: `| [ ]`.
fn passes_in_path(byte: u8) -> bool {
    matches!(byte,
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' | b'%'
        | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b':' | b'@'
        | b'|' | b'[' | b']')
}

/// In the query browsers also send `\ ^ { }` and the backtick unescaped (URL standard, query percent-encode set).
fn passes_in_query(byte: u8) -> bool {
    passes_in_path(byte) || matches!(byte, b'?' | b'\\' | b'^' | b'{' | b'}' | b'`')
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn decode_unreserved(path: &str) -> Result<String, PathError> {
    let mut decoded = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        decoded.push_str(before);
        let (digits, behind) = after.split_at_checked(2).ok_or(PathError::Escape)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(PathError::Escape);
        }
        let byte = u8::from_str_radix(digits, 16).map_err(|_| PathError::Escape)?;
        match byte {
            0 => return Err(PathError::Escape),
            byte if is_unreserved(byte) => decoded.push(char::from(byte)),
            _ => {
                decoded.push('%');
                decoded.push_str(digits);
            }
        }
        rest = behind;
    }
    decoded.push_str(rest);
    Ok(decoded)
}

/// RFC 3986 5.2.4 over segments; a path never climbs above its root.
fn remove_dot_segments(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                // A dot segment at the end leaves its slash: `/a/.` is the directory `/a/`.
                if last {
                    kept.push("");
                }
            }
            _ => kept.push(segment),
        }
    }
    let mut result = String::with_capacity(path.len());
    for segment in kept {
        result.push('/');
        result.push_str(segment);
    }
    result
}

/// Judges a path of configuration, which is refused rather than corrected.
///
/// # Errors
/// It is not in the one form that request paths are brought into, so no request would meet it.
pub(crate) fn check(text: &str) -> Result<(), PathError> {
    match normalise(text)? == text {
        true => Ok(()),
        false => Err(PathError::Form),
    }
}

/// A prefix as it is compared: `/blog/` means the same as `/blog`, and `/` everything.
pub(crate) fn without_last_slash(prefix: &str) -> &str {
    prefix.strip_suffix('/').unwrap_or(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(target: &str) -> Result<String, PathError> {
        PathAndQuery::parse(target).map(|it| it.path.into_owned())
    }

    #[test]
    fn dot_segments_are_removed_however_they_are_spelled() {
        for (target, normal) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/%2e%2E/b", "/b"),
            ("/a/.%2e/b", "/b"),
            ("/../../etc", "/etc"),
            ("/..", "/"),
            ("/a/..", "/"),
            ("/a/.", "/a/"),
            ("/a/b/..", "/a/"),
            ("/.well-known/x", "/.well-known/x"),
            ("/a/...", "/a/..."),
            ("/%7Euser/%41", "/~user/A"),
        ] {
            assert_eq!(path(target).as_deref(), Ok(normal), "{target}");
        }
    }

    #[test]
    fn what_is_no_separator_never_becomes_one() {
        for target in [
            "/a//b",
            "//a",
            "/a%2f..%2fb",
            "/a%5c..%5cb",
            "/a;/..;/b",
            "/%252e%252e/a",
        ] {
            assert_eq!(path(target).as_deref(), Ok(target), "{target}");
        }
    }

    #[test]
    fn bad_paths_are_refused() {
        for target in ["/%", "/%2", "/%zz", "/%00", "/%+1", "/a%"] {
            assert_eq!(path(target), Err(PathError::Escape), "{target}");
        }
        for target in [
            "/a\\b", "/\"", "/ä", "/#", "/a b", "/<", "/\u{7f}", "/?\"", "/?a#b", "/?ä",
        ] {
            assert_eq!(path(target), Err(PathError::Character), "{target}");
        }
        for target in ["", "a", "*", "?x", "http://a/"] {
            assert!(path(target).is_err(), "{target}");
        }
    }

    #[test]
    fn a_query_is_left_alone() {
        let target = PathAndQuery::parse("/a?x=%zz&y=/../{|}^`\\?").unwrap();
        assert_eq!(target.query, Some("x=%zz&y=/../{|}^`\\?"));
    }

    #[test]
    fn configuration_is_refused_rather_than_corrected() {
        for good in ["/", "/blog/", "//", "/a%2Fb", "/a%20b"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for (bad, error) in [
            ("blog", PathError::NoSlash),
            ("/a/../b", PathError::Form),
            ("/%41", PathError::Form),
            ("/%", PathError::Escape),
            ("/a b", PathError::Character),
        ] {
            assert_eq!(check(bad), Err(error), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn normalising_twice_is_normalising_once(target in "/([a-z./;|]|%2[eEfF]|%41|%25|%2525){0,24}") {
            let once = path(&target).unwrap();
            prop_assert_eq!(path(&once), Ok(once.clone()));
            prop_assert!(once.starts_with('/'));
            prop_assert!(!once.split('/').any(|segment| segment == "." || segment == ".."));
        }

        #[test]
        fn any_text_is_judged_without_panic(target in ".{0,64}") {
            let _ = PathAndQuery::parse(&target);
        }
    }
}
