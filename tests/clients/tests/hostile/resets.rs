//! Streams that are begun and given up faster than an endpoint can be asked.

use crate::attacker::{Attacker, Observed, get};
use crate::fixture::{Account, Fixture, everywhere};
use crate::frame::{CANCEL, Frame, HEADERS, PRIORITY};
use anyhow::{Result, ensure};

/// Streams that an attacker opens if the proxy does not stop it.
const STREAMS: usize = 20_000;
/// Frames in one write.
const BATCH: usize = 100;
/// More than so many requests never reach the origin by one connection that gives all of them up.
const MOST_UPSTREAM: u64 = 1_100;

/// Opens streams one after another, each followed by the frames that make it end.
async fn give_up(fixture: &Fixture, ending: impl Fn(u32) -> Frame) -> Result<(Attacker, Account)> {
    let mut attacker = Attacker::connect(&fixture.proxy, fixture.tls).await?;
    let block = get("/nothing", fixture.tls);
    for _ in 0..STREAMS / BATCH {
        let mut frames = Vec::with_capacity(2 * BATCH);
        for _ in 0..BATCH {
            let stream = attacker.stream();
            frames.extend([Frame::headers(stream, block.clone(), true), ending(stream)]);
        }
        if !attacker.send(&frames).await? || attacker.is_rejected() {
            break;
        }
    }
    let account = Account {
        sent: attacker.sent,
        upstream: MOST_UPSTREAM,
    };
    Ok((attacker, account))
}

/// CVE-2023-44487: the client resets what it has just asked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rapid_reset_is_ended() -> Result<()> {
    everywhere("rapid reset", async |fixture| {
        let (attacker, account) = give_up(fixture, |stream| Frame::reset(stream, CANCEL)).await?;
        let rejected = |observed: &Observed| observed.rejected.is_some() || observed.ended;
        attacker.wait_for("GOAWAY", rejected).await?;
        Ok(account)
    })
    .await
}

/// CVE-2025-8671: the client makes the proxy reset them, by breaking a rule of the stream.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn made_you_reset_is_ended() -> Result<()> {
    let itself = |stream: u32| [&stream.to_be_bytes()[..], &[16]].concat();
    let endings: [(&str, &dyn Fn(u32) -> Frame); 6] = [
        ("an increment of zero", &|stream| Frame::window(stream, 0)),
        ("a window beyond its limit", &|stream| {
            Frame::window(stream, 0x7fff_ffff)
        }),
        ("data after the end", &|stream| {
            Frame::data(stream, *b"more", false)
        }),
        ("a second head after the end", &|stream| {
            Frame::new(HEADERS, 0x5, stream, [0x82])
        }),
        ("dependent on itself", &|stream| {
            Frame::new(PRIORITY, 0, stream, itself(stream))
        }),
        ("a priority of four bytes", &|stream| {
            Frame::new(PRIORITY, 0, stream, [0; 4])
        }),
    ];
    for (name, ending) in endings {
        everywhere(&format!("made you reset by {name}"), async |fixture| {
            let (attacker, account) = give_up(fixture, ending).await?;
            let resets = attacker.observed().resets.len();
            ensure!(
                attacker.is_rejected() || resets < 2 * MOST_UPSTREAM as usize,
                "{resets} streams were reset"
            );
            Ok(account)
        })
        .await?;
    }
    Ok(())
}

/// No stream is reset and none ends: only as many as the limit go up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_beyond_the_limit_are_refused() -> Result<()> {
    everywhere("streams beyond the limit", async |fixture| {
        let mut attacker = Attacker::connect(&fixture.proxy, fixture.tls).await?;
        attacker
            .wait_for("SETTINGS", |observed| observed.most_streams.is_some())
            .await?;
        let most = attacker.observed().most_streams.unwrap_or(u32::MAX);
        ensure!(most <= 1000, "{most} streams are allowed");
        let block = get("/nothing", fixture.tls);
        let mut requests = 0;
        for _ in 0..50 {
            let streams =
                (0..BATCH).map(|_| Frame::headers(attacker.stream(), block.clone(), true));
            let frames: Vec<_> = streams.collect();
            requests += BATCH;
            if !attacker.send(&frames).await? || attacker.is_rejected() {
                break;
            }
        }
        let refused = requests - most as usize;
        let done = |observed: &Observed| {
            observed.resets.len() >= refused || observed.rejected.is_some() || observed.ended
        };
        attacker.wait_for("refusals", done).await?;
        Ok(Account {
            sent: attacker.sent,
            upstream: most.into(),
        })
    })
    .await
}
