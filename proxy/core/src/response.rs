//! A response head from an endpoint, judged as strictly as a request: a response that two
//! readers could split differently is answered with 502 and its connection never used again.

use crate::body::Framing;
use crate::field::{EndToEnd, PassedOn, Role, Slots, content_length, elements};
use crate::request::{Connection, Version};
use httparse::Header;
use thiserror::Error;

/// The response breaks a rule of HTTP.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the response is malformed")]
pub struct MalformedResponse;

/// One response head, valid in itself.
#[derive(Clone, Debug)]
pub struct ResponseHead<'h, 'b> {
    /// 100 to 599.
    pub status: u16,
    /// As the endpoint wrote it.
    pub phrase: &'b str,
    /// All fields, in their order.
    pub fields: &'h [Header<'b>],
    pub(crate) end_to_end: EndToEnd,
    /// How the body ends; none where HTTP says so, whatever the fields say.
    pub framing: Framing,
    /// The length that is told though there is no body: of an empty one, or of the one that a
    /// response to HEAD or a 304 leaves out.
    pub told_length: Option<u64>,
    /// What belongs to this hop.
    pub connection: Connection<'b>,
    /// The endpoint keeps the connection, as far as it says.
    pub keeps_alive: bool,
}

impl<'h, 'b> ResponseHead<'h, 'b> {
    /// Reads a head whose lines end in CR LF ([`crate::scan`]), an answer to `method`.
    ///
    /// # Errors
    /// It breaks a rule of HTTP.
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
        let told_length = match status {
            // RFC 9110 8.6: these never tell a length.
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
            told_length,
            connection,
            keeps_alive,
        })
    }

    /// The fields that are passed on.
    pub fn passed_on(&self) -> PassedOn<'_> {
        PassedOn::new(self.fields, self.end_to_end, &self.connection)
    }

    /// An interim response (RFC 9110 15.2); another follows.
    pub fn is_interim(&self) -> bool {
        self.status < 200
    }

    /// Whether this 101 accepts the WebSocket handshake with `accept`.
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
                .all(|it| it.eq_ignore_ascii_case(b"websocket"))
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

    fn judge(method: &str, text: &str) -> Result<(u16, Framing, bool), MalformedResponse> {
        ResponseHead::parse(text.as_bytes(), &mut slots(), method)
            .map(|it| (it.status, it.framing, it.keeps_alive))
    }

    #[test]
    fn framing_by_status_method_and_fields() {
        let ok = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        assert_eq!(judge("GET", ok), Ok((200, Framing::Length(5), true)));
        assert_eq!(judge("HEAD", ok), Ok((200, Framing::None, true)));
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(judge("GET", chunked), Ok((200, Framing::Chunked, true)));
        let close = "HTTP/1.1 200 OK\r\n\r\n";
        assert_eq!(judge("GET", close), Ok((200, Framing::UntilClose, false)));
        let unchanged = "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n";
        assert_eq!(judge("GET", unchanged), Ok((304, Framing::None, true)));
        let none = "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(judge("GET", none), Ok((204, Framing::None, true)));
        let old = "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n";
        assert_eq!(judge("GET", old), Ok((200, Framing::Length(1), false)));
    }

    #[test]
    fn a_told_length_is_kept_where_it_may_stand() {
        let told = |method, status| {
            let text = format!("HTTP/1.1 {status} X\r\nContent-Length: 7\r\n\r\n");
            ResponseHead::parse(text.as_bytes(), &mut slots(), method)
                .unwrap()
                .told_length
        };
        assert_eq!(told("HEAD", 200), Some(7));
        assert_eq!(told("GET", 304), Some(7));
        assert_eq!(told("GET", 204), None);
        assert_eq!(told("GET", 200), None);
        let empty = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        let mut room = slots();
        let empty = ResponseHead::parse(empty, &mut room, "GET").unwrap();
        assert_eq!((empty.framing, empty.told_length), (Framing::None, Some(0)));
    }

    #[test]
    fn what_two_readers_could_split_differently_is_refused() {
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
            assert_eq!(judge("GET", text), Err(MalformedResponse), "{text:?}");
        }
    }

    #[test]
    fn a_tunnel_opens_only_for_the_matching_answer() {
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
        fn any_bytes_are_judged_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = ResponseHead::parse(&bytes, &mut slots(), "GET");
        }
    }
}
