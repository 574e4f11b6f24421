//! Strict parser of request heads: everything that two readers could interpret differently is rejected
//! before routing (RFC 9112 11.2).

use crate::authority::Authority;
use crate::body::Framing;
use crate::field::{EndToEnd, PassedOn, Role, Slots, content_length, elements};
use crate::head::{Client, Head};
use crate::path::PathAndQuery;
use crate::reason::Reason;
use crate::websocket::{self, Handshake};
use httparse::Header;
use memchr::memchr;
use std::borrow::Cow;

/// Maximum length of a target, in bytes (RFC 9112 3 recommends at least 8000).
pub const MAX_TARGET: usize = 16 * 1024;
/// Maximum number of names that the Connection fields of one message may nominate.
const MAX_NOMINATED: usize = 16;

/// Version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Closes after each message by default; has no chunked coding.
    Http10,
    /// Persistent by default.
    Http11,
    /// Many requests at a time over one connection (RFC 9113).
    Http2,
}

/// Replaces a higher minor version by the highest supported one (RFC 9110 2.5), in place and before
/// anything is parsed, so that no later reader can interpret it differently.
///
/// Takes a whole head, as [`RequestHead::parse`] does, and changes one digit of its first line or nothing.
pub fn settle_version(head: &mut [u8]) {
    let end = memchr(b'\r', head).unwrap_or_default();
    let line = head.get_mut(..end).unwrap_or_default();
    if let [
        ..,
        b' ',
        b'H',
        b'T',
        b'T',
        b'P',
        b'/',
        b'1',
        b'.',
        minor @ b'2'..=b'9',
    ] = line
    {
        *minor = b'1';
    }
}

/// Options of the Connection fields.
#[derive(Clone, Debug, Default)]
pub struct Connection<'b> {
    /// `close` is present.
    pub close: bool,
    /// `keep-alive` is present.
    pub keep_alive: bool,
    /// `upgrade` is present.
    pub upgrade: bool,
    nominated: Vec<&'b str>,
}

/// A valid request head. Borrows the bytes that it was parsed from.
#[derive(Clone, Debug)]
pub struct RequestHead<'h, 'b> {
    /// An RFC 9110 token; never CONNECT or TRACE. GET for a WebSocket over either protocol.
    pub method: &'b str,
    /// Version of the client.
    pub version: Version,
    /// The authority; absent only on HTTP/1.0.
    pub authority: Option<Authority<'b>>,
    /// The target, normalised. `*` for a server-wide OPTIONS.
    pub target: PathAndQuery<'b>,
    /// All fields, in their order.
    pub fields: &'h [Header<'b>],
    pub(crate) end_to_end: EndToEnd,
    /// Framing of the body.
    pub framing: Framing,
    /// Options of the Connection fields.
    pub connection: Connection<'b>,
    /// The client waits for 100 before it sends its body.
    pub expects_continue: bool,
    /// The client accepts trailers (RFC 9110 10.1.4).
    pub takes_trailers: bool,
    /// A valid WebSocket handshake.
    pub websocket: Option<Handshake<'b>>,
}

