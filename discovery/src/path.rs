//! Canonical form of a path: what is matched is what is authorised is what is forwarded. The
//! operator checks a path with exactly the function that the proxy brings request paths into shape
//! with, so a route never names a spelling that no request has.
//!
//! Dot segments are removed (RFC 3986 5.2.4, `%2e` included) and unreserved escapes decoded
//! (6.2.2.2), once. Everything else stays as written: `//` is kept, `%2f` and `%5c` are never
//! separators, and neither is `;`. So no spelling reaches a route that the written path would not.

use std::borrow::Cow;
use thiserror::Error;

/// Reason why a path is rejected.
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
    #[error("the path is not in the form that request paths are normalised to")]
    Form,
    /// In configuration only: a replacement path that would name a host (RFC 3986 4.2).
    #[error("the path begins with two slashes")]
    TwoSlashes,
}

/// Normalises a path. Borrows unless it has to be changed.
///
/// ```
/// # use portolan_discovery::path::normalise;
/// assert_eq!(normalise("/a/%2e%2E/b//c%2Fd").unwrap(), "/b//c%2Fd");
/// ```
///
/// # Errors
/// It is no path: [`PathError::NoSlash`], [`PathError::Character`] or [`PathError::Escape`].
pub fn normalise(path: &str) -> Result<Cow<'_, str>, PathError> {
    if !path.starts_with('/') {
        return Err(PathError::NoSlash);
    }
    let mut suspicious = false;
    let mut previous = 0;
    for byte in path.bytes() {
        if !is_path_byte(byte) {
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

/// Returns true for bytes that a path may have: `pchar` of RFC 3986 3.3, `/`, `%`, and what browsers
/// send unescaped: `| [ ]`.
pub fn is_path_byte(byte: u8) -> bool {
    matches!(byte,
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' | b'%'
        | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b':' | b'@'
        | b'|' | b'[' | b']')
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

/// Checks a path of configuration, which is rejected rather than corrected.
///
/// # Errors
/// It is no path, or not in normal form ([`PathError::Form`]), so no request would match it.
pub fn check(text: &str) -> Result<(), PathError> {
    if normalise(text)? == text {
        Ok(())
    } else {
        Err(PathError::Form)
    }
}

/// Returns a prefix as it is compared: `/blog/` means the same as `/blog`, and `/` everything.
pub fn without_last_slash(prefix: &str) -> &str {
    prefix.strip_suffix('/').unwrap_or(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(target: &str) -> Result<String, PathError> {
        normalise(target).map(Cow::into_owned)
    }

    #[test]
    fn removes_dot_segments_in_every_spelling() {
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
    fn never_turns_other_bytes_into_separators() {
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
    fn rejects_bad_paths() {
        for target in ["/%", "/%2", "/%zz", "/%00", "/%+1", "/a%"] {
            assert_eq!(path(target), Err(PathError::Escape), "{target}");
        }
        for target in ["/a\\b", "/\"", "/ä", "/#", "/a b", "/<", "/\u{7f}", "/?a"] {
            assert_eq!(path(target), Err(PathError::Character), "{target}");
        }
        for target in ["", "a", "*", "?x", "http://a/"] {
            assert!(path(target).is_err(), "{target}");
        }
    }

    #[test]
    fn rejects_configuration_rather_than_correcting_it() {
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
        fn normalising_is_idempotent(target in "/([a-z./;|]|%2[eEfF]|%41|%25|%2525){0,24}") {
            let once = path(&target).unwrap();
            prop_assert_eq!(path(&once), Ok(once.clone()));
            prop_assert!(once.starts_with('/'));
            prop_assert!(!once.split('/').any(|segment| segment == "." || segment == ".."));
        }

        #[test]
        fn never_panics(target in ".{0,64}") {
            let _ = normalise(&target);
        }
    }
}
