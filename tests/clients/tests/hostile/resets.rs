//! Streams that are begun and given up faster than an endpoint can be asked.

use crate::attacker::{Attacker, Heard, get};
use crate::frame::{CANCEL, Frame, HEADERS, PRIORITY};
use crate::scene::{Account, Scene, everywhere};
use anyhow::{Result, ensure};

/// How many streams an attacker opens when nobody stops it.
const STREAMS: usize = 20_000;
/// How many go out in one write.
const BATCH: usize = 100;
/// More than so many requests never reach the origin by one connection that gives all of them up.
const MOST_UPSTREAM: u64 = 1_100;

/// Opens streams one after another, each followed by the frames that make it end.
async fn give_up(scene: &Scene, ending: impl Fn(u32) -> Frame) -> Result<(Attacker, Account)> {
    let mut attacker = Attacker::connect(&scene.proxy, scene.tls).await?;
    let block = get("/nothing", scene.tls);
    for _ in 0..STREAMS / BATCH {
        let mut frames = Vec::with_capacity(2 * BATCH);
        for _ in 0..BATCH {
            let stream = attacker.stream();
            frames.extend([Frame::headers(stream, block.clone(), true), ending(stream)]);
        }
        if !attacker.send(&frames).await? || attacker.is_sent_away() {
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
    everywhere("rapid reset", async |scene| {
        let (attacker, account) = give_up(scene, |stream| Frame::reset(stream, CANCEL)).await?;
        let sent_away = |it: &Heard| it.sent_away.is_some() || it.ended;
        attacker.hears("GOAWAY", sent_away).await?;
        Ok(account)
    })
    .await
}

/// CVE-2025-8671: the client makes the proxy reset them, by breaking a rule of the stream.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn made_you_reset_is_ended() -> Result<()> {
    let itself = |stream: u32| [&stream.to_be_bytes()[..], &[16]].concat();
    let ways: [(&str, &dyn Fn(u32) -> Frame); 6] = [
        ("an increment of zero", &|it| Frame::window(it, 0)),
        ("a window beyond its limit", &|it| {
            Frame::window(it, 0x7fff_ffff)
        }),
        ("data after the end", &|it| Frame::data(it, *b"more", false)),
        ("a second head after the end", &|it| {
            Frame::new(HEADERS, 0x5, it, [0x82])
        }),
        ("dependent on itself", &|it| {
            Frame::new(PRIORITY, 0, it, itself(it))
        }),
        ("a priority of four bytes", &|it| {
            Frame::new(PRIORITY, 0, it, [0; 4])
        }),
    ];
    for (name, ending) in ways {
        everywhere(&format!("made you reset by {name}"), async |scene| {
            let (attacker, account) = give_up(scene, ending).await?;
            let resets = attacker.heard().resets.len();
            ensure!(
                attacker.is_sent_away() || resets < 2 * MOST_UPSTREAM as usize,
                "{resets} streams were reset"
            );
            Ok(account)
        })
        .await?;
    }
    Ok(())
}

/// Nobody is given up, and nobody ends: only as many as were allowed go up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_beyond_the_limit_are_refused() -> Result<()> {
    everywhere("streams beyond the limit", async |scene| {
        let mut attacker = Attacker::connect(&scene.proxy, scene.tls).await?;
        attacker
            .hears("SETTINGS", |it| it.most_streams.is_some())
            .await?;
        let most = attacker.heard().most_streams.unwrap_or(u32::MAX);
        ensure!(most <= 1000, "{most} streams are allowed");
        let block = get("/nothing", scene.tls);
        let mut requests = 0;
        for _ in 0..50 {
            let streams =
                (0..BATCH).map(|_| Frame::headers(attacker.stream(), block.clone(), true));
            let frames: Vec<_> = streams.collect();
            requests += BATCH;
            if !attacker.send(&frames).await? || attacker.is_sent_away() {
                break;
            }
        }
        let refused = requests - most as usize;
        let told = |it: &Heard| it.resets.len() >= refused || it.sent_away.is_some() || it.ended;
        attacker.hears("refusals", told).await?;
        Ok(Account {
            sent: attacker.sent,
            upstream: most.into(),
        })
    })
    .await
}
