//! Frames that cost little to send.

use crate::attacker::{Attacker, Observed, Refusal, SHORT_TIMEOUT, get, post};
use crate::block::{NEWEST, field, indexed_field};
use crate::fixture::{Account, Fixture, everywhere};
use crate::frame::{CONTINUATION, Frame, HEADERS, INITIAL_WINDOW_SIZE};
use anyhow::{Result, bail, ensure};

/// Sends the same frames again and again, so many at a time, until the proxy takes no more; gives
/// whether it took all of them.
async fn repeat(attacker: &mut Attacker, frame: &Frame, times: usize) -> Result<bool> {
    let batch = vec![frame.clone(); 100];
    for _ in 0..times / batch.len() {
        if !attacker.send(&batch).await? || attacker.is_rejected() {
            return Ok(false);
        }
    }
    Ok(true)
}

fn lawless(attacker: &Attacker) -> Account {
    Account {
        sent: attacker.sent,
        upstream: 0,
    }
}

fn rejected(observed: &Observed) -> bool {
    observed.rejected.is_some() || observed.ended
}

/// CVE-2024-27316 and its kin: a head that never ends, long or in empty pieces.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_continuation_flood_is_ended() -> Result<()> {
    let fields = vec![field("x-flood", vec![b'x'; 1000]); 16].concat();
    for (name, piece) in [("full", fields), ("empty", Vec::new())] {
        everywhere(
            &format!("CONTINUATION flood, {name} pieces"),
            async |fixture| {
                let mut attacker = Attacker::connect(&fixture.proxy, fixture.tls).await?;
                let begun = Frame::new(HEADERS, 0, attacker.stream(), get("/", fixture.tls));
                attacker.send(&[begun]).await?;
                let piece = Frame::new(CONTINUATION, 0, 1, piece.clone());
                repeat(&mut attacker, &piece, 10_000).await?;
                attacker.wait_for("GOAWAY", rejected).await?;
                Ok(lawless(&attacker))
            },
        )
        .await?;
    }
    Ok(())
}

/// A byte of a block stands for four thousand of a field.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_hpack_bomb_is_refused() -> Result<()> {
    everywhere("HPACK bomb", async |fixture| {
        let mut attacker = Attacker::connect(&fixture.proxy, fixture.tls).await?;
        let mut bomb = get("/", fixture.tls);
        bomb.extend(indexed_field("x", vec![b'x'; 4000]));
        bomb.resize(16_384, NEWEST);
        for _ in 0..3 {
            let stream = attacker.stream();
            if !attacker
                .send(&[Frame::headers(stream, bomb.clone(), true)])
                .await?
            {
                break;
            }
            match attacker.refusal(stream).await? {
                Refusal::Status(431) | Refusal::Reset(_) => {}
                Refusal::Connection(_) => break,
                other => bail!("{other:?}"),
            }
        }
        Ok(lawless(&attacker))
    })
    .await
}

/// Fields without end, in a head that says how long it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_with_too_many_fields_is_refused() -> Result<()> {
    everywhere("many fields", async |fixture| {
        let mut attacker = Attacker::connect(&fixture.proxy, fixture.tls).await?;
        for count in [200, 2_000] {
            let mut fields = get("/", fixture.tls);
            fields.extend(vec![field("x", "y"); count].concat());
            let stream = attacker.stream();
            if !attacker
                .send(&[Frame::headers(stream, fields, true)])
                .await?
            {
                break;
            }
            match attacker.refusal(stream).await? {
                Refusal::Status(431) | Refusal::Reset(_) => {}
                Refusal::Connection(_) => break,
                other => bail!("{count} fields: {other:?}"),
            }
        }
        Ok(lawless(&attacker))
    })
    .await
}

