//! Bodies and their declared lengths: a message of HTTP/2 is as long as its frames, and an HTTP/1
//! reader behind the proxy must find the same end.

use crate::attacker::{Attacker, Refusal, get, request};
use crate::block::{block, field};
use crate::fixture::{Account, Fixture, everywhere};
use crate::frame::{END_HEADERS, END_STREAM, Frame, HEADERS};
use crate::recorder::Received;
use anyhow::{Context, Result, bail, ensure};

/// A body that is a request to a reader with another message end.
const INNER: &str = "GET /smuggled HTTP/1.1\r\nHost: plain.clients.test\r\n\r\n";

/// Sends a head with these fields, and this body in one piece or byte by byte.
async fn posts(
    fixture: &Fixture,
    fields: &[(&str, &str)],
    body: &str,
    pieces: usize,
) -> Result<(Refusal, u64)> {
    let mut attacker = Attacker::connect(&fixture.proxy, fixture.tls).await?;
    let stream = attacker.stream();
    let mut all = request("POST", "/upload", fixture.tls);
    all.extend_from_slice(fields);
    let mut frames = vec![Frame::headers(stream, block(&all), body.is_empty())];
    let mut parts = body.as_bytes().chunks(pieces).peekable();
    while let Some(part) = parts.next() {
        frames.push(Frame::data(stream, part, parts.peek().is_none()));
    }
    attacker.send(&frames).await?;
    Ok((attacker.refusal(stream).await?, attacker.sent))
}

/// The request that the origin got last.
fn last(fixture: &Fixture) -> Option<Received> {
    fixture.origin.requests().pop()
}

/// H2.CL: the sum of DATA is not what `content-length` says (RFC 9113, 8.1.1).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rejects_a_length_other_than_that_of_the_data() -> Result<()> {
    everywhere("H2.CL", async |fixture| {
        let mut account = Account::default();
        let longer = (INNER.len() + 5).to_string();
        for (length, body) in [("0", INNER), ("5", INNER), (&longer, INNER), ("5", "")] {
            for pieces in [1, 5, 1000] {
                let before = fixture.origin.count();
                let fields = [("content-length", length)];
                let (refusal, sent) = posts(fixture, &fields, body, pieces).await?;
                account.sent += sent;
                // What was as long as it should be when it went up may be answered already.
                account.upstream += fixture.origin.count() - before;
                for received in &fixture.origin.requests()[before as usize..] {
                    let believed = received.body.len().to_string();
                    ensure!(believed == length, "{received:?}");
                }
                let shown = format!("{length} for {} bytes: {refusal:?}", body.len());
                match refusal {
                    Refusal::Status(400) | Refusal::Reset(_) | Refusal::Connection(_) => {}
                    Refusal::Status(200) if fixture.origin.count() > before => {}
                    Refusal::Status(_) => bail!(shown),
                }
            }
        }
        Ok(account)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lengths_that_are_none_are_refused() -> Result<()> {
    everywhere("lengths", async |fixture| {
        let mut account = Account::default();
        let one = |value| vec![("content-length", value)];
        let odd = [
            one("+5"),
            one("-5"),
            one("0x5"),
            one("5,5"),
            one("5, 6"),
            one("5 5"),
            one(""),
            one("five"),
            one("18446744073709551621"),
            vec![("content-length", "5"), ("content-length", "6")],
            vec![("content-length", "5"), ("transfer-encoding", "chunked")],
            vec![("transfer-encoding", "chunked")],
            vec![("transfer-encoding", "xchunked")],
        ];
        for fields in odd {
            let (refusal, sent) = posts(fixture, &fields, "5\r\nx", 1000).await?;
            account.sent += sent;
            let refused = !matches!(refusal, Refusal::Status(status) if status != 400);
            ensure!(refused, "{fields:?}: {refusal:?}");
        }
        Ok(account)
    })
    .await
}

/// Without a length everything up to the end of the stream is the body, whatever it looks like.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_without_a_length_smuggles_nothing() -> Result<()> {
    everywhere("bodies that look like requests", async |fixture| {
        let mut account = Account::default();
        let bodies = [
            INNER.to_owned(),
            format!("0\r\n\r\n{INNER}"),
            format!("\r\n{INNER}"),
        ];
        for body in &bodies {
            for pieces in [1, 7, 1000] {
                let (refusal, sent) = posts(fixture, &[], body, pieces).await?;
                account.sent += sent;
                account.upstream += 1;
                ensure!(refusal == Refusal::Status(200), "{refusal:?}");
                let received = last(fixture).context("nothing came")?;
                ensure!(received.body == body.as_bytes(), "{received:?}");
            }
        }
        // A body is a body with any method.
        let mut attacker = Attacker::connect(&fixture.proxy, fixture.tls).await?;
        let stream = attacker.stream();
        let head = Frame::headers(stream, get("/upload", fixture.tls), false);
        attacker
            .send(&[head, Frame::data(stream, INNER, true)])
            .await?;
        let refusal = attacker.refusal(stream).await?;
        ensure!(refusal == Refusal::Status(200), "{refusal:?}");
        let received = last(fixture).context("nothing came")?;
        ensure!(
            received.body == INNER.as_bytes() && received.method == "GET",
            "{received:?}"
        );
        account.sent += attacker.sent;
        account.upstream += 1;
        Ok(account)
    })
    .await
}

/// Trailers are no head: nothing in them frames, routes or identifies, and they end the stream.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trailers_smuggle_nothing() -> Result<()> {
    const TRAILERS: [(&str, &str); 12] = [
        (":path", "/smuggled"),
        (":status", "200"),
        ("X-Upper", "1"),
        ("x-lines", "a\r\nx-smuggled: b"),
        ("connection", "close"),
        ("transfer-encoding", "chunked"),
        ("content-length", "0"),
        ("host", "evil.test"),
        ("x-forwarded-for", "1.2.3.4"),
        ("authorization", "Basic eDp5"),
        ("cookie", "a=b"),
        ("x-kept", "1"),
    ];
    everywhere("trailers", async |fixture| {
        let mut account = Account::default();
        for (name, value) in TRAILERS {
            for ended in [END_STREAM, 0] {
                let mut attacker = Attacker::connect(&fixture.proxy, fixture.tls).await?;
                let stream = attacker.stream();
                let head = block(&request("POST", "/upload", fixture.tls));
                let before = fixture.origin.count();
                let frames = [
                    Frame::headers(stream, head, false),
                    Frame::data(stream, *b"body", false),
                    Frame::new(HEADERS, END_HEADERS | ended, stream, field(name, value)),
                ];
                attacker.send(&frames).await?;
                let refusal = attacker.refusal(stream).await?;
                account.sent += attacker.sent;
                account.upstream += 1;
                let shown = format!("{name}: {value}, ended {ended}: {refusal:?}");
                let requests = fixture.origin.requests();
                match (refusal, requests.get(before as usize)) {
                    (Refusal::Status(200), Some(received)) if ended == END_STREAM => {
                        let kept = received.trailers.iter().all(|(name, _)| name == "x-kept");
                        ensure!(received.body == b"body" && kept, "{shown}: {received:?}");
                    }
                    (Refusal::Status(200), _) => bail!(shown),
                    _ => ensure!(name != "x-kept" || ended == 0, "{shown}"),
                }
            }
        }
        Ok(account)
    })
    .await
}
