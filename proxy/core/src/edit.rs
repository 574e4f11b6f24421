//! Heads as they are passed on: what belongs to a hop is dropped, what says who the client is
//! is replaced by what we know, and the framing is written anew.

use crate::authority::Authority;
use crate::body::Framing;
use crate::chunk::ChunkError;
use crate::field::Role;
use crate::reason::{Reason, phrase};
use crate::request::{Connection, RequestHead, Version};
use crate::response::ResponseHead;
use crate::via::Pseudonym;
use httparse::Header;
use std::io::Write as _;

/// What we know of the client, for the endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    /// Its address, canonical.
    pub address: &'a str,
    /// It came over TLS.
    pub secure: bool,
}

impl Client<'_> {
    /// `https` or `http`.
    pub fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }

    fn default_port(&self) -> u16 {
        if self.secure { 443 } else { 80 }
    }
}

/// Writes the head that the endpoint gets.
///
/// Every peer is untrusted for now: what it says about an earlier hop (`Forwarded`,
/// `X-Forwarded-*`, `X-Real-IP`, `X-Request-Id`) is dropped, in any spelling.
pub fn request(
    out: &mut Vec<u8>,
    head: &RequestHead<'_, '_>,
    authority: &Authority<'_>,
    client: Client<'_>,
    request_id: &str,
    via: &Pseudonym,
) {
    put(out, &[head.method, " ", &head.target.path]);
    if let Some(query) = head.target.query {
        put(out, &["?", query]);
    }
    put(out, &[" HTTP/1.1\r\nHost: "]);
    put_authority(out, authority);
    put(out, &["\r\n"]);
    fields(out, head.fields, &head.connection);
    let received = match head.version {
        Version::Http10 => "1.0 ",
        Version::Http11 => "1.1 ",
    };
    put(out, &["Via: ", received, via.as_str(), "\r\n"]);
    put(out, &["X-Forwarded-For: ", client.address]);
    put(out, &["\r\nX-Real-IP: ", client.address]);
    put(out, &["\r\nX-Forwarded-Proto: ", client.scheme()]);
    put(out, &["\r\nX-Forwarded-Host: "]);
    put_authority(out, authority);
    put(out, &["\r\nX-Forwarded-Port: "]);
    let port = authority.port().unwrap_or(client.default_port());
    put_number(out, u64::from(port));
    put(out, &["\r\nX-Request-Id: ", request_id, "\r\n"]);
    framing(out, head.framing);
    if head.websocket.is_some() {
        put(out, &["Connection: Upgrade\r\nUpgrade: websocket\r\n"]);
    }
    put(out, &["\r\n"]);
}

/// What the client is told about its own connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// Kept, which needs no word on HTTP/1.1.
    Kept,
    /// Kept, said aloud for HTTP/1.0.
    KeptAloud,
    /// Closed after this response.
    Closed,
}

impl Persistence {
    fn write(self, out: &mut Vec<u8>) {
        match self {
            Self::Kept => {}
            Self::KeptAloud => put(out, &["Connection: keep-alive\r\n"]),
            Self::Closed => put(out, &["Connection: close\r\n"]),
        }
    }
}

/// Writes the head that the client gets, its body framed by `framing`.
pub fn response(
    out: &mut Vec<u8>,
    head: &ResponseHead<'_, '_>,
    body: Framing,
    persistence: Persistence,
) {
    status_line(out, head.status, head.phrase);
    fields(out, head.fields, &head.connection);
    match head.told_length {
        Some(length) => framing(out, Framing::Length(length)),
        None => framing(out, body),
    }
    persistence.write(out);
    put(out, &["\r\n"]);
}

/// Writes an interim response other than 101.
pub fn interim(out: &mut Vec<u8>, head: &ResponseHead<'_, '_>) {
    status_line(out, head.status, head.phrase);
    fields(out, head.fields, &head.connection);
    put(out, &["\r\n"]);
}

/// Writes a 101 that opens a tunnel.
pub fn switching(out: &mut Vec<u8>, head: &ResponseHead<'_, '_>) {
    status_line(out, head.status, head.phrase);
    fields(out, head.fields, &head.connection);
    put(out, &["Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"]);
}

/// An answer of our own, without what varies: those come from the caller.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// See [`Reason::status`] and [`crate::reason::redirect_status`].
    pub status: u16,
    /// `x-portolan-reason`.
    pub reason: &'a str,
    /// The body, before a line end.
    pub sentence: &'a str,
    /// `x-request-id`.
    pub request_id: &'a str,
    /// `Date`, in the form of RFC 9110 5.6.7.
    pub date: &'a str,
    /// `Location`.
    pub location: Option<&'a str>,
    /// The answer is to HEAD: no body follows.
    pub head_only: bool,
    /// What becomes of the connection.
    pub persistence: Persistence,
}

/// Seconds after which a passing trouble is worth another try.
const RETRY_AFTER: &str = "1";

impl Answer<'_> {
    /// Writes the whole answer.
    pub fn write(&self, out: &mut Vec<u8>) {
        status_line(out, self.status, phrase(self.status));
        put(out, &["Date: ", self.date]);
        put(out, &["\r\nContent-Type: text/plain; charset=utf-8"]);
        put(out, &["\r\nX-Portolan-Reason: ", self.reason]);
        put(out, &["\r\nX-Request-Id: ", self.request_id, "\r\n"]);
        if let Some(location) = self.location {
            put(out, &["Location: ", location, "\r\n"]);
        }
        if self.status == 503 {
            put(out, &["Retry-After: ", RETRY_AFTER, "\r\n"]);
        }
        if self.status == Reason::MethodNotAllowed.status() {
            // RFC 9110 15.5.6 asks for it.
            put(
                out,
                &["Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n"],
            );
        }
        framing(out, Framing::Length(self.sentence.len() as u64 + 1));
        self.persistence.write(out);
        put(out, &["\r\n"]);
        if !self.head_only {
            put(out, &[self.sentence, "\n"]);
        }
    }
}

