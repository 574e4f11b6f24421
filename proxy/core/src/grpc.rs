//! gRPC over HTTP/2: recognises calls and their deadlines, and converts local responses for clients
//! that read trailers instead of a status.

use crate::head::Head;
use std::time::Duration;

/// `Content-Type` of gRPC calls and of "Trailers-Only" responses.
pub const CONTENT_TYPE: &str = "application/grpc";

/// A gRPC call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Deadline of the whole call (`grpc-timeout`); if absent, there is none.
    pub timeout: Option<Duration>,
}

impl Call {
    /// Recognises a gRPC call.
    pub fn of(head: &Head<'_>) -> Option<Self> {
        let media_type = head.single("content-type")?;
        let rest = media_type.strip_prefix(CONTENT_TYPE.as_bytes())?;
        // Not `application/grpc-web`, which is made for HTTP/1.1 and reads statuses.
        matches!(rest.first(), None | Some(b'+' | b';')).then(|| Self {
            timeout: head.single("grpc-timeout").and_then(timeout),
        })
    }
}

/// Parses one to eight digits and a unit. Anything else is left to the endpoint.
fn timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if !(1..=8).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let amount: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(match unit {
        b'H' => Duration::from_secs(amount * 3600),
        b'M' => Duration::from_secs(amount * 60),
        b'S' => Duration::from_secs(amount),
        b'm' => Duration::from_millis(amount),
        b'u' => Duration::from_micros(amount),
        b'n' => Duration::from_nanos(amount),
        _ => return None,
    })
}

/// Returns the gRPC status for an HTTP status ("HTTP to gRPC Status Code Mapping"; 413, 414 and
/// 431, which are not in it, are limits, and 504 is a deadline of the proxy).
pub fn status(http: u16) -> &'static str {
    const UNKNOWN: &str = "2";
    const DEADLINE_EXCEEDED: &str = "4";
    const PERMISSION_DENIED: &str = "7";
    const RESOURCE_EXHAUSTED: &str = "8";
    const UNIMPLEMENTED: &str = "12";
    const INTERNAL: &str = "13";
    const UNAVAILABLE: &str = "14";
    const UNAUTHENTICATED: &str = "16";
    match http {
        400 => INTERNAL,
        401 => UNAUTHENTICATED,
        403 => PERMISSION_DENIED,
        404 => UNIMPLEMENTED,
        413 | 414 | 431 => RESOURCE_EXHAUSTED,
        429 | 502 | 503 => UNAVAILABLE,
        504 => DEADLINE_EXCEEDED,
        _ => UNKNOWN,
    }
}

/// Encodes a sentence for `grpc-message`: printable ASCII except `%` stays, the rest is percent-encoded.
pub fn message(sentence: &str) -> String {
    let mut message = String::with_capacity(sentence.len());
    for byte in sentence.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => message.push(char::from(byte)),
            _ => {
                let digit = |nibble: u8| {
                    char::from_digit(u32::from(nibble), 16)
                        .map_or('0', |digit| digit.to_ascii_uppercase())
                };
                message.extend(['%', digit(byte >> 4), digit(byte & 15)]);
            }
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::head_of;

    fn call(fields: &str) -> Option<Call> {
        let text = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        head_of(&text, Call::of)
    }

    #[test]
    fn recognises_a_call_by_its_media_type() {
        let with = |value: &str| call(&format!("Content-Type: {value}\r\n")).is_some();
        for value in [
            "application/grpc",
            "application/grpc+proto",
            "application/grpc;a=b",
        ] {
            assert!(with(value), "{value}");
        }
        for value in ["application/grpc-web", "application/grpcx", "text/plain"] {
            assert!(!with(value), "{value}");
        }
        assert!(call("").is_none());
    }

    #[test]
    fn parses_deadlines_in_every_unit() {
        let timeout = |value: &str| {
            let fields = format!("Content-Type: application/grpc\r\ngrpc-timeout: {value}\r\n");
            call(&fields).unwrap().timeout
        };
        assert_eq!(timeout("2H"), Some(Duration::from_secs(7200)));
        assert_eq!(timeout("1M"), Some(Duration::from_secs(60)));
        assert_eq!(timeout("10S"), Some(Duration::from_secs(10)));
        assert_eq!(timeout("100m"), Some(Duration::from_millis(100)));
        assert_eq!(
            timeout("99999999u"),
            Some(Duration::from_micros(99_999_999))
        );
        assert_eq!(timeout("1n"), Some(Duration::from_nanos(1)));
        for value in ["", "S", "1", "123456789S", "-1S", "1s", "1 S"] {
            assert_eq!(timeout(value), None, "{value}");
        }
    }

    #[test]
    fn encodes_messages_as_printable_ascii() {
        assert_eq!(message("Nothing is ready."), "Nothing is ready.");
        assert_eq!(message("100%\n\u{e9}"), "100%25%0A%C3%A9");
    }

    #[test]
    fn maps_http_statuses() {
        assert_eq!(status(503), "14");
        assert_eq!(status(504), "4");
        assert_eq!(status(404), "12");
        assert_eq!(status(421), "2");
    }
}
