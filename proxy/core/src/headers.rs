//! Writes the heads of forwarded requests and responses: hop-by-hop fields are dropped, fields that
//! identify the client are replaced, and framing is rewritten.

use crate::authority::Authority;
use crate::body::Framing;
use crate::chunk::ChunkError;
use crate::field::{PassedOn, Role};
use crate::head::Head;
use crate::local_response::LocalResponse;
use crate::response::ResponseHead;
use crate::route::{RequestRules, ResponsePolicy};
use crate::via::Pseudonym;

/// Writes fields in the encoding of a protocol, so that the choice of fields is independent of it.
pub trait FieldSink {
    /// Writes one field. Its value is the concatenation of the parts.
    fn field(&mut self, name: &str, value: &[&[u8]]);
}

/// Encoding of HTTP/1 (RFC 9112 5).
impl FieldSink for Vec<u8> {
    fn field(&mut self, name: &str, value: &[&[u8]]) {
        put(self, &[name, ": "]);
        for part in value {
            self.extend_from_slice(part);
        }
        put(self, &["\r\n"]);
    }
}

/// Properties of this hop.
#[derive(Clone, Copy, Debug)]
pub struct Hop<'a> {
    /// `x-request-id`.
    pub request_id: &'a str,
    /// Name of this proxy in `Via`.
    pub via: &'a Pseudonym,
}

/// Writes the head of a request to an endpoint over HTTP/1.1; with a generated key if the client opens
/// a WebSocket without one.
pub fn request(
    out: &mut Vec<u8>,
    head: &Head<'_>,
    rules: &RequestRules,
    hop: Hop<'_>,
    body: Framing,
    websocket_key: Option<&str>,
) {
    put(out, &[head.method, " "]);
    request_target(out, head, rules);
    put(out, &[" HTTP/1.1\r\nHost: "]);
    request_authority(out, head, rules);
    put(out, &["\r\n"]);
    request_fields(out, head, rules, hop);
    framing(out, body);
    if head.websocket {
        put(out, &["Connection: Upgrade\r\nUpgrade: websocket\r\n"]);
    }
    if let Some(key) = websocket_key {
        out.field("Sec-WebSocket-Key", &[key.as_bytes()]);
    }
    put(out, &["\r\n"]);
}

/// Writes the request target, in origin form.
pub fn request_target(out: &mut Vec<u8>, head: &Head<'_>, rules: &RequestRules) {
    let path = rules.path(head.path);
    put(out, &[path.first, path.rest]);
    if let Some(query) = head.query {
        put(out, &["?", query]);
    }
}

/// Writes the authority of the request.
pub fn request_authority(out: &mut Vec<u8>, head: &Head<'_>, rules: &RequestRules) {
    match rules.host() {
        Some(host) => put(out, &[host]),
        None => put_authority(out, head.authority),
    }
}

/// Writes the fields of a request to an endpoint, without its target and authority.
///
/// No peer is trusted yet: fields about an earlier hop (`Forwarded`,
/// `X-Forwarded-*`, `X-Real-IP`, `X-Request-Id`) are dropped, in any spelling.
pub fn request_fields(
    out: &mut impl FieldSink,
    head: &Head<'_>,
    rules: &RequestRules,
    hop: Hop<'_>,
) {
    fields(out, head.fields, |name| rules.drops(name));
    let via = hop.via.as_str().as_bytes();
    out.field("Via", &[head.protocol.as_bytes(), b" ", via]);
    let client = head.client;
    let mut port = itoa::Buffer::new();
    let host = head.authority.host().as_bytes();
    out.field("X-Forwarded-For", &[client.address.as_bytes()]);
    out.field("X-Real-IP", &[client.address.as_bytes()]);
    out.field("X-Forwarded-Proto", &[client.scheme().as_bytes()]);
    match head.authority.port() {
        Some(explicit) => {
            let port = port.format(explicit).as_bytes();
            out.field("X-Forwarded-Host", &[host, b":", port]);
            out.field("X-Forwarded-Port", &[port]);
        }
        None => {
            out.field("X-Forwarded-Host", &[host]);
            let port = port.format(client.default_port()).as_bytes();
            out.field("X-Forwarded-Port", &[port]);
        }
    }
    out.field("X-Request-Id", &[hop.request_id.as_bytes()]);
    if rules.rewrites() {
        let name = "X-Envoy-Original-Path";
        let path = head.path.as_bytes();
        match head.query {
            Some(query) => out.field(name, &[path, b"?", query.as_bytes()]),
            None => out.field(name, &[path]),
        }
    }
    rules.put(out);
}

