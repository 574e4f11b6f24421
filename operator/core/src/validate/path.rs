//! Paths of routes. A request's path is matched after normalisation (RFC 3986 5.2.4 and 6.2.2.2), so a
//! route for any other spelling would never be taken; its author is told the one that is.

use super::field_error::FieldError;
use portolan_crds::PATH_MAX;

/// A path in the one form that requests are matched in.
pub(super) fn parse(text: &str) -> Result<String, FieldError> {
    let refused = || FieldError::Path(text.to_owned());
    if !text.starts_with('/') || text.len() > PATH_MAX || !text.bytes().all(may_stand) {
        return Err(refused());
    }
    let decoded = decode_unreserved(text).ok_or_else(refused)?;
    let normal = remove_dot_segments(&decoded);
    if normal == text {
        Ok(normal)
    } else {
        Err(FieldError::PathNotNormal {
            written: text.to_owned(),
            normal,
        })
    }
}

/// A path by whole segments: a slash at its end says nothing, unless another stands before it.
pub(super) fn parse_prefix(text: &str) -> Result<String, FieldError> {
    let path = parse(text)?;
    Ok(match path.strip_suffix('/') {
        Some(trimmed) if !trimmed.is_empty() && !trimmed.ends_with('/') => trimmed.to_owned(),
        _ => path,
    })
}

/// What is written in place of a path: never what a URL without scheme would name a host with
/// (RFC 3986 4.2).
pub(super) fn replacement(path: Result<String, FieldError>) -> Result<String, FieldError> {
    match path? {
        path if path.starts_with("//") => Err(FieldError::PathOfHost(path)),
        path => Ok(path),
    }
}

/// What the proxy takes in a path: `pchar` of RFC 3986 3.3, `/`, `%`, and `| [ ]`, which browsers send.
fn may_stand(byte: u8) -> bool {
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
    fn a_path_that_no_request_has_is_refused_with_the_one_that_it_has() {
        for (written, normal) in [
            ("/a/../b", "/b"),
            ("/a/.", "/a/"),
            ("/%7euser", "/~user"),
            ("/%2e%2e/x", "/x"),
        ] {
            let told = FieldError::PathNotNormal {
                written: written.into(),
                normal: normal.into(),
            };
            assert_eq!(parse(written), Err(told));
        }
        for kept in ["/", "/a", "/a/", "/a//b", "/a%2Fb", "/a%2fb", "/x;y=[1]|2"] {
            assert_eq!(parse(kept).as_deref(), Ok(kept));
        }
    }

    #[test]
    fn what_no_request_may_have_is_refused() {
        for bad in [
            "", "a", "/a?b", "/a#b", "/a b", "/a\\b", "/%", "/%2", "/%zz", "/%00", "/é", "/\n",
        ] {
            assert_eq!(parse(bad), Err(FieldError::Path(bad.into())), "{bad:?}");
        }
        let long = format!("/{}", "a".repeat(PATH_MAX));
        assert!(parse(&long).is_err());
    }

    #[test]
    fn a_prefix_has_no_slash_at_its_end() {
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