impl<'h, 'b> RequestHead<'h, 'b> {
    /// Parses a head that ends with its empty line, whose lines end in CR LF ([`crate::scan`]), and whose
    /// version is settled ([`settle_version`]).
    ///
    /// # Errors
    /// The reason of the local response. The connection must be closed after it.
    pub fn parse(bytes: &'b [u8], slots: &'h mut Slots<'b>) -> Result<Self, Reason> {
        let mut parsed = httparse::Request::new(&mut []);
        match parsed.parse_with_uninit_headers(bytes, slots) {
            Ok(httparse::Status::Complete(_)) => {}
            Ok(httparse::Status::Partial) => return Err(Reason::MalformedRequest),
            Err(httparse::Error::TooManyHeaders) => return Err(Reason::HeadTooLarge),
            Err(httparse::Error::Version) if names_a_version(bytes) => {
                return Err(Reason::VersionNotSupported);
            }
            Err(_) => return Err(Reason::MalformedRequest),
        }
        let method = parsed.method.ok_or(Reason::MalformedRequest)?;
        let target = parsed.path.ok_or(Reason::MalformedRequest)?;
        let version = match parsed.version {
            Some(0) => Version::Http10,
            _ => Version::Http11,
        };
        let fields: &'h [Header<'b>] = parsed.headers;
        if target.len() > MAX_TARGET {
            return Err(Reason::TargetTooLong);
        }
        if matches!(method, "CONNECT" | "TRACE") {
            return Err(Reason::MethodNotAllowed);
        }
        let common = Fields::parse(fields, version)?;
        // RFC 9112 3.2: required even if the target has an authority.
        if common.host.is_none() && version == Version::Http11 {
            return Err(Reason::MalformedRequest);
        }
        let (target, authority) = target_and_authority(method, target, common.host)?;
        let mut head = Self {
            method,
            version,
            authority,
            target,
            fields,
            framing: common.framing,
            end_to_end: common.end_to_end,
            connection: common.connection,
            expects_continue: common.expects_continue,
            takes_trailers: common.takes_trailers,
            websocket: None,
        };
        head.websocket = websocket::upgrade(&head);
        Ok(head)
    }

    /// Returns the fields that are passed on.
    fn passed_on(&self) -> PassedOn<'_> {
        PassedOn::new(self.fields, self.end_to_end, &self.connection)
    }

    /// Returns the view that decisions are made from.
    pub fn view<'v>(&'v self, authority: &'v Authority<'v>, client: Client<'v>) -> Head<'v> {
        Head {
            protocol: match self.version {
                Version::Http10 => "1.0",
                Version::Http11 => "1.1",
                Version::Http2 => "2",
            },
            method: self.method,
            authority,
            path: &self.target.path,
            query: self.target.query,
            fields: self.passed_on(),
            takes_trailers: self.takes_trailers,
            websocket: self.websocket.is_some(),
            client,
        }
    }

    /// Returns true if the client keeps the connection open after this exchange. A request over HTTP/2
    /// has no such option.
    pub fn keeps_alive(&self) -> bool {
        match self.version {
            Version::Http2 => true,
            Version::Http11 => !self.connection.close,
            Version::Http10 => self.connection.keep_alive && !self.connection.close,
        }
    }
}

impl Connection<'_> {
    /// Returns true if any field is nominated.
    pub(crate) fn nominates_any(&self) -> bool {
        !self.nominated.is_empty()
    }

    /// Returns true if the field is nominated.
    pub fn nominates(&self, name: &str) -> bool {
        self.nominated
            .iter()
            .any(|nominated| nominated.eq_ignore_ascii_case(name))
    }
}

impl<'b> Connection<'b> {
    /// Adds one Connection field; the tokens of all of them count.
    pub(crate) fn read(&mut self, value: &'b [u8]) -> Result<(), Reason> {
        for token in elements(value) {
            let token = std::str::from_utf8(token).map_err(|_| Reason::MalformedRequest)?;
            if token.eq_ignore_ascii_case("close") {
                self.close = true;
            } else if token.eq_ignore_ascii_case("keep-alive") {
                self.keep_alive = true;
            } else if token.eq_ignore_ascii_case("upgrade") {
                self.upgrade = true;
            } else if self.nominated.len() < MAX_NOMINATED && Role::may_be_nominated(token) {
                self.nominated.push(token);
            } else {
                return Err(Reason::MalformedRequest);
            }
        }
        Ok(())
    }
}

/// Result of the fields that the proxy interprets.
pub(crate) struct Fields<'b> {
    pub(crate) host: Option<&'b [u8]>,
    pub(crate) framing: Framing,
    pub(crate) end_to_end: EndToEnd,
    pub(crate) connection: Connection<'b>,
    pub(crate) expects_continue: bool,
    pub(crate) takes_trailers: bool,
}

