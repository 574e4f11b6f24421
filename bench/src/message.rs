//! Messages between clients and origin, of which every byte can be checked.

use std::sync::OnceLock;

/// The longest body or message.
pub(crate) const LONGEST: usize = 1024 * 1024;
/// The key of every WebSocket handshake, from RFC 6455, 1.3, with the answer it gets.
pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Bytes without a pattern that a mistake could hit by chance; a body of n bytes is its first n.
pub(crate) fn content() -> &'static [u8] {
    static CONTENT: OnceLock<Vec<u8>> = OnceLock::new();
    CONTENT.get_or_init(|| {
        let mut random = fastrand::Rng::with_seed(7);
        (0..LONGEST).map(|_| random.u8(..)).collect()
    })
}

/// The fields that a browser's request has.
pub(crate) const BROWSER: [(&str, &str); 4] = [
    (
        "User-Agent",
        "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    ),
    (
        "Accept",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    ),
    ("Accept-Language", "en-US,en;q=0.5"),
    ("Accept-Encoding", "gzip, deflate"),
];

/// A request for so many bytes.
pub(crate) fn get(host: &str, size: usize, last: bool) -> Vec<u8> {
    let connection = if last { "Connection: close\r\n" } else { "" };
    let fields = BROWSER.map(|(name, value)| format!("{name}: {value}\r\n"));
    format!(
        "GET /bytes/{size} HTTP/1.1\r\nHost: {host}\r\n{}{connection}\r\n",
        fields.concat()
    )
    .into_bytes()
}

/// The client's half of a WebSocket handshake.
pub(crate) fn upgrade(host: &str) -> Vec<u8> {
    format!(
        "GET /echo HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
    )
    .into_bytes()
}

/// The server's half.
pub(crate) fn switching() -> Vec<u8> {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
    )
    .into_bytes()
}

/// The whole response with so many bytes.
pub(crate) fn response(size: usize) -> Vec<u8> {
    let mut response = format!(
        "HTTP/1.1 200 OK\r\nServer: origin\r\nDate: Fri, 20 Nov 2026 20:33:06 GMT\r\n\
         Content-Type: application/octet-stream\r\nCache-Control: no-store\r\n\
         Content-Length: {size}\r\n\r\n"
    )
    .into_bytes();
    response.extend_from_slice(content().get(..size).unwrap_or_default());
    response
}

/// The length of a head with its empty line, once it is whole.
pub(crate) fn head_length(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some(end + 4)
}