/// Persistence of the client's connection, as sent in `Connection`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// Kept open, the default of HTTP/1.1.
    Persistent,
    /// Kept open with `keep-alive`, for HTTP/1.0.
    KeepAlive,
    /// Closed after this response.
    Close,
}

impl Persistence {
    /// Returns the persistence of a connection that is kept open or not, to a client of HTTP/1.0 or not.
    pub fn of(kept: bool, http10: bool) -> Self {
        match (kept, http10) {
            (false, _) => Self::Close,
            (true, true) => Self::KeepAlive,
            (true, false) => Self::Persistent,
        }
    }

    fn write(self, out: &mut Vec<u8>) {
        match self {
            Self::Persistent => {}
            Self::KeepAlive => put(out, &["Connection: keep-alive\r\n"]),
            Self::Close => put(out, &["Connection: close\r\n"]),
        }
    }
}

/// Writes the head of a response to the client over HTTP/1.1, its body framed by `body`.
pub fn response(
    out: &mut Vec<u8>,
    head: &ResponseHead<'_, '_>,
    body: Framing,
    persistence: Persistence,
    policy: &ResponsePolicy,
) {
    status_line(out, head.status, head.phrase);
    response_fields(out, head, policy);
    match head.declared_length {
        Some(length) => framing(out, Framing::Length(length)),
        None => framing(out, body),
    }
    persistence.write(out);
    put(out, &["\r\n"]);
}

/// Writes the fields of a response, without framing and without those of the connection.
pub fn response_fields(
    out: &mut impl FieldSink,
    head: &ResponseHead<'_, '_>,
    policy: &ResponsePolicy,
) {
    fields(out, head.passed_on(), |name| policy.drops(name));
    policy.put(out);
}

/// Writes an interim response other than 101.
pub fn interim(out: &mut Vec<u8>, head: &ResponseHead<'_, '_>) {
    status_line(out, head.status, head.phrase);
    interim_fields(out, head);
    put(out, &["\r\n"]);
}

/// Writes the fields of an interim response.
pub fn interim_fields(out: &mut impl FieldSink, head: &ResponseHead<'_, '_>) {
    fields(out, head.passed_on(), |_| false);
}

/// Writes the 101 that opens a tunnel, over any protocol of the endpoint, with `accept` for the
/// client.
pub fn switching(out: &mut Vec<u8>, head: &ResponseHead<'_, '_>, accept: &str) {
    status_line(out, 101, "Switching Protocols");
    tunnel_fields(out, head);
    out.field("Sec-WebSocket-Accept", &[accept.as_bytes()]);
    put(out, &["Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"]);
}

/// Writes the fields of the response that opens a tunnel, without `Sec-WebSocket-Accept`.
pub fn tunnel_fields(out: &mut impl FieldSink, head: &ResponseHead<'_, '_>) {
    fields(out, head.passed_on(), |name| {
        name.eq_ignore_ascii_case("sec-websocket-accept")
    });
}

/// Connection-specific fields of a local response.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// `x-request-id`.
    pub request_id: &'a str,
    /// `Date`, in the form of RFC 9110 5.6.7.
    pub date: &'a str,
    /// True for the response to HEAD: no body follows.
    pub head_only: bool,
    /// Persistence of the connection.
    pub persistence: Persistence,
}

/// Writes a whole local response over HTTP/1.1.
pub fn local_response(out: &mut Vec<u8>, response: &LocalResponse, delivery: Delivery<'_>) {
    status_line(out, response.status, response.phrase());
    response.put_fields(out, delivery.request_id, delivery.date);
    if let Some(length) = response.length() {
        framing(out, Framing::Length(length));
    }
    delivery.persistence.write(out);
    put(out, &["\r\n"]);
    if !delivery.head_only {
        put(out, &response.body());
    }
}

/// Writes the trailers of an HTTP/1 trailer section that may be passed on.
///
/// # Errors
/// The section is malformed.
pub fn trailers(out: &mut impl FieldSink, section: &[u8]) -> Result<(), ChunkError> {
    if section.is_empty() {
        return Ok(());
    }
    let mut terminated = Vec::with_capacity(section.len() + 2);
    terminated.extend_from_slice(section);
    terminated.extend_from_slice(b"\r\n");
    let mut slots = [httparse::EMPTY_HEADER; 64];
    match httparse::parse_headers(&terminated, &mut slots) {
        Ok(httparse::Status::Complete((length, trailers))) if length == terminated.len() => {
            for field in trailers.iter().filter(|field| Role::may_trail(field.name)) {
                out.field(field.name, &[field.value]);
            }
            Ok(())
        }
        _ => Err(ChunkError::Trailers),
    }
}