/// They take no window. To an origin over HTTP/1 each would be the last chunk, if it were one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn empty_data_ends_no_body() -> Result<()> {
    everywhere("empty DATA flood", async |fixture| {
        let mut attacker = Attacker::connect(&fixture.proxy, fixture.tls).await?;
        let stream = attacker.stream();
        attacker
            .send(&[Frame::headers(stream, post("/upload", fixture.tls), false)])
            .await?;
        let empty = Frame::data(stream, [], false);
        let taken = repeat(&mut attacker, &empty, 100_000).await?;
        if taken
            && attacker
                .send(&[Frame::data(stream, *b"tail", true)])
                .await?
        {
            match attacker.refusal(stream).await? {
                Refusal::Status(200) => {
                    let requests = fixture.origin.requests();
                    let last = requests.iter().rfind(|request| request.path == "/upload");
                    ensure!(
                        last.is_some_and(|request| request.body == b"tail"),
                        "{last:?}"
                    );
                }
                Refusal::Reset(_) | Refusal::Connection(_) => {}
                other => bail!("{other:?}"),
            }
        }
        Ok(Account {
            sent: attacker.sent,
            upstream: 1,
        })
    })
    .await
}

/// Sends while the origin does not read: nothing may be buffered for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn empty_data_is_not_kept() -> Result<()> {
    everywhere(
        "empty DATA flood to an origin that does not read",
        async |fixture| {
            let mut attacker = Attacker::connect(&fixture.proxy, fixture.tls).await?;
            let stream = attacker.stream();
            attacker
                .send(&[Frame::headers(stream, post("/stuck", fixture.tls), false)])
                .await?;
            repeat(&mut attacker, &Frame::data(stream, [], false), 100_000).await?;
            Ok(Account {
                sent: attacker.sent,
                upstream: 1,
            })
        },
    )
    .await
}

/// Each PING and SETTINGS wants an answer; those of who does not read are not collected.
async fn wants_answers(fixture: &Fixture, name: &str, frame: &Frame) -> Result<Account> {
    const TIMES: usize = 100_000;
    let mut listening = Attacker::connect(&fixture.proxy, fixture.tls).await?;
    if repeat(&mut listening, frame, TIMES).await? {
        // One is for the SETTINGS that every connection begins with.
        let answered =
            |observed: &Observed| observed.acknowledged > TIMES as u64 || rejected(observed);
        listening
            .wait_for(&format!("answers to {name}"), answered)
            .await?;
    }
    let mut without_reading = Attacker::without_reading(&fixture.proxy, fixture.tls).await?;
    repeat(&mut without_reading, frame, 5 * TIMES).await?;
    Ok(Account {
        sent: listening.sent + without_reading.sent,
        upstream: 0,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ping_flood_is_answered_or_ended() -> Result<()> {
    everywhere("PING flood", async |fixture| {
        wants_answers(fixture, "PING", &Frame::ping(42)).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_settings_flood_is_answered_or_ended() -> Result<()> {
    // Each changes the window of every stream.
    let changes = Frame::settings(&[(INITIAL_WINDOW_SIZE, 1000), (INITIAL_WINDOW_SIZE, 70_000)]);
    for (name, frame) in [("empty", Frame::settings(&[])), ("full", changes)] {
        everywhere(&format!("SETTINGS flood, {name}"), async |fixture| {
            wants_answers(fixture, "SETTINGS", &frame).await
        })
        .await?;
    }
    Ok(())
}

/// More than the windows allow (RFC 9113, 5.2.1), to an origin that does not read: an error, or not
/// read any further.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_beyond_the_window_is_not_collected() -> Result<()> {
    everywhere("DATA beyond the window", async |fixture| {
        let mut attacker = Attacker::connect(&fixture.proxy, fixture.tls).await?;
        attacker.write_timeout = SHORT_TIMEOUT;
        let stream = attacker.stream();
        let head = Frame::headers(stream, post("/stuck", fixture.tls), false);
        attacker.send(&[head]).await?;
        let data = Frame::data(stream, vec![b'x'; 16_384], false);
        if repeat(&mut attacker, &data, 2000).await? {
            // All of it may lie in the sockets, or be thrown away, by the time the refusal is heard.
            let refused =
                |observed: &Observed| observed.resets.contains_key(&stream) || rejected(observed);
            attacker.wait_for("a refusal of 32 MiB", refused).await?;
        }
        Ok(Account {
            sent: attacker.sent,
            upstream: 1,
        })
    })
    .await
}
