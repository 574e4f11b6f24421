//! Validates heads received over HTTP/2 (RFC 9113 8) and converts them to the same types as those of
//! HTTP/1. The codec checks the framing of HTTP/2; this module rejects everything that a reader of
//! the message as HTTP/1 could interpret differently.

use crate::authority::Authority;
use crate::body::Framing;
use crate::field::{EndToEnd, MAX_FIELDS, Role, content_length, same_name};
use crate::path::PathAndQuery;
use crate::reason::{Reason, phrase};
use crate::request::{Connection, Fields, MAX_TARGET, RequestHead, Version};
use crate::response::{MalformedResponse, ResponseHead};
use crate::websocket::Handshake;
use httparse::Header;
use std::borrow::Cow;

/// The pseudo-header fields of a request (RFC 9113 8.3.1; RFC 8441 4), each of which occurs at most
/// once.
#[derive(Clone, Copy, Debug)]
pub struct Pseudo<'b> {
    /// `:method`.
    pub method: &'b str,
    /// `:scheme`.
    pub scheme: Option<&'b str>,
    /// `:authority`.
    pub authority: Option<&'b str>,
    /// `:path`, with its query.
    pub path: &'b str,
    /// `:protocol`.
    pub protocol: Option<&'b str>,
}

impl<'h, 'b> RequestHead<'h, 'b> {
    /// Validates a head whose field names are lower case; `ended` if no body follows it.
    ///
    /// # Errors
    /// The reason of the local response. Other requests of the connection are not affected.
    pub fn of_http2(
        pseudo: Pseudo<'b>,
        fields: &'h [Header<'b>],
        ended: bool,
    ) -> Result<Self, Reason> {
        if pseudo.path.len() > MAX_TARGET {
            return Err(Reason::TargetTooLong);
        }
        if fields.len() > MAX_FIELDS {
            return Err(Reason::HeadTooLarge);
        }
        // Either is accepted: the connection determines the scheme.
        let known = |scheme: &str| matches!(scheme, "http" | "https");
        let schemed = pseudo.authority.is_none() || pseudo.scheme.is_some_and(known);
        if !schemed || !fields.iter().all(|field| is_allowed(field)) {
            return Err(Reason::MalformedRequest);
        }
        let websocket = websocket(pseudo, fields, ended)?;
        let method = match (websocket, pseudo.method) {
            (Some(_), _) => "GET",
            (None, "CONNECT" | "TRACE") => return Err(Reason::MethodNotAllowed),
            (None, method) => method,
        };
        let mut parsed = Fields::parse(fields, Version::Http2)?;
        let authority = authority(pseudo.authority, parsed.host)?;
        let target = target(method, pseudo.path)?;
        let framing = match (parsed.framing, ended, websocket) {
            // Data of a tunnel is not a body.
            (_, _, Some(_)) | (Framing::None, true, None) => Framing::None,
            (Framing::Length(0), true, None) => Framing::Length(0),
            // The sum of DATA differs from Content-Length (RFC 9113 8.1.1).
            (_, true, None) => return Err(Reason::MalformedRequest),
            (Framing::Length(length), false, None) => Framing::Length(length),
            (_, false, None) => Framing::Chunked,
        };
        if websocket.is_some() {
            // RFC 8441 5: not used over HTTP/2; a key is generated for the endpoint.
            let keys =
                |(_, field): &(usize, &Header<'_>)| same_name(field.name, "sec-websocket-key");
            for (index, _) in fields.iter().enumerate().filter(keys) {
                parsed.end_to_end.remove(index);
            }
        }
        Ok(Self {
            method,
            version: Version::Http2,
            authority: Some(authority),
            target,
            fields,
            end_to_end: parsed.end_to_end,
            framing,
            connection: parsed.connection,
            expects_continue: parsed.expects_continue && !framing.is_empty(),
            takes_trailers: parsed.takes_trailers,
            websocket,
        })
    }
}