fn status_line(out: &mut Vec<u8>, status: u16, phrase: &str) {
    put(out, &["HTTP/1.1 "]);
    put_number(out, u64::from(status));
    put(out, &[" ", phrase, "\r\n"]);
}

fn fields(out: &mut impl FieldSink, passed: PassedOn<'_>, drops: impl Fn(&str) -> bool) {
    for field in passed.iter().filter(|field| !drops(field.name)) {
        out.field(field.name, &[field.value]);
    }
}

fn framing(out: &mut Vec<u8>, framing: Framing) {
    match framing {
        Framing::None | Framing::UntilClose => {}
        Framing::Length(length) => {
            put(out, &["Content-Length: "]);
            put_number(out, length);
            put(out, &["\r\n"]);
        }
        Framing::Chunked => put(out, &["Transfer-Encoding: chunked\r\n"]),
    }
}

fn put(out: &mut Vec<u8>, parts: &[&str]) {
    for part in parts {
        out.extend_from_slice(part.as_bytes());
    }
}

fn put_authority(out: &mut Vec<u8>, authority: &Authority<'_>) {
    put(out, &[authority.host()]);
    if let Some(port) = authority.port() {
        put(out, &[":"]);
        put_number(out, u64::from(port));
    }
}

fn put_number(out: &mut Vec<u8>, number: u64) {
    put(out, &[itoa::Buffer::new().format(number)]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::slots;
    use crate::head::Client;
    use crate::request::RequestHead;
    use portolan_discovery::table::{self, Action, HeaderEdits, PathMatch, PathRewrite};

    fn forwarded(text: &str) -> String {
        forwarded_on(text, |_| ())
    }

    /// Forwards a request over TLS, on a route with these changes.
    fn forwarded_on(text: &str, change: impl FnOnce(&mut table::Route)) -> String {
        let mut room = slots();
        let head = RequestHead::parse(text.as_bytes(), &mut room).unwrap();
        let client = Client {
            address: "192.0.2.7",
            secure: true,
        };
        let mut out = Vec::new();
        let via = "portolan".parse().unwrap();
        let hop = Hop {
            request_id: "id-1",
            via: &via,
        };
        let view = head.view(head.authority.as_ref().unwrap(), client);
        request(&mut out, &view, &compiled(change), hop, head.framing, None);
        String::from_utf8(out).unwrap()
    }

    fn compiled(change: impl FnOnce(&mut table::Route)) -> RequestRules {
        let matched = PathMatch::Prefix("/".into());
        let reason = String::new();
        let mut route = table::Route::new(matched.into(), Action::Unavailable { reason });
        change(&mut route);
        RequestRules::compile(&route).unwrap()
    }

    fn passed_on(method: &str, text: &str, body: Framing, persistence: Persistence) -> String {
        let mut room = slots();
        let head = ResponseHead::parse(text.as_bytes(), &mut room, method).unwrap();
        let mut out = Vec::new();
        let policy = ResponsePolicy::default();
        response(&mut out, &head, body, persistence, &policy);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn client_identity_comes_from_the_proxy_alone() {
        let head = forwarded(
            "GET /a/./b?q HTTP/1.1\r\nHost: Shop.Example\r\nAccept: */*\r\nX-Forwarded-For: 6.6.6.6\r\n\
             X_Forwarded_Proto: https\r\nForwarded: for=6.6.6.6\r\nX-Real-Ip: 6.6.6.6\r\n\
             X-Request-ID: mine\r\nProxy: evil\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\n\
             Keep-Alive: 5\r\nTE: trailers\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\ncontent_length: 9\r\n\r\n",
        );
        assert_eq!(
            head,
            "GET /a/b?q HTTP/1.1\r\nHost: shop.example\r\nAccept: */*\r\n\
             Via: 1.1 portolan\r\nX-Forwarded-For: 192.0.2.7\r\nX-Real-IP: 192.0.2.7\r\nX-Forwarded-Proto: https\r\n\
             X-Forwarded-Host: shop.example\r\nX-Forwarded-Port: 443\r\nX-Request-Id: id-1\r\n\r\n"
        );
    }

    #[test]
    fn rewrites_framing_and_expectations() {
        let head = forwarded(
            "POST / HTTP/1.1\r\nHost: a:8443\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n",
        );
        assert!(head.contains("Transfer-Encoding: chunked\r\n") && !head.contains("Expect"));
        assert!(head.contains("X-Forwarded-Port: 8443\r\n"));
        let empty = forwarded("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
        assert!(
            empty.contains("Content-Length: 0\r\n"),
            "some servers insist on it"
        );
    }

    #[test]
    fn drops_hop_fields_and_keeps_cookies_separate() {
        let head = passed_on(
            "GET",
            "HTTP/1.1 200 Fine\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nConnection: x\r\nX: 1\r\n\
             Keep-Alive: 1\r\nX-Portolan-Reason: lie\r\nContent-Length: 5\r\n\r\n",
            Framing::Length(5),
            Persistence::Persistent,
        );
        assert_eq!(
            head,
            "HTTP/1.1 200 Fine\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 5\r\n\r\n"
        );
    }

    #[test]
    fn an_absent_body_keeps_its_declared_length() {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        let head = passed_on("HEAD", text, Framing::None, Persistence::Close);
        assert_eq!(
            head,
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n"
        );
        let empty = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        let head = passed_on("GET", empty, Framing::None, Persistence::KeepAlive);
        assert!(head.contains("Content-Length: 0\r\nConnection: keep-alive\r\n"));
    }

    #[test]
    fn drops_trailers_that_frame_or_route() {
        let mut out = Vec::new();
        trailers(
            &mut out,
            b"Grpc-Status: 0\r\nContent-Length: 5\r\nX-Real-IP: 1\r\n",
        )
        .unwrap();
        assert_eq!(out, b"Grpc-Status: 0\r\n");
        let mut out = Vec::new();
        trailers(&mut out, b"").unwrap();
        assert!(out.is_empty());
        assert!(trailers(&mut Vec::new(), b"no field\r\n").is_err());
    }

    #[test]
    fn a_local_response_to_head_has_no_body() {
        let delivery = |head_only| Delivery {
            request_id: "id-1",
            date: "Sun, 06 Nov 1994 08:49:37 GMT",
            head_only,
            persistence: Persistence::Persistent,
        };
        let no_route = LocalResponse::from(crate::reason::Reason::NoRoute);
        let response = |head_only| {
            let mut out = Vec::new();
            local_response(&mut out, &no_route, delivery(head_only));
            String::from_utf8(out).unwrap()
        };
        let whole = response(false);
        assert!(
            whole.starts_with("HTTP/1.1 404 Not Found\r\nDate: Sun"),
            "{whole}"
        );
        let (head, body) = whole.split_once("\r\n\r\n").unwrap();
        assert_eq!(body, "No route matches this request.\n");
        assert!(head.ends_with("\r\nContent-Length: 31"), "{head}");
        assert_eq!(response(true), format!("{head}\r\n\r\n"));
    }

    #[test]
    fn applies_path_host_and_field_changes() {
        let edits = HeaderEdits {
            set: vec![
                ("host".into(), "inner.test".into()),
                ("x-team".into(), "a".into()),
            ],
            add: vec![("x-more".into(), "2".into())],
            remove: vec!["x-debug".into()],
        };
        let head = forwarded_on(
            "GET /a/../b?q HTTP/1.1\r\nHost: shop.test\r\nX-Team: evil\r\nx_team: evil\r\n\
             X-More: 1\r\nX-Debug: 1\r\nX-Envoy-Original-Path: /evil\r\n\r\n",
            |route| {
                route.rewrite = Some(PathRewrite::Prefix("/v1".into()));
                route.request_headers = edits;
            },
        );
        assert_eq!(
            head,
            "GET /v1/b?q HTTP/1.1\r\nHost: inner.test\r\nX-More: 1\r\n\
             Via: 1.1 portolan\r\nX-Forwarded-For: 192.0.2.7\r\nX-Real-IP: 192.0.2.7\r\nX-Forwarded-Proto: https\r\n\
             X-Forwarded-Host: shop.test\r\nX-Forwarded-Port: 443\r\nX-Request-Id: id-1\r\n\
             X-Envoy-Original-Path: /b?q\r\nx-team: a\r\nx-more: 2\r\n\r\n"
        );
    }
}