impl<'b> Fields<'b> {
    pub(crate) fn parse(fields: &[Header<'b>], version: Version) -> Result<Self, Reason> {
        let mut host = None;
        let mut length = None;
        let mut chunked = false;
        let mut expect = None;
        let mut end_to_end = EndToEnd::default();
        let mut connection = Connection::default();
        let mut takes_trailers = false;
        for (index, field) in fields.iter().enumerate() {
            match Role::of(field.name) {
                Role::Host => once(&mut host, field.value)?,
                Role::ContentLength => {
                    let value = content_length(field.value).ok_or(Reason::MalformedRequest)?;
                    once(&mut length, value)?;
                }
                Role::TransferEncoding => {
                    // Any other coding, list or second field is rejected.
                    let known = field.value.eq_ignore_ascii_case(b"chunked");
                    if !known || chunked || version == Version::Http10 {
                        return Err(Reason::MalformedRequest);
                    }
                    chunked = true;
                }
                Role::Connection => connection.read(field.value)?,
                Role::Expect => once(&mut expect, field.value)?,
                Role::EndToEnd => end_to_end.add(index),
                Role::Hop if field.name.eq_ignore_ascii_case("te") => {
                    takes_trailers |=
                        elements(field.value).any(|token| token.eq_ignore_ascii_case(b"trailers"));
                }
                Role::Upgrade | Role::Hop | Role::Identity | Role::Own | Role::Lookalike => {}
            }
        }
        let framing = match (length, chunked) {
            (Some(_), true) => return Err(Reason::MalformedRequest),
            (None, true) => Framing::Chunked,
            (None, false) => Framing::None,
            (Some(length), false) => Framing::Length(length),
        };
        let expects_continue = match expect {
            // RFC 9110 10.1.1: ignored on HTTP/1.0, and pointless without a body.
            None => false,
            Some(_) if version == Version::Http10 => false,
            // Over HTTP/2 a body may come without being declared.
            Some(value) if value.eq_ignore_ascii_case(b"100-continue") => {
                version == Version::Http2 || !framing.is_empty()
            }
            Some(value) if value.contains(&b',') => return Err(Reason::MalformedRequest),
            Some(_) => return Err(Reason::ExpectationFailed),
        };
        Ok(Self {
            host,
            framing,
            end_to_end,
            connection,
            expects_continue,
            takes_trailers,
        })
    }
}

/// Returns true if a head may come from a client of HTTP/1: a first line of three words, of which the
/// second is no target and the third no version of HTTP, comes from a client that would not understand
/// a response either (RFC 9113 3.4 has such a line for servers to close on).
pub fn may_be_http(head: &[u8]) -> bool {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ');
    let three = (words.next(), words.next(), words.next(), words.next());
    let (Some(_), Some(target), Some(version), None) = three else {
        return true;
    };
    version.starts_with(b"HTTP/") || target.contains(&b'/') || target == b"*"
}

/// Returns true if the request line ends in a well-formed version (RFC 9112 2.3) that is not supported.
fn names_a_version(head: &[u8]) -> bool {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ');
    matches!(
        (words.next(), words.next(), words.next(), words.next()),
        (Some(_), Some([_, ..]), Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor]), None)
            if major.is_ascii_digit() && minor.is_ascii_digit()
    )
}

/// Stores the value of a field that may occur once.
fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), Reason> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(Reason::MalformedRequest),
    }
}

/// Parses the target (RFC 9112 3.2). An absolute target must agree with Host: stricter than 3.2.2, on
/// purpose.
fn target_and_authority<'b>(
    method: &str,
    target: &'b str,
    host: Option<&'b [u8]>,
) -> Result<(PathAndQuery<'b>, Option<Authority<'b>>), Reason> {
    let malformed = |_| Reason::MalformedRequest;
    let host = match host {
        Some(host) => Some(Authority::parse(host).map_err(|_| Reason::MalformedRequest)?),
        None => None,
    };
    if target == "*" && method == "OPTIONS" {
        let everything = PathAndQuery {
            path: Cow::Borrowed("*"),
            query: None,
        };
        return Ok((everything, host));
    }
    if target.starts_with('/') {
        return Ok((PathAndQuery::parse(target).map_err(malformed)?, host));
    }
    let (scheme, rest) = target.split_once("://").ok_or(Reason::MalformedRequest)?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(Reason::MalformedRequest);
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (named, path) = rest.split_at_checked(end).ok_or(Reason::MalformedRequest)?;
    let named = Authority::parse(named.as_bytes()).map_err(|_| Reason::MalformedRequest)?;
    if host.is_some_and(|host| host != named) {
        return Err(Reason::MalformedRequest);
    }
    let path = match path {
        "" => "/",
        path => path,
    };
    Ok((PathAndQuery::parse(path).map_err(malformed)?, Some(named)))
}