/// Parses extended CONNECT (RFC 8441 4): WebSocket only, with everything that its handshake needs.
fn websocket<'b>(
    pseudo: Pseudo<'b>,
    fields: &[Header<'b>],
    ended: bool,
) -> Result<Option<Handshake<'b>>, Reason> {
    match (pseudo.method, pseudo.protocol) {
        (_, None) => Ok(None),
        ("CONNECT", Some("websocket")) => {
            let mut versions = fields
                .iter()
                .filter(|field| field.name == "sec-websocket-version");
            let version = versions.next().filter(|_| versions.next().is_none());
            let known = version.is_some_and(|field| field.value == b"13");
            if known && !ended {
                Ok(Some(Handshake::Connect))
            } else {
                Err(Reason::MalformedRequest)
            }
        }
        ("CONNECT", Some(_)) => Err(Reason::MethodNotAllowed),
        (_, Some(_)) => Err(Reason::MalformedRequest),
    }
}

/// Returns true if a field is allowed in a message of HTTP/2 (RFC 9113 8.2.1, 8.2.2).
fn is_allowed(field: &Header<'_>) -> bool {
    let padded = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let of_connection = match Role::of(field.name) {
        Role::Connection | Role::TransferEncoding | Role::Upgrade => true,
        Role::Hop if field.name == "te" => !field.value.eq_ignore_ascii_case(b"trailers"),
        Role::Hop => matches!(field.name, "keep-alive" | "proxy-connection"),
        _ => false,
    };
    !of_connection && !padded(field.value.first()) && !padded(field.value.last())
}

/// Parses the authority from `:authority`, Host, or both if equal (RFC 9113 8.3.1; requiring that
/// they agree is stricter, on purpose).
fn authority<'b>(
    authority: Option<&'b str>,
    host: Option<&'b [u8]>,
) -> Result<Authority<'b>, Reason> {
    let parse = |text| Authority::parse(text).map_err(|_| Reason::MalformedRequest);
    match (authority, host) {
        (None, None) => Err(Reason::MalformedRequest),
        (Some(authority), None) => parse(authority.as_bytes()),
        (None, Some(host)) => parse(host),
        (Some(authority), Some(host)) => {
            let authority = parse(authority.as_bytes())?;
            if parse(host)? == authority {
                Ok(authority)
            } else {
                Err(Reason::MalformedRequest)
            }
        }
    }
}

fn target<'b>(method: &str, path: &'b str) -> Result<PathAndQuery<'b>, Reason> {
    if path == "*" && method == "OPTIONS" {
        return Ok(PathAndQuery {
            path: Cow::Borrowed("*"),
            query: None,
        });
    }
    PathAndQuery::parse(path).map_err(|_| Reason::MalformedRequest)
}

