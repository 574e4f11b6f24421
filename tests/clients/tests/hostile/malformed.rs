//! Requests that are none (RFC 9113, 8.1.1), and what an HTTP/1 reader behind the proxy would
//! understand otherwise: refused before anything goes up.

use crate::attacker::{Attacker, Refusal, get, request};
use crate::block::block;
use crate::fixture::{Account, Fixture, everywhere};
use crate::frame::Frame;
use anyhow::{Context, Result, ensure};
use portolan_clients::{PLAIN_HOST, TLS_HOST};

/// Names and values, in the order in which they are sent.
type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// A request that nothing is wrong with.
fn lawful(tls: bool) -> Fields {
    let fields = request("GET", "/", tls);
    fields
        .into_iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
}

/// The same with one more field.
fn with(tls: bool, name: &[u8], value: &[u8]) -> Fields {
    let mut fields = lawful(tls);
    fields.push((name.to_vec(), value.to_vec()));
    fields
}

/// The same with another value for a pseudo-header field.
fn having(tls: bool, name: &str, value: &[u8]) -> Fields {
    let mut fields = lawful(tls);
    for field in fields
        .iter_mut()
        .filter(|(field, _)| field == name.as_bytes())
    {
        field.1 = value.to_vec();
    }
    fields
}

/// The same without one of them.
fn without(tls: bool, name: &str) -> Fields {
    let mut fields = lawful(tls);
    fields.retain(|(field, _)| field != name.as_bytes());
    fields
}

/// Sends one head on a connection of its own: it is refused, and where that is a matter of its
/// stream alone, the next request of the connection is served.
async fn refused(fixture: &Fixture, fields: &Fields, statuses: &[u16]) -> Result<u64> {
    let shown = || {
        let shown = fields
            .iter()
            .map(|(name, value)| format!("{}: {}", name.escape_ascii(), value.escape_ascii()));
        shown.collect::<Vec<_>>().join("; ")
    };
    let mut attacker = Attacker::connect(&fixture.proxy, fixture.tls).await?;
    let stream = attacker.stream();
    attacker
        .send(&[Frame::headers(stream, block(fields), true)])
        .await?;
    let refusal = attacker.refusal(stream).await.with_context(shown)?;
    match refusal {
        Refusal::Status(status) => {
            ensure!(statuses.contains(&status), "{}: {status}", shown());
        }
        // By the codec, which knows the rule.
        Refusal::Reset(_) | Refusal::Connection(_) => {}
    }
    if !matches!(refusal, Refusal::Connection(_)) && !attacker.is_rejected() {
        let next = attacker.stream();
        attacker
            .send(&[Frame::headers(next, get("/next", fixture.tls), true)])
            .await?;
        let served = attacker.refusal(next).await?;
        ensure!(
            served == Refusal::Status(200),
            "after {}: {served:?}",
            shown()
        );
    }
    Ok(attacker.sent)
}

/// Each is refused, and nothing of it goes up: what is asked next is the only request there.
async fn all_refused(name: &str, attacks: impl Fn(bool) -> Vec<Fields>) -> Result<()> {
    all_refused_with(name, attacks, &[400]).await
}

