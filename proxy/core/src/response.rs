//! Strict parser of response heads: a response that two readers could frame differently becomes a 502,
//! and its connection is not reused.

use crate::body::Framing;
use crate::field::{EndToEnd, PassedOn, Role, Slots, content_length, elements};
use crate::request::{Connection, Version};
use httparse::Header;
use thiserror::Error;

/// The response violates HTTP.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the response is malformed")]
pub struct MalformedResponse;

/// A valid response head.
#[derive(Clone, Debug)]
pub struct ResponseHead<'h, 'b> {
    /// 100 to 599.
    pub status: u16,
    /// Reason phrase of the endpoint.
    pub phrase: &'b str,
    /// All fields, in their order.
    pub fields: &'h [Header<'b>],
    pub(crate) end_to_end: EndToEnd,
    /// Framing of the body; none where HTTP forbids a body, regardless of the fields.
    pub framing: Framing,
    /// `Content-Length` without a body: of an empty body, or of the one that a response to HEAD or a
    /// 304 omits.
    pub declared_length: Option<u64>,
    /// Options of the Connection fields.
    pub connection: Connection<'b>,
    /// The endpoint keeps the connection open.
    pub keeps_alive: bool,
}

impl<'h, 'b> ResponseHead<'h, 'b> {
    /// Parses the head of a response to `method`, whose lines end in CR LF ([`crate::scan`]).
    ///
    /// # Errors
    /// It violates HTTP.
    pub fn parse(
        bytes: &'b [u8],
        slots: &'h mut Slots<'b>,
        method: &str,
    ) -> Result<Self, MalformedResponse> {
        let mut parsed = httparse::Response::new(&mut []);
        let complete = httparse::ParserConfig::default()
            .parse_response_with_uninit_headers(&mut parsed, bytes, slots)
            .is_ok_and(|status| status.is_complete());
        let status = parsed.code.unwrap_or_default();
        if !complete || !(100..600).contains(&status) {
            return Err(MalformedResponse);
        }
        let version = match parsed.version {
            Some(0) => Version::Http10,
            _ => Version::Http11,
        };
        let fields: &'h [Header<'b>] = parsed.headers;
        let mut length: Option<u64> = None;
        let mut chunked = false;
        let mut end_to_end = EndToEnd::default();
        let mut connection = Connection::default();
        for (index, field) in fields.iter().enumerate() {
            match Role::of(field.name) {
                Role::ContentLength => {
                    let value = content_length(field.value).ok_or(MalformedResponse)?;
                    if length.replace(value).is_some_and(|before| before != value) {
                        return Err(MalformedResponse);
                    }
                }
                Role::TransferEncoding => {
                    let known = field.value.eq_ignore_ascii_case(b"chunked");
                    if !known || chunked || version == Version::Http10 {
                        return Err(MalformedResponse);
                    }
                    chunked = true;
                }
                Role::Connection => connection
                    .read(field.value)
                    .map_err(|_| MalformedResponse)?,
                Role::EndToEnd => end_to_end.add(index),
                _ => {}
            }
        }
        if chunked && length.is_some() {
            return Err(MalformedResponse);
        }
        // RFC 9112 6.3, rules 1 and 2.
        let bodiless = method == "HEAD" || matches!(status, 100..200 | 204 | 304);
        let framing = match (bodiless, chunked, length) {
            (true, ..) | (false, false, Some(0)) => Framing::None,
            (false, true, _) => Framing::Chunked,
            (false, false, Some(length)) => Framing::Length(length),
            (false, false, None) => Framing::UntilClose,
        };
        let declared_length = match status {
            // RFC 9110 8.6: these have no Content-Length.
            100..200 | 204 => None,
            _ => length.filter(|_| framing == Framing::None),
        };
        let keeps_alive = framing != Framing::UntilClose
            && match version {
                Version::Http11 | Version::Http2 => !connection.close,
                Version::Http10 => connection.keep_alive && !connection.close,
            };
        Ok(Self {
            status,
            phrase: parsed.reason.unwrap_or_default(),
            fields,
            end_to_end,
            framing,
            declared_length,
            connection,
            keeps_alive,
        })
    }

    /// Returns the fields that are passed on.
    pub fn passed_on(&self) -> PassedOn<'_> {
        PassedOn::new(self.fields, self.end_to_end, &self.connection)
    }

    /// Returns true for an interim response (RFC 9110 15.2); another follows.
    pub fn is_interim(&self) -> bool {
        self.status < 200
    }

    /// Returns true if this 101 accepts the WebSocket handshake with `accept`.
    pub fn accepts_websocket(&self, accept: &str) -> bool {
        let values = |name: &'static str| {
            self.fields
                .iter()
                .filter(move |field| field.name.eq_ignore_ascii_case(name))
                .map(|field| field.value)
        };
        let mut accepts = values("sec-websocket-accept");
        self.status == 101
            && self.connection.upgrade
            && values("upgrade")
                .flat_map(elements)
                .all(|token| token.eq_ignore_ascii_case(b"websocket"))
            && values("upgrade").next().is_some()
            && accepts.next() == Some(accept.as_bytes())
            && accepts.next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::slots;
    use proptest::prelude::*;

    fn parse(method: &str, text: &str) -> Result<(u16, Framing, bool), MalformedResponse> {
        ResponseHead::parse(text.as_bytes(), &mut slots(), method)
            .map(|head| (head.status, head.framing, head.keeps_alive))
    }

    #[test]
    fn framing_follows_status_method_and_fields() {
        let ok = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        assert_eq!(parse("GET", ok), Ok((200, Framing::Length(5), true)));
        assert_eq!(parse("HEAD", ok), Ok((200, Framing::None, true)));
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(parse("GET", chunked), Ok((200, Framing::Chunked, true)));
        let close = "HTTP/1.1 200 OK\r\n\r\n";
        assert_eq!(parse("GET", close), Ok((200, Framing::UntilClose, false)));
        let unchanged = "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n";
        assert_eq!(parse("GET", unchanged), Ok((304, Framing::None, true)));
        let none = "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(parse("GET", none), Ok((204, Framing::None, true)));
        let old = "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n";
        assert_eq!(parse("GET", old), Ok((200, Framing::Length(1), false)));
    }

    #[test]
    fn keeps_a_declared_length_where_allowed() {
        let declared = |method, status| {
            let text = format!("HTTP/1.1 {status} X\r\nContent-Length: 7\r\n\r\n");
            ResponseHead::parse(text.as_bytes(), &mut slots(), method)
                .unwrap()
                .declared_length
        };
        assert_eq!(declared("HEAD", 200), Some(7));
        assert_eq!(declared("GET", 304), Some(7));
        assert_eq!(declared("GET", 204), None);
        assert_eq!(declared("GET", 200), None);
        let empty = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        let mut room = slots();
        let empty = ResponseHead::parse(empty, &mut room, "GET").unwrap();
        assert_eq!(
            (empty.framing, empty.declared_length),
            (Framing::None, Some(0))
        );
    }

    #[test]
    fn rejects_ambiguous_framing() {
        for text in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
            "HTTP/1.1 000 OK\r\n\r\n",
            "HTTP/1.1 999 OK\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/2 200 OK\r\n\r\n",
            "hello\r\n\r\n",
        ] {
            assert_eq!(parse("GET", text), Err(MalformedResponse), "{text:?}");
        }
    }

    #[test]
    fn a_tunnel_opens_only_for_the_matching_accept() {
        let accepts = |fields: &str| {
            let text = format!("HTTP/1.1 101 Switching\r\n{fields}\r\n");
            ResponseHead::parse(text.as_bytes(), &mut slots(), "GET")
                .unwrap()
                .accepts_websocket("abc=")
        };
        let good = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: abc=\r\n";
        assert!(accepts(good));
        assert!(!accepts(&good.replace("abc=", "abd=")));
        assert!(!accepts(&good.replace("websocket\r", "h2c\r")));
        assert!(!accepts(&good.replace("Connection: Upgrade\r\n", "")));
        assert!(!accepts(&format!("{good}Sec-WebSocket-Accept: abc=\r\n")));
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = ResponseHead::parse(&bytes, &mut slots(), "GET");
        }
    }
}
