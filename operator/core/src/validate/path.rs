//! Validates paths of routes. A request's path is matched after normalisation (RFC 3986 5.2.4 and 6.2.2.2), so
//! a route for any other spelling would never match; the error names the one that does.

use super::field_error::FieldError;
use portolan_crds::{PATH_MAX, messages};

/// Returns the path if it is in the form that requests are matched in.
pub(super) fn parse(text: &str) -> Result<String, FieldError> {
    let rejected = || FieldError::invalid(text, messages::PATH);
    if !text.starts_with('/') || text.len() > PATH_MAX || !text.bytes().all(is_accepted) {
        return Err(rejected());
    }
    let decoded = decode_unreserved(text).ok_or_else(rejected)?;
    let normal = remove_dot_segments(&decoded);
    if normal == text {
        Ok(normal)
    } else {
        Err(FieldError::invalid(
            text,
            format!("must be normalised, because requests for it match {normal:?}; use that"),
        ))
    }
}

/// Returns a prefix of whole segments, without a final slash unless another one precedes it.
pub(super) fn parse_prefix(text: &str) -> Result<String, FieldError> {
    let path = parse(text)?;
    Ok(match path.strip_suffix('/') {
        Some(trimmed) if !trimmed.is_empty() && !trimmed.ends_with('/') => trimmed.to_owned(),
        _ => path,
    })
}

/// Returns a path that may replace another one: not one that starts with a host in a relative reference
/// (RFC 3986 4.2).
pub(super) fn replacement(path: Result<String, FieldError>) -> Result<String, FieldError> {
    match path? {
        path if path.starts_with("//") => Err(FieldError::invalid(
            path.as_str(),
            "must start with a single slash, because a host follows two",
        )),
        path => Ok(path),
    }
}

/// Returns true for what the proxy accepts in a path: `pchar` of RFC 3986 3.3, `/`, `%`, and `| [ ]`, which browsers send.
fn is_accepted(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~/%!$&'()*+,;=:@|[]".contains(&byte)
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// RFC 3986 6.2.2.2. `None` for `%` without two hexadecimal digits, and for `%00`.
fn decode_unreserved(path: &str) -> Option<String> {
    let mut decoded = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        decoded.push_str(before);
        let (digits, behind) = after.split_at_checked(2)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        match u8::from_str_radix(digits, 16).ok()? {
            0 => return None,
            byte if is_unreserved(byte) => decoded.push(char::from(byte)),
            _ => {
                decoded.push('%');
                decoded.push_str(digits);
            }
        }
        rest = behind;
    }
    decoded.push_str(rest);
    Some(decoded)
}

/// RFC 3986 5.2.4.
fn remove_dot_segments(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if segments.peek().is_none() {
                    kept.push("");
                }
            }
            _ => kept.push(segment),
        }
    }
    kept.iter().flat_map(|segment| ["/", segment]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_normal_form_of_a_path() {
        for (written, normal) in [
            ("/a/../b", "/b"),
            ("/a/.", "/a/"),
            ("/%7euser", "/~user"),
            ("/%2e%2e/x", "/x"),
        ] {
            let error = parse(written).unwrap_err().to_string();
            let expected = format!("Invalid value: {written:?}: must be normalised, because");
            assert!(error.starts_with(&expected), "{error}");
            assert!(error.ends_with(&format!("{normal:?}; use that")), "{error}");
        }
        for kept in ["/", "/a", "/a/", "/a//b", "/a%2Fb", "/a%2fb", "/x;y=[1]|2"] {
            assert_eq!(parse(kept).as_deref(), Ok(kept));
        }
    }

    #[test]
    fn rejects_paths_that_no_request_may_have() {
        for bad in [
            "", "a", "/a?b", "/a#b", "/a b", "/a\\b", "/%", "/%2", "/%zz", "/%00", "/é", "/\n",
        ] {
            let expected = FieldError::invalid(bad, messages::PATH);
            assert_eq!(parse(bad), Err(expected), "{bad:?}");
        }
        let long = format!("/{}", "a".repeat(PATH_MAX));
        assert!(parse(&long).is_err());
    }

    #[test]
    fn trims_the_final_slash_of_a_prefix() {
        for (written, kept) in [("/", "/"), ("/a/", "/a"), ("/a", "/a"), ("/a/b/", "/a/b")] {
            assert_eq!(parse_prefix(written).as_deref(), Ok(kept));
        }
        for kept in ["//", "/a//"] {
            assert_eq!(
                parse_prefix(kept).as_deref(),
                Ok(kept),
                "an empty segment is one"
            );
        }
    }
}