async fn all_refused_with(
    name: &str,
    attacks: impl Fn(bool) -> Vec<Fields>,
    statuses: &[u16],
) -> Result<()> {
    everywhere(name, async |fixture| {
        let before = fixture.origin.count() as usize;
        let mut sent = 0;
        let attacks = attacks(fixture.tls);
        for fields in &attacks {
            sent += refused(fixture, fields, statuses).await?;
        }
        let requests = fixture.origin.requests();
        for received in &requests[before..] {
            ensure!(
                received.path == "/next" && received.method == "GET",
                "{received:?}"
            );
        }
        Ok(Account {
            sent,
            upstream: attacks.len() as u64,
        })
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_that_are_none_are_refused() -> Result<()> {
    const NAMES: [&[u8]; 13] = [
        b"",
        b"X-Upper",
        b"x upper",
        b"x:y",
        b"x\0y",
        b"x\ry",
        b"x\ny",
        b"x\r\ny: z\r\nz",
        b"x ",
        b" x",
        b"x\x7f",
        b"x\xe9",
        b"transfer-encoding ",
    ];
    all_refused("names", |tls| {
        NAMES.map(|name| with(tls, name, b"value")).into()
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_with_controls_or_padding_are_refused() -> Result<()> {
    const VALUES: [&[u8]; 9] = [
        b"a\0b",
        b"a\rb",
        b"a\nb",
        b"a\r\nx-smuggled: b",
        b"a\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: plain.clients.test\r\n\r\n",
        b" padded",
        b"padded ",
        b"\tpadded",
        b"a\x01b",
    ];
    all_refused("values", |tls| {
        VALUES.map(|value| with(tls, b"x-field", value)).into()
    })
    .await
}

/// RFC 9113, 8.2.2.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fields_of_a_connection_are_refused() -> Result<()> {
    const FIELDS: [(&[u8], &[u8]); 10] = [
        (b"connection", b"close"),
        (b"connection", b"x-forwarded-for"),
        (b"keep-alive", b"timeout=5"),
        (b"proxy-connection", b"keep-alive"),
        (b"upgrade", b"websocket"),
        (b"upgrade", b"h2c"),
        (b"transfer-encoding", b"chunked"),
        (b"transfer-encoding", b"identity"),
        (b"te", b"gzip"),
        (b"te", b"trailers, chunked"),
    ];
    let attacks = |tls| FIELDS.map(|(name, value)| with(tls, name, value)).into();
    all_refused("fields of a connection", attacks).await
}

/// RFC 9113, 8.3.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pseudo_fields_stand_first_once_and_whole() -> Result<()> {
    all_refused("pseudo-header fields", |tls| {
        let mut late = lawful(tls);
        late.insert(1, (b"x-early".into(), b"1".into()));
        let twice = [":method", ":scheme", ":path", ":authority"].map(|name| {
            let mut fields = lawful(tls);
            let field = fields
                .iter()
                .find(|(field, _)| field == name.as_bytes())
                .unwrap()
                .clone();
            fields.insert(0, field);
            fields
        });
        let missing = [":method", ":scheme", ":path", ":authority"].map(|name| without(tls, name));
        let mut attacks = vec![
            late,
            with(tls, b":unknown", b"1"),
            with(tls, b":status", b"200"),
            with(tls, b":protocol", b"websocket"),
            with(tls, b":", b""),
            having(tls, ":method", b""),
            having(tls, ":scheme", b""),
            having(tls, ":scheme", b"http\r\nx: y"),
            having(tls, ":scheme", b"http://evil.test/?"),
        ];
        attacks.extend(twice);
        attacks.extend(missing);
        attacks
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_method_is_a_token() -> Result<()> {
    const METHODS: [&[u8]; 6] = [
        b"GET /smuggled HTTP/1.1\r\nx: y\r\n\r\nGET",
        b"GET /smuggled",
        b"GET ",
        b"G\0T",
        b"GE\xe9T",
        b"GET\r\n",
    ];
    let attacks = |tls| METHODS.map(|method| having(tls, ":method", method)).into();
    all_refused_with("methods", attacks, &[400, 405]).await
}

/// CONNECT is for WebSocket alone (RFC 8441, 4); TRACE is never allowed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connect_and_trace_are_refused() -> Result<()> {
    let attacks = |tls| {
        let mut bare = without(tls, ":path");
        bare.retain(|(name, _)| name != b":scheme");
        bare[0].1 = b"CONNECT".into();
        let mut other = having(tls, ":method", b"CONNECT");
        other.insert(1, (b":protocol".into(), b"connect-udp".into()));
        let mut socket = having(tls, ":method", b"CONNECT");
        socket.insert(1, (b":protocol".into(), b"websocket".into()));
        vec![
            bare,
            other,
            // Nothing says which version of WebSocket.
            socket,
            having(tls, ":method", b"CONNECT"),
            having(tls, ":method", b"TRACE"),
        ]
    };
    all_refused_with("CONNECT and TRACE", attacks, &[400, 405, 501]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_is_a_path() -> Result<()> {
    const PATHS: [&[u8]; 13] = [
        b"",
        b"smuggled",
        b"*",
        b"http://plain.clients.test/",
        b"/ HTTP/1.1\r\nhost: plain.clients.test\r\n\r\nGET /smuggled HTTP/1.1\r\nx: y",
        b"/smuggled HTTP/1.1",
        b"/a b",
        b"/a\tb",
        b"/a\0b",
        b"/a\r\nb",
        b"/a\\b",
        b"/\xc3\xa9",
        b"/%00",
    ];
    let attacks = |tls| PATHS.map(|path| having(tls, ":path", path)).into();
    all_refused("paths", attacks).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authority_is_a_host_and_a_port() -> Result<()> {
    all_refused_with(
        "authorities",
        |tls| {
            let host = if tls { TLS_HOST } else { PLAIN_HOST };
            let values = [
                String::new(),
                format!("user@{host}"),
                format!("user:secret@{host}"),
                format!("evil.test@{host}"),
                format!("{host}@evil.test"),
                format!("{host}:port"),
                format!("{host}:80:80"),
                format!("{host}:99999"),
                format!("{host}/path"),
                format!("{host}?query"),
                format!("{host},evil.test"),
                format!("{host} evil.test"),
                format!("{host}\r\nx: y"),
                format!("{host}\0"),
                format!("[{host}]"),
            ];
            values
                .map(|authority| having(tls, ":authority", authority.as_bytes()))
                .into()
        },
        // An empty host is unknown.
        &[400, 404, 421],
    )
    .await
}

/// A server behind the proxy that reads Host would see another host than the one of the routing
/// decision (RFC 9113, 8.3.1).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authority_that_differs_from_host_is_refused() -> Result<()> {
    all_refused("Host", |tls| {
        let host = if tls { TLS_HOST } else { PLAIN_HOST };
        let mut twice = with(tls, b"host", host.as_bytes());
        twice.push((b"host".into(), b"evil.test".into()));
        let mut alone_twice = without(tls, ":authority");
        alone_twice.push((b"host".into(), host.into()));
        alone_twice.push((b"host".into(), b"evil.test".into()));
        vec![
            with(tls, b"host", b"evil.test"),
            with(tls, b"host", b""),
            with(tls, b"host", format!("user@{host}").as_bytes()),
            twice,
            alone_twice,
        ]
    })
    .await
}
