//! Rules for the header fields that a route may match and change, and for their values.
//!
//! Fields that frame a message, belong to one hop, or identify the client are reserved to the proxy:
//! a route that could set them could make two readers disagree (request smuggling), or forge the
//! client's identity.

use thiserror::Error;

/// Reason why a field is rejected.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum FieldError {
    /// Not a token (RFC 9110 5.1) in lower case.
    #[error("not the name of a header field")]
    Name,
    /// Written or removed by the proxy.
    #[error("reserved: the proxy sets or removes this field")]
    Reserved,
    /// Not a field value (RFC 9110 5.5).
    #[error(
        "not the value of a header field: must be printable ASCII without leading or trailing space"
    )]
    Value,
}

/// Names reserved to the proxy, in lower case.
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
    // Passed on, but a route must not remove it: it detects loops.
    "via",
    "x-envoy-original-path",
    "x-portolan-reason",
    "x-real-ip",
    "x-request-id",
];

/// Prefixes of further reserved names.
const RESERVED_PREFIXES: &[&str] = &["x-forwarded-", "x-ssl-"];

/// Checks a name in lower case. (`host` is reserved too; setting it in a request has a meaning
/// of its own, so callers that allow it check for it first.)
///
/// # Errors
/// Not a name, or one that is reserved to the proxy; `_` counts as `-`, because some servers
/// cannot tell them apart.
pub fn name(text: &str) -> Result<(), FieldError> {
    if !is_token(text) || text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(FieldError::Name);
    }
    let plain = text.replace('_', "-");
    let reserved = RESERVED.contains(&plain.as_str())
        || RESERVED_PREFIXES
            .iter()
            .any(|prefix| plain.starts_with(prefix));
    if reserved {
        Err(FieldError::Reserved)
    } else {
        Ok(())
    }
}

/// Checks a value.
///
/// # Errors
/// Not a field value.
pub fn value(text: &str) -> Result<(), FieldError> {
    let printable = |byte: u8| matches!(byte, b'\t' | b' '..=b'~');
    if text.bytes().all(printable) && text.trim_matches([' ', '\t']) == text {
        Ok(())
    } else {
        Err(FieldError::Value)
    }
}

/// Returns true for a token (RFC 9110 5.6.2): the name of a field, a method.
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
    fn names_are_lower_case_tokens_and_not_reserved() {
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
        for reserved in [
            "host",
            "content-length",
            "content_length",
            "x-forwarded-for",
            "x_forwarded_for",
            "connection",
        ] {
            assert_eq!(name(reserved), Err(FieldError::Reserved), "{reserved}");
        }
        assert!(is_token("M-SEARCH") && !is_token("") && !is_token("a,b"));
    }

    #[test]
    fn rejects_values_with_line_ends() {
        for good in ["", "a b\tc", "max-age=1; x=\"~\""] {
            assert_eq!(value(good), Ok(()), "{good:?}");
        }
        for bad in ["a\r\nb: c", "a\n", " a", "a\t", "\0", "\u{7f}", "ä"] {
            assert_eq!(value(bad), Err(FieldError::Value), "{bad:?}");
        }
    }
}
