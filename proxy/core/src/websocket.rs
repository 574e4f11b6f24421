//! WebSocket handshake: the only upgrade that is passed on (RFC 6455 4), and the only protocol of
//! extended CONNECT (RFC 8441).

use crate::field::elements;
use crate::request::{RequestHead, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

/// RFC 6455 1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Handshake of a client that opens a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handshake<'b> {
    /// With this key, from which the server derives `Sec-WebSocket-Accept`.
    Upgrade(&'b [u8]),
    /// By extended CONNECT, which needs no key.
    Connect,
}

/// Parses a WebSocket handshake on HTTP/1.1. Anything less is an ordinary request whose upgrade is
/// not passed on.
pub(crate) fn upgrade<'b>(head: &RequestHead<'_, 'b>) -> Option<Handshake<'b>> {
    let plain_get = head.method == "GET"
        && head.version == Version::Http11
        && head.framing.is_empty()
        && head.connection.upgrade;
    if !plain_get {
        return None;
    }
    let single = |name: &str| {
        let mut values = head
            .fields
            .iter()
            .filter(|field| field.name.eq_ignore_ascii_case(name))
            .map(|field| field.value);
        values.next().filter(|_| values.next().is_none())
    };
    let requested =
        elements(single("upgrade")?).any(|token| token.eq_ignore_ascii_case(b"websocket"));
    let version = single("sec-websocket-version")? == b"13";
    let key = single("sec-websocket-key")?;
    let nonce = STANDARD.decode(key).ok()?;
    (requested && version && nonce.len() == 16).then_some(Handshake::Upgrade(key))
}

/// Encodes a random key, for a handshake with an endpoint over HTTP/1.1.
pub fn key_of(random: u128) -> String {
    STANDARD.encode(random.to_be_bytes())
}

/// Returns the `Sec-WebSocket-Accept` that the server must send.
pub fn accept_for(key: &[u8]) -> String {
    STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::slots;

    fn is_handshake(method: &str, fields: &str) -> bool {
        let text = format!("{method} /chat HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        RequestHead::parse(text.as_bytes(), &mut slots())
            .unwrap()
            .websocket
            .is_some()
    }

    const GOOD: &str = "Upgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

    #[test]
    fn rejects_incomplete_handshakes() {
        assert!(is_handshake("GET", GOOD));
        assert!(!is_handshake("POST", GOOD));
        assert!(!is_handshake("GET", &GOOD.replace("13", "8")));
        assert!(!is_handshake("GET", &GOOD.replace("WebSocket\r", "h2c\r")));
        assert!(!is_handshake("GET", &GOOD.replace(", Upgrade", "")));
        assert!(!is_handshake(
            "GET",
            &GOOD.replace("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ=")
        ));
        assert!(!is_handshake(
            "GET",
            &format!("{GOOD}Content-Length: 1\r\n")
        ));
    }

    /// The example of RFC 6455 1.3.
    #[test]
    fn computes_the_accept_value_of_the_standard() {
        assert_eq!(
            accept_for(b"dGhlIHNhbXBsZSBub25jZQ=="),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }
}