impl<'h, 'b> ResponseHead<'h, 'b> {
    /// Validates the head of a response to `method`, whose field names are lower case; `ended` if no
    /// body follows it.
    ///
    /// # Errors
    /// It violates HTTP.
    pub fn of_http2(
        status: u16,
        fields: &'h [Header<'b>],
        ended: bool,
        method: &str,
    ) -> Result<Self, MalformedResponse> {
        // RFC 9113 8.6: there is no 101.
        let valid = (100..600).contains(&status) && status != 101 && fields.len() <= MAX_FIELDS;
        if !valid || !fields.iter().all(is_allowed) {
            return Err(MalformedResponse);
        }
        let mut length: Option<u64> = None;
        let mut end_to_end = EndToEnd::default();
        for (index, field) in fields.iter().enumerate() {
            match Role::of(field.name) {
                Role::ContentLength => {
                    let value = content_length(field.value).ok_or(MalformedResponse)?;
                    if length.replace(value).is_some_and(|before| before != value) {
                        return Err(MalformedResponse);
                    }
                }
                Role::EndToEnd => end_to_end.add(index),
                _ => {}
            }
        }
        let bodiless = method == "HEAD" || matches!(status, 100..200 | 204 | 304);
        let framing = match (bodiless || ended, length) {
            (true, _) => Framing::None,
            // Trailers may follow an empty body: net/http sends them so.
            (false, None | Some(0)) => Framing::UntilClose,
            (false, Some(length)) => Framing::Length(length),
        };
        // The stream ended before the declared length.
        if ended && !bodiless && length.is_some_and(|length| length > 0) {
            return Err(MalformedResponse);
        }
        let declared_length = match status {
            100..200 | 204 => None,
            // HTTP/1 needs the length of an empty body.
            _ if !bodiless && ended => Some(0),
            _ => length.filter(|_| framing == Framing::None),
        };
        Ok(Self {
            status,
            phrase: phrase(status),
            fields,
            end_to_end,
            framing,
            declared_length,
            connection: Connection::default(),
            keeps_alive: true,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GET: Pseudo<'static> = Pseudo {
        method: "GET",
        scheme: Some("https"),
        authority: Some("Shop.Example:8443"),
        path: "/a/../b?c",
        protocol: None,
    };

    fn fields<'b>(pairs: &[(&'b str, &'b str)]) -> Vec<Header<'b>> {
        let field = |(name, value): &(&'b str, &'b str)| Header {
            name,
            value: value.as_bytes(),
        };
        pairs.iter().map(field).collect()
    }

    fn rejection(pseudo: Pseudo<'_>, pairs: &[(&str, &str)], ended: bool) -> Option<Reason> {
        let fields = fields(pairs);
        RequestHead::of_http2(pseudo, &fields, ended).err()
    }

    #[test]
    fn parses_a_request_like_http1() {
        let fields = fields(&[("accept", "*/*"), ("te", "trailers"), ("x-real-ip", "6")]);
        let head = RequestHead::of_http2(GET, &fields, true).unwrap();
        let authority = head.authority.as_ref().unwrap();
        assert_eq!((head.method, &*head.target.path), ("GET", "/b"));
        assert_eq!(authority.host(), "shop.example");
        assert_eq!(authority.port(), Some(8443));
        assert_eq!((head.framing, head.takes_trailers), (Framing::None, true));
        let client = crate::head::Client {
            address: "192.0.2.7",
            secure: true,
        };
        let passed = head.view(authority, client).fields;
        let names: Vec<_> = passed.iter().map(|field| field.name).collect();
        assert_eq!(names, ["accept"]);
    }

    #[test]
    fn authority_and_host_must_agree() {
        let host = |host: &'static str| rejection(GET, &[("host", host)], true);
        assert_eq!(host("shop.example:8443"), None);
        assert_eq!(host("other.example:8443"), Some(Reason::MalformedRequest));
        assert_eq!(host("shop.example"), Some(Reason::MalformedRequest));
        let with = |authority| Pseudo { authority, ..GET };
        assert_eq!(rejection(with(None), &[("host", "a")], true), None);
        for authority in [None, Some(""), Some("u@a"), Some("a b"), Some("a,b")] {
            let refused = rejection(with(authority), &[], true);
            assert_eq!(refused, Some(Reason::MalformedRequest), "{authority:?}");
        }
    }

    #[test]
    fn accepts_http_and_https_schemes() {
        for (scheme, valid) in [
            (Some("http"), true),
            (Some("https"), true),
            (Some("ftp"), false),
            (Some(""), false),
            (None, false),
        ] {
            let refused = rejection(Pseudo { scheme, ..GET }, &[], true);
            assert_eq!(refused.is_none(), valid, "{scheme:?}");
        }
    }

    #[test]
    fn rejects_paths_that_are_not_absolute() {
        let with = |method, path| {
            rejection(
                Pseudo {
                    method,
                    path,
                    ..GET
                },
                &[],
                true,
            )
        };
        assert_eq!(with("OPTIONS", "*"), None);
        for path in ["*", "", "a", "http://a/", "/a\\b", "/%00", "/%zz"] {
            assert_eq!(with("GET", path), Some(Reason::MalformedRequest), "{path}");
        }
        let long = "/a".repeat(MAX_TARGET);
        assert_eq!(with("GET", &long), Some(Reason::TargetTooLong));
        for method in ["CONNECT", "TRACE"] {
            assert_eq!(with(method, "/"), Some(Reason::MethodNotAllowed));
        }
    }

    #[test]
    fn rejects_connection_specific_fields() {
        for (name, value) in [
            ("connection", "close"),
            ("keep-alive", "5"),
            ("proxy-connection", "close"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("te", "gzip"),
            ("a", " b"),
            ("a", "b\t"),
            ("content-length", "+5"),
        ] {
            let refused = rejection(GET, &[(name, value)], false);
            assert_eq!(refused, Some(Reason::MalformedRequest), "{name}: {value}");
        }
    }

    #[test]
    fn framing_follows_length_and_end_of_stream() {
        let framing = |pairs: &[(&str, &str)], ended| {
            let fields = fields(pairs);
            RequestHead::of_http2(GET, &fields, ended).map(|head| head.framing)
        };
        let length = |value| [("content-length", value)];
        assert_eq!(framing(&length("5"), false), Ok(Framing::Length(5)));
        assert_eq!(framing(&length("0"), true), Ok(Framing::Length(0)));
        assert_eq!(framing(&[], false), Ok(Framing::Chunked));
        assert_eq!(framing(&length("5"), true), Err(Reason::MalformedRequest));
        let twice = [("content-length", "5"), ("content-length", "5")];
        assert_eq!(framing(&twice, false), Err(Reason::MalformedRequest));
    }

    #[test]
    fn accepts_websockets_by_extended_connect_only() {
        let connect = |protocol| Pseudo {
            method: "CONNECT",
            protocol,
            ..GET
        };
        let version = ("sec-websocket-version", "13");
        let key = ("sec-websocket-key", "x");
        let asked = fields(&[version, key, ("origin", "a")]);
        let head = RequestHead::of_http2(connect(Some("websocket")), &asked, false).unwrap();
        assert_eq!(head.websocket, Some(Handshake::Connect));
        assert_eq!((head.method, head.framing), ("GET", Framing::None));
        let client = crate::head::Client {
            address: "a",
            secure: true,
        };
        let view = head.view(head.authority.as_ref().unwrap(), client);
        assert!(view.values("sec-websocket-key").next().is_none());
        let rejection = |pseudo, pairs: &[_], ended| rejection(pseudo, pairs, ended).unwrap();
        let websocket = connect(Some("websocket"));
        assert_eq!(rejection(websocket, &[], false), Reason::MalformedRequest);
        assert_eq!(
            rejection(websocket, &[version], true),
            Reason::MalformedRequest
        );
        let other = connect(Some("connect-udp"));
        assert_eq!(
            rejection(other, &[version], false),
            Reason::MethodNotAllowed
        );
        let get = Pseudo {
            protocol: Some("websocket"),
            ..GET
        };
        assert_eq!(rejection(get, &[version], false), Reason::MalformedRequest);
    }

    #[test]
    fn parses_a_response_like_http1() {
        let read = |status, pairs: &[(&str, &str)], ended, method: &str| {
            let fields = fields(pairs);
            ResponseHead::of_http2(status, &fields, ended, method)
                .map(|head| (head.framing, head.declared_length))
        };
        let length = [("content-length", "5")];
        assert_eq!(
            read(200, &length, false, "GET"),
            Ok((Framing::Length(5), None))
        );
        assert_eq!(
            read(200, &[], false, "GET"),
            Ok((Framing::UntilClose, None))
        );
        assert_eq!(read(200, &[], true, "GET"), Ok((Framing::None, Some(0))));
        let empty = [("content-length", "0")];
        assert_eq!(
            read(200, &empty, false, "GET"),
            Ok((Framing::UntilClose, None))
        );
        assert_eq!(
            read(200, &length, true, "HEAD"),
            Ok((Framing::None, Some(5)))
        );
        assert_eq!(
            read(304, &length, true, "GET"),
            Ok((Framing::None, Some(5)))
        );
        assert_eq!(read(204, &[], true, "GET"), Ok((Framing::None, None)));
        assert!(read(200, &length, true, "GET").is_err());
        assert!(read(101, &[], false, "GET").is_err());
        assert!(read(600, &[], true, "GET").is_err());
        assert!(read(200, &[("connection", "close")], true, "GET").is_err());
        let differing = [("content-length", "5"), ("content-length", "6")];
        assert!(read(200, &differing, false, "GET").is_err());
    }

    proptest! {
        /// A head parsed from HTTP/2 means the same in HTTP/1.
        #[test]
        fn any_head_is_rejected_or_framed_once(
            path in "(/[a-z%.#?*]{0,8}|[a-z*]{0,3})",
            authority in prop::option::of("[a-zA-Z0-9.:@-]{0,12}"),
            names in prop::collection::vec("[a-z_-]{1,18}", 0..6),
            value in "[ -~\t]{0,12}",
            ended in any::<bool>(),
        ) {
            let pairs: Vec<_> = names.iter().map(|name| (name.as_str(), value.as_str())).collect();
            let fields = fields(&pairs);
            let pseudo = Pseudo {
                method: "POST",
                scheme: Some("http"),
                authority: authority.as_deref(),
                path: &path,
                protocol: None,
            };
            if let Ok(head) = RequestHead::of_http2(pseudo, &fields, ended) {
                prop_assert!(head.target.path.starts_with('/'));
                prop_assert!(!ended || head.framing.is_empty());
            }
        }
    }
}