/// Parses a head and passes its view, for tests.
#[cfg(test)]
pub(crate) fn head_of<T>(text: &str, use_head: impl FnOnce(&Head<'_>) -> T) -> T {
    view_of(text, false, use_head)
}

/// As before, for a request over TLS.
#[cfg(test)]
pub(crate) fn secure_head_of<T>(text: &str, use_head: impl FnOnce(&Head<'_>) -> T) -> T {
    view_of(text, true, use_head)
}

#[cfg(test)]
fn view_of<T>(text: &str, secure: bool, use_head: impl FnOnce(&Head<'_>) -> T) -> T {
    let mut room = crate::field::slots();
    let head = RequestHead::parse(text.as_bytes(), &mut room).unwrap();
    let client = Client {
        address: "192.0.2.7",
        secure,
    };
    use_head(&head.view(head.authority.as_ref().unwrap(), client))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::slots;
    use proptest::prelude::*;

    /// Parses a head and returns a part of it, or the error.
    fn parse<T>(text: &str, select: impl FnOnce(RequestHead<'_, '_>) -> T) -> Result<T, Reason> {
        RequestHead::parse(text.as_bytes(), &mut slots()).map(select)
    }

    fn with(fields: &str) -> Result<Framing, Reason> {
        parse(
            &format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"),
            |head| head.framing,
        )
    }

    fn rejection(text: &str) -> Reason {
        parse(text, |_| ()).expect_err(text)
    }

    #[test]
    fn parses_a_plain_request() {
        let text = "GET /a/../b?c HTTP/1.1\r\nHost: Shop.example:8080\r\nX: y\r\n\r\n";
        parse(text, |head| {
            assert_eq!((head.method, &*head.target.path), ("GET", "/b"));
            assert_eq!(head.authority.as_ref().unwrap().host(), "shop.example");
            assert_eq!((head.framing, head.keeps_alive()), (Framing::None, true));
        })
        .unwrap();
    }

    #[test]
    fn rejects_ambiguous_framing() {
        assert_eq!(with("Content-Length: 5\r\n"), Ok(Framing::Length(5)));
        assert_eq!(with("Transfer-Encoding: Chunked\r\n"), Ok(Framing::Chunked));
        for fields in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "Content-Length: 5, 5\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: 0x5\r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Content-Length:\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: chunked, chunked\r\n",
            "Transfer-Encoding: chunked, identity\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding: \"chunked\"\r\n",
            "Transfer-Encoding: identity\r\n",
            "Transfer-Encoding:\r\n",
            "Transfer-Encoding: chunked;q=1\r\n",
            "Transfer-Encoding : chunked\r\n",
            "Transfer-Encoding: \u{b}chunked\r\n",
            "A: b\r\n Transfer-Encoding: chunked\r\n",
            "A: b\0c\r\n",
            ": b\r\n",
        ] {
            assert_eq!(with(fields), Err(Reason::MalformedRequest), "{fields:?}");
        }
        let old = "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(rejection(old), Reason::MalformedRequest);
    }

    #[test]
    fn requires_one_well_formed_host() {
        for text in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET http://a/ HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost:\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
            "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://a:81/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET a HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
            " GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
            "GET /\r\nHost: a\r\n\r\n",
        ] {
            assert!(
                matches!(
                    rejection(text),
                    Reason::MalformedRequest | Reason::VersionNotSupported
                ),
                "{text:?}"
            );
        }
        let absolute = "GET http://A?q HTTP/1.1\r\nHost: a\r\n\r\n";
        // An absolute target may have an empty path only when nothing follows it.
        assert_eq!(rejection(absolute), Reason::MalformedRequest);
        let absolute = "GET HTTP://A HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(
            parse(absolute, |head| head.target.path.into_owned()).unwrap(),
            "/"
        );
        let old = "GET / HTTP/1.0\r\n\r\n";
        assert!(parse(old, |head| head.authority.is_none() && !head.keeps_alive()).unwrap());
    }

    #[test]
    fn methods_versions_and_sizes_have_their_own_reasons() {
        let head = |line: &str| format!("{line}\r\nHost: a\r\n\r\n");
        assert_eq!(
            rejection(&head("TRACE / HTTP/1.1")),
            Reason::MethodNotAllowed
        );
        assert_eq!(
            rejection(&head("CONNECT a:1 HTTP/1.1")),
            Reason::MethodNotAllowed
        );
        assert_eq!(
            rejection(&head("GET / HTTP/2.0")),
            Reason::VersionNotSupported
        );
        for line in [
            "GET / HTTP/1.x",
            "GET / FTP/1.0",
            "GET /  HTTP/1.1",
            "GET / HTTP/2",
        ] {
            assert_eq!(rejection(&head(line)), Reason::MalformedRequest, "{line}");
        }
        let long = format!("GET /{} HTTP/1.1", "a".repeat(MAX_TARGET));
        assert_eq!(rejection(&head(&long)), Reason::TargetTooLong);
        let many = format!(
            "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
            "a: b\r\n".repeat(100)
        );
        assert_eq!(rejection(&many), Reason::HeadTooLarge);
        assert!(parse(&head("OPTIONS * HTTP/1.1"), |_| ()).is_ok());
    }

    #[test]
    fn recognises_other_protocols_by_the_first_line() {
        for line in [
            "GET / HTTP/1.1",
            "GET x HTTP/9",
            "OPTIONS * FTP/1",
            "GET /",
            "x",
            "",
        ] {
            assert!(may_be_http(format!("{line}\r\n\r\n").as_bytes()), "{line}");
        }
        assert!(!may_be_http(b"INVALID CONNECTION PREFACE\r\n\r\n"));
    }

    #[test]
    fn settles_higher_minor_versions() {
        let settled = |line: &str| {
            let mut head = format!("{line}\r\nHost: HTTP/1.2\r\n\r\n").into_bytes();
            settle_version(&mut head);
            let text = String::from_utf8(head).unwrap();
            text.strip_suffix("\r\nHost: HTTP/1.2\r\n\r\n")
                .map(str::to_owned)
                .unwrap()
        };
        for minor in 2..=9 {
            let line = format!("GET / HTTP/1.{minor}");
            assert_eq!(settled(&line), "GET / HTTP/1.1");
        }
        for line in [
            "GET / HTTP/1.0",
            "GET / HTTP/1.1",
            "GET / HTTP/2.2",
            "GET / HTTP/0.9",
            "GET / HTTP/1.10",
            "GET / HTTP/1.2 ",
            "GET / http/1.2",
            "GET /HTTP/1.2",
            "GET / HTTP/1.:",
            "1.2",
            "",
        ] {
            assert_eq!(settled(line), line);
        }
        let mut unended = *b" HTTP/1.2";
        settle_version(&mut unended);
        assert_eq!(&unended, b" HTTP/1.2");
    }

    #[test]
    fn rejects_forbidden_connection_options() {
        let connection = |value: &str| {
            let text =
                format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: {value}\r\nX-Hop: 1\r\n\r\n");
            parse(&text, |head| {
                let passes = head.passed_on().iter().any(|field| field.name == "X-Hop");
                (head.keeps_alive(), !passes)
            })
        };
        assert_eq!(connection("close"), Ok((false, false)));
        assert_eq!(connection("Keep-Alive, X-Hop"), Ok((true, true)));
        for value in [
            "host",
            "x, Content-Length",
            "x-forwarded-for",
            "cookie",
            &"a,".repeat(17),
        ] {
            assert_eq!(connection(value), Err(Reason::MalformedRequest), "{value}");
        }
    }

    #[test]
    fn supports_only_100_continue() {
        let expect = |version: &str, fields: &str| {
            let text = format!("PUT / {version}\r\nHost: a\r\nContent-Length: 1\r\n{fields}\r\n");
            parse(&text, |head| head.expects_continue)
        };
        assert_eq!(expect("HTTP/1.1", "Expect: 100-Continue\r\n"), Ok(true));
        assert_eq!(expect("HTTP/1.0", "Expect: 100-continue\r\n"), Ok(false));
        assert_eq!(
            expect("HTTP/1.1", "Expect: tea\r\n"),
            Err(Reason::ExpectationFailed)
        );
        let list = expect("HTTP/1.1", "Expect: 100-continue, x\r\n");
        assert_eq!(list, Err(Reason::MalformedRequest));
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = RequestHead::parse(&bytes, &mut slots());
        }

        /// Mutations of a good head reach deeper than noise does.
        #[test]
        fn never_panics_on_a_damaged_head(at in 0usize..100, byte in any::<u8>()) {
            let mut bytes = b"POST /a/%2e?b HTTP/1.1\r\nHost: a.b:80\r\nContent-Length: 12\r\n\
                Connection: close, x\r\nExpect: 100-continue\r\n\r\n".to_vec();
            let at = at % bytes.len();
            bytes[at] = byte;
            if let Ok(head) = RequestHead::parse(&bytes, &mut slots()) {
                prop_assert!(head.authority.is_some() || head.version == Version::Http10);
                prop_assert!(head.target.path.starts_with('/') || head.target.path == "*");
            }
        }
    }
}