/// Writes the end of a chunked body, with those of its trailers that may pass.
///
/// # Errors
/// The trailer section does not consist of fields.
pub fn trailers(out: &mut Vec<u8>, section: &[u8]) -> Result<(), ChunkError> {
    put(out, &["0\r\n"]);
    if !section.is_empty() {
        let mut terminated = Vec::with_capacity(section.len() + 2);
        terminated.extend_from_slice(section);
        terminated.extend_from_slice(b"\r\n");
        let mut slots = [httparse::EMPTY_HEADER; 64];
        match httparse::parse_headers(&terminated, &mut slots) {
            Ok(httparse::Status::Complete((length, trailers))) if length == terminated.len() => {
                for field in trailers.iter().filter(|field| Role::may_trail(field.name)) {
                    put_field(out, field);
                }
            }
            _ => return Err(ChunkError::Trailers),
        }
    }
    put(out, &["\r\n"]);
    Ok(())
}

fn status_line(out: &mut Vec<u8>, status: u16, phrase: &str) {
    put(out, &["HTTP/1.1 "]);
    put_number(out, u64::from(status));
    put(out, &[" ", phrase, "\r\n"]);
}

fn fields(out: &mut Vec<u8>, fields: &[Header<'_>], connection: &Connection<'_>) {
    for field in fields {
        if Role::of(field.name) == Role::EndToEnd && !connection.nominates(field.name) {
            put_field(out, field);
        }
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

fn put_field(out: &mut Vec<u8>, field: &Header<'_>) {
    out.extend_from_slice(field.name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(field.value);
    out.extend_from_slice(b"\r\n");
}

fn put_authority(out: &mut Vec<u8>, authority: &Authority<'_>) {
    put(out, &[authority.host()]);
    if let Some(port) = authority.port() {
        put(out, &[":"]);
        put_number(out, u64::from(port));
    }
}

fn put_number(out: &mut Vec<u8>, number: u64) {
    // Writing into a vector cannot fail.
    let _ = write!(out, "{number}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::slots;

    fn forwarded(text: &str) -> String {
        let mut room = slots();
        let head = RequestHead::parse(text.as_bytes(), &mut room).unwrap();
        let authority = head.authority.clone().unwrap();
        let client = Client {
            address: "192.0.2.7",
            secure: true,
        };
        let mut out = Vec::new();
        let via = "portolan".parse().unwrap();
        request(&mut out, &head, &authority, client, "id-1", &via);
        String::from_utf8(out).unwrap()
    }

    fn passed_on(method: &str, text: &str, body: Framing, persistence: Persistence) -> String {
        let mut room = slots();
        let head = ResponseHead::parse(text.as_bytes(), &mut room, method).unwrap();
        let mut out = Vec::new();
        response(&mut out, &head, body, persistence);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_endpoint_learns_who_asks_from_us_alone() {
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
    fn framing_and_expectations_are_ours() {
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
    fn a_response_loses_its_hop_and_keeps_its_cookies_apart() {
        let head = passed_on(
            "GET",
            "HTTP/1.1 200 Fine\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nConnection: x\r\nX: 1\r\n\
             Keep-Alive: 1\r\nX-Portolan-Reason: lie\r\nContent-Length: 5\r\n\r\n",
            Framing::Length(5),
            Persistence::Kept,
        );
        assert_eq!(
            head,
            "HTTP/1.1 200 Fine\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 5\r\n\r\n"
        );
    }

    #[test]
    fn an_absent_body_keeps_its_told_length() {
        let told = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        let head = passed_on("HEAD", told, Framing::None, Persistence::Closed);
        assert_eq!(
            head,
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n"
        );
        let empty = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        let head = passed_on("GET", empty, Framing::None, Persistence::KeptAloud);
        assert!(head.contains("Content-Length: 0\r\nConnection: keep-alive\r\n"));
    }

    #[test]
    fn trailers_that_frame_or_route_are_dropped() {
        let mut out = Vec::new();
        trailers(
            &mut out,
            b"Grpc-Status: 0\r\nContent-Length: 5\r\nX-Real-IP: 1\r\n",
        )
        .unwrap();
        assert_eq!(out, b"0\r\nGrpc-Status: 0\r\n\r\n");
        let mut out = Vec::new();
        trailers(&mut out, b"").unwrap();
        assert_eq!(out, b"0\r\n\r\n");
        assert!(trailers(&mut Vec::new(), b"no field\r\n").is_err());
    }

    #[test]
    fn an_answer_of_our_own_says_why_and_for_which_request() {
        let answer = Answer {
            status: 503,
            reason: "NoReadyEndpoints",
            sentence: "Nothing that serves this host is ready.",
            request_id: "id-1",
            date: "Sun, 06 Nov 1994 08:49:37 GMT",
            location: None,
            head_only: false,
            persistence: Persistence::Kept,
        };
        let mut out = Vec::new();
        answer.write(&mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("HTTP/1.1 503 Service Unavailable\r\nDate: Sun"));
        assert!(text.contains("X-Portolan-Reason: NoReadyEndpoints\r\nX-Request-Id: id-1\r\n"));
        assert!(text.contains("Retry-After: 1\r\nContent-Length: 40\r\n\r\n"));
        let (_, body) = text.split_once("\r\n\r\n").unwrap();
        assert_eq!(body.len(), 40);
    }
}
