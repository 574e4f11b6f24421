//! Which header fields a route may look at and change, and what may stand in them.
//!
//! What frames a message, belongs to one hop, or says who the client is stays with the proxy: a
//! route that could set it could make two readers disagree, or lie to a third.

use thiserror::Error;

/// Why a field is refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum FieldError {
    /// Not a token (RFC 9110 5.1) in lower case.
    #[error("not the name of a header field")]
    Name,
    /// The proxy writes or drops it.
    #[error("the proxy itself writes or drops this field")]
    Reserved,
    /// Not a field value (RFC 9110 5.5).
    #[error(
        "not the value of a header field: printable characters of ASCII, no space at either end"
    )]
    Value,
}

/// Names that the proxy keeps to itself, in lower case.
const RESERVED: &[&str] = &[
    "connection",
    "content-length",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
    // Passed on, but by whom a request came is not for a route to hide: it tells loops.
    "via",
    "x-envoy-original-path",
    "x-portolan-reason",
    "x-real-ip",
    "x-request-id",
];

/// And all that begin with these.
const RESERVED_PREFIXES: &[&str] = &["x-forwarded-", "x-ssl-"];

/// Judges a name in lower case. (`host` is reserved too; setting it in a request has a meaning
/// of its own, so whoever allows that asks before.)
///
/// # Errors
/// No name, or one that the proxy keeps to itself; `_` counts as `-`, because some servers
/// cannot tell them apart.
pub fn name(text: &str) -> Result<(), FieldError> {
    if !is_token(text) || text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(FieldError::Name);
    }
    let plain = text.replace('_', "-");
    let reserved = RESERVED.contains(&plain.as_str())
        || RESERVED_PREFIXES.iter().any(|it| plain.starts_with(it));
    match reserved {
        true => Err(FieldError::Reserved),
        false => Ok(()),
    }
}

/// Judges a value.
///
/// # Errors
/// It cannot stand in a field.
pub fn value(text: &str) -> Result<(), FieldError> {
    let printable = |byte: u8| matches!(byte, b'\t' | b' '..=b'~');
    match text.bytes().all(printable) && text.trim_matches([' ', '\t']) == text {
        true => Ok(()),
        false => Err(FieldError::Value),
    }
}

/// Whether a text is a token (RFC 9110 5.6.2): the name of a field, a method.
pub fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| is_lower_case_token(byte.to_ascii_lowercase()))
}

fn is_lower_case_token(byte: u8) -> bool {
    matches!(byte,
        b'a'..=b'z' | b'0'..=b'9' | b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+'
        | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_tokens_in_lower_case_that_are_nobody_elses() {
        for good in [
            "x-team",
            "cache-control",
            "set-cookie",
            "x_y",
            "x-forwarded",
        ] {
            assert_eq!(name(good), Ok(()), "{good}");
        }
        for bad in ["", "X-Team", "x team", "x:", "x\r\ny", "ä"] {
            assert_eq!(name(bad), Err(FieldError::Name), "{bad:?}");
        }
        for ours in [
            "host",
            "content-length",
            "content_length",
            "x-forwarded-for",
            "x_forwarded_for",
            "connection",
        ] {
            assert_eq!(name(ours), Err(FieldError::Reserved), "{ours}");
        }
        assert!(is_token("M-SEARCH") && !is_token("") && !is_token("a,b"));
    }

    #[test]
    fn values_end_no_line() {
        for good in ["", "a b\tc", "max-age=1; x=\"~\""] {
            assert_eq!(value(good), Ok(()), "{good:?}");
        }
        for bad in ["a\r\nb: c", "a\n", " a", "a\t", "\0", "\u{7f}", "ä"] {
            assert_eq!(value(bad), Err(FieldError::Value), "{bad:?}");
        }
    }
}
